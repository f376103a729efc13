"""Exact search by comparing the query with every row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectormigrate.adapter import Hits, SparseQuery
from vectormigrate.adapters.memory.store import Row
from vectormigrate.model.schema import DType, Metric, VectorField, VectorKind

HIGHER_IS_BETTER = frozenset({Metric.COSINE, Metric.DOT})


def search(rows: Sequence[Row], item: VectorField, queries: NDArray[Any] | Sequence[SparseQuery], k: int) -> list[Hits]:
    """The k best rows per query; equal scores in id order. Scores: similarity for cosine and dot, else distance."""
    holders = [row for row in rows if item.name in row.vectors]
    answers: list[Hits] = []
    for query in queries:
        scores = np.array([_score(row.vectors[item.name], query, item) for row in holders], np.float64)
        order = np.argsort(-scores if item.metric in HIGHER_IS_BETTER else scores, kind="stable")[:k]
        answers.append(Hits([holders[i].id for i in order], [float(scores[i]) for i in order]))
    return answers


def _score(stored: Any, query: Any, item: VectorField) -> float:
    if item.kind is VectorKind.SPARSE:
        _, mine, theirs = np.intersect1d(stored[0], query[0], assume_unique=True, return_indices=True)
        return float(stored[1][mine].astype(np.float64) @ query[1][theirs].astype(np.float64))
    if item.kind is VectorKind.MULTI:
        each = [compare(vector, query, item.metric, item.dtype) for vector in stored]
        worst = float("-inf") if item.metric in HIGHER_IS_BETTER else float("inf")
        return (max if item.metric in HIGHER_IS_BETTER else min)(each, default=worst)
    return compare(stored, query, item.metric, item.dtype)


def compare(stored: NDArray[Any], query: NDArray[Any], metric: Metric, dtype: DType) -> float:
    """Similarity (cosine, dot) or distance (others) of two vectors; `l2` is the square root form."""
    if dtype is DType.BITS:
        return _compare_bits(np.unpackbits(stored), np.unpackbits(query), metric)
    if dtype is DType.BFLOAT16:
        stored = (stored.astype(np.uint32) << 16).view(np.float32)
    a, b = stored.astype(np.float64), query.astype(np.float64)
    match metric:
        case Metric.DOT:
            return float(a @ b)
        case Metric.COSINE:
            lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
            return float(a @ b) / lengths if lengths else 0.0
        case Metric.L2:
            return float(np.linalg.norm(a - b))
        case Metric.L1:
            return float(np.abs(a - b).sum())
        case Metric.HAMMING | Metric.JACCARD:
            return _compare_bits(a != 0, b != 0, metric)


def _compare_bits(a: NDArray[Any], b: NDArray[Any], metric: Metric) -> float:
    if metric is Metric.JACCARD:
        union = int((a | b).sum())
        return 1 - int((a & b).sum()) / union if union else 0.0
    return float((a != b).sum())
