"""Embeddings that need no model: hashed words and letter triples.

Feature hashing after Weinberger et al., "Feature Hashing for Large Scale Multitask Learning" (2009): each feature adds
its weight, with a sign from the hash, to one of `DIM` components.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from vectormigrate.model.batch import DenseColumn, SparseColumn

DIM = 256
WORD = re.compile(r"[a-z_]{2,}")


@lru_cache(maxsize=200_000)
def _hash(feature: str) -> int:
    return int.from_bytes(hashlib.blake2b(feature.encode(), digest_size=8).digest())


def words(text: str) -> Counter[str]:
    """Lower-case words and how often each occurs."""
    return Counter(WORD.findall(text.lower()))


def dense(texts: Sequence[str]) -> DenseColumn:
    """`[n, 256]` float32, not normalised: a longer text has a longer vector."""
    values = np.zeros((len(texts), DIM), np.float32)
    for row, text in enumerate(texts):
        for word, count in words(text).items():
            weight = 1 + math.log(count)
            _add(values[row], word, weight)
            for start in range(len(word) - 2):
                _add(values[row], f"#{word[start : start + 3]}", weight / 3)
    return DenseColumn(values)


def _add(vector: NDArray[np.float32], feature: str, weight: float) -> None:
    hashed = _hash(feature)
    vector[hashed % DIM] += weight if hashed >> 63 else -weight


def sparse(texts: Sequence[str]) -> SparseColumn:
    """One component per word: `(1 + ln tf) · ln(1 + N / df)`, with the hashed word as its index."""
    counts = [words(text) for text in texts]
    frequency = Counter(word for count in counts for word in count)
    offsets, indices, values = [0], list[int](), list[float]()
    for count in counts:
        weights: dict[int, float] = {}
        for word, n in count.items():
            index = _hash(word) % 2**31
            weights[index] = (1 + math.log(n)) * math.log(1 + len(texts) / frequency[word])
        indices += sorted(weights)
        values += [weights[index] for index in sorted(weights)]
        offsets.append(len(indices))
    return SparseColumn(np.array(offsets, np.int64), np.array(indices, np.uint32), np.array(values, np.float32))
