"""Agreement of one vector field over pairs of records: bit for bit first, then by direction and by component.

Measures. `similarity` is the cosine: 1.0 for two zero vectors, 0.0 when one side has no vector, holds a NaN, or only
one is zero; of a multi-vector the worst of its parts. `error` is, for UNIT, the distance between the two directions
(vectors at length 1); otherwise the largest component difference relative to the largest expected component.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectormigrate.model.batch import BoolMask, DenseColumn, MultiColumn, SparseColumn, VectorColumn
from vectormigrate.model.plan import CompareClass
from vectormigrate.model.schema import DType

UNIT_BOUND = 1e-6
"""Directions this close are the same after normalising: float32 rounding moves them by about 1e-7."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorRule:
    """How closely a vector field must agree: its compare class, the bound of that class, and the operator's floor."""

    compare: CompareClass = CompareClass.EXACT
    tolerance: float = 0.0
    floor: float = 0.98

    @property
    def bound(self) -> float:
        """Largest error that still counts as agreement; 0 for EXACT."""
        match self.compare:
            case CompareClass.EXACT:
                return 0.0
            case CompareClass.UNIT:
                return max(UNIT_BOUND, self.tolerance)
            case CompareClass.TOL:
                return self.tolerance


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Per pair. `compared`: the expected record has the vector. A pair is fine when `exact` or `within`; a vector that
    only the target has is none of them but is not `compared` either, see `surplus`."""

    compared: BoolMask
    surplus: BoolMask
    exact: BoolMask
    within: BoolMask
    below_floor: BoolMask
    similarity: Floats
    error: Floats

    @property
    def bad(self) -> BoolMask:
        """The pairs that do not agree."""
        return self.surplus | (self.compared & ~self.exact & ~self.within)


def decode(values: NDArray[Any], dtype: DType) -> Floats:
    """Stored numbers as float64, one component per number."""
    if dtype is DType.BFLOAT16:
        return (values.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    if dtype is DType.BITS:
        return np.unpackbits(values, axis=-1).astype(np.float64)
    return values.astype(np.float64)


def agree(expected: VectorColumn | None, actual: VectorColumn | None, n: int, rule: VectorRule) -> Agreement:
    """Compare row i with row i, for `n` rows; a missing column is one without any value."""
    ours, theirs = _present(expected, n), _present(actual, n)
    both = ours & theirs
    exact = np.zeros(n, np.bool_)
    similarity, error = np.where(ours ^ theirs, 0.0, 1.0), np.where(ours ^ theirs, np.inf, 0.0)
    if expected is not None and actual is not None and both.any():
        rows = np.flatnonzero(both)
        exact[rows] = _same_bytes(expected.take(rows), actual.take(rows))
        unequal = np.flatnonzero(both & ~exact)
        if len(unequal):
            taken = expected.take(unequal), actual.take(unequal)
            similarity[unequal], error[unequal], equal = _measure(*taken, rule.compare is CompareClass.UNIT)
            exact[unequal] = equal
    loose = rule.compare is not CompareClass.EXACT
    below = ours & ~exact & (similarity < rule.floor)
    within = both & ~exact & ~below & (error <= rule.bound) if loose else np.zeros(n, np.bool_)
    return Agreement(
        compared=ours,
        surplus=theirs & ~ours,
        exact=exact,
        within=within,
        below_floor=below,
        similarity=similarity,
        error=error,
    )


def _present(column: VectorColumn | None, n: int) -> BoolMask:
    if column is None:
        return np.zeros(n, np.bool_)
    return np.ones(n, np.bool_) if column.valid is None else column.valid


def _same_bytes(expected: VectorColumn, actual: VectorColumn) -> BoolMask:
    """Rows that are stored alike; False also where the two columns are of another kind or type."""
    n = len(expected)
    if isinstance(expected, DenseColumn) and isinstance(actual, DenseColumn):
        if expected.dtype is not actual.dtype or expected.values.shape != actual.values.shape:
            return np.zeros(n, np.bool_)
        return (_bytes(expected.values) == _bytes(actual.values)).all(axis=1)
    rows = zip(_ragged(expected), _ragged(actual), strict=True)
    return np.fromiter((ours == theirs for ours, theirs in rows), np.bool_, n)


def _bytes(values: NDArray[Any]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(values).view(np.uint8).reshape(len(values), -1)


def _ragged(column: VectorColumn) -> list[tuple[Any, ...]]:
    """Per row something that is equal exactly for equal content of a sparse or multi column."""
    if isinstance(column, DenseColumn):
        return [(DenseColumn, row) for row in range(len(column))]
    spans = pairwise(column.offsets.tolist())
    if isinstance(column, SparseColumn):
        return [(column.indices[a:b].tobytes(), column.values[a:b].tobytes()) for a, b in spans]
    return [(column.dtype, column.values[a:b].shape, column.values[a:b].tobytes()) for a, b in spans]


def _measure(expected: VectorColumn, actual: VectorColumn, unit: bool) -> tuple[Floats, Floats, BoolMask]:
    """Similarity, error, and whether only the storage type differs while every number is the same."""
    if isinstance(expected, DenseColumn) and isinstance(actual, DenseColumn):
        ours, theirs = decode(expected.values, expected.dtype), decode(actual.values, actual.dtype)
        if ours.shape != theirs.shape:
            return _unlike(len(expected))
        retyped = expected.dtype is not actual.dtype
        equal = (ours.view(np.int64) == theirs.view(np.int64)).all(axis=1) & retyped
        return *_dense(ours, theirs, unit), equal
    similarity, error, _ = _unlike(len(expected))
    for row in range(len(expected)):
        pair = _numbers(expected, actual, row)
        if pair is not None:
            one = _dense(*pair, unit)
            similarity[row], error[row] = one[0].min(initial=1.0), one[1].max(initial=0.0)
    return similarity, error, np.zeros(len(expected), np.bool_)


def _unlike(n: int) -> tuple[Floats, Floats, BoolMask]:
    return np.zeros(n), np.full(n, np.inf), np.zeros(n, np.bool_)


def _numbers(expected: VectorColumn, actual: VectorColumn, row: int) -> tuple[Floats, Floats] | None:
    """The two sides of one sparse or multi row as equally shaped matrices; None when they cannot be lined up."""
    if isinstance(expected, SparseColumn) and isinstance(actual, SparseColumn):
        sides = [_sparse_row(column, row) for column in (expected, actual)]
        union = np.union1d(sides[0][0], sides[1][0])
        lined = np.zeros((2, len(union)))
        for side, (indices, values) in enumerate(sides):
            np.add.at(lined[side], np.searchsorted(union, indices), values)
        return lined[:1], lined[1:]
    if isinstance(expected, MultiColumn) and isinstance(actual, MultiColumn):
        spans = [slice(int(column.offsets[row]), int(column.offsets[row + 1])) for column in (expected, actual)]
        ours = decode(expected.values[spans[0]], expected.dtype)
        theirs = decode(actual.values[spans[1]], actual.dtype)
        return (ours, theirs) if ours.shape == theirs.shape else None
    return None


def _sparse_row(column: SparseColumn, row: int) -> tuple[NDArray[np.uint32], Floats]:
    span = slice(int(column.offsets[row]), int(column.offsets[row + 1]))
    return column.indices[span], column.values[span].astype(np.float64)


def _dense(ours: Floats, theirs: Floats, unit: bool) -> tuple[Floats, Floats]:
    """Similarity and error per row of two equally shaped matrices."""
    largest = np.abs(ours).max(axis=1, initial=0.0)
    with np.errstate(all="ignore"):  # NaN, infinities and zero vectors are settled by nan_to_num below
        left, right = _directions(ours), _directions(theirs)
        cosine = np.clip((left * right).sum(axis=1), -1.0, 1.0)
        if unit:
            error = np.linalg.norm(left - right, axis=1)
        else:
            gap = np.abs(ours - theirs).max(axis=1, initial=0.0)
            error = np.where(gap == 0, 0.0, gap / largest)
    neither = ~ours.any(axis=1) & ~theirs.any(axis=1)
    similarity = np.where(neither, 1.0, np.nan_to_num(cosine, nan=0.0))
    return similarity, np.nan_to_num(error, nan=np.inf, posinf=np.inf)


def _directions(values: Floats) -> Floats:
    """Rows at length 1, computed without overflow; zero rows stay zero."""
    largest = np.abs(values).max(axis=1, keepdims=True, initial=0.0)
    scaled = np.divide(values, largest, out=np.zeros_like(values), where=largest > 0)
    length = np.linalg.norm(scaled, axis=1, keepdims=True)
    return np.divide(scaled, length, out=np.zeros_like(values), where=length > 0)
