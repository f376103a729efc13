"""Writing: create, upsert, delete, finalize, drop, note."""

from __future__ import annotations

from collections.abc import Sequence

import anyio

from vectormigrate.adapter import IndexReport, Reject, unreported
from vectormigrate.adapter.polling import Poll
from vectormigrate.adapters.milvus import filters
from vectormigrate.adapters.milvus.ddl import creation
from vectormigrate.adapters.milvus.encode import Encoded, encode
from vectormigrate.adapters.milvus.errors import NAME, StatusError
from vectormigrate.adapters.milvus.indexes import pairs
from vectormigrate.adapters.milvus.layout import Layout
from vectormigrate.adapters.milvus.proto import cp, pb
from vectormigrate.adapters.milvus.reader import Reader, id_chunks
from vectormigrate.adapters.milvus.schema import NOTE, note_text
from vectormigrate.errors import AlreadyExists, InvalidRequest, TimedOut
from vectormigrate.figures import duration
from vectormigrate.model.batch import RecordBatch
from vectormigrate.model.ids import RecordId, kind_fits
from vectormigrate.model.schema import CollectionSchema, Json

DELETE_IDS = 5_000
RATE_LIMIT = 8
PARTITION_NOT_FOUND = 200


class Writer(Reader):
    """Everything that changes the collection; raises vendor errors, which `classify` turns into ours."""

    async def create(self, schema: CollectionSchema) -> None:
        """Create the collection and its indexes, or nothing.

        The indexes are made on the empty collection, because the metric is kept nowhere else.
        """
        name = self._session.config.collection
        wanted = creation(name, schema, self._session.server, self._session.capabilities)
        if await self._session.exists():
            raise AlreadyExists(f"collection {name!r} exists", adapter=NAME, operation="create")
        self._session.forget()
        client = self._session.client
        await client.call(wanted.collection, cp.Status)
        self._session.keep_loaded()
        try:
            for index in wanted.indexes:
                await client.call(index, cp.Status)
            for namespace in schema.namespaces:
                partition = self._session.partition_name(namespace)
                if partition is not None and not (await self._session.layout()).partition_key:
                    await self._session.make_partition(partition)
            if self._session.server.lite:
                await self._session.load()
        except BaseException:
            with anyio.CancelScope(shield=True):
                await client.call(pb.DropCollectionRequest(collection_name=name), cp.Status)
            self._session.forget()
            raise

    async def make_namespaces(self, namespaces: Sequence[str]) -> None:
        """Partitions are made one by one, with their first record."""

    async def set_note(self, note: Json) -> None:
        """Replace the origin note."""
        layout = await self._session.layout(fresh=True)
        request = pb.AlterCollectionRequest(collection_name=layout.name, properties=pairs({NOTE: note_text(note)}))
        await self._session.client.call(request, cp.Status)

    async def upsert(self, batch: RecordBatch) -> list[Reject]:
        """Write whole records."""
        layout = await self._session.layout()
        self._check_auto_id(layout)
        if not len(batch):
            return []
        partition = self._session.partition_name(batch.namespace)
        if partition is None or (layout.partition_key and batch.namespace):
            return _refused_namespace(batch, layout)
        server = self._session.server
        encoded = encode(batch, layout, lite=server.lite, objects_only=not server.lite and server.version < (2, 4))
        if encoded.count:
            if layout.partition_key:
                partition = ""
            else:
                await self._session.make_partition(partition)
            await self._send(layout, partition, encoded)
        return encoded.rejects

    async def _send(self, layout: Layout, partition: str, encoded: Encoded) -> None:
        # Lite's upsert keeps what the new record lacks; its insert replaces by id.
        kind = pb.InsertRequest if self._session.server.lite else pb.UpsertRequest
        request = kind(
            collection_name=layout.name,
            partition_name=partition,
            fields_data=encoded.fields,
            num_rows=encoded.count,
        )
        self._session.keep_loaded()
        poll = Poll(self._session.config.ready_timeout)
        while True:
            try:
                await self._session.client.call(request, pb.MutationResult)
            except StatusError as error:
                # A partition that another client is just making is listed a moment before it can be written to.
                made = error.code == PARTITION_NOT_FOUND and partition in await self._session.partitions()
                if not made or not await poll.again():
                    raise
            else:
                return

    def _check_auto_id(self, layout: Layout) -> None:
        """Servers refuse ids for such a collection, or (2.6 and later, where `allow_insert_auto_id` is set) take them
        in an insert but give the records of an upsert new ones, so that a repeated write would double them."""
        if layout.auto_id and not self._session.server.lite:
            message = (
                f"collection {layout.name!r} makes its own ids (autoID), so records cannot keep theirs; "
                "let vectormigrate create the collection (it is made without autoID), or make one yourself without"
            )
            raise InvalidRequest(message, adapter=NAME, operation="write")

    async def delete(self, ids: Sequence[RecordId], namespace: str) -> None:
        """Remove these ids from the namespace."""
        layout = await self._session.layout()
        partition = await self._session.partition(namespace)
        wanted = list(dict.fromkeys(item for item in ids if kind_fits(layout.id_kind, item)))
        if partition is None or not wanted:
            return
        self._session.keep_loaded()
        if self._session.server.lite and not layout.partition_key:
            # Lite deletes in every partition, so only what is in this one may be named.
            wanted = (await self.fetch(wanted, namespace, vectors=False)).ids
        for part in id_chunks(wanted, DELETE_IDS):
            for where in filters.among(layout.pk.name, part):
                if " in [" not in where:
                    await self._session.readable()
                request = pb.DeleteRequest(collection_name=layout.name, partition_name=partition, expr=where)
                await self._session.client.call(request, pb.MutationResult)

    async def finalize(self, *, wait: bool = True, report: IndexReport = unreported) -> int:
        """Seal what was written, load, and if `wait`, wait for the indexes before. A flush refused for its rate is left
        out: it only makes the index complete earlier."""
        layout = await self._session.layout(fresh=True)
        client = self._session.client
        try:
            await client.call(pb.FlushRequest(collection_names=[layout.name]), pb.FlushResponse)
        except StatusError as error:
            if error.code != RATE_LIMIT:
                raise
        left = await self._indexed(layout, wait, report)
        self._session.keep_loaded()
        await self._session.readable(again=True)
        self._session.keep_loaded()
        await self.count()
        return left

    async def _indexed(self, layout: Layout, wait: bool, report: IndexReport) -> int:
        """How many rows an index is being built of; none, if `wait`. Raises InvalidRequest when one failed."""
        busy = (cp.IndexState.Unissued, cp.IndexState.InProgress, cp.IndexState.Retry)
        poll = Poll(self._session.config.ready_timeout)
        while True:
            indexes = await self._session.indexes()
            failed = next((item for item in indexes if item.state == cp.IndexState.Failed), None)
            if failed is not None:
                message = f"the index on {failed.field_name!r} failed: {failed.index_state_fail_reason}"
                raise InvalidRequest(message, adapter=NAME, operation="finalize")
            left = sum(max(1, item.total_rows - item.indexed_rows) for item in indexes if item.state in busy)
            report(left)
            if not left or not wait:
                return left
            if not await poll.again():
                waited = duration(self._session.config.ready_timeout)
                message = f"the indexes of {layout.name!r} were not built within {waited}"
                raise TimedOut(message, adapter=NAME, operation="finalize")

    async def drop(self) -> None:
        """Remove the collection, if it exists."""
        request = pb.DropCollectionRequest(collection_name=self._session.config.collection)
        try:
            await self._session.client.call(request, cp.Status)
        except StatusError as error:
            if error.code != 100:
                raise
        self._session.forget()


def _refused_namespace(batch: RecordBatch, layout: Layout) -> list[Reject]:
    reason = "a partition is named by letters, digits and _"
    if layout.partition_key:
        reason = "the collection is divided by its partition key, not by namespaces"
    return [Reject(record_id, batch.namespace, "namespace", reason) for record_id in batch.ids]
