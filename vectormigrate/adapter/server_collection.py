"""A collection on a server as Source and Target: what the adapters of servers do alike.

An adapter has a reader and a writer, which raise what its vendor's library raises. Here every call goes to one of them,
and what they raise becomes an error of vectormigrate.errors, by the adapter's exception table.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, aclosing
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vectormigrate.adapter import Capabilities, Hits, IndexReport, Reject, SparseQuery, unreported
from vectormigrate.model.batch import RecordBatch
from vectormigrate.model.ids import RecordId
from vectormigrate.model.position import Cursor, Page, Partition
from vectormigrate.model.schema import CollectionSchema, Json

Queries = NDArray[np.float32] | Sequence[SparseQuery]


class Reader(Protocol):
    """The reading calls of Source; see there."""

    async def namespaces(self) -> list[str]: ...

    async def count(self, namespace: str | None) -> int: ...

    async def counts(self, namespaces: Sequence[str]) -> dict[str, int]: ...

    async def partitions(
        self, target_n: int, namespaces: Sequence[str] | Mapping[str, int] | None
    ) -> list[Partition]: ...

    def scan(
        self, partition: Partition, after: Cursor | None, *, vectors: bool, page_rows: int
    ) -> AsyncGenerator[Page, None]: ...

    async def fetch(self, ids: Sequence[RecordId], namespace: str, *, vectors: bool) -> RecordBatch: ...

    async def search(self, vector: str, queries: Queries, k: int, namespace: str) -> list[Hits]: ...


class Writer(Protocol):
    """The writing calls of Target; see there."""

    async def create(self, schema: CollectionSchema) -> None: ...

    async def make_namespaces(self, namespaces: Sequence[str]) -> None: ...

    async def set_note(self, note: Json) -> None: ...

    async def upsert(self, batch: RecordBatch) -> list[Reject]: ...

    async def delete(self, ids: Sequence[RecordId], namespace: str) -> None: ...

    async def finalize(self, *, wait: bool = True, report: IndexReport = unreported) -> int: ...

    async def drop(self) -> None: ...


class ServerCollection(ABC):
    """Implements Target. Only errors of vectormigrate.errors leave it."""

    def __init__(
        self, reader: Reader, writer: Writer, translated: Callable[[str], AbstractContextManager[None]]
    ) -> None:
        """`translated`: vendor_errors.translator of the adapter's table."""
        self._reader = reader
        self._writer = writer
        self._translated = translated

    @property
    @abstractmethod
    def capabilities(self) -> Capabilities: ...

    @abstractmethod
    async def _server(self) -> str: ...

    @abstractmethod
    async def _describe(self) -> CollectionSchema: ...

    async def server(self) -> str:
        with self._translated("server"):
            return await self._server()

    async def describe(self) -> CollectionSchema:
        with self._translated("describe"):
            return await self._describe()

    async def namespaces(self) -> list[str]:
        with self._translated("namespaces"):
            return await self._reader.namespaces()

    async def count(self, namespace: str | None = None) -> int:
        with self._translated("count"):
            return await self._reader.count(namespace)

    async def counts(self, namespaces: Sequence[str]) -> dict[str, int]:
        with self._translated("count"):
            return await self._reader.counts(namespaces)

    async def partitions(
        self, target_n: int, namespaces: Sequence[str] | Mapping[str, int] | None = None
    ) -> list[Partition]:
        with self._translated("partitions"):
            return await self._reader.partitions(target_n, namespaces)

    async def scan(
        self, partition: Partition, after: Cursor | None = None, *, vectors: bool = True, page_rows: int = 1000
    ) -> AsyncGenerator[Page, None]:
        async with aclosing(self._reader.scan(partition, after, vectors=vectors, page_rows=page_rows)) as pages:
            while True:
                # Around the reading alone: what the user of a page raises is not the database's.
                with self._translated("scan"):
                    page = await anext(pages, None)
                if page is None:
                    return
                yield page

    async def fetch(self, ids: Sequence[RecordId], namespace: str, *, vectors: bool = True) -> RecordBatch:
        with self._translated("fetch"):
            return await self._reader.fetch(ids, namespace, vectors=vectors)

    async def search(self, vector: str, queries: Queries, k: int, namespace: str) -> list[Hits]:
        with self._translated("search"):
            return await self._reader.search(vector, queries, k, namespace)

    async def create(self, schema: CollectionSchema) -> None:
        with self._translated("create"):
            await self._writer.create(schema)

    async def make_namespaces(self, namespaces: Sequence[str]) -> None:
        with self._translated("make_namespaces"):
            await self._writer.make_namespaces(namespaces)

    async def set_note(self, note: Json) -> None:
        with self._translated("set_note"):
            await self._writer.set_note(note)

    async def upsert(self, batch: RecordBatch) -> list[Reject]:
        with self._translated("upsert"):
            return await self._writer.upsert(batch)

    async def delete(self, ids: Sequence[RecordId], namespace: str) -> None:
        with self._translated("delete"):
            await self._writer.delete(ids, namespace)

    async def finalize(self, *, wait: bool = True, report: IndexReport = unreported) -> int:
        with self._translated("finalize"):
            return await self._writer.finalize(wait=wait, report=report)

    async def drop(self) -> None:
        with self._translated("drop"):
            await self._writer.drop()
