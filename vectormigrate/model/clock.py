"""The time as it is written down everywhere."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_text(moment: datetime | None = None) -> str:
    """UTC ISO 8601 with milliseconds, now by default. Of fixed width, so that texts sort as times do."""
    moment = moment or datetime.now(UTC)
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
