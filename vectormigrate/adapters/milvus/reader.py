"""Reading: counts, partitions, scans by id, fetch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import anyio

from vectormigrate.adapter import Hits, Queries
from vectormigrate.adapter.concurrency import gather
from vectormigrate.adapters.milvus import filters
from vectormigrate.adapters.milvus.capabilities import META
from vectormigrate.adapters.milvus.decode import batch_of, empty_batch, slice_batch
from vectormigrate.adapters.milvus.errors import StatusError, too_large
from vectormigrate.adapters.milvus.indexes import pairs
from vectormigrate.adapters.milvus.layout import Layout
from vectormigrate.adapters.milvus.proto import cp, pb
from vectormigrate.adapters.milvus.search import search
from vectormigrate.adapters.milvus.session import NOT_LOADED, Session
from vectormigrate.model.batch import RecordBatch
from vectormigrate.model.ids import RecordId, kind_fits
from vectormigrate.model.position import Cursor, Page, Partition

WINDOW = 16_384
"""Most rows (offset + limit) that a server answers at once."""

ANSWER_BYTES = 16 * 2**20
"""What we ask for at once, and a scan holds up to two answers; servers send at most 64 MiB."""

META_GUESS = 1_024
"""Bytes of metadata per record, as long as no page told better."""

READ_ROWS = 4_096
READ_ROWS_LITE = 8_192
"""Rows per query of a scan, however small the pages are: every strong read waits for a time tick (20 … 200 ms), and
Lite walks through the whole collection for each query."""

LITE_COUNT = 1_000_000
"""Ids per query when Lite's are counted."""

PAGE = {"iterator": "True", "reduce_stop_for_best": "False"}
"""The first makes Lite sort by id, the second makes the server's pages exact."""

HOPS = 256
"""Most steps for finding partition bounds."""

COUNTS = 8
"""Partitions counted at once."""

FETCH_BYTES = 4 * 2**20
"""Longest list of ids in one expression."""


