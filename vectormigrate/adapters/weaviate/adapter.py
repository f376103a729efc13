"""A Weaviate collection as Source and Target."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import numpy as np
from numpy.typing import NDArray

from vectormigrate.adapter import Capabilities, Hits, Reject, SparseQuery
from vectormigrate.adapters.weaviate.dims import find_dims
from vectormigrate.adapters.weaviate.errors import translated
from vectormigrate.adapters.weaviate.reader import Reader
from vectormigrate.adapters.weaviate.references import References
from vectormigrate.adapters.weaviate.schema import schema_of
from vectormigrate.adapters.weaviate.search import search
from vectormigrate.adapters.weaviate.session import Session
from vectormigrate.adapters.weaviate.writer import Writer
from vectormigrate.model.batch import RecordBatch
from vectormigrate.model.ids import RecordId
from vectormigrate.model.position import Cursor, Page, Partition
from vectormigrate.model.schema import CollectionSchema, Json


class WeaviateCollection:
    """Implements Target. Only errors of vectormigrate.errors leave it."""

    def __init__(self, session: Session) -> None:
        self._session = session
        references = References(session)
        self._reader = Reader(session, references)
        self._writer = Writer(session, references)

    @property
    def capabilities(self) -> Capabilities:
        return self._session.capabilities

    async def server(self) -> str:
        return self._session.client.server.label

    async def describe(self) -> CollectionSchema:
        with translated("describe"):
            layout = await self._session.layout(fresh=True)
            dims = await find_dims(self._session)
            unknown = layout.marker.dims is None and None in dims.values()
            empty = unknown and await self._reader.count(None) == 0
            inactive = await self._session.inactive()
            return schema_of(self._session.config.collection, layout, dims, inactive, empty=empty)

    async def namespaces(self) -> list[str]:
        with translated("namespaces"):
            return await self._session.namespaces()

    async def count(self, namespace: str | None = None) -> int:
        with translated("count"):
            return await self._reader.count(namespace)

    async def partitions(self, target_n: int, namespaces: Sequence[str] | None = None) -> list[Partition]:
        with translated("partitions"):
            return await self._reader.partitions(target_n, namespaces)

    async def scan(
        self, partition: Partition, after: Cursor | None = None, *, vectors: bool = True, page_rows: int = 1000
    ) -> AsyncGenerator[Page, None]:
        async with aclosing(self._reader.scan(partition, after, vectors=vectors, page_rows=page_rows)) as pages:
            while True:
                with translated("scan"):
                    page = await anext(pages, None)
                if page is None:
                    return
                yield page

    async def fetch(self, ids: Sequence[RecordId], namespace: str, *, vectors: bool = True) -> RecordBatch:
        with translated("fetch"):
            return await self._reader.fetch(ids, namespace, vectors=vectors)

    async def search(
        self, vector: str, queries: NDArray[np.float32] | Sequence[SparseQuery], k: int, namespace: str
    ) -> list[Hits]:
        with translated("search"):
            return await search(self._session, vector, queries, k, namespace)

    async def create(self, schema: CollectionSchema) -> None:
        with translated("create"):
            await self._writer.create(schema)

    async def set_note(self, note: Json) -> None:
        with translated("set_note"):
            await self._writer.set_note(note)

    async def upsert(self, batch: RecordBatch) -> list[Reject]:
        with translated("upsert"):
            return await self._writer.upsert(batch)

    async def delete(self, ids: Sequence[RecordId], namespace: str) -> None:
        with translated("delete"):
            await self._writer.delete(ids, namespace)

    async def finalize(self) -> None:
        with translated("finalize"):
            await self._writer.finalize()

    async def drop(self) -> None:
        with translated("drop"):
            await self._writer.drop()
