"""Reading: counts, namespaces, partitions, scan, fetch, search."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from vectormigrate.adapter import Hits, Queries
from vectormigrate.adapter.json_floats import EXACT_FIELD, restore
from vectormigrate.adapters.qdrant.calls import Records
from vectormigrate.adapters.qdrant.errors import NAME
from vectormigrate.adapters.qdrant.filters import Where
from vectormigrate.adapters.qdrant.ids import holds_id, order
from vectormigrate.adapters.qdrant.layout import Layout
from vectormigrate.adapters.qdrant.partitions import after as place_after
from vectormigrate.adapters.qdrant.partitions import cut
from vectormigrate.adapters.qdrant.session import Session, namespace_of
from vectormigrate.errors import InvalidRequest
from vectormigrate.figures import counted
from vectormigrate.model.batch import Metadata, RecordBatch, VectorColumn
from vectormigrate.model.ids import RecordId, id_key, parse_id_key
from vectormigrate.model.position import Cursor, Page, Partition
from vectormigrate.model.schema import VectorField

FETCH_IDS = 500
FACET_VALUES = 10_000
QUERIES = 16


class Reader:
    """Everything that only reads; raises vendor errors, which `classify` turns into ours."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def count(self, namespace: str | None = None) -> int:
        """Exact, in one namespace or in all."""
        layout = await self._session.readable()
        if namespace is not None:
            where = self._session.where(layout, namespace)
            return 0 if where is None else await self._session.points.count(where)
        if layout.by_shard:
            # Without a shard key, the server would leave inactive shards out.
            return sum((await self._counts(layout)).values())
        return await self._session.points.count(Where(shard=self._session.config.shard_key))

    async def counts(self, namespaces: Sequence[str]) -> dict[str, int]:
        """Exact, of many at once."""
        if len(namespaces) == 1:
            return {namespaces[0]: await self.count(namespaces[0])}
        found = await self._counts(await self._session.readable())
        return {name: found.get(name, 0) for name in namespaces}

    async def namespaces(self) -> list[str]:
        """Those that hold records, and shard keys even without any."""
        layout = await self._session.readable()
        counts = await self._counts(layout)
        return sorted(name for name, count in counts.items() if count or (layout.by_shard and name)) or [""]

    async def _counts(self, layout: Layout) -> dict[str, int]:
        """Records per namespace. Raises InvalidRequest when a record is in none that could be named."""
        points = self._session.points
        if layout.by_shard:
            return {namespace_of(key): await points.count(Where(shard=key)) for key in layout.shard_keys}
        every = Where(field=layout.namespace_field, shard=self._session.config.shard_key)
        total = await points.count(every)
        if not layout.divided:
            return {"": total}
        counts = await self._facet(layout, every, total)
        if "" in counts:
            raise self._no_namespace(layout, "an empty text")
        counts[""] = await points.count(replace(every, namespace=""))
        if sum(counts.values()) != total and await points.count(every) == total:
            raise self._no_namespace(layout, "something else than one text")
        return counts

    async def _facet(self, layout: Layout, where: Where, total: int) -> dict[str, int]:
        most = layout.strict.get("max_query_limit") or total + 1
        limit = min(FACET_VALUES, most, total + 1)
        while True:
            counts = await self._session.points.facet(where, limit)
            if len(counts) < limit or limit > total:
                return counts
            if limit >= most:
                message = (
                    f"the collection has {counted(limit)} namespaces or more, and max_query_limit hides the others"
                )
                raise InvalidRequest(message, adapter=NAME)
            limit = min(most, limit * 10)

    def _no_namespace(self, layout: Layout, what: str) -> InvalidRequest:
        message = f"some records hold {what} in {layout.namespace_field!r}, so it cannot be read as their namespace"
        return InvalidRequest(message, adapter=NAME)

    async def partitions(
        self, target_n: int, namespaces: Sequence[str] | Mapping[str, int] | None = None
    ) -> list[Partition]:
        """Ranges of ids per namespace."""
        layout = await self._session.readable()
        counts = dict(namespaces) if isinstance(namespaces, Mapping) else await self._counts(layout)
        existing = sorted(name for name, count in counts.items() if count) or [""]
        wanted = existing if namespaces is None else sorted(set(namespaces))
        return await cut(self._session, layout, counts, wanted, target_n)

    async def scan(
        self, partition: Partition, after: Cursor | None = None, *, vectors: bool = True, page_rows: int = 1000
    ) -> AsyncGenerator[Page, None]:
        """Pages in the order of ids."""
        layout = await self._session.readable()
        where = self._session.where(layout, partition.namespace)
        if where is None:
            return
        fields = layout.vectors if vectors else ()
        first, end = (None if key is None else parse_id_key(key) for key in partition.bounds)
        limit = min(page_rows, layout.strict.get("max_query_limit") or page_rows)
        offset, more = place_after(None if after is None else parse_id_key(after), first)
        while more:
            records = await self._session.points.scroll(where, offset, limit, fields)
            inside = len(records.ids)
            while end is not None and inside and order(records.ids[inside - 1]) >= order(end):
                inside -= 1
            if inside:
                last = records.ids[inside - 1]
                batch = _batch(records, layout, partition.namespace, range(inside))
                if len(batch):
                    yield Page(batch, id_key(last))
            offset = records.following
            more = offset is not None and inside == len(records.ids)

    async def fetch(self, ids: Sequence[RecordId], namespace: str, *, vectors: bool = True) -> RecordBatch:
        """In the order asked, each once."""
        layout = await self._session.layout()
        fields = layout.vectors if vectors else ()
        where = self._session.where(layout, namespace)
        if where is None:
            layout = await self._session.layout(fresh=True)
            where = self._session.where(layout, namespace)
        known = [] if where is None else [item for item in dict.fromkeys(ids) if holds_id(item)]
        batches: list[RecordBatch] = []
        for start in range(0, max(1, len(known)), FETCH_IDS):
            part = known[start : start + FETCH_IDS]
            if where is None or not part:
                return _empty(fields, namespace)
            batches.append(await self._fetch(layout, where, part, fields, namespace))
        return RecordBatch.concat(batches)

    async def _fetch(
        self, layout: Layout, where: Where, ids: list[RecordId], fields: Sequence[VectorField], namespace: str
    ) -> RecordBatch:
        records = await self._session.points.retrieve(where, ids, fields)
        rows = {record_id: row for row, record_id in enumerate(records.ids)}
        return _batch(records, layout, namespace, [rows[item] for item in ids if item in rows])

    async def search(self, vector: str, queries: Queries, k: int, namespace: str) -> list[Hits]:
        """By the index that the collection has."""
        layout = await self._session.readable()
        field = layout.vector(vector)
        if field is None:
            message = f"collection {layout.name!r} has no vector field {vector!r}"
            raise InvalidRequest(message, adapter=NAME, operation="search")
        where = self._session.where(layout, namespace)
        if where is None:
            return [Hits([], []) for _ in range(len(queries))]
        limit = min(k, layout.strict.get("max_query_limit") or k)
        size = min(QUERIES, layout.strict.get("search_max_batchsize") or QUERIES)
        found: list[Hits] = []
        for start in range(0, len(queries), size):
            found += await self._session.points.query(where, field, queries[start : start + size], limit)
        return found


