"""Records whose vectors a strict database cannot hold, found column by column before anything is sent."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from vectormigrate.figures import counted
from vectormigrate.model.batch import BoolMask, DenseColumn, MultiColumn, SparseColumn, VectorColumn
from vectormigrate.model.schema import VectorField

Problem = tuple[str, str]
"""A reject's code and reason."""


def vector_problems(column: VectorColumn, item: VectorField) -> Iterator[tuple[BoolMask, Problem]]:
    """Masks of the records with a wrong dimension, a component that is not finite, no rows, or indices out of order."""
    present = np.ones(len(column), np.bool_) if column.valid is None else column.valid
    if not isinstance(column, SparseColumn) and column.values.shape[1] != item.dim:
        yield (
            present,
            (
                "dimension",
                f"vector {item.name!r} has {counted(column.values.shape[1])} components, not {counted(item.dim)}",
            ),
        )
        return
    if column.values.dtype.kind == "f" and not np.isfinite(column.values).all():
        finite = np.isfinite(column.values)
        bad = finite if isinstance(column, DenseColumn) else _ragged(column.offsets, finite)
        wrong = ~bad.all(axis=1) if isinstance(column, DenseColumn) else ~bad
        yield present & wrong, ("nan", f"vector {item.name!r} holds NaN or an infinity")
    if isinstance(column, MultiColumn):
        empty = np.equal(np.diff(column.offsets), 0)
        yield present & empty, ("empty", f"vector {item.name!r} has no rows")
    if isinstance(column, SparseColumn):
        steps = np.concatenate([[True], np.diff(column.indices.astype(np.int64)) > 0]) if len(column.indices) else []
        rising = np.asarray(steps, np.bool_)
        starts = column.offsets[:-1]
        rising[starts[starts < len(rising)]] = True
        yield present & ~_ragged(column.offsets, rising), ("indices", f"vector {item.name!r}: indices must rise")


def _ragged(offsets: NDArray[np.int64], good: BoolMask) -> BoolMask:
    """Per record: whether all of its entries (or rows) are good."""
    each = good if good.ndim == 1 else good.all(axis=1)
    bad = np.concatenate([[0], np.cumsum(~each)])
    return np.equal(np.diff(bad[offsets]), 0)
