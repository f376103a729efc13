"""The time as it is written down everywhere."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def utc_text(moment: datetime | None = None) -> str:
    """UTC ISO 8601 with milliseconds, now by default. Of fixed width, so that texts sort as times do."""
    moment = moment or datetime.now(UTC)
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def steady_milliseconds() -> int:
    """Of a clock that is never set and that all processes of the machine share; it begins again with the machine."""
    return time.monotonic_ns() // 10**6
