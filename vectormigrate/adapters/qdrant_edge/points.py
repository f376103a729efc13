"""Engine records <-> frames, in the child. Vectors are 4-byte floats on the wire, whatever the storage type.

A memoryview is the fastest thing the bindings take as a vector (a list would have to be built first), and `struct.pack`
the fastest way from their lists of floats to bytes. Payload values dominate writing: the bindings need 2–4 µs each.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence
from itertools import pairwise
from typing import Any
from uuid import UUID

import orjson
import qdrant_edge as edge

from vectormigrate.adapters.qdrant_edge import wire
from vectormigrate.adapters.qdrant_edge.config import NAMESPACE_FIELD

NativeId = int | UUID


def native_id(wire_id: int | str | None) -> Any:
    """The engine's form of an id: UUID text becomes a UUID."""
    return UUID(wire_id) if isinstance(wire_id, str) else wire_id


def wire_id(native: Any) -> int | str:
    return native if isinstance(native, int) else str(native)


def order(native: NativeId) -> tuple[int, int]:
    """The engine's order: numbers, then UUIDs by value."""
    return (0, native) if isinstance(native, int) else (1, native.int)


def build(head: wire.Head, buffers: list[bytearray]) -> list[Any]:
    """Points of an upsert. Buffers: the payloads as one JSON list, then those of each field (see `_rows`)."""
    ids: list[int | str] = head["ids"]
    payloads: list[dict[str, Any]] = orjson.loads(buffers[0])
    namespace = head["namespace"]
    if namespace:
        for payload in payloads:
            payload[NAMESPACE_FIELD] = namespace
    rest = iter(buffers[1:])
    names = [field["name"] for field in head["fields"]]
    columns = [_rows(field, len(ids), rest) for field in head["fields"]]
    make = edge.Point
    if not names:
        return [make(id_, {}, payload) for id_, payload in zip(ids, payloads, strict=True)]
    if names == [""] and not any(vector is None for vector in columns[0]):
        return [make(*row) for row in zip(ids, columns[0], payloads, strict=True)]
    return [
        make(id_, {name: vector for name, vector in zip(names, row, strict=True) if vector is not None}, payload)
        for id_, payload, row in zip(ids, payloads, zip(*columns, strict=True), strict=True)
    ]


def _rows(field: wire.Head, count: int, buffers: Any) -> list[Any]:
    """One field's vectors, None where the record has none.

    Buffers: validity bytes (empty: all valid); for sparse and multi the offsets (int64); for sparse the indices
    (uint32); the numbers (float32).
    """
    mask: bytearray = next(buffers)
    if field["kind"] == "dense":
        rows = _cut(next(buffers), field["dim"], count)
    else:
        offsets = memoryview(next(buffers)).cast("q").tolist()
        if field["kind"] == "sparse":
            indices = memoryview(next(buffers)).cast("I")
            numbers: Any = memoryview(next(buffers)).cast("f")
            rows = [
                edge.SparseVector(indices[start:end].tolist(), numbers[start:end].tolist())
                for start, end in pairwise(offsets)
            ]
        else:
            flat = _cut(next(buffers), field["dim"], offsets[-1])
            rows = [flat[start:end] for start, end in pairwise(offsets)]
    return [row if valid else None for row, valid in zip(rows, mask, strict=True)] if mask else rows


def _cut(data: bytearray, dim: int, count: int) -> list[Any]:
    view = memoryview(data).cast("f")
    return [view[start : start + dim] for start in range(0, count * dim, dim)]


def pack(records: Sequence[Any], fields: Sequence[wire.Head]) -> tuple[wire.Head, list[wire.Buffer]]:
    """Ids in the head; payloads as one JSON list (the namespace taken out), then each field's buffers as in `_rows`."""
    payloads = [record.payload for record in records]
    for payload in payloads:
        payload.pop(NAMESPACE_FIELD, None)
    buffers: list[wire.Buffer] = [orjson.dumps(payloads)]
    if fields:
        vectors = [record.vector for record in records]
        for field in fields:
            name = field["name"]
            column = [
                vector.get(name) if isinstance(vector, dict) else (vector if name == "" else None) for vector in vectors
            ]
            buffers.extend(_column(column, field))
    return {"ids": [wire_id(record.id) for record in records]}, buffers


def _column(vectors: Sequence[Any], field: wire.Head) -> list[wire.Buffer]:
    missing = any(vector is None for vector in vectors)
    mask = bytes(vector is not None for vector in vectors) if missing else b""
    if field["kind"] == "dense":
        dim: int = field["dim"]
        write = struct.Struct(f"={dim}f").pack
        empty = bytes(4 * dim)
        parts = [empty if vector is None else write(*vector) for vector in vectors]
        return [mask, b"".join(parts)]
    offsets = array("q", [0])
    numbers = array("f")
    indices = array("I")
    total = 0
    for vector in vectors:
        if vector is not None and field["kind"] == "sparse":
            places = vector.indices
            indices.extend(places)
            numbers.extend(vector.values)
            total += len(places)
        elif vector is not None:
            for row in vector:
                numbers.extend(row)
            total += len(vector)
        offsets.append(total)
    return [mask, offsets.tobytes(), *([indices.tobytes()] if field["kind"] == "sparse" else []), numbers.tobytes()]


def queries(head: wire.Head, buffers: list[bytearray]) -> list[Any]:
    """Search queries: for a sparse field the buffers of `_rows`, else rows of numbers."""
    field: wire.Head = head["field"]
    if field["kind"] == "sparse":
        return _rows(field, head["count"], iter(buffers))
    rows = [row.tolist() for row in _cut(buffers[0], field["dim"], head["count"])]
    return [[row] for row in rows] if field["kind"] == "multi" else rows
