"""Frames -> batches. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import orjson

from vectormigrate.adapter.json_floats import EXACT_FIELD, restore
from vectormigrate.adapters.qdrant.edge import frames
from vectormigrate.adapters.qdrant.edge.ids import record_id
from vectormigrate.model.batch import (
    NUMPY_DTYPE,
    DenseColumn,
    Metadata,
    MultiColumn,
    RecordBatch,
    SparseColumn,
    VectorColumn,
)
from vectormigrate.model.schema import VectorField, VectorKind


def decode(head: frames.Head, buffers: list[bytearray], namespace: str, fields: Sequence[VectorField]) -> RecordBatch:
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
