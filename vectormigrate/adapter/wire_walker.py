"""Reading a few fields out of a protobuf message without its class: everything else is skipped by its length.

So the cost grows with the number of points in a request and not with its bytes, and the process that captures writes
needs no package of a vendor. The numbers of the fields are the contract; tests compare them with the vendors' messages.
"""

from __future__ import annotations

from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Wire types. Groups (3 and 4) are refused: no message here has one."""

_MASK = 2**64 - 1


class Unreadable(ValueError):
    """A request that cannot be read as its operation demands: truncated, malformed, or with ids of no known form."""


Field = tuple[int, int, int, int]
"""Number, wire type, and either the value of a varint (and where it ends) or the start and end of the bytes."""


def fields(data: bytes, start: int, end: int) -> Iterator[Field]:
    """The fields of the message in `data[start:end]`, in their order. Raises Unreadable for what is no message.

    `(number, VARINT, value, _)`, else `(number, type, start, end)` of the value's bytes.
    """
    position = start
    while position < end:
        tag = data[position]
        position += 1
        if tag > 127:
            tag, position = _varint(data, position - 1, end)
        kind = tag & 7
        if tag < 8:
            raise Unreadable("a field has the number 0")
        if kind == BYTES:
            if position >= end:
                raise Unreadable("the message ends within a field")
            size = data[position]
            position += 1
            if size > 127:
                size, position = _varint(data, position - 1, end)
            last = position + size
            if last > end:
                raise Unreadable("the message ends within a field")
            yield tag >> 3, BYTES, position, last
            position = last
        elif kind == VARINT:
            value, position = _varint(data, position, end)
            yield tag >> 3, VARINT, value, position
        elif kind in (FIXED64, FIXED32):
            last = position + (8 if kind == FIXED64 else 4)
            if last > end:
                raise Unreadable("the message ends within a field")
            yield tag >> 3, kind, position, last
            position = last
        else:
            raise Unreadable(f"wire type {kind}")


def _varint(data: bytes, position: int, end: int) -> tuple[int, int]:
    """The number (as uint64) and where it ends."""
    value = shift = 0
    while position < end:
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & _MASK, position
        shift += 7
        if shift > 63:
            raise Unreadable("a number is longer than 64 bits")
    raise Unreadable("the message ends within a number")


def text(data: bytes, start: int, end: int) -> str:
    """A string. Raises Unreadable when it is no UTF-8."""
    try:
        return data[start:end].decode()
    except UnicodeDecodeError as error:
        raise Unreadable("a text is not UTF-8") from error


def signed(value: int) -> int:
    """An int64 of its varint."""
    return value - 2**64 if value >= 2**63 else value


def parts(data: bytes, start: int, end: int, number: int) -> list[tuple[int, int]]:
    """Start and end of every message, text or bytes under this number. Raises Unreadable for another wire type."""
    found: list[tuple[int, int]] = []
    for key, kind, first, last in fields(data, start, end):
        if key == number:
            if kind != BYTES:
                raise Unreadable(f"field {number} is no text and no message")
            found.append((first, last))
    return found


def below(data: bytes, start: int, end: int, path: tuple[int, ...]) -> list[tuple[int, int]]:
    """Start and end of every value at the end of a path of field numbers; an empty path is the message itself."""
    places = [(start, end)]
    for number in path:
        places = [found for first, last in places for found in parts(data, first, last, number)]
    return places


def int64s(data: bytes, start: int, end: int, number: int) -> list[int]:
    """A repeated int64 field, packed or not."""
    found: list[int] = []
    for key, kind, first, last in fields(data, start, end):
        if key != number:
            continue
        if kind == VARINT:
            found.append(signed(first))
        elif kind == BYTES:
            while first < last:
                value, first = _varint(data, first, last)
                found.append(signed(value))
        else:
            raise Unreadable(f"field {number} holds no integers")
    return found
