"""Writing a few fields of a protobuf message without its class: what wire_walker reads."""

from __future__ import annotations

from vectormigrate.adapter.wire_walker import BYTES, VARINT


def number(field: int, value: int) -> bytes:
    """A varint field of a non-negative number."""
    return varint(field << 3 | VARINT) + varint(value)


def piece(field: int, value: bytes) -> bytes:
    """A field of a text, of bytes or of a message."""
    return varint(field << 3 | BYTES) + varint(len(value)) + value


def varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first."""
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    found.append(value)
    return bytes(found)
