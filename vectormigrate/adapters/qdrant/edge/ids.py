"""Point ids: numbers and UUIDs, their order, and their forms on the wire. Pure."""

from __future__ import annotations

from uuid import UUID

from vectormigrate.adapters.qdrant.edge.capabilities import CAPABILITIES
from vectormigrate.model.ids import RecordId, kind_fits

MAX_INT = 2**64 - 1
MAX_UUID = UUID(int=2**128 - 1)


def holds_id(record_id: RecordId) -> bool:
    """Whether the engine can hold this id unchanged."""
    fits = any(kind_fits(kind, record_id) for kind in CAPABILITIES.ids.kinds)
    return fits and not isinstance(record_id, bool)


def wire_id(record_id: RecordId) -> int | str:
    return record_id if isinstance(record_id, int) else str(record_id)


def record_id(wire: int | str) -> RecordId:
    return wire if isinstance(wire, int) else UUID(wire)


def next_id(record_id: RecordId) -> RecordId | None:
    """The smallest id after this one in the engine's order; None after the last UUID."""
    if isinstance(record_id, int):
        return record_id + 1 if record_id < MAX_INT else UUID(int=0)
    if not isinstance(record_id, UUID) or record_id == MAX_UUID:
        return None
    return UUID(int=record_id.int + 1)
