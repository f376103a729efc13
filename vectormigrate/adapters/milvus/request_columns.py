"""Columns of ids in requests and answers."""

from __future__ import annotations

from vectormigrate.adapter.operations import CollectionFacts
from vectormigrate.adapter.wire_walker import BYTES, below, fields, int64s, text
from vectormigrate.model.ids import RecordId


def column(data: bytes, start: int, end: int, known: CollectionFacts) -> list[RecordId] | None:
    """The ids in FieldData {field_name (2), scalars (3) {long_data (3) | string_data (6)}}, None for another column."""
    name = ""
    scalars: list[tuple[int, int]] = []
    for number, kind, first, last in fields(data, start, end):
        if number == 2 and kind == BYTES:
            name = text(data, first, last)
        elif number == 3 and kind == BYTES:
            scalars.append((first, last))
    if name != known.id_field:
        return None
    return [item for place in scalars for item in ids_of(data, *place, 3, 6)]


def ids_of(data: bytes, start: int, end: int, longs: int, strings: int) -> list[RecordId]:
    """Of a LongArray or StringArray, both {data (1)}."""
    found: list[RecordId] = []
    for number, kind, first, last in fields(data, start, end):
        if number == longs and kind == BYTES:
            found += int64s(data, first, last, 1)
        elif number == strings and kind == BYTES:
            found += [text(data, *place) for place in below(data, first, last, (1,))]
    return found
