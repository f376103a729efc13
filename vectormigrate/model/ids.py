"""Typed record ids: `7`, `"7"` and a UUID are three different ids."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import assert_never
from uuid import UUID

RecordId = int | str | UUID
"""An integer (−2^63 … 2^64−1), any text, or a UUID. Never normalised: `"7"`, `"007"` and `7` differ."""


MIGRATION_ID = re.compile(r"(?=.{1,64}\Z)\.*[A-Za-z0-9_-][A-Za-z0-9._-]*")
"""Ids of migrations stand in the paths of URIs and files, where dots alone mean something else."""

MIGRATION_ID_RULE = "1 to 64 of the characters A-Z a-z 0-9 . _ -, not dots alone"


class IdKind(StrEnum):
    """What a collection takes as an id."""

    INT64 = "int64"
    UINT64 = "uint64"
    UUID = "uuid"
    STRING = "string"


def kind_fits(kind: IdKind, record_id: RecordId) -> bool:
    """Whether an id of this kind of collection can be `record_id` unchanged."""
    match kind:
        case IdKind.INT64:
            return isinstance(record_id, int) and -(2**63) <= record_id < 2**63
        case IdKind.UINT64:
            return isinstance(record_id, int) and 0 <= record_id < 2**64
        case IdKind.UUID:
            return isinstance(record_id, UUID)
        case IdKind.STRING:
            return isinstance(record_id, str)
        case _:
            assert_never(kind)


def is_plain(text: str) -> bool:
    """Whether the text is ASCII without NUL and not empty, as some databases demand of ids."""
    return text.isascii() and text != "" and "\0" not in text


def id_key(record_id: RecordId) -> str:
    """The id as text with its type: `i:7`, `s:007`, `u:5d1f…`. Injective; `parse_id_key` is its inverse."""
    if isinstance(record_id, str):
        return "s:" + record_id
    if isinstance(record_id, int):
        return f"i:{record_id}"
    return f"u:{record_id}"


def parse_id_key(key: str) -> RecordId:
    """The id that `id_key` wrote."""
    match key[:2]:
        case "s:":
            return key[2:]
        case "i:":
            return int(key[2:])
        case "u:":
            return UUID(key[2:])
        case _:
            raise ValueError(f"not a typed id: {key!r}")
