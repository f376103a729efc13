"""Point ids: numbers and UUIDs, their order, and their forms on the wire. Pure."""

from __future__ import annotations

from typing import Any
from uuid import UUID, SafeUUID

from vectormigrate.adapters.qdrant.capabilities import CAPABILITIES
from vectormigrate.adapters.qdrant.proto import common
from vectormigrate.model.ids import RecordId, kind_fits

MAX_INT = 2**64 - 1
MAX_UUID = UUID(int=2**128 - 1)

PointId = int | UUID

# The constructor of UUID costs as much as the rest of decoding an id.
_new, _set, _UNKNOWN = object.__new__, object.__setattr__, SafeUUID.unknown


def holds_id(record_id: RecordId) -> bool:
    """Whether the server can hold this id unchanged."""
    fits = any(kind_fits(kind, record_id) for kind in CAPABILITIES.ids.kinds)
    return fits and not isinstance(record_id, bool)


def order(record_id: RecordId) -> tuple[int, int]:
    """The server's order: numbers, then UUIDs by value."""
    return (1, record_id.int) if isinstance(record_id, UUID) else (0, int(record_id))


def next_id(record_id: RecordId) -> RecordId | None:
    """The smallest id after this one in the server's order; None after the last UUID."""
    if isinstance(record_id, int):
        return record_id + 1 if record_id < MAX_INT else UUID(int=0)
    if not isinstance(record_id, UUID) or record_id == MAX_UUID:
        return None
    return UUID(int=record_id.int + 1)


def wire_id(record_id: RecordId) -> int | str:
    """The form in JSON."""
    return record_id if isinstance(record_id, int) else str(record_id)


def record_id(wire: int | str) -> RecordId:
    """The id of a JSON form."""
    return wire if isinstance(wire, int) else UUID(wire)


def message(record_id: RecordId) -> Any:
    """The form in gRPC."""
    return common.PointId(num=record_id) if isinstance(record_id, int) else common.PointId(uuid=str(record_id))


def from_message(message: Any) -> RecordId:
    """The id of a gRPC form, of which the server always writes UUIDs in their canonical form."""
    text = message.uuid
    if not text:
        return message.num
    found = _new(UUID)
    _set(found, "int", int(text.replace("-", ""), 16))
    _set(found, "is_safe", _UNKNOWN)
    return found
