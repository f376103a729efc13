"""Where a full comparison is: small enough to be stored every few seconds, complete enough to resume after a kill."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectormigrate.model.plan import MigrationPlan
from vectormigrate.model.position import Cursor, Partition
from vectormigrate.model.schema import Json
from vectormigrate.validation.buckets import BUCKETS, Buckets
from vectormigrate.validation.common import Rejected
from vectormigrate.validation.tally import Tally

VERSION = 1
SOURCE, TARGET = 0, 1


class Stage(StrEnum):
    """SCAN fills the buckets; RESOLVE looks at the source records of differing buckets; EXTRAS finds target records
    that the source does not have."""

    SCAN = "scan"
    RESOLVE = "resolve"
    EXTRAS = "extras"
    DONE = "done"


@dataclass(slots=True)
class Position:
    """How far one partition has been read in this stage."""

    cursor: Cursor | None = None
    done: bool = False
    rows: int = 0


def _flags() -> NDArray[np.bool_]:
    return np.zeros(BUCKETS, np.bool_)


def _numbers() -> NDArray[np.int64]:
    return np.zeros(BUCKETS, np.int64)


@dataclass(slots=True, kw_only=True)
class DiffProgress:
    """Changed only between two awaits, together with the positions, so that every copy is consistent.

    `basis` names what the comparison depends on: another basis means starting afresh. `found[b]`: records of bucket b
    that RESOLVE saw on the target (of those that count there). `explained[b]`: a difference in b has been found.
    `groups_done`: groups of buckets that EXTRAS has finished.
    """

    basis: str
    partitions: tuple[list[Partition], list[Partition]]
    tally: Tally
    stage: Stage = Stage.SCAN
    positions: dict[str, Position] = field(default_factory=dict[str, Position])
    buckets: Buckets = field(default_factory=Buckets)
    found: NDArray[np.int64] = field(default_factory=_numbers)
    explained: NDArray[np.bool_] = field(default_factory=_flags)
    groups_done: int = 0
    seconds: float = 0.0

    def position(self, side: int, index: int) -> Position:
        """The position of partition `index` of a side in the current stage."""
        return self.positions.setdefault(f"{side}/{index}", Position())

    def enter(self, stage: Stage) -> None:
        """Begin the next stage from the first page on."""
        self.stage = stage
        self.positions = {}

    def snapshot(self) -> _Snapshot:
        """A consistent copy, cheap enough for the event loop; its `to_bytes` may run in a thread."""
        header = {
            "version": VERSION,
            "basis": self.basis,
            "stage": str(self.stage),
            "partitions": [[asdict(part) for part in side] for side in self.partitions],
            "positions": {key: asdict(value) for key, value in self.positions.items()},
            "groups_done": self.groups_done,
            "seconds": self.seconds,
            "tally": self.tally.to_json(),
        }
        return _Snapshot(json.dumps(header), self.buckets.copy(), self.found.copy(), self.explained.copy())

    @staticmethod
    def from_bytes(data: bytes, basis: str) -> DiffProgress | None:
        """What a snapshot wrote, or None when it belongs to another basis or version or is not readable."""
        try:
            return _parse(data, basis)
        except (ValueError, KeyError, TypeError, struct.error, zlib.error):
            return None


@dataclass(frozen=True, slots=True)
class _Snapshot:
    header: str
    buckets: Buckets
    found: NDArray[np.int64]
    explained: NDArray[np.bool_]

    def to_bytes(self) -> bytes:
        """Compressed, about 20 bytes per bucket in use, at most 1.5 MB."""
        arrays = zlib.compress(self.found.astype("<u4").tobytes() + np.packbits(self.explained).tobytes(), 1)
        parts = [zlib.compress(self.header.encode(), 1), self.buckets.to_bytes(), arrays]
        return b"".join(struct.pack("<I", len(part)) + part for part in parts)


def _parse(data: bytes, basis: str) -> DiffProgress | None:
    parts: list[bytes] = []
    start = 0
    for _ in range(3):
        (length,) = struct.unpack_from("<I", data, start)
        parts.append(data[start + 4 : start + 4 + length])
        start += 4 + length
    header: Mapping[str, Any] = json.loads(zlib.decompress(parts[0]))
    if header["version"] != VERSION or header["basis"] != basis:
        return None
    arrays = zlib.decompress(parts[2])
    source, target = ([Partition(**part) for part in side] for side in header["partitions"])
    return DiffProgress(
        basis=basis,
        partitions=(source, target),
        tally=Tally.from_json(header["tally"]),
        stage=Stage(header["stage"]),
        positions={key: Position(**value) for key, value in header["positions"].items()},
        buckets=Buckets.from_bytes(parts[1]),
        found=np.frombuffer(arrays, "<u4", BUCKETS).astype(np.int64),
        explained=np.unpackbits(np.frombuffer(arrays, np.uint8, -1, 4 * BUCKETS)).astype(np.bool_),
        groups_done=header["groups_done"],
        seconds=header["seconds"],
    )


def basis_of(plan: MigrationPlan, rejected: Rejected, *, created: bool, min_similarity: float, limit: int) -> str:
    """A fingerprint of everything that the result depends on besides the data itself."""
    content: Json = [plan.fingerprint(), created, min_similarity, limit, sorted(rejected)]
    return blake2b(json.dumps(content).encode(), digest_size=16).hexdigest()
