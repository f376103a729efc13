"""A memory collection as Source and Target."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace

from anyio.lowlevel import checkpoint

from vectormigrate.adapter import Capabilities, Hits, IndexReport, Queries, Reject, unreported
from vectormigrate.adapters.memory import limits as limit
from vectormigrate.adapters.memory.config import MemoryConfig
from vectormigrate.adapters.memory.search import search
from vectormigrate.adapters.memory.store import Collection, OrderKey, Rows, join, order_key, split, store
from vectormigrate.errors import AlreadyExists, CollectionNotFound, InvalidRequest, Unavailable
from vectormigrate.model.batch import RecordBatch
from vectormigrate.model.ids import RecordId, id_key, parse_id_key
from vectormigrate.model.position import Cursor, Page, Partition
from vectormigrate.model.schema import CollectionSchema, Json


class MemoryCollection:
    """Implements Target. Every call gives the event loop a turn, as a real database would."""

    def __init__(self, config: MemoryConfig) -> None:
        self._name = config.collection
        self._store = store(config.store)
        self._limits = config.limits()
        self._open = True

    @property
    def capabilities(self) -> Capabilities:
        return self._limits

    def close(self) -> None:
        """Every later call raises Unavailable."""
        self._open = False

    async def _enter(self, operation: str) -> Collection:
        collection = await self._find(operation)
        if collection is None:
            raise CollectionNotFound(f"no collection {self._name!r}", adapter="memory", operation=operation)
        return collection

    async def _find(self, operation: str) -> Collection | None:
        if not self._open:
            raise Unavailable(f"collection {self._name!r} is closed", adapter="memory", operation=operation)
        await checkpoint()
        return self._store.get(self._name)

    async def server(self) -> str:
        await self._find("server")
        return "memory"

    async def create(self, schema: CollectionSchema) -> None:
        if await self._find("create") is not None:
            raise AlreadyExists(f"collection {self._name!r} exists", adapter="memory", operation="create")
        limit.check_schema(schema, self._name, self._limits)
        note = schema.note if self._limits.collection.keeps_note else None
        self._store[self._name] = Collection(replace(schema, name=self._name, note=note))

    async def describe(self) -> CollectionSchema:
        return (await self._enter("describe")).schema

    async def make_namespaces(self, namespaces: Sequence[str]) -> None:
        await self._enter("make_namespaces")

    async def set_note(self, note: Json) -> None:
        collection = await self._enter("set_note")
        collection.schema = replace(collection.schema, note=note)

    async def drop(self) -> None:
        if await self._find("drop") is not None:
            del self._store[self._name]

    async def finalize(self, *, wait: bool = True, report: IndexReport = unreported) -> int:
        await self._enter("finalize")
        return 0

    async def namespaces(self) -> list[str]:
        return sorted((await self._enter("namespaces")).namespaces) or [""]

    async def count(self, namespace: str | None = None) -> int:
        found = (await self._enter("count")).namespaces
        return sum(len(rows.by_key) for name, rows in found.items() if namespace in (None, name))

    async def counts(self, namespaces: Sequence[str]) -> dict[str, int]:
        return {name: await self.count(name) for name in namespaces}

    async def partitions(
        self, target_n: int, namespaces: Sequence[str] | Mapping[str, int] | None = None
    ) -> list[Partition]:
        collection = await self._enter("partitions")
        wanted = await self.namespaces() if namespaces is None else sorted(set(namespaces))
        rows = {name: collection.namespaces.get(name, Rows()) for name in wanted}
        total = sum(len(item.by_key) for item in rows.values()) or 1
        shares = {name: target_n * len(item.by_key) // total for name, item in rows.items()}
        return [part for name, item in rows.items() for part in _split_rows(name, item, shares[name])]

    async def scan(
        self, partition: Partition, after: Cursor | None = None, *, vectors: bool = True, page_rows: int = 1000
    ) -> AsyncGenerator[Page, None]:
        first, end = (None if key is None else order_key(parse_id_key(key)) for key in partition.bounds)
        last: OrderKey | None = None if after is None else order_key(parse_id_key(after))
        while True:
            collection = await self._enter("scan")
            rows = collection.namespaces.get(partition.namespace, Rows()).slice(last, first, end, page_rows)
            if not rows:
                return
            last = order_key(rows[-1].id)
            fields = collection.schema.vectors if vectors else ()
            yield Page(join(rows, partition.namespace, fields), id_key(rows[-1].id))

    async def fetch(self, ids: Sequence[RecordId], namespace: str, *, vectors: bool = True) -> RecordBatch:
        collection = await self._enter("fetch")
        found = collection.namespaces.get(namespace, Rows()).by_key
        rows = [found[key] for record_id in ids if (key := order_key(record_id)) in found]
        return join(rows, namespace, collection.schema.vectors if vectors else ())

    async def search(self, vector: str, queries: Queries, k: int, namespace: str) -> list[Hits]:
        collection = await self._enter("search")
        item = collection.schema.vector(vector)
        if item is None:
            raise InvalidRequest(f"no vector field {vector!r}", adapter="memory", operation="search")
        rows = collection.namespaces.get(namespace, Rows())
        return search([rows.by_key[key] for key in rows.keys()], item, queries, k)  # noqa: SIM118

    async def upsert(self, batch: RecordBatch) -> list[Reject]:
        collection = await self._enter("upsert")
        limit.check_batch(batch, collection.schema, self._limits)
        most = self._limits.namespaces.max_count
        room = most is None or batch.namespace in collection.namespaces or len(collection.namespaces) < most
        refused = limit.rejects(batch, collection.schema, self._limits, room)
        rows = [row for row in range(len(batch)) if row not in refused]
        for row in split(self._stored_form(batch, collection.schema), rows):
            collection.put(batch.namespace, row, ids_per_namespace=self._limits.ids.per_namespace)
        return list(refused.values())

    def _stored_form(self, batch: RecordBatch, schema: CollectionSchema) -> RecordBatch:
        if not self._limits.vectors.normalises_cosine:
            return batch
        fields = {item.name: item for item in schema.vectors}
        columns = {name: limit.normalised(column, fields[name]) for name, column in batch.vectors.items()}
        return replace(batch, vectors=columns)

    async def delete(self, ids: Sequence[RecordId], namespace: str) -> None:
        collection = await self._enter("delete")
        for record_id in ids:
            collection.remove(namespace, record_id)


def _split_rows(namespace: str, rows: Rows, parts: int) -> list[Partition]:
    """Partitions of about equal size, cut at ids that exist now; bounds are `[first, end)`, None is open."""
    keys = rows.keys()
    parts = max(1, min(parts, len(keys)))
    cuts = [id_key(rows.by_key[keys[len(keys) * part // parts]].id) for part in range(1, parts)]
    bounds = [None, *cuts, None]
    return [
        Partition(
            id=f"{namespace}/{part}",
            namespace=namespace,
            bounds=[bounds[part], bounds[part + 1]],
            rows=len(keys) * (part + 1) // parts - len(keys) * part // parts,
        )
        for part in range(parts)
    ]
