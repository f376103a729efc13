"""A collection on a Qdrant server as Source and Target."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectormigrate.adapter import Capabilities, Hits, Reject, SparseQuery
from vectormigrate.adapters.qdrant.errors import HttpError, translated
from vectormigrate.adapters.qdrant.reader import Reader
from vectormigrate.adapters.qdrant.schema import schema_of
from vectormigrate.adapters.qdrant.session import Session
from vectormigrate.adapters.qdrant.writer import Writer
from vectormigrate.model.batch import RecordBatch
from vectormigrate.model.ids import RecordId
from vectormigrate.model.position import Cursor, Page, Partition
from vectormigrate.model.schema import CollectionSchema, Json


class QdrantCollection:
    """Implements Target. Only errors of vectormigrate.errors leave it."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._reader = Reader(session)
        self._writer = Writer(session)

    @property
    def capabilities(self) -> Capabilities:
        return self._session.capabilities

    async def server(self) -> str:
        return self._session.server.label

    async def describe(self) -> CollectionSchema:
        with translated("describe"):
            layout = await self._session.layout(fresh=True)
            return schema_of(layout, await self._aliases(), everything=self._session.config.settings == "all")

    async def _aliases(self) -> list[str]:
        try:
            found: dict[str, Any] = await self._session.rest.call("GET", f"{self._session.path}/aliases")
        except HttpError as error:
            # The key may lack the right, or the name be an alias itself: they are only reported.
            if error.status not in (403, 404):
                raise
            return []
        return [item["alias_name"] for item in found["aliases"]]

    async def namespaces(self) -> list[str]:
        with translated("namespaces"):
            return await self._reader.namespaces()

    async def count(self, namespace: str | None = None) -> int:
        with translated("count"):
            return await self._reader.count(namespace)

    async def partitions(self, target_n: int, namespaces: Sequence[str] | None = None) -> list[Partition]:
        with translated("partitions"):
            return await self._reader.partitions(target_n, namespaces)

    async def scan(
        self, partition: Partition, after: Cursor | None = None, *, vectors: bool = True, page_rows: int = 1000
    ) -> AsyncGenerator[Page, None]:
        pages = self._reader.scan(partition, after, vectors=vectors, page_rows=page_rows)
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
            return await self._reader.search(vector, queries, k, namespace)

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
