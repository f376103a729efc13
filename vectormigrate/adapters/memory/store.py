"""The data itself: stores by name, collections in a store, rows in a collection, ordered by id."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from vectormigrate.model.batch import (
    NUMPY_DTYPE,
    BoolMask,
    DenseColumn,
    Metadata,
    MultiColumn,
    RecordBatch,
    SparseColumn,
    Value,
    VectorColumn,
)
from vectormigrate.model.ids import RecordId
from vectormigrate.model.schema import CollectionSchema, DType, VectorField, VectorKind

OrderKey = tuple[int, Any]
"""Sorts numbers before strings before UUIDs, and keeps `7`, `"7"` and a UUID apart."""

RowVector = NDArray[Any] | tuple[NDArray[np.uint32], NDArray[np.float32]]
"""One row of a dense column, the rows of one record of a multi column, or (indices, values)."""


@dataclass(frozen=True, slots=True)
class Row:
    """One record."""

    id: RecordId
    vectors: dict[str, RowVector]
    metadata: Metadata


def order_key(record_id: RecordId) -> OrderKey:
    """The position of the id in the scan order."""
    if isinstance(record_id, str):
        return (1, record_id)
    if isinstance(record_id, UUID):
        return (2, record_id.int)
    return (0, record_id)


def clone(value: Value) -> Value:
    """A deep copy, so that neither side sees the other's later changes."""
    if isinstance(value, dict):
        return {key: clone(item) for key, item in value.items()}
    if isinstance(value, list):
        return [clone(item) for item in value]
    return value


def clone_metadata(metadata: Metadata) -> Metadata:
    return {key: clone(value) if isinstance(value, dict | list) else value for key, value in metadata.items()}


@dataclass(slots=True)
class Rows:
    """The rows of one namespace; the sorted keys are rebuilt when they are asked for after a change."""

    by_key: dict[OrderKey, Row] = field(default_factory=dict[OrderKey, Row])
    _sorted: list[OrderKey] | None = None

    def put(self, row: Row) -> None:
        key = order_key(row.id)
        if key not in self.by_key:
            self._sorted = None
        self.by_key[key] = row

    def remove(self, record_id: RecordId) -> None:
        if self.by_key.pop(order_key(record_id), None) is not None:
            self._sorted = None

    def keys(self) -> list[OrderKey]:
        if self._sorted is None:
            self._sorted = sorted(self.by_key)
        return self._sorted

    def slice(self, after: OrderKey | None, first: OrderKey | None, end: OrderKey | None, limit: int) -> list[Row]:
        """Up to `limit` rows of `[first, end)` that come after the key `after`."""
        keys = self.keys()
        start = bisect_left(keys, first) if first is not None else 0
        if after is not None:
            start = max(start, bisect_right(keys, after))
        stop = bisect_left(keys, end) if end is not None else len(keys)
        return [self.by_key[key] for key in keys[start : min(stop, start + limit)]]


@dataclass(slots=True)
class Collection:
    """A schema and its rows; `home` finds the namespace of an id where ids are unique in the whole collection."""

    schema: CollectionSchema
    namespaces: dict[str, Rows] = field(default_factory=dict[str, Rows])
    home: dict[OrderKey, str] = field(default_factory=dict[OrderKey, str])

    def put(self, namespace: str, row: Row, *, ids_per_namespace: bool) -> None:
        if not ids_per_namespace:
            key = order_key(row.id)
            other = self.home.get(key, namespace)
            if other != namespace:
                self.remove(other, row.id)
            self.home[key] = namespace
        self.namespaces.setdefault(namespace, Rows()).put(row)

    def remove(self, namespace: str, record_id: RecordId) -> None:
        rows = self.namespaces.get(namespace)
        if rows is None:
            return
        rows.remove(record_id)
        if self.home.get(order_key(record_id)) == namespace:
            del self.home[order_key(record_id)]
        if not rows.by_key:
            del self.namespaces[namespace]


Store = dict[str, Collection]

_STORES: dict[str, Store] = {}


def store(name: str) -> Store:
    """The store of this name, made on first use."""
    return _STORES.setdefault(name, {})


def split(batch: RecordBatch, row_numbers: Iterable[int]) -> list[Row]:
    """The chosen rows of a batch, copied."""
    columns = {name: _rows_of(column) for name, column in batch.vectors.items()}
    return [
        Row(
            batch.ids[number],
            {name: vector for name, rows in columns.items() if (vector := rows[number]) is not None},
            clone_metadata(batch.metadata[number]),
        )
        for number in row_numbers
    ]


def _rows_of(column: VectorColumn) -> Sequence[RowVector | None]:
    valid = np.ones(len(column), np.bool_) if column.valid is None else column.valid
    if isinstance(column, DenseColumn):
        values = column.values.copy()
        return [values[row] if ok else None for row, ok in enumerate(valid)]
    offsets = column.offsets.tolist()
    spans = list(zip(offsets[:-1], offsets[1:], valid, strict=True))
    values = column.values.copy()
    if isinstance(column, MultiColumn):
        return [values[start:end] if ok else None for start, end, ok in spans]
    indices = column.indices.copy()
    return [(indices[start:end], values[start:end]) if ok else None for start, end, ok in spans]


def join(rows: Sequence[Row], namespace: str, fields: Sequence[VectorField]) -> RecordBatch:
    """The rows as a batch with a column for each of these vector fields."""
    return RecordBatch(
        namespace,
        [row.id for row in rows],
        {item.name: column_of([row.vectors.get(item.name) for row in rows], item) for item in fields},
        [clone_metadata(row.metadata) for row in rows],
    )


def width(item: VectorField) -> int:
    """Numbers per vector in the column's numpy type."""
    dim = item.dim or 0
    return (dim + 7) // 8 if item.dtype is DType.BITS else dim


def column_of(vectors: Sequence[RowVector | None], item: VectorField) -> VectorColumn:
    """One column; None becomes an invalid row."""
    present = np.array([vector is not None for vector in vectors], np.bool_)
    valid: BoolMask | None = None if present.all() else present
    if item.kind is VectorKind.SPARSE:
        pairs = [vector for vector in vectors if isinstance(vector, tuple)]
        lengths = [len(vector[0]) if vector is not None else 0 for vector in vectors]
        indices = np.concatenate([pair[0] for pair in pairs]) if pairs else np.empty(0, np.uint32)
        numbers = np.concatenate([pair[1] for pair in pairs]) if pairs else np.empty(0, np.float32)
        return SparseColumn(_offsets(lengths), indices, numbers, valid)
    arrays = [vector for vector in vectors if isinstance(vector, np.ndarray)]
    empty = np.zeros((0, width(item)), NUMPY_DTYPE[item.dtype])
    if item.kind is VectorKind.MULTI:
        lengths = [len(vector) if vector is not None else 0 for vector in vectors]
        return MultiColumn(_offsets(lengths), np.concatenate([empty, *arrays]), item.dtype, valid)
    values = np.zeros((len(vectors), width(item)), NUMPY_DTYPE[item.dtype])
    if arrays:
        values[present] = np.stack(arrays)
    return DenseColumn(values, item.dtype, valid)


def _offsets(lengths: Sequence[int]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
