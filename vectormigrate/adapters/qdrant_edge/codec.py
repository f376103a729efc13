"""Batches <-> frames, and which records the engine cannot hold. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

import numpy as np
import orjson
from numpy.typing import NDArray

from vectormigrate.adapter import Reject, SparseQuery
from vectormigrate.adapter.column_checks import Problem
from vectormigrate.adapter.json_floats import EXACT_FIELD, protect, restore
from vectormigrate.adapter.record_checks import record_problems, value_problem
from vectormigrate.adapters.qdrant_edge import wire
from vectormigrate.adapters.qdrant_edge.config import CAPABILITIES, MAX_LEVELS, RESERVED
from vectormigrate.model.batch import (
    NUMPY_DTYPE,
    DenseColumn,
    Metadata,
    MultiColumn,
    RecordBatch,
    SparseColumn,
    VectorColumn,
)
from vectormigrate.model.half_units import as_sent
from vectormigrate.model.ids import RecordId, kind_fits
from vectormigrate.model.schema import CollectionSchema, VectorField, VectorKind

MAX_INT = 2**64 - 1
MAX_UUID = UUID(int=2**128 - 1)


def holds_id(record_id: RecordId) -> bool:
    """Whether the engine can hold this id unchanged."""
    fits = any(kind_fits(kind, record_id) for kind in CAPABILITIES.ids.kinds)
    return fits and not isinstance(record_id, bool)


def wire_id(record_id: RecordId) -> int | str:
    return record_id if isinstance(record_id, int) else str(record_id)


def record_id(wire: int | str) -> RecordId:
    return wire if isinstance(wire, int) else UUID(wire)


def next_id(record_id: RecordId) -> RecordId | None:
    """The smallest id after this one in the engine's order; None after the last UUID."""
    if isinstance(record_id, int):
        return record_id + 1 if record_id < MAX_INT else UUID(int=0)
    if not isinstance(record_id, UUID) or record_id == MAX_UUID:
        return None
    return UUID(int=record_id.int + 1)


def field_heads(fields: Sequence[VectorField]) -> list[wire.Head]:
    return [{"name": item.name, "kind": str(item.kind), "dim": item.dim} for item in fields]


def rejects(batch: RecordBatch, schema: CollectionSchema) -> dict[int, Reject]:
    """The records that the engine cannot hold, by row, each with its first problem."""
    found: dict[int, Reject] = {}
    for row, problem in _problems(batch, schema):
        found.setdefault(row, Reject(batch.ids[row], batch.namespace, *problem))
    return found


def _problems(batch: RecordBatch, schema: CollectionSchema) -> Iterator[tuple[int, Problem]]:
    for row, item in enumerate(batch.ids):
        if not holds_id(item):
            yield row, ("id", f"id {item!r} is neither a number in 0…2^64-1 nor a UUID")
    for row, metadata in enumerate(batch.metadata):
        problem = metadata_problem(metadata)
        if problem is not None:
            yield row, problem
    yield from record_problems(batch, schema.vectors)


def metadata_problem(metadata: Metadata) -> Problem | None:
    """Why the engine cannot hold the metadata exactly, if so; integer range and Unicode are checked elsewhere."""
    if not RESERVED.isdisjoint(metadata):
        return "reserved", f"the field names {', '.join(sorted(RESERVED))} are reserved"
    return value_problem(metadata, MAX_LEVELS)


def encode(batch: RecordBatch, schema: CollectionSchema) -> tuple[wire.Head, list[wire.Buffer]]:
    """The upsert frame of a batch whose records have all been found good."""
    fields = [item for item in schema.vectors if item.name in batch.vectors]
    buffers: list[wire.Buffer] = [orjson.dumps([protect(metadata) for metadata in batch.metadata])]
    vectors = as_sent(batch.vectors, schema.vector)
    for item in fields:
        buffers.extend(_encode_column(vectors[item.name]))
    head = {
        "op": "upsert",
        "namespace": batch.namespace,
        "ids": [wire_id(item) for item in batch.ids],
        "fields": field_heads(fields),
    }
    return head, buffers


def _encode_column(column: VectorColumn) -> list[wire.Buffer]:
    mask = b"" if column.valid is None or bool(column.valid.all()) else column.valid.tobytes()
    numbers = _bytes(column.values.astype(np.float32, copy=False))
    if isinstance(column, DenseColumn):
        return [mask, numbers]
    offsets = _bytes(column.offsets.astype(np.int64, copy=False))
    if isinstance(column, MultiColumn):
        return [mask, offsets, numbers]
    return [mask, offsets, _bytes(column.indices.astype(np.uint32, copy=False)), numbers]


def _bytes(values: NDArray[Any]) -> wire.Buffer:
    return np.ascontiguousarray(values).reshape(-1).view(np.uint8).data


def decode(head: wire.Head, buffers: list[bytearray], namespace: str, fields: Sequence[VectorField]) -> RecordBatch:
    """The batch of a scroll or fetch answer."""
    rest = iter(buffers[1:])
    metadata: list[Metadata] = orjson.loads(buffers[0])
    for row in metadata:
        if EXACT_FIELD in row:
            restore(row)
    return RecordBatch(
        namespace,
        [record_id(item) for item in head["ids"]],
        {item.name: _decode_column(item, len(head["ids"]), rest) for item in fields},
        metadata,
    )


def _decode_column(item: VectorField, count: int, buffers: Iterator[bytearray]) -> VectorColumn:
    mask = next(buffers)
    valid = np.frombuffer(mask, np.bool_) if mask else None
    native = NUMPY_DTYPE[item.dtype]
    if item.kind is VectorKind.DENSE:
        values = np.frombuffer(next(buffers), np.float32).reshape(count, item.dim or 0)
        return DenseColumn(values.astype(native, copy=False), item.dtype, valid)
    offsets = np.frombuffer(next(buffers), np.int64)
    if item.kind is VectorKind.MULTI:
        rows = np.frombuffer(next(buffers), np.float32).reshape(-1, item.dim or 1)
        return MultiColumn(offsets, rows.astype(native, copy=False), item.dtype, valid)
    indices = np.frombuffer(next(buffers), np.uint32)
    return SparseColumn(offsets, indices, np.frombuffer(next(buffers), np.float32), valid)


def encode_queries(queries: NDArray[np.float32] | Sequence[SparseQuery]) -> tuple[int, list[wire.Buffer]]:
    """Number of queries and their buffers."""
    if isinstance(queries, np.ndarray):
        return len(queries), [_bytes(queries.astype(np.float32, copy=False))]
    offsets = np.concatenate([[0], np.cumsum([len(indices) for indices, _ in queries])]).astype(np.int64)
    indices = np.concatenate([np.empty(0, np.uint32), *(pair[0] for pair in queries)]).astype(np.uint32)
    values = np.concatenate([np.empty(0, np.float32), *(pair[1] for pair in queries)]).astype(np.float32)
    return len(queries), [b"", _bytes(offsets), _bytes(indices), _bytes(values)]
