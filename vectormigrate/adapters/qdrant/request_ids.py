"""Point ids in requests and answers, as JSON and as protobuf: numbers or UUIDs, which the server takes in any of their
spellings and keeps in the canonical one."""

from __future__ import annotations

from uuid import UUID

from vectormigrate.adapter.json_walker import Json
from vectormigrate.adapter.wire_walker import BYTES, VARINT, Unreadable, fields, text
from vectormigrate.model.ids import RecordId


def json_id(value: Json) -> RecordId:
    """A number in 0…2^64-1 or a UUID."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**64:
        return value
    if isinstance(value, str):
        return _uuid(value)
    raise Unreadable("a point id is a number or a UUID")


def wire_id(data: bytes, start: int, end: int) -> RecordId:
    """A PointId: num (1) or uuid (2), of which the last one counts."""
    found: RecordId | None = None
    for number, kind, first, last in fields(data, start, end):
        if number == 1 and kind == VARINT:
            found = first
        elif number == 2 and kind == BYTES:
            found = _uuid(text(data, first, last))
        elif number in (1, 2):
            raise Unreadable("a point id of another type")
    if found is None:
        raise Unreadable("a point id that is neither a number nor a UUID")
    return found


def _uuid(value: str) -> UUID:
    try:
        return UUID(value)
    except ValueError as error:
        raise Unreadable("a text that is no UUID as a point id") from error
