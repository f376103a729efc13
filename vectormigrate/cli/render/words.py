"""Moments and places in words; numbers are in `vectormigrate.figures`."""

from __future__ import annotations

from datetime import datetime

from vectormigrate.model.plan import EndpointRef, MigrationPlan


def moment(text: str | None) -> str:
    """A stored UTC time to the second."""
    if not text:
        return "–"
    try:
        return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M:%S UTC")
    except ValueError:
        return text


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
