"""Batches -> gRPC points. Pure.

A serialised `DenseVector` is a prefix that depends only on the number of components, followed by the raw floats;
reading these bytes is many times faster than setting floats one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from vectormigrate.adapters.qdrant.proto import pb
from vectormigrate.model.batch import DenseColumn, Metadata, MultiColumn, RecordBatch, SparseColumn, VectorColumn
from vectormigrate.model.ids import RecordId

Fill = Callable[[Any, int], None]
"""Puts the vector of one row into a `Vector` message (or `VectorInput`, which has the same fields)."""


@lru_cache(maxsize=64)
def dense_prefix(dim: int) -> bytes:
    """What stands before the floats of a DenseVector."""
    whole = pb.DenseVector(data=[0.0] * dim).SerializeToString()
    return whole[: len(whole) - 4 * dim]


@lru_cache(maxsize=64)
def multi_prefix(dim: int) -> bytes:
    """What stands before the floats of one vector in a MultiDenseVector."""
    whole = pb.MultiDenseVector(vectors=[pb.DenseVector(data=[0.0] * dim)]).SerializeToString()
    return whole[: len(whole) - 4 * dim]


def put_value(target: Any, value: Any) -> None:
    """Set a `Value`. Integers are within 64 bits with a sign (checks.fits_grpc)."""
    kind = type(value)
    if kind is str:
        target.string_value = value
    elif kind is bool:
        target.bool_value = value
    elif kind is int:
        target.integer_value = value
    elif kind is float:
        target.double_value = value
    elif value is None:
        target.null_value = 0
    elif isinstance(value, dict):
        fields = target.struct_value.fields
        target.struct_value.SetInParent()
        for key, item in value.items():
            put_value(fields[key], item)
    elif isinstance(value, list):
        values = target.list_value.values
        target.list_value.SetInParent()
        for item in value:
            put_value(values.add(), item)
    else:
        put_value(target, _plain(value))


def _plain(value: Any) -> Any:
    """Of subclasses (numpy's float64, enums of text) the plain value."""
    return next(kind(value) for kind in (bool, int, float, str) if isinstance(value, kind))


def put_payload(target: Any, metadata: Metadata) -> None:
    """Fill a payload map."""
    for key, value in metadata.items():
        if type(value) is str:
            target[key].string_value = value
        else:
            put_value(target[key], value)


def filler(column: VectorColumn) -> Fill:
    """How to put a row of this column into a message."""
    if isinstance(column, SparseColumn):
        return _sparse_filler(column)
    values = np.ascontiguousarray(column.values, "<f4")
    dim = values.shape[1]
    if isinstance(column, DenseColumn):
        data, size, prefix = values.tobytes(), 4 * dim, dense_prefix(dim)

        def dense(target: Any, row: int) -> None:
            target.dense.MergeFromString(prefix + data[row * size : row * size + size])

        return dense
    return _multi_filler(column, values)


def _multi_filler(column: MultiColumn, values: Any) -> Fill:
    offsets = column.offsets.tolist()
    prefix = multi_prefix(values.shape[1])

    def multi(target: Any, row: int) -> None:
        rows = values[offsets[row] : offsets[row + 1]]
        target.multi_dense.MergeFromString(b"".join([prefix + one.tobytes() for one in rows]))

    return multi


def _sparse_filler(column: SparseColumn) -> Fill:
    offsets = column.offsets.tolist()
    indices, values = column.indices.tolist(), column.values.tolist()

    def sparse(target: Any, row: int) -> None:
        found = target.sparse
        found.SetInParent()
        found.indices.extend(indices[offsets[row] : offsets[row + 1]])
        found.values.extend(values[offsets[row] : offsets[row + 1]])

    return sparse


def put_id(target: Any, record_id: RecordId) -> None:
    if isinstance(record_id, int):
        target.num = record_id
    else:
        target.uuid = str(record_id)


def put_points(
    points: Any, batch: RecordBatch, rows: list[int], payloads: Mapping[int, Metadata], single: bool
) -> None:
    """Add the points of these rows. `single`: the one dense vector goes without a name.

    A record without any vector has an empty map of them.
    """
    fills = [
        (name, filler(column), None if column.valid is None else column.valid.tolist())
        for name, column in batch.vectors.items()
    ]
    only = fills[0] if single and len(fills) == 1 and fills[0][0] == "" else None
    for row in rows:
        point = points.add()
        put_id(point.id, batch.ids[row])
        if only is not None and (only[2] is None or only[2][row]):
            only[1](point.vectors.vector, row)
        else:
            # The server refuses a point without this message; an empty map of vectors is fine.
            point.vectors.vectors.SetInParent()
            for name, fill, valid in fills:
                if valid is None or valid[row]:
                    fill(point.vectors.vectors.vectors[name], row)
        put_payload(point.payload, payloads[row])
