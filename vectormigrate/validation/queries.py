"""Queries for search parity: sampled source vectors with a little seeded noise, so that no query is a stored vector."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectormigrate.adapter import SparseQuery
from vectormigrate.model.batch import DenseColumn, RecordBatch, SparseColumn
from vectormigrate.model.schema import DType, VectorField
from vectormigrate.validation.exact import DenseQueries, Queries, SparseQueries
from vectormigrate.validation.vectors import decode

NOISE = 0.05
"""Length of the noise relative to the vector's; the share of bits flipped for BITS."""


def make_queries(
    batch: RecordBatch, ours: VectorField, theirs: VectorField | None, most: int, rng: np.random.Generator
) -> tuple[Queries, Queries] | None:
    """Up to `most` queries from the records that hold the field `ours`, in the form that each side takes and with its
    metric; None when no record holds it or the two fields take different kinds of queries."""
    column = batch.vectors.get(ours.name)
    if column is None or theirs is None:
        return None
    rows = np.arange(len(column)) if column.valid is None else np.flatnonzero(column.valid)
    if isinstance(column, SparseColumn):
        drawn = _sparse(column, rows, rng)[:most]
        return (SparseQueries(drawn), SparseQueries(drawn)) if drawn else None
    if not isinstance(column, DenseColumn) or (theirs.dtype is DType.BITS) > (column.dtype is DType.BITS):
        return None
    values = _dense(column.take(rows), rng)[:most]
    if not len(values):
        return None
    there = values
    if column.dtype is DType.BITS and theirs.dtype is not DType.BITS:
        there = np.unpackbits(values, axis=1).astype(np.float32)
    return DenseQueries(values, ours.metric, column.dtype), DenseQueries(there, theirs.metric, theirs.dtype)


def _dense(column: DenseColumn, rng: np.random.Generator) -> NDArray[Any]:
    if column.dtype is DType.BITS:
        flips = rng.random((len(column), column.values.shape[1] * 8)) < NOISE
        return column.values ^ np.packbits(flips, axis=1)
    values = decode(column.values, column.dtype)
    with np.errstate(all="ignore"):
        usable = np.isfinite(values).all(axis=1) & values.any(axis=1)
    values = values[usable]
    noise = rng.standard_normal(values.shape)
    noise *= NOISE * np.linalg.norm(values, axis=1, keepdims=True) / max(1.0, values.shape[1] ** 0.5)
    return np.ascontiguousarray((values + noise).astype(np.float32))


def _sparse(column: SparseColumn, rows: NDArray[Any], rng: np.random.Generator) -> list[SparseQuery]:
    found: list[SparseQuery] = []
    for row in rows.tolist():
        span = slice(int(column.offsets[row]), int(column.offsets[row + 1]))
        weights = column.values[span].astype(np.float64)
        if len(weights) and np.isfinite(weights).all() and weights.any():
            noisy = weights * (1 + NOISE * rng.standard_normal(len(weights)))
            found.append((column.indices[span].copy(), noisy.astype(np.float32)))
    return found
