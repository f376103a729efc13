"""Batches and queries -> frames. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from vectormigrate.adapter import SparseQuery
from vectormigrate.adapter.json_floats import protect
from vectormigrate.adapters.qdrant.edge import frames
from vectormigrate.adapters.qdrant.edge.ids import wire_id
from vectormigrate.model.batch import (
    DenseColumn,
    MultiColumn,
    RecordBatch,
    VectorColumn,
)
from vectormigrate.model.half_units import as_sent
from vectormigrate.model.schema import CollectionSchema, VectorField


def field_heads(fields: Sequence[VectorField]) -> list[frames.Head]:
    return [{"name": item.name, "kind": str(item.kind), "dim": item.dim} for item in fields]


def encode(batch: RecordBatch, schema: CollectionSchema) -> tuple[frames.Head, list[frames.Buffer]]:
    """The upsert frame of a batch whose records have all been found good."""
    fields = [item for item in schema.vectors if item.name in batch.vectors]
    buffers: list[frames.Buffer] = [orjson.dumps([protect(metadata) for metadata in batch.metadata])]
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


def _encode_column(column: VectorColumn) -> list[frames.Buffer]:
    mask = b"" if column.valid is None or bool(column.valid.all()) else column.valid.tobytes()
    numbers = _bytes(column.values.astype(np.float32, copy=False))
    if isinstance(column, DenseColumn):
        return [mask, numbers]
    offsets = _bytes(column.offsets.astype(np.int64, copy=False))
    if isinstance(column, MultiColumn):
        return [mask, offsets, numbers]
    return [mask, offsets, _bytes(column.indices.astype(np.uint32, copy=False)), numbers]


def _bytes(values: NDArray[Any]) -> frames.Buffer:
    return np.ascontiguousarray(values).reshape(-1).view(np.uint8).data


def encode_queries(queries: NDArray[np.float32] | Sequence[SparseQuery]) -> tuple[int, list[frames.Buffer]]:
    """Number of queries and their buffers."""
    if isinstance(queries, np.ndarray):
        return len(queries), [_bytes(queries.astype(np.float32, copy=False))]
    offsets = np.concatenate([[0], np.cumsum([len(indices) for indices, _ in queries])]).astype(np.int64)
    indices = np.concatenate([np.empty(0, np.uint32), *(pair[0] for pair in queries)]).astype(np.uint32)
    values = np.concatenate([np.empty(0, np.float32), *(pair[1] for pair in queries)]).astype(np.float32)
    return len(queries), [b"", _bytes(offsets), _bytes(indices), _bytes(values)]
