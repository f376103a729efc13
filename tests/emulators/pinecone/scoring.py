"""Exact scores: cosine and dotproduct (larger is nearer), euclidean (the squared distance, smaller is nearer)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tests.emulators.pinecone.state import Floats, Record, Sparse


def best(
    records: Sequence[tuple[str, Record]], metric: str, dense: Floats | None, sparse: Sparse | None, top_k: int
) -> list[tuple[str, Record, float]]:
    """The top records with scores, best first."""
    if not records:
        return []
    scores = np.zeros(len(records), np.float64)
    if dense is not None:
        scores += dense_scores(np.stack([_dense(record, len(dense)) for _, record in records]), dense, metric)
    if sparse is not None:
        scores += np.array([sparse_score(record.sparse, sparse) for _, record in records])
        if dense is None:
            records, scores = _overlapping(records, scores)
    order = np.argsort(scores if metric == "euclidean" else -scores, kind="stable")[:top_k]
    return [(*records[row], float(np.float32(scores[row]))) for row in order.tolist()]


def _overlapping(
    records: Sequence[tuple[str, Record]], scores: NDArray[np.float64]
) -> tuple[Sequence[tuple[str, Record]], NDArray[np.float64]]:
    """A sparse search finds only records that share an index with the query."""
    kept = np.flatnonzero(scores != 0)
    return [records[row] for row in kept.tolist()], scores[kept]


def _dense(record: Record, dimension: int) -> Floats:
    return np.zeros(dimension, np.float32) if record.dense is None else record.dense


def dense_scores(rows: Floats, query: Floats, metric: str) -> NDArray[np.float64]:
    """One score per row."""
    values, wanted = rows.astype(np.float64), query.astype(np.float64)
    if metric == "euclidean":
        return ((values - wanted) ** 2).sum(axis=1)
    scores = values @ wanted
    if metric == "cosine":
        scores /= np.maximum(np.linalg.norm(values, axis=1) * np.linalg.norm(wanted), 1e-300)
    return scores


def sparse_score(stored: Sparse | None, query: Sparse) -> float:
    """The dot product over shared indices."""
    if stored is None:
        return 0.0
    _, mine, theirs = np.intersect1d(stored.indices, query.indices, return_indices=True)
    return float(stored.values[mine].astype(np.float64) @ query.values[theirs].astype(np.float64))


def embed(text: str, dimension: int) -> Floats:
    """A stand-in for an embedding model: a direction that depends on the text alone."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
    return np.random.default_rng(seed).standard_normal(dimension).astype(np.float32)
