"""Canonical bytes and a BLAKE2b-128 digest per record: equal digests mean equal content.

The canonical form covers namespace, typed id, metadata and every vector a record holds. It is exact, not lenient: `1`,
`1.0`, `True` and `"1"` differ, a missing key differs from a None, list order counts, `0.0` differs from `-0.0`, two
NaNs agree only bit for bit, and a datetime counts with its UTC offset. Only what has no meaning is left out: the order
of keys, columns without a value, and the place of a record in its batch. Whether a small numeric difference is
acceptable is not decided here but by validation/compare.py, which looks at the records whose digests differ.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import pairwise, repeat

import numpy as np
import orjson
from numpy.typing import NDArray

from vectormigrate.model.batch import DenseColumn, Metadata, MultiColumn, RecordBatch, SparseColumn, Value, VectorColumn
from vectormigrate.model.ids import RecordId, id_key

DIGEST_BYTES = 16

_ORJSON = (
    orjson.OPT_SORT_KEYS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_SUBCLASS
    | orjson.OPT_PASSTHROUGH_DATACLASS
)

Piece = bytes | memoryview


def key_bytes(record_id: RecordId) -> bytes:
    """The typed id as bytes; injective, lone surrogates included."""
    return id_key(record_id).encode("utf-8", "surrogatepass")


def canonical_metadata(metadata: Metadata) -> bytes:
    """Equal bytes exactly for equal metadata. JSON where JSON is exact, otherwise a tagged form (first byte `T`)."""
    try:
        text = orjson.dumps(metadata, option=_ORJSON)
    except TypeError:  # bytes, datetime, an integer over 64 bits, a lone surrogate
        return b"T" + canonical_value(metadata)
    if b"null" in text and _has_nonfinite(metadata):  # orjson writes NaN and infinities as null
        return b"T" + canonical_value(metadata)
    return text


def canonical_value(value: Value) -> bytes:
    """One value in the tagged form: equal bytes exactly for equal values of equal type."""
    if value is None:
        return b"N"
    if isinstance(value, bool):
        return b"+" if value else b"-"
    if isinstance(value, int):
        return b"i%d;" % value
    if isinstance(value, float):
        return b"f" + struct.pack(">d", value)
    if isinstance(value, str):
        return _sized(b"s", value.encode("utf-8", "surrogatepass"))
    if isinstance(value, bytes):
        return _sized(b"b", value)
    if isinstance(value, datetime):
        return _sized(b"d", value.isoformat().encode())
    if isinstance(value, list):
        return b"[" + b"".join(canonical_value(item) for item in value) + b"]"
    encoded = sorted((_sized(b"k", key.encode("utf-8", "surrogatepass")), item) for key, item in _items(value))
    return b"{" + b"".join(key + item for key, item in encoded) + b"}"


def _items(value: dict[str, Value]) -> Iterable[tuple[str, bytes]]:
    return ((key, canonical_value(item)) for key, item in value.items())


def _sized(tag: bytes, data: bytes) -> bytes:
    return b"%b%d:%b" % (tag, len(data), data)


def _has_nonfinite(value: Value) -> bool:
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, dict):
        return any(map(_has_nonfinite, value.values()))
    return isinstance(value, list) and any(map(_has_nonfinite, value))


def record_digests(batch: RecordBatch, keys: Sequence[bytes] | None = None) -> NDArray[np.uint64]:
    """`[n, 2]`: the digest of each record as two 64-bit words. `keys` are the records' `key_bytes`, if at hand."""
    if keys is None:
        keys = [key_bytes(record_id) for record_id in batch.ids]
    prefix = _sized(b"n", batch.namespace.encode("utf-8", "surrogatepass"))
    metadata = map(canonical_metadata, batch.metadata) if batch.metadata else repeat(b"", len(keys))
    heads = [
        b"%b%d:%d:%b%b" % (prefix, len(key), len(text), key, text) for key, text in zip(keys, metadata, strict=True)
    ]
    columns: list[Iterable[Piece]] = [heads]
    for name in sorted(batch.vectors):
        columns.extend(_pieces(name, batch.vectors[name]))
    hashed = hashlib.blake2b
    digests = b"".join(
        [hashed(b"".join(pieces), digest_size=DIGEST_BYTES).digest() for pieces in zip(*columns, strict=True)]
    )
    return np.frombuffer(digests, np.dtype("<u8")).reshape(-1, 2)


def _pieces(name: str, column: VectorColumn) -> list[Sequence[Piece]]:
    """Per row what is hashed: a tag with name, kind and length, then the stored bytes; nothing when invalid."""
    tag = _sized(b"v", name.encode("utf-8", "surrogatepass"))
    if isinstance(column, DenseColumn):
        raw, width = _raw(column.values), column.values.nbytes // max(1, len(column))
        tags: list[Piece] = [b"%bd%b:%d:" % (tag, column.dtype.encode(), width)] * len(column)
        rows = [[raw[start : start + width] for start in range(0, len(column) * width, width)] if width else tags]
    else:
        ends = column.offsets.tolist()
        spans = list(pairwise(ends))
        kind = b"s" if isinstance(column, SparseColumn) else b"m" + column.dtype.encode()
        tags = [b"%b%b:%d:" % (tag, kind, end - start) for start, end in spans]
        flat = [_flat(column.indices), _flat(column.values)] if isinstance(column, SparseColumn) else [_multi(column)]
        rows = [[raw[start * size : end * size] for start, end in spans] for raw, size in flat]
    lists: list[Sequence[Piece]] = [tags, *rows]
    if column.valid is None:
        return lists
    valid = column.valid.tolist()
    return [[piece if ok else b"" for piece, ok in zip(pieces, valid, strict=True)] for pieces in lists]


def _raw(values: NDArray[np.generic]) -> memoryview:
    return np.ascontiguousarray(values).reshape(-1).view(np.uint8).data


def _flat(values: NDArray[np.generic]) -> tuple[memoryview, int]:
    return _raw(values), values.itemsize


def _multi(column: MultiColumn) -> tuple[memoryview, int]:
    return _raw(column.values), column.values.itemsize * column.values.shape[1]