def _empty(fields: Sequence[VectorField], namespace: str) -> RecordBatch:
    from vectormigrate.adapters.qdrant.rest_json import columns

    return RecordBatch(namespace, [], columns([], fields), [])


def _batch(records: Records, layout: Layout, namespace: str, rows: Sequence[int]) -> RecordBatch:
    """The rows that belong to the namespace, with our own fields taken out of the payloads.

    The server has filtered already, except for single ids and where the collection was first divided after we looked.
    """
    if not layout.by_shard:
        rows = [row for row in rows if _belongs(records.payloads[row], layout.namespace_field, namespace)]
    metadata = [_stripped(records.payloads[row], layout, namespace) for row in rows]
    columns: Mapping[str, VectorColumn] = records.columns
    if len(rows) < len(records.ids) or rows != range(len(rows)):
        index = np.asarray(rows, np.int64)
        columns = {name: column.take(index) for name, column in columns.items()}
    return RecordBatch(namespace, [records.ids[row] for row in rows], columns, metadata)


def _belongs(payload: Metadata, field: str, namespace: str) -> bool:
    value = payload.get(field)
    if value is None or value == []:
        return not namespace
    if isinstance(value, list) and namespace in value:
        message = f"a record holds several values in {field!r}, so it cannot be read as its namespace"
        raise InvalidRequest(message, adapter=NAME)
    return bool(namespace) and value == namespace


def _stripped(payload: Metadata, layout: Layout, namespace: str) -> Metadata:
    if namespace and not layout.by_shard:
        payload.pop(layout.namespace_field, None)
    if EXACT_FIELD in payload:
        restore(payload)
    return payload
