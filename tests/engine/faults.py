"""A wrapper around a real collection that misbehaves as networks and servers do."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

import anyio
import pytest

from vectormigrate.adapter import Capabilities, IndexReport, Reject, Target, unreported
from vectormigrate.config.settings import Endpoint
from vectormigrate.engine import connect
from vectormigrate.engine.retry import RetryingTarget
from vectormigrate.errors import QuotaExceeded, RateLimited, RecordsRejected, TimedOut, Unavailable
from vectormigrate.model.batch import DenseColumn, RecordBatch
from vectormigrate.model.ids import RecordId
from vectormigrate.model.position import Cursor, Page, Partition


@dataclass(slots=True)
class Faults:
    """What goes wrong, by the number of the call (from 1), and what was seen."""

    upsert: Callable[[int, RecordBatch], str | None] = lambda call, batch: None
    """`limited`, `limited:SECONDS`, `down`, `lost` (applied, then no answer), `half` (half applied, then no answer),
    `foreign` (somebody else writes id 9999), `slow`, or None."""
    scan: Callable[[int], str | None] = lambda page: None
    """Before the page of that number: `down`, `broken` (for good), `slow`, `wait`, `shrink` (somebody deletes id 0),
    `grow` (somebody adds three records to a namespace `new`), or None."""
    go: anyio.Event | None = None
    """What `wait` waits for."""
    poison: frozenset[RecordId] = frozenset()
    """Ids for which the whole batch is refused without saying which."""
    refused: frozenset[RecordId] = frozenset()
    """Ids that are named in the rejects."""
    vanished: frozenset[RecordId] = frozenset()
    """Ids that are acknowledged and not written."""
    damaged: frozenset[RecordId] = frozenset()
    """Ids that are written with another vector."""
    delete: str | None = None
    """`down`: no delete is answered."""
    unreadable: bool = False
    """The target says that it cannot be read before it is finalized."""
    finalizing: anyio.Event | None = None
    """Set when the target is finalized, which then never ends."""
    unindexed: int = 0
    """So many vectors are still to be indexed; who waits for it waits for `go`."""
    calls: Counter[str] = field(default_factory=Counter[str])
    in_flight: int = 0
    most_in_flight: int = 0
    sizes: list[int] = field(default_factory=list[int])


class FaultyTarget:
    """Passes everything on to the real collection, but for the faults."""

    def __init__(self, inner: Target, faults: Faults) -> None:
        self._inner = inner
        self._faults = faults

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def scan(
        self, partition: Partition, after: Cursor | None = None, *, vectors: bool = True, page_rows: int = 1000
    ) -> AsyncGenerator[Page, None]:
        async for page in self._inner.scan(partition, after, vectors=vectors, page_rows=page_rows):
            self._faults.calls["scan"] += 1
            match self._faults.scan(self._faults.calls["scan"]):
                case "down":
                    raise Unavailable("connection reset while reading")
                case "broken":
                    raise QuotaExceeded("the index cannot be loaded")
                case "slow":
                    await anyio.sleep(0.01)
                case "wait":
                    assert self._faults.go is not None
                    await self._faults.go.wait()
                case "shrink":
                    await self._inner.delete([0], "")
                case "grow":
                    await self._inner.upsert(replace(page.batch.take([0, 1, 2]), ids=[501, 502, 503], namespace="new"))
                case _:
                    pass
            yield page

    @property
    def capabilities(self) -> Capabilities:
        found = self._inner.capabilities
        writes = replace(found.writes, readable_before_finalize=not self._faults.unreadable)
        return replace(found, writes=writes)

    async def delete(self, ids: Sequence[RecordId], namespace: str) -> None:
        if self._faults.delete == "down":
            raise Unavailable("connection refused")
        await self._inner.delete(ids, namespace)

    async def finalize(self, *, wait: bool = True, report: IndexReport = unreported) -> int:
        if self._faults.finalizing is not None:
            self._faults.finalizing.set()
            await anyio.sleep_forever()
        left = self._faults.unindexed
        if left:
            report(left)
            if not wait:
                return left
            assert self._faults.go is not None
            await self._faults.go.wait()
        return await self._inner.finalize(wait=wait, report=report)

    async def upsert(self, batch: RecordBatch) -> list[Reject]:
        faults = self._faults
        faults.calls["upsert"] += 1
        faults.sizes.append(len(batch))
        faults.in_flight += 1
        faults.most_in_flight = max(faults.most_in_flight, faults.in_flight)
        try:
            return await self._upsert(batch, faults.upsert(faults.calls["upsert"], batch) or "")
        finally:
            faults.in_flight -= 1

    async def _upsert(self, batch: RecordBatch, fault: str) -> list[Reject]:
        kind, _, seconds = fault.partition(":")
        match kind:
            case "limited":
                raise RateLimited("too many requests", retry_after=float(seconds) if seconds else None)
            case "down":
                raise Unavailable("connection refused")
            case "lost":
                await self._inner.upsert(batch)
                raise TimedOut("no answer")
            case "half":
                await self._inner.upsert(batch.take(range(len(batch) // 2)))
                raise TimedOut("no answer")
            case "foreign":
                await self._inner.upsert(replace(batch.take([0]), ids=[9999]))
            case "slow":
                await anyio.sleep(0.05)
            case _:
                pass
        if self._faults.poison.intersection(batch.ids):
            raise RecordsRejected("bad value somewhere in the batch")
        left_out = self._faults.refused | self._faults.vanished
        good = [row for row, record_id in enumerate(batch.ids) if record_id not in left_out]
        rejects = await self._inner.upsert(self._damage(batch.take(good)))
        return rejects + [
            Reject(record_id, batch.namespace, "test", "refused by name")
            for record_id in batch.ids
            if record_id in self._faults.refused
        ]

    def _damage(self, batch: RecordBatch) -> RecordBatch:
        rows = [row for row, record_id in enumerate(batch.ids) if record_id in self._faults.damaged]
        if not rows:
            return batch
        changed = {name: deepcopy(column) for name, column in batch.vectors.items()}
        for column in changed.values():
            assert isinstance(column, DenseColumn)
            column.values[rows] += 1
        return replace(batch, vectors=changed)


def inject(monkeypatch: pytest.MonkeyPatch, collection: str, faults: Faults) -> None:
    """From now on everything that opens this collection gets it with these faults."""
    real = connect.open_endpoint

    @asynccontextmanager
    async def open_with_faults(endpoint: Endpoint, *args: Any, **options: Any) -> AsyncGenerator[RetryingTarget]:
        async with real(endpoint, *args, **options) as opened:
            if endpoint.collection == collection:
                faulty: Any = FaultyTarget(opened._target, faults)
                opened._source = opened._target = faulty
            yield opened

    monkeypatch.setattr(connect, "open_endpoint", open_with_faults)
