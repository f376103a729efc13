"""The time as it is written down everywhere."""

from __future__ import annotations

from datetime import UTC, datetime
from time import monotonic_ns


def utc_text(moment: datetime | None = None) -> str:
    """UTC ISO 8601 with milliseconds, now by default. Of fixed width, so that texts sort as times do."""
    moment = moment or datetime.now(UTC)
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def age(text: str) -> float:
    """Seconds since a moment that `utc_text` has written down; 0 for one that a clock since set back still has to
    reach."""
    return max(0.0, (datetime.now(UTC) - datetime.fromisoformat(text)).total_seconds())


def steady_milliseconds() -> int:
    """Of a clock that is never set and that all processes of the machine share; it begins again with the machine."""
    return monotonic_ns() // 10**6


def steady_seconds() -> float:
    """As `steady_milliseconds`, in seconds."""
    return monotonic_ns() / 10**9
