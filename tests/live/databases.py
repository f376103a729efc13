"""A database of records that answers late, loses answers, and lets a write land after it was reported as failed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vectormigrate.adapter import Reject
from vectormigrate.adapters.memory.capabilities import CAPABILITIES
from vectormigrate.capture.keys import Key
from vectormigrate.errors import RateLimited, TimedOut
from vectormigrate.model.batch import DenseColumn, RecordBatch
from vectormigrate.model.ids import RecordId

SOURCE_LIFE = 20.0
"""Seconds after which a request to the source has taken effect or never will (Q_S)."""

TARGET_LIFE = 15.0
"""The same for the target (Q_T)."""

STALE = 1.5
"""Seconds for which a read of the source may not know that a record has come or gone."""

NAMESPACES = ("", "b")


@dataclass(slots=True, kw_only=True)
class Faults:
    """How often something goes wrong, as shares."""

    lost_answer: float = 0.1
    late_source: float = 0.1
    dropped: float = 0.05
    zombie: float = 0.15
    limited: float = 0.05
    kill: float = 0.05
    stale: float = 0.0
    """Reads that answer as if the last write, made or deleted within STALE seconds, were not there yet."""


@dataclass(slots=True)
class Database:
    """Records by key; a value is the number of the write that made it. `life`: of a request, in seconds."""

    chance: random.Random
    faults: Faults
    life: float
    records: dict[Key, int] = field(default_factory=dict[Key, int])
    late: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])
    before: dict[Key, tuple[float, int | None]] = field(default_factory=dict[Key, tuple[float, int | None]])
    """When a key came or went, and what was there until then."""
    capabilities: Any = CAPABILITIES
    names: Sequence[str] = NAMESPACES

    async def namespaces(self) -> list[str]:
        await self._pause()
        return list(self.names)

    async def fetch(self, ids: Sequence[RecordId], namespace: str, *, vectors: bool = True) -> RecordBatch:
        """As a strong read: of one moment between call and answer."""
        await self._pause()
        seen = {record_id: self._seen(Key(namespace, record_id)) for record_id in ids}
        found = [record_id for record_id in ids if seen[record_id] is not None]
        values = [seen[record_id] for record_id in found]
        await self._pause()
        column = DenseColumn(np.zeros((len(found), 1), np.float32))
        return RecordBatch(namespace, found, {"v": column}, [{"value": value} for value in values])

    def _seen(self, key: Key) -> int | None:
        now = self.records.get(key)
        since, old = self.before.get(key, (0.0, None))
        young = asyncio.get_running_loop().time() - since < STALE
        return old if young and (old is None) != (now is None) and self.chance.random() < self.faults.stale else now

    def put(self, key: Key, value: int | None) -> None:
        """What the key holds from now; None: nothing."""
        old = self.records.get(key)
        if (old is None) != (value is None):
            self.before[key] = asyncio.get_running_loop().time(), old
        if value is None:
            self.records.pop(key, None)
        else:
            self.records[key] = value

    async def freshen(self, namespace: str) -> None:
        """There is no waiting."""

    async def upsert(self, batch: RecordBatch) -> list[Reject]:
        def apply() -> None:
            for record_id, metadata in zip(batch.ids, batch.metadata, strict=True):
                self.records[Key(batch.namespace, record_id)] = int(str(metadata["value"]))

        await self._write(apply)
        return []

    async def delete(self, ids: Sequence[RecordId], namespace: str) -> None:
        def apply() -> None:
            for record_id in ids:
                self.records.pop(Key(namespace, record_id), None)

        await self._write(apply)

    async def _write(self, apply: Callable[[], None]) -> None:
        """Acknowledged when applied; or refused; or reported as timed out, and applied later or never."""
        if self.chance.random() < self.faults.limited:
            raise RateLimited("slow down", adapter="simulated", operation="write", retry_after=0.1)
        await self._pause()
        if self.chance.random() < self.faults.zombie:
            self.land_later(apply)
            raise TimedOut("no answer", adapter="simulated", operation="write")
        apply()
        await self._pause()

    def land_later(self, apply: Callable[[], None], age: float = 0) -> None:
        """What was sent so many seconds ago takes effect within its life, or never."""
        if self.chance.random() < 0.3:
            return

        async def land() -> None:
            await asyncio.sleep(self.chance.random() * (self.life - age) * 0.95)
            apply()

        task = asyncio.get_running_loop().create_task(land())
        self.late.add(task)
        task.add_done_callback(self.late.discard)

    async def _pause(self) -> None:
        await asyncio.sleep(self.chance.random() * 0.2)
