"""Collections with one kind of vector, metric or vector index."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from vectormigrate.adapter import Capabilities
from vectormigrate.advice.fidelity_case import DIM, Collection, collection, dense_column, vector_field
from vectormigrate.model.batch import (
    NUMPY_DTYPE,
    MultiColumn,
    SparseColumn,
    VectorColumn,
)
from vectormigrate.model.quantization import KEY, Quantization, Quantizer, offered
from vectormigrate.model.schema import (
    DType,
    Json,
    Metric,
    VectorField,
    VectorKind,
)


def with_dtype(dtype: DType) -> Callable[[Capabilities], Collection | None]:
    """A dense vector stored in this type."""

    def make(caps: Capabilities) -> Collection | None:
        if dtype not in caps.vectors.dtypes or VectorKind.DENSE not in caps.vectors.kinds:
            return None
        item = vector_field(caps, "v", dtype=dtype)
        return collection(caps, vectors={item.name: (item, dense_column(item, 2))})

    return make


def with_metric(metric: Metric, stored: DType = DType.FLOAT32) -> Callable[[Capabilities], Collection | None]:
    """A dense vector compared by this metric."""

    def make(caps: Capabilities) -> Collection | None:
        dtype = DType.BITS if metric in (Metric.HAMMING, Metric.JACCARD) else stored
        if metric not in caps.vectors.metrics or dtype not in caps.vectors.dtypes:
            return None
        item = vector_field(caps, "v", metric, dtype)
        column = dense_column(item, 2)
        if metric is Metric.COSINE and caps.vectors.normalises_cosine and dtype in (DType.FLOAT32, DType.FLOAT16):
            # Only unit vectors come out of such a source.
            column = replace(column, values=np.eye(2, DIM, dtype=NUMPY_DTYPE[dtype]))
        return collection(caps, vectors={item.name: (item, column)})

    return make


def two_dense(caps: Capabilities) -> Collection | None:
    """Two dense vector fields."""
    most = caps.vectors.max_of_kind.get(VectorKind.DENSE, caps.vectors.max_fields)
    if VectorKind.DENSE in caps.vectors.fixed_names or (most is not None and most < 2):
        return None
    items = [vector_field(caps, name) for name in ("v", "w")]
    return collection(caps, vectors={item.name: (item, dense_column(item, 2)) for item in items})


def named(caps: Capabilities) -> Collection | None:
    """A dense vector field of a name that was chosen."""
    return None if VectorKind.DENSE in caps.vectors.fixed_names else collection(caps)


def with_vector_index(
    kind: str, quantizer: Quantizer | None = None, **numbers: int
) -> Callable[[Capabilities], Collection | None]:
    """A vector index of this type, quantized with as many bits as the source has next to 8 (BINARY: 1)."""

    def make(caps: Capabilities) -> Collection | None:
        offers = caps.vectors.indexes
        index: dict[str, Json] = {"type": kind, **numbers}
        if not numbers.keys() <= caps.vectors.index_params or (offers is not None and kind not in offers):
            return None
        if quantizer is not None:
            bits = 1.0 if quantizer is Quantizer.BINARY else 8.0
            wanted = Quantization(kind=quantizer, bits=bits)
            held = wanted if offers is None else next((item for item in offered(offers[kind], wanted)), None)
            if held is None:
                return None
            index[KEY] = held.to_json()
        item = replace(vector_field(caps, "v"), index=index)
        return collection(caps, vectors={item.name: (item, dense_column(item, 2))})

    return make


def _sparse_column(rows: int) -> SparseColumn:
    indices = np.array([3, 2**31 + 1] * rows, np.uint32)
    return SparseColumn(np.arange(0, 2 * rows + 1, 2), indices, np.full(2 * rows, 0.5, np.float32))


def sparse(*, alone: bool) -> Callable[[Capabilities], Collection | None]:
    """A sparse vector, `alone` or next to a dense one."""

    def make(caps: Capabilities) -> Collection | None:
        several = caps.vectors.max_fields is None or caps.vectors.max_fields > 1
        if VectorKind.SPARSE not in caps.vectors.kinds or not (alone or several):
            return None
        name = caps.vectors.fixed_names.get(VectorKind.SPARSE, "s")
        sparse = VectorField(name=name, kind=VectorKind.SPARSE, dim=None, metric=Metric.DOT)
        beside = caps.vectors.metrics_with_sparse
        metric = None if beside is None else next(iter(sorted(beside)), None)
        item = vector_field(caps, "v", metric)
        both: dict[str, tuple[VectorField, VectorColumn]] = {} if alone else {item.name: (item, dense_column(item, 2))}
        return collection(caps, vectors={**both, sparse.name: (sparse, _sparse_column(2))})

    return make


def multi(caps: Capabilities) -> Collection | None:
    """A multi-vector."""
    if VectorKind.MULTI not in caps.vectors.kinds:
        return None
    metric = next((item for item in (Metric.DOT, Metric.COSINE) if item in caps.vectors.metrics), Metric.COSINE)
    item = VectorField(name="m", kind=VectorKind.MULTI, dim=DIM, metric=metric)
    column = MultiColumn(np.array([0, 2, 3]), np.ones((3, DIM), np.float32))
    return collection(caps, vectors={"m": (item, column)})


def missing_vector(caps: Capabilities) -> Collection | None:
    """A record without a vector."""
    if VectorKind.DENSE in caps.vectors.required:
        return None
    item = vector_field(caps, "v")
    return collection(caps, vectors={item.name: (item, dense_column(item, 2, valid=[True, False]))})


def zero_vector(caps: Capabilities) -> Collection | None:
    """A vector of zeros."""
    if not caps.vectors.zeros:
        return None
    item = vector_field(caps, "v")
    return collection(caps, vectors={item.name: (item, dense_column(item, 2, zero=True))})
