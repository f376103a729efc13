"""A database as a server that misbehaves: late, forgetful of its answers, with replicas that lag and scans that repeat.

What arrives takes effect whether or not whoever sent it still lives.
"""

from __future__ import annotations

import asyncio
import contextvars
import random
from bisect import bisect_right
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np

from vectormigrate.adapter import Capabilities, Hits, IndexReport, Reject, unreported
from vectormigrate.adapters.memory.capabilities import CAPABILITIES
from vectormigrate.capture.keys import Key
from vectormigrate.errors import AlreadyExists, CollectionNotFound, RateLimited, TimedOut, Unavailable
from vectormigrate.model.batch import DenseColumn, RecordBatch
from vectormigrate.model.ids import RecordId
from vectormigrate.model.position import Cursor, Page, Partition
from vectormigrate.model.schema import CollectionSchema, Json

T = TypeVar("T")

PATIENCE = 0.6
"""Seconds after which whoever asked gives an answer up."""

LIFE = 2.0
"""Seconds after which a request has taken effect or never will."""

STALE = 0.4
"""Seconds by which a replica lags at most."""

LATENCY = 0.1
"""Seconds that a message is under way at most."""


CYCLE = 7.0
"""Seconds in which there are first many writes and faults, then few: else nothing would ever be settled."""

BUSY = 3.0

