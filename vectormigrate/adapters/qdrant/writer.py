"""Writing: create, upsert, delete, finalize, drop, note."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import anyio

from vectormigrate.adapter import IndexReport, Reject, unreported
from vectormigrate.adapter.json_floats import protect
from vectormigrate.adapter.polling import Poll
from vectormigrate.adapter.record_checks import check_columns
from vectormigrate.adapters.qdrant import bulk, rejects
from vectormigrate.adapters.qdrant.client_rest import segment
from vectormigrate.adapters.qdrant.config import DEFAULT_SHARD
from vectormigrate.adapters.qdrant.ddl import Creation, creation
from vectormigrate.adapters.qdrant.errors import NAME, HttpError
from vectormigrate.adapters.qdrant.filters import Where
from vectormigrate.adapters.qdrant.ids import holds_id
from vectormigrate.adapters.qdrant.layout import NOTE_KEY, RESTORE_KEY, Layout, ShardKey
from vectormigrate.adapters.qdrant.note import RESERVED
from vectormigrate.adapters.qdrant.reader import Reader
from vectormigrate.adapters.qdrant.session import shard_of
from vectormigrate.errors import AlreadyExists, InvalidRequest, TerminalError, TimedOut
from vectormigrate.figures import duration
from vectormigrate.model.batch import Metadata, RecordBatch
from vectormigrate.model.half_units import as_sent
from vectormigrate.model.ids import RecordId
from vectormigrate.model.schema import CollectionSchema, Json

DELETE_IDS = 1_000
WAIT = {"wait": "true"}


class Writer(Reader):
    """Everything that changes the collection; raises vendor errors, which `classify` turns into ours."""

    async def create(self, schema: CollectionSchema) -> None:
        """Make the collection, its payload indexes and shard keys, or nothing."""
        session = self._session
        name = session.config.collection
        if name == RESERVED:
            raise InvalidRequest(f"the collection name {RESERVED!r} is reserved", adapter=NAME, operation="create")
        made = creation(schema, session.config, session.server)
        if await session.exists():
            raise AlreadyExists(f"collection {name!r} exists", adapter=NAME, operation="create")
        await session.meet()
        await session.rest.call("PUT", session.path, made.body)
        session.forget()
        try:
            await self._complete(made)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self.drop()
            raise

    async def _complete(self, made: Creation) -> None:
        session = self._session
        for key in made.shard_keys:
            await self._make_shard(key)
        for path, field_schema in made.indexes:
            await self._make_index(path, field_schema)
        layout = await session.layout(fresh=True)
        how = session.config.bulk_load
        now, final = bulk.switches(layout, how, made.strict if how != "off" else {})
        if how == "off" and made.strict:
            now["strict_mode_config"] = made.strict
        if made.params:
            now["params"] = made.params
        restore = {RESTORE_KEY: json.dumps(final)} if final else {}
        await session.notes.write({**made.texts, **restore}, now)
        session.forget()

    async def _make_index(self, path: str, field_schema: Any) -> None:
        body = {"field_name": path, "field_schema": field_schema}
        await self._session.rest.call("PUT", f"{self._session.path}/index", body, WAIT)

    async def _make_shard(self, key: ShardKey) -> None:
        try:
            await self._session.rest.call("PUT", f"{self._session.path}/shards", {"shard_key": key})
        except HttpError as error:
            if "already exists" not in error.text:
                raise

    async def make_namespaces(self, namespaces: Sequence[str]) -> None:
        """Shard keys are made one by one, with their first record; other namespaces need nothing."""

    async def set_note(self, note: Json) -> None:
        """Replace the origin note."""
        await self._session.layout(fresh=True)
        await self._session.notes.write({NOTE_KEY: None if note is None else json.dumps(note)})
        self._session.forget()

    async def upsert(self, batch: RecordBatch) -> list[Reject]:
        """Write whole records."""
        layout = await self._session.layout()
        check_columns(batch, layout.vector, NAME)
        refused = rejects.rejects(batch, layout)
        rows = [row for row in {item: row for row, item in enumerate(batch.ids)}.values() if row not in refused]
        if rows:
            layout, where = await self._place(layout, batch.namespace)
            batch = replace(batch, vectors=as_sent(batch.vectors, layout.vector))
            payloads = {row: protect(self._tagged(layout, batch, row)) for row in rows}
            most = int(layout.strict.get("upsert_max_batchsize") or len(rows))
            for start in range(0, len(rows), most):
                part = rows[start : start + most]
                await self._session.points.upsert(where, batch, part, payloads, single=layout.single)
        return list(refused.values())

    def _tagged(self, layout: Layout, batch: RecordBatch, row: int) -> Metadata:
        if not batch.namespace or layout.by_shard:
            return batch.metadata[row]
        return {**batch.metadata[row], layout.namespace_field: batch.namespace}

    async def _place(self, layout: Layout, namespace: str) -> tuple[Layout, Where]:
        """Where records of the namespace go; the first one of its kind needs an index or a shard key."""
        session = self._session
        if layout.by_shard and shard_of(layout, namespace) is None:
            await self._make_shard(namespace or DEFAULT_SHARD)
            layout = await session.layout(fresh=True)
        elif (
            namespace
            and not layout.by_shard
            and layout.namespace_field not in (layout.info.get("payload_schema") or {})
        ):
            await self._make_index(layout.namespace_field, {"type": "keyword", "is_tenant": True})
            layout = await session.layout(fresh=True)
        where = session.where(layout, namespace)
        if where is None:
            raise InvalidRequest(f"namespace {namespace!r} could not be made", adapter=NAME, operation="upsert")
        return layout, where

    async def delete(self, ids: Sequence[RecordId], namespace: str) -> None:
        """Remove these ids from the namespace."""
        layout = await self._session.layout(fresh=True)
        where = self._session.where(layout, namespace)
        wanted = [item for item in dict.fromkeys(ids) if holds_id(item)]
        if where is None:
            return
        size = DELETE_IDS
        if where.namespace is not None:
            size = min(size, layout.strict.get("condition_max_size") or size)
        for start in range(0, len(wanted), size):
            chosen = tuple(wanted[start : start + size])
            await self._session.points.delete(
                Where(field=where.field, namespace=where.namespace, ids=chosen, shard=where.shard)
            )

    async def finalize(self, *, wait: bool = True, report: IndexReport = unreported) -> int:
        """Restore what a bulk load put off, wait until everything is visible, and if `wait`, indexed."""
        session = self._session
        layout = await session.layout(fresh=True)
        restore = layout.texts.get(RESTORE_KEY)
        if restore is not None:
            await session.notes.write({RESTORE_KEY: None}, json.loads(restore), after=True)
        return await self._ready(wait, report)

    async def _ready(self, wait: bool, report: IndexReport) -> int:
        poll = Poll(self._session.config.ready_timeout)
        nudged = False
        while True:
            layout = await self._session.layout(fresh=True)
            status = layout.info["status"]
            queue = layout.info.get("update_queue") or {}
            if status == "red":
                reason = layout.info.get("optimizer_status")
                raise TerminalError(f"collection {layout.name!r} is red: {reason}", adapter=NAME, operation="finalize")
            left = 0 if status == "green" else layout.unindexed
            report(left)
            if not queue.get("length") and not layout.deferred and (not left or not wait):
                return left
            if status == "grey" and not nudged:
                # After a restart the optimisers wait for a change of the settings.
                await self._session.rest.call("PATCH", self._session.path, {"optimizers_config": {}})
                nudged = True
            if not await poll.again():
                seconds = self._session.config.ready_timeout
                message = f"collection {layout.name!r} is still {status} after {duration(seconds)}"
                raise TimedOut(message, adapter=NAME, operation="finalize")

    async def drop(self) -> None:
        """Remove the collection, if it exists."""
        session = self._session
        try:
            await session.rest.call("DELETE", f"/collections/{segment(session.config.collection)}")
        except HttpError as error:
            if error.status != 404:
                raise
        session.forget()
        await session.notes.remove()
