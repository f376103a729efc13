"""Vector columns -> gRPC vectors. Pure.

A serialised `DenseVector` is a prefix that depends only on the number of components, followed by the raw floats;
reading these bytes is many times faster than setting floats one by one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from vectormigrate.adapters.qdrant.proto import pb
from vectormigrate.model.batch import DenseColumn, MultiColumn, SparseColumn, VectorColumn

Fill = Callable[[Any, int], None]
"""Puts the vector of one row into a `Vector` message (or `VectorInput`, which has the same fields)."""


@lru_cache(maxsize=64)
def dense_prefix(dim: int) -> bytes:
    """The bytes before the floats of a DenseVector."""
    whole = pb.DenseVector(data=[0.0] * dim).SerializeToString()
    return whole[: len(whole) - 4 * dim]


@lru_cache(maxsize=64)
def multi_prefix(dim: int) -> bytes:
    """The bytes before the floats of one vector in a MultiDenseVector."""
    whole = pb.MultiDenseVector(vectors=[pb.DenseVector(data=[0.0] * dim)]).SerializeToString()
    return whole[: len(whole) - 4 * dim]


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