CALM = 0.1
"""Share of the faults that there are then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """How often something goes wrong, as shares."""

    lost: float = 0.05
    """Requests that take effect and are never answered."""
    late: float = 0.05
    """Requests that take effect after they were given up, or never."""
    slow: float = 0.1
    """Requests that take much longer than others on their way there, or back."""
    limited: float = 0.05
    broken: float = 0.03
    """Reads that end with an error."""
    refused: float = 0.05
    """Requests of the application that the server refuses."""
    stale: float = 0.0
    """Reads that do not know yet that a record has come or gone."""
    repeated: float = 0.05
    """Pages that come twice."""
    omitted: float = 0.0
    """Records that a page leaves out."""


Record = tuple[int, int]
"""The number of the write that made it, and that of the one that changed its second field last."""


@dataclass(slots=True)
class Database:
    """A collection of records with an integer id in some namespaces. `life`: of a request, in seconds."""

    chance: random.Random
    faults: Faults
    schema: CollectionSchema | None = None
    records: dict[Key, Record] = field(default_factory=dict[Key, Record])
    past: dict[Key, tuple[float, Record | None]] = field(default_factory=dict[Key, tuple[float, Record | None]])
    """When a key came or went last, and what was there before."""
    away: bool = False
    """Every request fails."""
    empty: bool = False
    """Every read answers that there is nothing."""
    changed: Callable[[], None] = lambda: None
    """Hears of every write."""
    context: contextvars.Context = field(default_factory=contextvars.copy_context)
    """In which it works: nobody's process."""

    @property
    def capabilities(self) -> Capabilities:
        return CAPABILITIES

    def put(self, key: Key, record: Record | None) -> None:
        """What the key holds from now; None: nothing."""
        old = self.records.get(key)
        if (old is None) is not (record is None):
            self.past[key] = asyncio.get_running_loop().time(), old
        if record is None:
            self.records.pop(key, None)
        else:
            self.records[key] = record
        self.changed()

    async def serve(self, work: Callable[[], T], *, writes: bool) -> T:
        """The answer to a request, as whoever sent it sees it. Raises TimedOut, RateLimited and Unavailable."""
        faults, chance = self.faults, self.chance
        loop = asyncio.get_running_loop()
        calm = CALM if loop.time() % CYCLE > BUSY else 1.0
        if self.away:
            await asyncio.sleep(LATENCY)
            raise Unavailable("away", adapter="simulated", operation="any")
        draw = chance.random()
        if draw < faults.limited * calm:
            raise RateLimited("slow down", adapter="simulated", operation="any", retry_after=0.1)
        draw = chance.random()
        if not writes:
            await asyncio.sleep(chance.random() * LATENCY)
            if draw < faults.broken * calm:
                raise TimedOut("no answer", adapter="simulated", operation="read")
            found = work()
            await asyncio.sleep(self._way(calm))
            return found
        answer: asyncio.Future[T] = loop.create_future()

        def arrive(answers: bool) -> None:
            found = work()
            if answers:
                loop.call_later(chance.random() * LATENCY, _settle, answer, found, context=self.context)

        soon = self._way(calm)
        if draw < faults.lost * calm:
            loop.call_later(soon, arrive, False, context=self.context)
        elif draw < (faults.lost + faults.late) * calm:
            if chance.random() < 0.7:
                after = PATIENCE + chance.random() * (LIFE - PATIENCE) * 0.95
                loop.call_later(after, arrive, False, context=self.context)
        else:
            loop.call_later(soon, arrive, True, context=self.context)
        try:
            async with asyncio.timeout(PATIENCE):
                return await answer
        except TimeoutError:
            raise TimedOut("no answer", adapter="simulated", operation="write") from None

    def _way(self, calm: float) -> float:
        """Seconds that a message takes."""
        slow = self.chance.random() < self.faults.slow * calm
        return self.chance.random() * (0.8 * PATIENCE if slow else LATENCY)

    def _seen(self, namespace: str) -> dict[RecordId, Record]:
        """Records as a read sees them: a stale one does not know yet what came or went."""
        if self.empty:
            return {}
        seen = {key.id: record for key, record in self.records.items() if key.namespace == namespace}
        if self.chance.random() < self.faults.stale:
            now = asyncio.get_running_loop().time()
            for key, (since, old) in self.past.items():
                if key.namespace == namespace and now - since < STALE:
                    seen.pop(key.id, None)
                    if old is not None:
                        seen[key.id] = old
        return seen

    async def fetch(self, ids: Sequence[RecordId], namespace: str, *, vectors: bool = True) -> RecordBatch:
        def read() -> RecordBatch:
            seen = self._seen(namespace)
            return _batch(namespace, {item: seen[item] for item in ids if item in seen})

        return await self.serve(read, writes=False)

    async def scan(
        self, partition: Partition, after: Cursor | None = None, *, vectors: bool = True, page_rows: int = 1000
    ) -> AsyncGenerator[Page, None]:
        first, end = partition.bounds
        last = after
        while True:

            def read(last: Any = last) -> Page | None:
                seen = self._seen(partition.namespace)
                ids: list[Any] = sorted(item for item in seen if _within(item, first, end))
                start = 0 if last is None else bisect_right(ids, last)
                page = ids[start : start + page_rows]
                kept = {item: seen[item] for item in page if self.chance.random() >= self.faults.omitted}
                return Page(_batch(partition.namespace, kept), page[-1]) if page else None

            found = await self.serve(read, writes=False)
            if found is None:
                return
            if self.chance.random() < self.faults.repeated:
                yield found
            last = found.cursor
            yield found

    async def partitions(
        self, target_n: int, namespaces: Sequence[str] | Mapping[str, int] | None = None
    ) -> list[Partition]:
        names = await self.namespaces() if namespaces is None else sorted(set(namespaces))
        return [Partition(id=f"{name}/0", namespace=name, bounds=[None, None], rows=1) for name in names]

    async def namespaces(self) -> list[str]:
        return await self.serve(lambda: sorted({str(key.namespace) for key in self.records}) or [""], writes=False)

    async def count(self, namespace: str | None = None) -> int:
        def read() -> int:
            return sum(namespace in (None, key.namespace) for key in self.records)

        return await self.serve(read, writes=False)

    async def counts(self, namespaces: Sequence[str]) -> dict[str, int]:
        return {name: await self.count(name) for name in namespaces}

    async def describe(self) -> CollectionSchema:
        if self.schema is None:
            raise CollectionNotFound("no collection", adapter="simulated", operation="describe")
        return self.schema

    async def server(self) -> str:
        return "simulated"

    async def create(self, schema: CollectionSchema) -> None:
        if self.schema is not None:
            raise AlreadyExists("it exists", adapter="simulated", operation="create")
        self.schema = replace(schema, name="c")

    async def make_namespaces(self, namespaces: Sequence[str]) -> None:
        """They come with their records."""

    async def set_note(self, note: Json) -> None:
        assert self.schema is not None
        self.schema = replace(self.schema, note=note)

    async def finalize(self, *, wait: bool = True, report: IndexReport = unreported) -> int:
        return 0

    async def drop(self) -> None:
        self.schema = None
        self.records.clear()

    async def search(self, vector: str, queries: Any, k: int, namespace: str) -> list[Hits]:
        raise NotImplementedError

    async def upsert(self, batch: RecordBatch) -> list[Reject]:
        def write() -> list[Reject]:
            for item, held in zip(batch.ids, batch.metadata, strict=True):
                self.put(Key(batch.namespace, item), (int(str(held["n"])), int(str(held["p"]))))
            return []

        return await self.serve(write, writes=True)

    async def delete(self, ids: Sequence[RecordId], namespace: str) -> None:
        def write() -> None:
            for item in ids:
                self.put(Key(namespace, item), None)

        await self.serve(write, writes=True)


def _batch(namespace: str, rows: Mapping[RecordId, Record]) -> RecordBatch:
    column = DenseColumn(np.array(list(rows.values()), np.float32).reshape(len(rows), 2))
    return RecordBatch(namespace, list(rows), {"v": column}, [{"n": n, "p": p} for n, p in rows.values()])


def _settle(answer: asyncio.Future[Any], found: Any) -> None:
    if not answer.done():
        answer.set_result(found)


def _within(item: Any, first: Any, end: Any) -> bool:
    return (first is None or item >= first) and (end is None or item < end)
