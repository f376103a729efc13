"""The written ids of one namespace in memory, to look others up in: 16 bytes an id, however the ids look.

An id counts by the BLAKE2b-128 digest of its typed text. Blocks are added as they are read; a lookup is a binary search
per sorted run, and runs are merged as they grow, so that adding one block after another stays cheap.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from vectormigrate.model.ids import RecordId, id_key

Digests = NDArray[np.uint64]
"""`[n, 2]`, sorted by the first half where it is a run."""


class WrittenIndex:
    """Ids of one namespace. `last` is the number of the newest block in it."""

    def __init__(self) -> None:
        self.last = 0
        self._runs: list[Digests] = []

    def add(self, ids: Sequence[RecordId]) -> None:
        """Take in a block."""
        if not ids:
            return
        self._runs.append(_sorted(_digests(ids)))
        while len(self._runs) > 1 and len(self._runs[-2]) <= 2 * len(self._runs[-1]):
            later = self._runs.pop()
            self._runs[-1] = _sorted(np.concatenate([self._runs[-1], later]))

    def holds(self, ids: Sequence[RecordId]) -> NDArray[np.bool_]:
        """For each id whether it is in, `[n]`."""
        found = np.zeros(len(ids), np.bool_)
        if ids and self._runs:
            wanted = _digests(ids)
            for run in self._runs:
                found |= _among(run, wanted)
        return found

    def distinct(self) -> int:
        """How many different ids are in."""
        if not self._runs:
            return 0
        everything = np.concatenate(self._runs)
        order = np.lexsort((everything[:, 1], everything[:, 0]))
        ordered = everything[order]
        return 1 + int(np.count_nonzero((ordered[1:] != ordered[:-1]).any(axis=1)))


def _digests(ids: Iterable[RecordId]) -> Digests:
    keys = (id_key(record_id).encode("utf-8", "surrogatepass") for record_id in ids)
    data = b"".join([blake2b(key, digest_size=16).digest() for key in keys])
    return np.frombuffer(data, np.uint64).reshape(-1, 2)


def _sorted(digests: Digests) -> Digests:
    return digests[np.argsort(digests[:, 0], kind="stable")]


def _among(run: Digests, wanted: Digests) -> NDArray[np.bool_]:
    found = np.zeros(len(wanted), np.bool_)
    place = np.searchsorted(run[:, 0], wanted[:, 0])
    open_rows = np.flatnonzero(place < len(run))
    # Two digests with an equal first half are next to each other; more than one step is a rare thing.
    while len(open_rows):
        at = run[place[open_rows]]
        same = at[:, 0] == wanted[open_rows, 0]
        hit = same & (at[:, 1] == wanted[open_rows, 1])
        found[open_rows[hit]] = True
        open_rows = open_rows[same & ~hit]
        place[open_rows] += 1
        open_rows = open_rows[place[open_rows] < len(run)]
    return found
