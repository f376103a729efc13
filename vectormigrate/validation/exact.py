"""Exact nearest neighbours by brute force over a stream of pages: the judge of both engines.

Scores are float64 and "higher is better": cosine and dot as they are, distances negated (squared L2, L1, Hamming,
Jaccard). Memory is one page of scores plus `k` candidates per query, whatever the collection holds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectormigrate.adapter import SparseQuery
from vectormigrate.model.batch import BoolMask, DenseColumn, SparseColumn, VectorColumn
from vectormigrate.model.schema import DType, Metric
from vectormigrate.validation.vectors import decode

Floats = NDArray[np.float64]
Key = Any
"""What stands for a record: hashable, the same on both sides."""

RELATIVE, ABSOLUTE = 1e-5, 1e-7
"""Scores this close are ties: engines compute in float32. ABSOLUTE is in units of the query's own scale."""

_BLOCK = 2_000_000
"""Most numbers held at once while pairwise differences are formed."""


class DenseQueries:
    """Queries for a dense field. `values` is what `Source.search` takes: float32 `[q, d]`, packed bits for BITS."""

    def __init__(self, values: NDArray[Any], metric: Metric, dtype: DType) -> None:
        self.values = values
        self._metric = metric
        self._wide = decode(values, DType.BITS if dtype is DType.BITS else DType.FLOAT32)

    def __len__(self) -> int:
        return len(self._wide)

    def scale(self) -> Floats:
        """Per query the size that rounding errors of its scores are relative to."""
        if self._metric in (Metric.DOT, Metric.L2):
            return (self._wide**2).sum(axis=1)
        return np.ones(len(self)) if self._metric is Metric.COSINE else np.abs(self._wide).sum(axis=1)

    def scores(self, column: VectorColumn) -> Floats:
        """`[q, n]` scores of a page; rows without a vector get -inf."""
        if not isinstance(column, DenseColumn):
            raise TypeError("a dense query needs a dense column")
        with np.errstate(all="ignore"):  # a NaN or infinite component loses below
            found = self._raw(decode(column.values, column.dtype))
        found = np.nan_to_num(found, nan=-np.inf)
        return found if column.valid is None else np.where(column.valid, found, -np.inf)

    def _raw(self, rows: Floats) -> Floats:
        match self._metric:
            case Metric.DOT:
                return self._wide @ rows.T
            case Metric.COSINE:
                lengths = np.linalg.norm(self._wide, axis=1)[:, None] * np.linalg.norm(rows, axis=1)
                return np.divide(self._wide @ rows.T, lengths, out=np.zeros(lengths.shape), where=lengths > 0)
            case Metric.L2:
                return self._pairwise(rows, _minus_squares)
            case Metric.L1:
                return self._pairwise(rows, _minus_sizes)
            case Metric.HAMMING:
                return self._pairwise(rows, _minus_changes)
            case Metric.JACCARD:
                both = (self._wide != 0).astype(np.float64) @ (rows != 0).astype(np.float64).T
                either = (self._wide != 0).sum(axis=1)[:, None] + (rows != 0).sum(axis=1) - both
                return np.divide(both, either, out=np.ones(both.shape), where=either > 0) - 1

    def _pairwise(self, rows: Floats, reduce: Callable[[Floats], Floats]) -> Floats:
        """Differences are formed block by block: expanding the square would lose the digits that decide."""
        step = max(1, _BLOCK // max(1, rows.size))
        blocks = [self._wide[start : start + step, None, :] - rows for start in range(0, len(self), step)]
        return np.concatenate([reduce(gap) for gap in blocks])


def _minus_squares(gap: Floats) -> Floats:
    return -np.einsum("qnd,qnd->qn", gap, gap)


def _minus_sizes(gap: Floats) -> Floats:
    return -np.abs(gap).sum(axis=2)


def _minus_changes(gap: Floats) -> Floats:
    return -(gap != 0).sum(axis=2).astype(np.float64)


class SparseQueries:
    """Queries for a sparse field, scored by the dot product; a row that shares no index is no candidate."""

    def __init__(self, values: Sequence[SparseQuery]) -> None:
        self.values = list(values)
        self._vocabulary = np.unique(np.concatenate([indices for indices, _ in values]))
        self._weights = np.zeros((len(self._vocabulary), len(values)))
        self._holds = np.zeros((len(self._vocabulary), len(values)))
        for number, (indices, weights) in enumerate(values):
            at = np.searchsorted(self._vocabulary, indices)
            self._weights[at, number] = weights
            self._holds[at, number] = 1

    def __len__(self) -> int:
        return len(self.values)

    def scale(self) -> Floats:
        """Per query the size that rounding errors of its scores are relative to."""
        return (self._weights**2).sum(axis=0)

    def scores(self, column: VectorColumn) -> Floats:
        """`[q, n]` scores of a page; rows without a vector or a shared index get -inf."""
        if not isinstance(column, SparseColumn):
            raise TypeError("a sparse query needs a sparse column")
        n = len(column)
        owners = np.repeat(np.arange(n), np.diff(column.offsets))
        at = np.searchsorted(self._vocabulary, column.indices).clip(max=max(0, len(self._vocabulary) - 1))
        hit = self._vocabulary[at] == column.indices if len(self._vocabulary) else np.zeros(len(at), np.bool_)
        found, shared = np.zeros((n, len(self))), np.zeros((n, len(self)))
        np.add.at(found, owners[hit], self._weights[at[hit]] * column.values[hit, None].astype(np.float64))
        np.add.at(shared, owners[hit], self._holds[at[hit]])
        candidate = shared > 0 if column.valid is None else (shared > 0) & column.valid[:, None]
        return np.where(candidate, found, -np.inf).T


Queries = DenseQueries | SparseQueries


def _no_scores() -> dict[tuple[int, Key], float]:
    return {}


@dataclass(slots=True)
class Nearest:
    """The running answer: per query the `k` best keys with their scores, and the scores of the keys in `watched`."""

    queries: Queries
    k: int
    watched: Sequence[set[Key]]
    """Per query the keys whose exact score is wanted, whether they are among the best or not."""
    best: list[list[tuple[float, Key]]] = field(default_factory=list[list[tuple[float, Key]]])
    scores: dict[tuple[int, Key], float] = field(default_factory=_no_scores)

    def __post_init__(self) -> None:
        self.best = [[] for _ in range(len(self.queries))]

    def add(
        self,
        keys: Sequence[Key],
        column: VectorColumn,
        valid: BoolMask | None = None,
        aliases: Sequence[Key] = (),
    ) -> None:
        """Take in a page; `valid` leaves rows out, beyond those that the column itself leaves out. `aliases` are second
        names of the rows, under which they may be watched as well."""
        found = self.queries.scores(column)
        if valid is not None:
            found = np.where(valid, found, -np.inf)
        rows = {key: row for names in (keys, aliases) for row, key in enumerate(names)}
        for number in range(len(self.queries)):
            line = found[number]
            self._merge(number, keys, line)
            for key in self.watched[number]:
                row = rows.get(key)
                if row is not None and line[row] > -np.inf:
                    self.scores[number, key] = float(line[row])

    def _merge(self, number: int, keys: Sequence[Key], line: Floats) -> None:
        best = self.best[number]
        floor = best[-1][0] if len(best) >= self.k else -np.inf
        candidates = np.flatnonzero(line > floor)
        if len(candidates) > self.k:
            candidates = candidates[np.argpartition(-line[candidates], self.k - 1)[: self.k]]
        if len(candidates):
            best += [(float(line[row]), keys[row]) for row in candidates.tolist()]
            best.sort(key=lambda item: -item[0])
            del best[self.k :]

    def tolerance(self, number: int) -> float:
        """How far two scores of this query may be apart and still be a tie."""
        best = self.best[number]
        return RELATIVE * abs(best[-1][0]) + ABSOLUTE * float(self.queries.scale()[number]) if best else 0.0

    def recall(self, number: int, answer: Sequence[Key]) -> float:
        """Share of the `k` best that the answer holds; any key whose score reaches the k-th best counts."""
        best = self.best[number]
        return min(1.0, self.hits(number, answer) / len(best)) if best else 1.0

    def hits(self, number: int, answer: Sequence[Key]) -> int:
        """How many different keys of the answer reach the k-th best score."""
        best = self.best[number]
        if not best:
            return 0
        floor = best[-1][0] - self.tolerance(number)
        return sum(self.scores.get((number, key), -np.inf) >= floor for key in set(answer))
