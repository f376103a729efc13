"""A multiset hash of both sides in constant memory: 65,536 buckets, by the hash of target namespace and target id.

A bucket adds up, modulo 2^64 in each of two lanes, the 128-bit record digests of the source and subtracts those of the
target, and counts the records of each side. A bucket whose lanes are zero and whose counts agree holds the same records
on both sides; the digests being BLAKE2b-128, two different buckets look equal with probability about 2^-128, so a whole
comparison is wrong with probability below 2^-112. Order of arrival does not matter, so any number of readers may add.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

BUCKETS = 65_536

BucketNumbers = NDArray[np.int64]


def bucket_of(namespace: str, keys: Sequence[bytes]) -> BucketNumbers:
    """The bucket of each record of a namespace, from `digest.key_bytes` of its target id. Stable for ever."""
    crc = zlib.crc32
    start = crc(namespace.encode("utf-8", "surrogatepass"))
    return np.array([crc(key, start) & (BUCKETS - 1) for key in keys], np.int64)


def _lanes() -> NDArray[np.uint64]:
    return np.zeros((2, BUCKETS), np.uint64)


def _counters() -> NDArray[np.int64]:
    return np.zeros((2, BUCKETS), np.int64)


@dataclass(frozen=True, slots=True)
class Buckets:
    """The arrays are filled in place. `counts[0]` is the source, `counts[1]` the target."""

    sums: NDArray[np.uint64] = field(default_factory=_lanes)
    counts: NDArray[np.int64] = field(default_factory=_counters)

    def add(self, side: int, numbers: BucketNumbers, digests: NDArray[np.uint64]) -> None:
        """Add records of the source (`side` 0) or the target (1); `digests` is `[n, 2]`."""
        signed = digests if side == 0 else np.negative(digests)
        for lane in (0, 1):
            np.add.at(self.sums[lane], numbers, signed[:, lane])
        np.add.at(self.counts[side], numbers, 1)

    def differing(self) -> NDArray[np.bool_]:
        """Mask of the buckets whose contents differ."""
        return (self.sums != 0).any(axis=0) | (self.counts[0] != self.counts[1])

    def copy(self) -> Buckets:
        """An independent copy, to be serialised while the original is changed."""
        return Buckets(self.sums.copy(), self.counts.copy())

    def to_bytes(self) -> bytes:
        """Compressed; `from_bytes` reads it back on any machine."""
        parts = [self.sums.astype("<u8").tobytes(), self.counts.astype("<u4").tobytes()]
        return struct.pack("<I", BUCKETS) + zlib.compress(b"".join(parts), 1)

    @staticmethod
    def from_bytes(data: bytes) -> Buckets:
        """What `to_bytes` wrote. Raises ValueError for anything else."""
        if len(data) < 4 or struct.unpack_from("<I", data)[0] != BUCKETS:
            raise ValueError("not a bucket table of this version")
        raw = zlib.decompress(data[4:])
        sums = np.frombuffer(raw, "<u8", 2 * BUCKETS).astype(np.uint64).reshape(2, BUCKETS)
        counts = np.frombuffer(raw, "<u4", 2 * BUCKETS, sums.nbytes).astype(np.int64).reshape(2, BUCKETS)
        return Buckets(sums, counts)


def groups(mask: NDArray[np.bool_], weights: NDArray[np.int64], most: int) -> list[NDArray[np.bool_]]:
    """The chosen buckets as masks of a total weight of at most `most` each (a heavier single bucket is alone)."""
    found: list[NDArray[np.bool_]] = []
    held = most + 1
    for number in np.flatnonzero(mask).tolist():
        if held + int(weights[number]) > most:
            found.append(np.zeros(BUCKETS, np.bool_))
            held = 0
        found[-1][number] = True
        held += int(weights[number])
    return found
