"""A Pinecone index as Source and Target."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

import numpy as np
from numpy.typing import NDArray

from vectormigrate.adapter import Capabilities, Hits, Reject, SparseQuery
from vectormigrate.adapters.pinecone.errors import translated
from vectormigrate.adapters.pinecone.layout import schema_of
from vectormigrate.adapters.pinecone.note import read_note
from vectormigrate.adapters.pinecone.reader import Reader
from vectormigrate.adapters.pinecone.search import search
from vectormigrate.adapters.pinecone.session import Session
from vectormigrate.adapters.pinecone.writer import Writer
from vectormigrate.model.batch import RecordBatch
from vectormigrate.model.ids import RecordId
from vectormigrate.model.position import Cursor, Page, Partition
from vectormigrate.model.schema import CollectionSchema, Json


class PineconeIndex:
    """Implements Target. Only errors of vectormigrate.errors leave it.

    Reads are as strong as the service allows, which is eventually consistent: `finalize`, and `count` and `scan` for
    what this object wrote, wait until queries see the writes; nothing can be waited for in fetch and list themselves.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._reader = Reader(session)
        self._writer = Writer(session, self._reader)

    @property
    def capabilities(self) -> Capabilities:
        return self._session.capabilities

    async def server(self) -> str:
        with translated("server"):
            layout = await self._session.layout()
            where = layout.settings["deployment"]
            place = " ".join(str(where[key]) for key in ("cloud", "region", "environment") if where.get(key))
            return f"Pinecone {layout.kind} index ({place})"

    async def describe(self) -> CollectionSchema:
        with translated("describe"):
            layout = await self._session.layout(fresh=True)
            return schema_of(layout, self._session.config.collection, await read_note(self._session))

    async def namespaces(self) -> list[str]:
        with translated("namespaces"):
            return await self._reader.namespaces()

    async def count(self, namespace: str | None = None) -> int:
        with translated("count"):
            return await self._reader.count(namespace)

    async def partitions(self, target_n: int, namespaces: Sequence[str] | None = None) -> list[Partition]:
        with translated("partitions"):
            return await self._reader.partitions(namespaces)

    async def scan(
        self, partition: Partition, after: Cursor | None = None, *, vectors: bool = True, page_rows: int = 1000
    ) -> AsyncGenerator[Page, None]:
        pages = self._reader.scan(partition, after, vectors=vectors, page_rows=page_rows)
        try:
            while True:
                with translated("scan"):
                    page = await anext(pages, None)
                if page is None:
                    return
                yield page
        finally:
            await pages.aclose()

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
