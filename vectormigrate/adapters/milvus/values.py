"""Texts and JSON as Milvus takes them. Pure."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson


def text_size(text: str, *, lite: bool) -> int | None:
    """Length as this Milvus counts it; None for text that is not valid Unicode."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return None
    return len(text) if lite else size


def json_bytes(value: Any) -> tuple[bytes, tuple[str, str] | None]:
    """A value as JSON, or code and reason why JSON cannot hold it exactly."""
    try:
        data = orjson.dumps(value, option=orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS)
    except (TypeError, ValueError, RecursionError) as error:
        return b"", ("metadata", f"the metadata is not JSON: {error}")
    # orjson writes NaN and infinities as null.
    if b"null" in data and _has_nonfinite(value):
        return b"", ("nonfinite", "the metadata holds NaN or an infinity")
    return data, None


def _has_nonfinite(value: Any) -> bool:
    if isinstance(value, float):
        return not np.isfinite(value)
    if isinstance(value, dict):
        return any(map(_has_nonfinite, value.values()))
    return isinstance(value, list) and any(map(_has_nonfinite, value))