class Reader:
    """Everything that reads; raises vendor errors, which `classify` turns into ours."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._meta_bytes = META_GUESS

    async def _query(
        self, layout: Layout, where: str, fields: Sequence[str], partition: str, params: Mapping[str, Any]
    ) -> pb.QueryResults:
        """One strong query; loads the collection when somebody released it."""
        request = pb.QueryRequest(
            collection_name=layout.name,
            expr=where,
            output_fields=fields,
            partition_names=[partition] if partition else [],
            consistency_level=cp.ConsistencyLevel.Strong,
            query_params=pairs(params),
        )
        await self._session.readable(partition)
        try:
            return await self._session.client.call(request, pb.QueryResults)
        except StatusError as error:
            if error.code != NOT_LOADED:
                raise
        await self._session.readable(partition, again=True)
        return await self._session.client.call(request, pb.QueryResults)

    async def namespaces(self) -> list[str]:
        """Partitions as namespaces."""
        return await self._session.namespaces()

    async def search(self, vector: str, queries: Queries, k: int, namespace: str) -> list[Hits]:
        """Top-k per query by the collection's index."""
        return await search(self._session, vector, queries, k, namespace)

    async def count(self, namespace: str | None = None) -> int:
        """Records of the namespace, or of all."""
        layout = await self._session.layout()
        if self._session.config.count_by_scan:
            names = await self._session.namespaces() if namespace is None else [namespace]
            return sum([await self._count_ids(layout, name) for name in names])
        if namespace is None:
            total = await self._count(layout, "")
            if not self._session.blind:
                return total
            # Only a query of one partition fails when that is not loaded.
            return sum([await self._count(layout, name) for name in await self._partition_names()])
        partition = await self._session.partition(namespace)
        if partition is None:
            return 0
        if not self._session.server.lite or partition == "":
            return await self._count(layout, partition)
        # Lite ignores the partition when it counts.
        if len(await self._session.partitions()) == 1:
            return await self._count(layout, "")
        return await self._count_ids(layout, namespace)

    async def counts(self, namespaces: Sequence[str]) -> dict[str, int]:
        """Several at a time, because a strong query waits for a tick of the server's clock; Lite's wait for none."""
        most = 1 if self._session.server.lite else COUNTS
        found = await gather([lambda name=name: self.count(name) for name in namespaces], most)
        return dict(zip(namespaces, found, strict=True))

    async def _partition_names(self) -> list[str]:
        """Of all namespaces."""
        found = [await self._session.partition(name) for name in await self._session.namespaces()]
        return [name for name in found if name is not None]

    async def _count(self, layout: Layout, partition: str) -> int:
        answer = await self._query(layout, "", ["count(*)"], partition, {})
        return int(answer.fields_data[0].scalars.long_data.data[0])

    async def _count_ids(self, layout: Layout, namespace: str) -> int:
        """Count by reading the ids. Lite answers all at once, because each of its queries walks through everything."""
        partition = await self._session.partition(namespace)
        if partition is None:
            return 0
        total, last = 0, None
        limit = LITE_COUNT if self._session.server.lite else WINDOW
        while True:
            where = filters.span(layout.pk.name, last, None, text=layout.text_ids)
            answer = await self._query(layout, where, [layout.pk.name], partition, {"limit": limit, **PAGE})
            ids = _ids(answer, layout)
            total += len(ids)
            if not ids or (self._session.server.lite and len(ids) < limit):
                return total
            last = ids[-1]

    async def partitions(
        self, target_n: int, namespaces: Sequence[str] | Mapping[str, int] | None = None
    ) -> list[Partition]:
        """Cut by id; Lite is read by one reader per namespace, because it gets slower with more."""
        existing = await self._session.namespaces()
        wanted = existing if namespaces is None else sorted(set(namespaces))
        counts = namespaces if isinstance(namespaces, Mapping) else await self.counts(wanted)
        total = sum(counts.values()) or 1
        found: list[Partition] = []
        for name in wanted:
            parts = 1 if self._session.server.lite else max(1, round(target_n * counts[name] / total))
            found.extend(await self._split(name, counts[name], parts))
        return found

    async def _split(self, namespace: str, rows: int, parts: int) -> list[Partition]:
        cuts: list[RecordId] = []
        partition = await self._session.partition(namespace)
        if parts > 1 and partition is not None:
            cuts = await self._cuts(partition, rows, parts)
        bounds = [None, *cuts, None]
        count = len(cuts) + 1
        return [
            Partition(
                id=f"{namespace}/{part}",
                namespace=namespace,
                bounds={"after": bounds[part], "upto": bounds[part + 1]},
                rows=rows * (part + 1) // count - rows * part // count,
            )
            for part in range(count)
        ]

    async def _cuts(self, partition: str, rows: int, parts: int) -> list[RecordId]:
        """Up to `parts - 1` existing ids that cut the partition evenly, found by hopping over it."""
        layout = await self._session.layout()
        per_part = max(1, -(-rows // parts))
        hops = -(-per_part // WINDOW)
        stride = -(-per_part // hops)
        cuts: list[RecordId] = []
        last: RecordId | None = None
        for hop in range(1, min(hops * parts, HOPS)):
            where = filters.span(layout.pk.name, last, None, text=layout.text_ids)
            params = {"limit": 1, "offset": stride - 1, **PAGE}
            answer = await self._query(layout, where, [layout.pk.name], partition, params)
            ids = _ids(answer, layout)
            if not ids:
                break
            last = ids[0]
            if hop % hops == 0:
                cuts.append(last)
        return cuts

    async def scan(
        self, partition: Partition, after: Cursor | None = None, *, vectors: bool = True, page_rows: int = 1000
    ) -> AsyncGenerator[Page, None]:
        """Pages in the order of ids; each query starts after the last id seen, and only an empty answer is the end.
        While an answer is used, the next one is on its way: a strong read waits for a time tick first."""
        layout = await self._session.layout()
        name = await self._session.partition(partition.namespace)
        last: RecordId | None = partition.bounds["after"] if after is None else after["last"]
        upto: RecordId | None = partition.bounds["upto"]
        most = max(page_rows, READ_ROWS_LITE if self._session.server.lite else READ_ROWS)
        most -= most % page_rows
        if name is None:
            return

        def ask(above: RecordId | None) -> asyncio.Task[tuple[pb.QueryResults, int]] | None:
            if above is not None and above == upto:
                return None
            where = filters.span(layout.pk.name, above, upto, text=layout.text_ids)
            return asyncio.create_task(self._answer(layout, where, name, vectors=vectors, most=most))

        coming = ask(last)
        try:
            while coming is not None:
                answer, _ = await coming
                ids = _ids(answer, layout)
                coming = ask(ids[-1]) if ids else None
                batch = self._batch(answer, layout, partition.namespace, vectors=vectors)
                del answer
                for start in range(0, len(batch), page_rows):
                    page = slice_batch(batch, start, min(start + page_rows, len(batch)))
                    yield Page(page, {"last": page.ids[-1]})
        finally:
            if coming is not None:
                with anyio.CancelScope(shield=True):
                    coming.cancel()
                    # Its own failure is of no interest any more, and must not be logged as one that nobody saw.
                    await asyncio.gather(coming, return_exceptions=True)

    async def _answer(
        self, layout: Layout, where: str, partition: str, *, vectors: bool, most: int
    ) -> tuple[pb.QueryResults, int]:
        """The first records by id that match, and how many were asked for: fewer than `most` when they are large."""
        rows = min(most, self._rows_per_answer(layout, vectors=vectors))
        while True:
            try:
                params = {"limit": rows, **PAGE}
                return await self._query(layout, where, _fields(layout, vectors=vectors), partition, params), rows
            except Exception as error:
                if not too_large(error) or rows == 1:
                    raise
                rows = max(1, rows // 2)

    def _batch(self, answer: pb.QueryResults, layout: Layout, namespace: str, *, vectors: bool) -> RecordBatch:
        batch = batch_of(answer.fields_data, layout, namespace, vectors=vectors)
        if len(batch):
            size = answer.ByteSize() // len(batch) - (layout.row_bytes if vectors else 0)
            # The mean hides large records, so the budget is far from what the server refuses.
            self._meta_bytes = max(64, size, self._meta_bytes // 2)
        return batch

    def _rows_per_answer(self, layout: Layout, *, vectors: bool) -> int:
        size = self._meta_bytes + (layout.row_bytes if vectors else 0)
        return max(1, min(WINDOW, ANSWER_BYTES // size))

    async def fetch(self, ids: Sequence[RecordId], namespace: str, *, vectors: bool = True) -> RecordBatch:
        """The records that exist, in the order asked."""
        layout = await self._session.layout()
        name = await self._session.partition(namespace)
        wanted = list(dict.fromkeys(item for item in ids if kind_fits(layout.id_kind, item)))
        batches = [empty_batch(layout, namespace, vectors=vectors)]
        if name is not None:
            direct = await self._has_direct_lookup()
            for part in id_chunks(wanted, min(READ_ROWS, self._rows_per_answer(layout, vectors=vectors))):
                for where in filters.among(layout.pk.name, part):
                    if direct:
                        answer = await self._query(layout, where, _fields(layout, vectors=vectors), name, {})
                        batches.append(batch_of(answer.fields_data, layout, namespace, vectors=vectors))
                    else:
                        batches += await self._fetch(layout, where, name, namespace, vectors=vectors, count=len(part))
        found = RecordBatch.concat(batches)
        row_of = {record_id: row for row, record_id in enumerate(found.ids)}
        rows = [row_of[item] for item in ids if item in row_of and type(item) in (int, str)]
        return found if rows == list(range(len(found))) else found.take(rows)

    async def _has_direct_lookup(self) -> bool:
        """Lite finds ids at once when no order is asked for, instead of walking through everything. With several
        partitions it would also find records in those that they have left."""
        return self._session.server.lite and len(await self._session.partitions()) == 1

    async def _fetch(
        self, layout: Layout, where: str, partition: str, namespace: str, *, vectors: bool, count: int
    ) -> list[RecordBatch]:
        """All records that match an expression which chooses at most `count` ids."""
        batches: list[RecordBatch] = []
        rest, more = where, True
        while more and sum(map(len, batches)) < count:
            answer, rows = await self._answer(layout, rest, partition, vectors=vectors, most=count)
            batch = self._batch(answer, layout, namespace, vectors=vectors)
            more = len(batch) >= rows
            batches.append(batch)
            if len(batch):
                rest = f"{where} and {filters.above(layout.pk.name, batch.ids[-1])}"
        return batches


def id_chunks(ids: Sequence[RecordId], most: int) -> list[list[RecordId]]:
    """Parts of at most `most` ids and FETCH_BYTES of text."""
    parts: list[list[RecordId]] = []
    size = FETCH_BYTES
    for record_id in ids:
        length = 24 if isinstance(record_id, int) else 4 + 2 * len(str(record_id).encode(errors="replace"))
        if size + length > FETCH_BYTES or len(parts[-1]) >= most:
            parts.append([])
            size = 0
        parts[-1].append(record_id)
        size += length
    return parts


def _fields(layout: Layout, *, vectors: bool) -> list[str]:
    names = [layout.pk.name, *(item.name for item in layout.scalars)]
    names += [META] if layout.dynamic else []
    return names + ([item.name for item in layout.vectors] if vectors else [])


def _ids(answer: pb.QueryResults, layout: Layout) -> list[RecordId]:
    """The ids of an answer, whatever else it holds."""
    bare = replace(layout, scalars=(), vectors=(), dynamic=False)
    return batch_of(answer.fields_data, bare, "", vectors=False).ids
