"""Reading: namespaces, counts, scans, fetch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass

import anyio

from vectormigrate.adapter import Hits, Queries
from vectormigrate.adapter.concurrency import gather
from vectormigrate.adapters.pinecone.calls import (
    FETCHES,
    fetch,
    list_ids,
    list_namespaces,
    listed_count,
    stats_counts,
)
from vectormigrate.adapters.pinecone.decode import batch_of
from vectormigrate.adapters.pinecone.encode import legal_id
from vectormigrate.adapters.pinecone.freshness import settle
from vectormigrate.adapters.pinecone.search import search
from vectormigrate.adapters.pinecone.session import Session
from vectormigrate.model.batch import RecordBatch
from vectormigrate.model.ids import RecordId
from vectormigrate.model.position import Cursor, Page, Partition

AHEAD_ROWS = 1_000
"""Records that a scan fetches ahead of its reader, at least two pages of them."""


@dataclass(frozen=True, slots=True)
class _Coming:
    """A page being fetched."""

    last: str
    token: str | None
    batch: asyncio.Task[RecordBatch]


class Reader:
    """Everything that reads; raises vendor errors, which `classify` turns into ours."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def namespaces(self) -> list[str]:
        """Namespaces that the service lists or that we wrote to; `[""]` for an index without any."""
        found = set(await list_namespaces(self._session)) | self._session.pending.keys()
        return sorted(found) or [""]

    async def count(self, namespace: str | None = None) -> int:
        """Records that a scan would return."""
        names = await self.namespaces() if namespace is None else [namespace]
        return sum((await self.counts(names)).values())

    async def counts(self, namespaces: Sequence[str]) -> dict[str, int]:
        """Records that scans would return."""
        await self._session.layout()
        found = await gather([lambda name=name: self._count(name) for name in namespaces], FETCHES)
        counts = dict(zip(namespaces, found, strict=True))
        if not self._session.config.count_by_stats:
            return counts
        told = await stats_counts(self._session)
        return {name: told.get(name, 0) for name in namespaces}

    async def _count(self, namespace: str) -> int:
        """By listing; where the statistics count, only wait until they can."""
        await settle(self._session, namespace)
        return 0 if self._session.config.count_by_stats else await listed_count(self._session, namespace)

    async def search(self, vector: str, queries: Queries, k: int, namespace: str) -> list[Hits]:
        """Top-k per query by the index."""
        return await search(self._session, vector, queries, k, namespace)

    async def partitions(
        self, target_n: int, namespaces: Sequence[str] | Mapping[str, int] | None = None
    ) -> list[Partition]:
        """One per namespace: ids are listed one page after the other and cannot be cut without knowing their form."""
        counts = namespaces if isinstance(namespaces, Mapping) else await list_namespaces(self._session)
        names = await self.namespaces() if namespaces is None else sorted(set(namespaces))
        return [Partition(id=f"{name}/0", namespace=name, bounds={}, rows=counts.get(name, 0)) for name in names]

    async def scan(
        self, partition: Partition, after: Cursor | None = None, *, vectors: bool = True, page_rows: int = 1000
    ) -> AsyncGenerator[Page, None]:
        """Pages in the byte order of ids. While a page is used, the next ones are listed and fetched."""
        await settle(self._session, partition.namespace)
        coming: asyncio.Queue[_Coming | None] = asyncio.Queue(max(2, min(FETCHES, AHEAD_ROWS // page_rows)))
        running: set[asyncio.Task[RecordBatch]] = set()

        async def look_ahead() -> None:
            async for last, token, ids in self._groups(partition.namespace, after, page_rows):
                task = asyncio.create_task(self._read(partition.namespace, ids, vectors=vectors))
                running.add(task)
                await coming.put(_Coming(last, token, task))

        lister = asyncio.create_task(look_ahead())
        lister.add_done_callback(lambda _: _wake(coming))
        try:
            while (item := await _next(coming, lister)) is not None:
                batch = await item.batch
                running.discard(item.batch)
                if len(batch):
                    yield Page(batch, {"last": item.last, "token": item.token})
        finally:
            with anyio.CancelScope(shield=True):
                for task in (lister, *running):
                    task.cancel()
                await asyncio.gather(lister, *running, return_exceptions=True)

    async def _groups(
        self, namespace: str, after: Cursor | None, page_rows: int
    ) -> AsyncGenerator[tuple[str, str | None, list[str]], None]:
        """Ids of each page, its last id, and the token of the listing in which that id stands."""
        token, last = (None, "") if after is None else (after["token"], after["last"])
        group: list[str] = []
        async for listing in list_ids(self._session, namespace, token, last):
            token = listing.token
            for start in range(0, len(listing.ids), page_rows):
                group += listing.ids[start : start + page_rows]
                while len(group) >= page_rows:
                    yield group[page_rows - 1], token, group[:page_rows]
                    group = group[page_rows:]
        if group:
            yield group[-1], token, group

    async def _read(self, namespace: str, ids: list[str], *, vectors: bool) -> RecordBatch:
        """Records that were deleted since they were listed are left out."""
        found = await fetch(self._session, namespace, ids)
        return batch_of(found, ids, await self._session.layout(), namespace, vectors=vectors)

    async def fetch(self, ids: Sequence[RecordId], namespace: str, *, vectors: bool = True) -> RecordBatch:
        """The records that exist, in the order asked."""
        layout = await self._session.layout()
        wanted = [item for item in ids if isinstance(item, str) and legal_id(item)]
        found = await fetch(self._session, namespace, list(dict.fromkeys(wanted)))
        return batch_of(found, wanted, layout, namespace, vectors=vectors)


def _wake(coming: asyncio.Queue[_Coming | None]) -> None:
    """Tell a waiting reader that nothing more comes; a full queue needs no waking."""
    if not coming.full():
        coming.put_nowait(None)


async def _next(coming: asyncio.Queue[_Coming | None], lister: asyncio.Task[None]) -> _Coming | None:
    """The next page, None at the end. Raises what stopped the lister, after all pages before it."""
    while True:
        if coming.empty() and lister.done():
            await lister
            return None
        item = await coming.get()
        if item is not None:
            return item
