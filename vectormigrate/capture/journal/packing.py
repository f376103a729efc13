"""Record ids as SQLite values: small, typed, and equal only for equal ids."""

from __future__ import annotations

from uuid import UUID

from vectormigrate.model.ids import RecordId

Packed = int | str | bytes
"""Integers as such, beyond 63 bits as 8 bytes; UUIDs as 16 bytes; text as text."""


def pack_id(record_id: RecordId) -> Packed:
    """The value for the column. Injective; `unpack_id` is its inverse."""
    if isinstance(record_id, UUID):
        return record_id.bytes
    if isinstance(record_id, int) and record_id >= 2**63:
        return record_id.to_bytes(8, "big")
    return record_id


def unpack_id(packed: Packed) -> RecordId:
    """The id that `pack_id` packed."""
    if not isinstance(packed, bytes):
        return packed
    return UUID(bytes=packed) if len(packed) == 16 else int.from_bytes(packed, "big")
