"""A Qdrant Edge collection as Source and Target."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from importlib.metadata import version
from typing import TypeVar

import anyio
from anyio.to_thread import run_sync

from vectormigrate.adapter import Capabilities, Hits, IndexReport, Queries, Reject, unreported
from vectormigrate.adapter.record_checks import check_columns
from vectormigrate.adapters.qdrant.edge import frames
from vectormigrate.adapters.qdrant.edge import schema as shape
from vectormigrate.adapters.qdrant.edge.capabilities import CAPABILITIES
from vectormigrate.adapters.qdrant.edge.config import AUTO_OPTIMIZE_RECORDS, QdrantEdgeConfig
from vectormigrate.adapters.qdrant.edge.decode import decode
from vectormigrate.adapters.qdrant.edge.embedded import Shared
from vectormigrate.adapters.qdrant.edge.encode import encode, encode_queries, field_heads
from vectormigrate.adapters.qdrant.edge.ids import holds_id, next_id, record_id, wire_id
from vectormigrate.adapters.qdrant.edge.rejects import rejects
from vectormigrate.errors import CollectionNotFound, InvalidRequest, Unavailable
from vectormigrate.model.batch import RecordBatch
from vectormigrate.model.ids import RecordId, id_key, parse_id_key
from vectormigrate.model.position import Cursor, Page, Partition
from vectormigrate.model.schema import CollectionSchema, Json, VectorField

FETCH_IDS = 1_000

T = TypeVar("T")


class EdgeCollection:
    """Implements Target. Calls block in threads; the child behind `shared` answers one at a time."""

    def __init__(self, config: QdrantEdgeConfig, shared: Shared) -> None:
        self._config = config
        self._shared = shared
        self._open = True

    @property
    def capabilities(self) -> Capabilities:
        return CAPABILITIES

    def close(self) -> None:
        """Every later call raises Unavailable."""
        self._open = False

    async def _blocking(self, operation: str, call: Callable[[], T]) -> T:
        """Run in a thread. A cancelled caller waits until the child has answered, so that frames stay in step."""
        if not self._open:
            message = f"collection {self._config.collection!r} is closed"
            raise Unavailable(message, adapter="qdrant_edge", operation=operation)
        return await run_sync(call)

    def _schema(self, operation: str) -> CollectionSchema:
        entry = self._shared.entry
        description = entry.read()
        if description is None:
            message = f"no collection {entry.name!r} in {str(entry.root)!r}"
            raise CollectionNotFound(message, adapter="qdrant_edge", operation=operation)
        return shape.read_schema(entry.name, description, entry.engine_config())

    def _fields(self, operation: str, vectors: bool) -> tuple[VectorField, ...]:
        return self._schema(operation).vectors if vectors else ()

    async def server(self) -> str:
        return await self._blocking("server", lambda: f"qdrant-edge-py {version('qdrant-edge-py')}")

    async def describe(self) -> CollectionSchema:
        return await self._blocking("describe", lambda: self._schema("describe"))

    async def create(self, schema: CollectionSchema) -> None:
        def call() -> None:
            config, indexes = shape.engine_config(schema), shape.payload_indexes(schema)
            self._shared.create(config, indexes, shape.description(schema))

        await self._blocking("create", call)

    async def make_namespaces(self, namespaces: Sequence[str]) -> None:
        """Nothing: a namespace is a value in its records."""

    async def set_note(self, note: Json) -> None:
        def call() -> None:
            self._schema("set_note")
            entry = self._shared.entry
            entry.write({**(entry.read() or {}), "note": note})

        await self._blocking("set_note", call)

    async def drop(self) -> None:
        await self._blocking("drop", self._shared.drop)

    async def finalize(self, *, wait: bool = True, report: IndexReport = unreported) -> int:
        # The engine builds nothing by itself, so there is nothing that could go on without us.
        answer, _ = await self._blocking("finalize", lambda: self._shared.exchange({"op": "flush"}))
        wanted = self._config.optimize
        if wanted is None:
            wanted = answer["count"] >= AUTO_OPTIMIZE_RECORDS and shape.wants_graph(await self.describe())
        if not wanted:
            return 0
        report(answer["count"])
        try:
            # Minutes of work: a cancelled caller leaves at once and ends the child, which loses nothing.
            await run_sync(lambda: self._shared.exchange({"op": "optimize"}), abandon_on_cancel=True)
        except anyio.get_cancelled_exc_class():
            self._shared.kill()
            raise
        return 0

    async def namespaces(self) -> list[str]:
        answer, _ = await self._blocking("namespaces", lambda: self._shared.exchange({"op": "namespaces"}))
        return sorted(name for name, count in answer["counts"].items() if count) or [""]

    async def count(self, namespace: str | None = None) -> int:
        request = {"op": "count", "namespace": namespace}
        answer, _ = await self._blocking("count", lambda: self._shared.exchange(request))
        return answer["count"]

    async def counts(self, namespaces: Sequence[str]) -> dict[str, int]:
        answer, _ = await self._blocking("count", lambda: self._shared.exchange({"op": "namespaces"}))
        return {name: answer["counts"].get(name, 0) for name in namespaces}

    async def partitions(
        self, target_n: int, namespaces: Sequence[str] | Mapping[str, int] | None = None
    ) -> list[Partition]:
        def call() -> list[Partition]:
            counts: dict[str, int] = self._shared.exchange({"op": "namespaces"})[0]["counts"]
            existing = sorted(name for name, count in counts.items() if count) or [""]
            wanted = existing if namespaces is None else sorted(set(namespaces))
            total = sum(counts.get(name, 0) for name in wanted) or 1
            found: list[Partition] = []
            for name in wanted:
                rows = counts.get(name, 0)
                found.extend(self._split(name, rows, max(1, target_n * rows // total)))
            return found

        return await self._blocking("partitions", call)

    def _split(self, namespace: str, rows: int, parts: int) -> list[Partition]:
        """Partitions cut at ids that exist now; bounds are `[first, end)`, None is open."""
        ids: list[int | str] = []
        if parts > 1:
            ids = self._shared.exchange({"op": "sample", "namespace": namespace, "rows": rows})[0]["ids"]
        parts = max(1, min(parts, len(ids)))
        cuts = [id_key(record_id(ids[len(ids) * part // parts])) for part in range(1, parts)]
        bounds = [None, *cuts, None]
        return [
            Partition(
                id=f"{namespace}/{part}",
                namespace=namespace,
                bounds=[bounds[part], bounds[part + 1]],
                rows=rows * (part + 1) // parts - rows * part // parts,
            )
            for part in range(parts)
        ]

    async def scan(
        self, partition: Partition, after: Cursor | None = None, *, vectors: bool = True, page_rows: int = 1000
    ) -> AsyncGenerator[Page, None]:
        fields = await self._blocking("scan", lambda: self._fields("scan", vectors))
        first, end = (None if key is None else wire_id(parse_id_key(key)) for key in partition.bounds)
        last = None if after is None else parse_id_key(after)
        while True:
            offset: int | str | None = first
            if last is not None:
                following = next_id(last)
                if following is None:
                    return
                offset = wire_id(following)
            request = {
                "op": "scroll",
                "namespace": partition.namespace,
                "offset": offset,
                "end": end,
                "limit": page_rows,
                "fields": field_heads(fields),
            }
            batch = await self._blocking("scan", lambda request=request: self._read(request, fields))
            if not batch.ids:
                return
            last = batch.ids[-1]
            yield Page(batch, id_key(last))
            if len(batch) < page_rows and end is not None:
                return

    def _read(self, request: frames.Head, fields: Sequence[VectorField]) -> RecordBatch:
        head, buffers = self._shared.exchange(request)
        return decode(head, buffers, request["namespace"], fields)

    async def fetch(self, ids: Sequence[RecordId], namespace: str, *, vectors: bool = True) -> RecordBatch:
        known = [wire_id(item) for item in dict.fromkeys(ids) if holds_id(item)]
        fields = await self._blocking("fetch", lambda: self._fields("fetch", vectors))
        heads = field_heads(fields)
        batches: list[RecordBatch] = []
        for start in range(0, max(1, len(known)), FETCH_IDS):
            part = known[start : start + FETCH_IDS]
            request = {"op": "fetch", "namespace": namespace, "ids": part, "fields": heads}
            batches.append(await self._blocking("fetch", lambda request=request: self._read(request, fields)))
        return RecordBatch.concat(batches)

    async def search(self, vector: str, queries: Queries, k: int, namespace: str) -> list[Hits]:
        item = (await self.describe()).vector(vector)
        if item is None:
            raise InvalidRequest(f"no vector field {vector!r}", adapter="qdrant_edge", operation="search")
        count, buffers = encode_queries(queries)
        field = field_heads([item])[0]
        request = {"op": "search", "namespace": namespace, "field": field, "k": k, "count": count}
        answer, _ = await self._blocking("search", lambda: self._shared.exchange(request, buffers))
        return [Hits([record_id(item) for item in ids], scores) for ids, scores in answer["hits"]]

    async def upsert(self, batch: RecordBatch) -> list[Reject]:
        return await self._blocking("upsert", lambda: self._upsert(batch))

    def _upsert(self, batch: RecordBatch) -> list[Reject]:
        fields = self._schema("upsert")
        check_columns(batch, fields.vector, "qdrant_edge")
        refused = rejects(batch, fields)
        good = batch
        if refused:
            good = batch.take([row for row in range(len(batch)) if row not in refused])
        if len(good):
            self._shared.exchange(*encode(good, fields))
        return list(refused.values())

    async def delete(self, ids: Sequence[RecordId], namespace: str) -> None:
        known = [wire_id(item) for item in ids if holds_id(item)]
        request = {"op": "delete", "namespace": namespace, "ids": known}
        await self._blocking("delete", lambda: self._shared.exchange(request))
