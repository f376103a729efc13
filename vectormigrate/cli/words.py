"""Numbers, sizes, times and places in words."""

from __future__ import annotations

from datetime import datetime

from vectormigrate.model.plan import EndpointRef, MigrationPlan


def count(number: int | None) -> str:
    """`12,345`; a dash for unknown."""
    return "–" if number is None else f"{number:,}"


def plural(number: int, word: str) -> str:
    """`1 record`, `12,345 records`."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def size(number: float) -> str:
    """Bytes with a decimal unit."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" or number >= 100 else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:,.1f} TB"


def duration(seconds: float | None) -> str:
    """`3.2 s`, `4 min 5 s`, `2 h 10 min`."""
    if seconds is None:
        return "–"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def moment(text: str | None) -> str:
    """A stored UTC time to the second."""
    if not text:
        return "–"
    try:
        return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M:%S UTC")
    except ValueError:
        return text


def percent(part: float) -> str:
    """A share in 0…1. Never rounds something short of everything up to 100 %."""
    if 0.9999 < part < 1:
        return f"{part * 100:.5f} %"
    return f"{part * 100:.1f} %"


def namespace(name: str) -> str:
    """The default namespace has the empty name."""
    return name or "(default)"


def place(ref: EndpointRef) -> str:
    """Type, server and collection."""
    text = ref.location or ref.url or ref.collection
    return text if text.startswith(ref.type) else f"{ref.type} {text}"


def bytes_in_all(plan: MigrationPlan) -> int:
    """Estimated size of the data to move."""
    return plan.total_records * plan.bytes_per_record
