"""Canonical bytes and digests of records in target form: equal digests mean equal records.

A digest covers the id with its type, the metadata (typed: 1 and 1.0 differ, a null and a missing key differ, key order
does not matter) and each vector field that the record holds, as stored bytes without negative zeros. The namespace is
not covered: compare namespace by namespace.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import numpy as np
import orjson
from numpy.typing import NDArray

from vectormigrate.model.batch import DenseColumn, Metadata, RecordBatch, SparseColumn, Value, VectorColumn
from vectormigrate.model.ids import RecordId
from vectormigrate.model.schema import DType

_SORTED = orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS


def key_bytes(record_id: RecordId) -> bytes:
    """The id with its type, injectively."""
    if isinstance(record_id, str):
        return b"s" + record_id.encode(errors="surrogatepass")
    if isinstance(record_id, UUID):
        return b"u" + record_id.bytes
    return b"i%d" % record_id


def canonical_metadata(metadata: Metadata) -> bytes:
    """Bytes that two metadata dicts share exactly when they are equal, with types."""
    try:
        fast = orjson.dumps(metadata, option=_SORTED)
    except (TypeError, ValueError):  # bytes, datetimes, integers of more than 64 bits, lone surrogates
        return b"\0" + canonical_value(metadata)
    # orjson writes NaN and infinities as null; such a record (or one with the text "null") takes the exact way
    return b"\0" + canonical_value(metadata) if b"null" in fast else fast


def canonical_value(value: Value) -> bytes:
    """Type-tagged, length-prefixed bytes of one value. Datetimes are equal when instant and UTC offset are equal; all
    NaNs are equal; 0.0 and -0.0 differ."""
    if isinstance(value, str):
        return _tagged(b"s", value.encode(errors="surrogatepass"))
    if value is None:
        return b"n"
    if isinstance(value, bool):
        return b"T" if value else b"F"
    if isinstance(value, int):
        return b"i%x;" % value
    if isinstance(value, float):
        return b"d" + (b"NaN....." if math.isnan(value) else struct.pack("<d", value))
    if isinstance(value, datetime):
        offset = value.utcoffset()
        if offset is None:
            return _tagged(b"t", value.isoformat().encode())
        return _tagged(b"t", f"{value.astimezone(UTC).isoformat()} {offset}".encode())
    if isinstance(value, bytes):
        return _tagged(b"b", value)
    if isinstance(value, list):
        return b"[%d:" % len(value) + b"".join(map(canonical_value, value))
    items = sorted((_tagged(b"s", key.encode(errors="surrogatepass")), item) for key, item in _items(value))
    return b"{%d:" % len(items) + b"".join(key + item for key, item in items)


def _items(value: dict[str, Value]) -> list[tuple[str, bytes]]:
    return [(key, canonical_value(item)) for key, item in value.items()]


def _tagged(tag: bytes, data: bytes) -> bytes:
    return b"%c%d:" % (tag, len(data)) + data


def digests(batch: RecordBatch, vectors: Collection[str] | None = None) -> NDArray[np.uint64]:
    """BLAKE2b-128 of each record as two little-endian lanes, `[n, 2]`.

    `vectors`: the fields to cover (None: all); leave out those that need not agree bit for bit. A record that lacks a
    vector has the same digest whether the batch has a masked column for it or none.
    """
    names = sorted(name for name in batch.vectors if vectors is None or name in vectors)
    columns = [(_tagged(b"v", name.encode(errors="surrogatepass")), _Rows(batch.vectors[name])) for name in names]
    joined = bytearray()
    blake2b = hashlib.blake2b
    for row, (record_id, metadata) in enumerate(zip(batch.ids, batch.metadata, strict=True)):
        key = key_bytes(record_id)
        text = canonical_metadata(metadata)
        state = blake2b(b"%d:%d:" % (len(key), len(text)) + key + text, digest_size=16)
        for name, column in columns:
            data = column.bytes_of(row)
            if data is not None:
                state.update(name)
                state.update(data)
        joined += state.digest()
    return np.frombuffer(bytes(joined), "<u8").reshape(len(batch.ids), 2).astype(np.uint64)


class _Rows:
    """Row-wise access to the canonical bytes of a column."""

    def __init__(self, column: VectorColumn) -> None:
        self._valid = None if column.valid is None else column.valid.tolist()
        self._offsets = None if isinstance(column, DenseColumn) else column.offsets.tolist()
        self._indices = np.ascontiguousarray(column.indices, "<u4") if isinstance(column, SparseColumn) else None
        dtype = DType.FLOAT32 if isinstance(column, SparseColumn) else column.dtype
        self._values = np.ascontiguousarray(_without_negative_zeros(column.values, dtype))
        self._tag = str(dtype).encode()

    def bytes_of(self, row: int) -> bytes | None:
        """The bytes of one record's value, None when it has none."""
        if self._valid is not None and not self._valid[row]:
            return None
        if self._offsets is None:
            return self._tag + self._values[row].tobytes()
        start, end = self._offsets[row], self._offsets[row + 1]
        values = self._values[start:end].tobytes()
        indices = b"" if self._indices is None else self._indices[start:end].tobytes()
        return b"%s%d:" % (self._tag, end - start) + indices + values


def _without_negative_zeros(values: NDArray[Any], dtype: DType) -> NDArray[Any]:
    if dtype in (DType.FLOAT32, DType.FLOAT16):
        return values + values.dtype.type(0)
    if dtype is DType.BFLOAT16:
        return np.where(values == np.uint16(0x8000), np.uint16(0), values)
    return values
