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

from vectormigrate.adapters.qdrant.edge import frames
from vectormigrate.adapters.qdrant.edge.frames import NAMESPACE_FIELD

NativeId = int | UUID


def native_id(wire_id: int | str | None) -> Any:
    """The engine's form of an id: UUID text becomes a UUID."""
    return UUID(wire_id) if isinstance(wire_id, str) else wire_id


def wire_id(native: Any) -> int | str:
    return native if isinstance(native, int) else str(native)


def order(native: NativeId) -> tuple[int, int]:
    """The engine's order: numbers, then UUIDs by value."""
    return (0, native) if isinstance(native, int) else (1, native.int)


def build(head: frames.Head, buffers: list[bytearray]) -> list[Any]:
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


def _rows(field: frames.Head, count: int, buffers: Any) -> list[Any]:
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


def pack(records: Sequence[Any], fields: Sequence[frames.Head]) -> tuple[frames.Head, list[frames.Buffer]]:
    """Ids in the head; payloads as one JSON list (the namespace taken out), then each field's buffers as in `_rows`.

    Record by record, because every look at `record.vector` builds its lists again and small ones stay in the cache.
    """
    payloads = [record.payload for record in records]
    for payload in payloads:
        payload.pop(NAMESPACE_FIELD, None)
    buffers: list[frames.Buffer] = [orjson.dumps(payloads)]
    columns = [_Column(field) for field in fields]
    if [field["name"] for field in fields] == [""]:
        add = columns[0].add
        for record in records:
            vector = record.vector
            add(vector.get("") if isinstance(vector, dict) else vector)
    elif columns:
        adders = [(column.name, column.add) for column in columns]
        for record in records:
            vector = record.vector
            for name, add in adders:
                add(vector.get(name) if isinstance(vector, dict) else (vector if name == "" else None))
    for column in columns:
        buffers.extend(column.buffers())
    return {"ids": [wire_id(record.id) for record in records]}, buffers


class _Column:
    """Collects one field's vectors; `add` takes the engine's form, None for a missing one."""

    def __init__(self, field: frames.Head) -> None:
        self.name: str = field["name"]
        self._kind: str = field["kind"]
        self._mask = bytearray()
        self._parts: list[bytes] = []
        self._offsets = array("q", [0])
        self._indices = array("I")
        if self._kind == "dense":
            self._write = struct.Struct(f"={field['dim']}f").pack
            self._empty = bytes(4 * field["dim"])
            self.add = self._add_dense
        else:
            self.add = self._add_sparse if self._kind == "sparse" else self._add_multi

    def _add_dense(self, vector: Any) -> None:
        self._mask.append(vector is not None)
        self._parts.append(self._empty if vector is None else self._write(*vector))

    def _add_sparse(self, vector: Any) -> None:
        self._mask.append(vector is not None)
        if vector is not None:
            self._indices.extend(vector.indices)
            self._parts.append(array("f", vector.values).tobytes())
        self._offsets.append(len(self._indices))

    def _add_multi(self, vector: Any) -> None:
        self._mask.append(vector is not None)
        self._parts.extend(array("f", row).tobytes() for row in vector or ())
        self._offsets.append(len(self._parts))

    def buffers(self) -> list[frames.Buffer]:
        mask = b"" if all(self._mask) else bytes(self._mask)
        numbers = b"".join(self._parts)
        if self._kind == "dense":
            return [mask, numbers]
        if self._kind == "multi":
            return [mask, self._offsets.tobytes(), numbers]
        return [mask, self._offsets.tobytes(), self._indices.tobytes(), numbers]


def queries(head: frames.Head, buffers: list[bytearray]) -> list[Any]:
    """Search queries: for a sparse field the buffers of `_rows`, else rows of numbers."""
    field: frames.Head = head["field"]
    if field["kind"] == "sparse":
        return _rows(field, head["count"], iter(buffers))
    rows = [row.tolist() for row in _cut(buffers[0], field["dim"], head["count"])]
    return [[row] for row in rows] if field["kind"] == "multi" else rows
