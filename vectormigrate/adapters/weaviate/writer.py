"""Writing: create, upsert, delete, finalize, drop, note."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import anyio
import numpy as np

from vectormigrate.adapter import IndexReport, Reject, unreported
from vectormigrate.adapter.polling import Poll
from vectormigrate.adapters.weaviate.capabilities import TENANT_NAME
from vectormigrate.adapters.weaviate.client import class_path
from vectormigrate.adapters.weaviate.ddl import Creation, creation, referenced
from vectormigrate.adapters.weaviate.dims import find_dims, known_dims
from vectormigrate.adapters.weaviate.encode import Encoded, encode
from vectormigrate.adapters.weaviate.errors import NAME, RestError, TextError, meaning
from vectormigrate.adapters.weaviate.filters import ids_filter
from vectormigrate.adapters.weaviate.identity import Identity
from vectormigrate.adapters.weaviate.layout import Layout
from vectormigrate.adapters.weaviate.note import Marker, joined
from vectormigrate.adapters.weaviate.proto import batch as pb
from vectormigrate.adapters.weaviate.proto import removal
from vectormigrate.adapters.weaviate.reader import Reader
from vectormigrate.adapters.weaviate.references import References
from vectormigrate.adapters.weaviate.session import TENANTS_PER_CALL, Session
from vectormigrate.errors import AlreadyExists, TimedOut
from vectormigrate.figures import counted, duration, plural
from vectormigrate.model.batch import DenseColumn, MultiColumn, RecordBatch
from vectormigrate.model.ids import RecordId
from vectormigrate.model.schema import CollectionSchema, Json

DELETE_IDS = 1_000
CHANGE_SECONDS = 5.0
HEADROOM = 64 * 1024
"""Left free in a message for what the protocol adds."""


class Writer(Reader):
    """Everything that changes the collection; raises vendor errors, which `classify` turns into ours."""

    def __init__(self, session: Session, references: References) -> None:
        super().__init__(session, references)
        self._dims_lock = anyio.Lock()

    async def create(self, schema: CollectionSchema) -> None:
        """Create the class, or nothing."""
        name = self._session.config.collection
        rest = self._session.client.rest
        classes = [item for item in referenced(schema) if await self._class_exists(item)]
        wanted = creation(name, schema, self._session.capabilities, classes)
        if await self._session.find() is not None:
            raise AlreadyExists(f"collection {name!r} exists", adapter=NAME, operation="create")
        self._session.forget()
        identity = self._session.identity
        await identity.fresh(name)
        await self._references.pending.drop()
        try:
            # The note comes with the last step, so that a half-made class is not taken for a finished one.
            last = wanted.body["description"]
            steps = bool(wanted.added or schema.namespaces)
            first = {**wanted.body, "description": ""} if steps else wanted.body
            made = await rest("POST", "/schema", first)
            if steps:
                await self._complete(made, wanted, last, schema.namespaces)
            await self._seen(identity, str(made["class"]))
        except RestError as error:
            if error.status == 422 and re.search(r"class (name \S+ )?already exists", error.text):
                raise AlreadyExists(f"{error.text}", adapter=NAME, operation="create") from error
            raise

    async def _seen(self, identity: Identity, name: str) -> None:
        """The new class must be there over gRPC too, else it goes again."""
        try:
            await identity.made(name)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._session.client.rest("DELETE", class_path(name))
            raise

    async def _complete(self, made: dict[str, Any], wanted: Creation, description: str, tenants: Sequence[str]) -> None:
        """Tenants without objects, and named vectors beside a legacy one."""
        path = class_path(str(made["class"]))
        try:
            for start in range(0, len(tenants), TENANTS_PER_CALL):
                part = [{"name": name} for name in tenants[start : start + TENANTS_PER_CALL]]
                await self._session.client.rest("POST", class_path(str(made["class"]), "tenants"), part)
            added = {"vectorConfig": wanted.added} if wanted.added else {}
            body = {**made, **added, "description": description}
            await self._session.client.rest("PUT", path, body)
            await self._changed(await self._session.layout(fresh=True))
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._session.client.rest("DELETE", path)
            raise

    async def _class_exists(self, name: str) -> bool:
        try:
            await self._session.client.rest("GET", class_path(name))
        except RestError as error:
            if error.status != 404:
                raise
            return False
        return True

    async def set_note(self, note: Json) -> None:
        """Replace the origin note."""
        layout = await self._session.layout(fresh=True)
        await self._set_marker(layout, replace(layout.marker, note=note))

    async def _set_marker(self, layout: Layout, marker: Marker) -> None:
        body = {**layout.raw, "description": joined(layout.description, marker)}
        await self._session.client.rest("PUT", class_path(layout.name), body)
        await self._changed(await self._session.layout(fresh=True))

    async def make_namespaces(self, namespaces: Sequence[str]) -> None:
        """Make these tenants unless they exist."""
        layout = await self._session.to_write()
        if layout.divided:
            await self._session.own(layout)
            await self._session.make(namespaces)

    async def upsert(self, batch: RecordBatch) -> list[Reject]:
        """Write whole records, then their references."""
        layout = await self._session.to_write()
        if not len(batch):
            return []
        wrong = _wrong_namespace(batch.namespace, layout)
        if wrong is not None:
            return [Reject(record_id, batch.namespace, "namespace", wrong) for record_id in batch.ids]
        encoded = encode(batch, layout, await self._fixed_dims(layout, batch))
        if encoded.objects:
            await self._session.own(layout)
            if batch.namespace:
                if not await self._session.has(batch.namespace):
                    await self._session.create([batch.namespace])
                self._session.kept_on([batch.namespace])
            owners = [UUID(item.uuid) for item in encoded.objects]
            await self._references.forget(layout, batch.namespace, owners)
            refused = await self._send(encoded)
            encoded.rejects += [
                Reject(batch.ids[encoded.rows[index]], batch.namespace, "refused", reason)
                for index, reason in refused.items()
            ]
            linked = [
                (owner, links)
                for index, (owner, links) in enumerate(zip(owners, encoded.links, strict=True))
                if links and index not in refused
            ]
            await self._references.write(layout, batch.namespace, linked)
        return encoded.rejects

    async def _fixed_dims(self, layout: Layout, batch: RecordBatch) -> Mapping[str, int | None]:
        """The dimensions that records must have. The first record ever written decides where nothing else did."""
        dims = await known_dims(self._session)
        if any(dims[name] is None for name in batch.vectors if name in dims):
            async with self._dims_lock:
                dims = await find_dims(self._session)
                for name, column in batch.vectors.items():
                    filled = column.valid is None or bool(np.any(column.valid))
                    if dims.get(name, 0) is None and filled and isinstance(column, DenseColumn | MultiColumn):
                        self._session.dims.setdefault(name, int(column.values.shape[1]))
                dims = await known_dims(self._session)
        assert layout.vectors or not dims
        return dims

    async def _send(self, encoded: Encoded) -> dict[int, str]:
        """Write the objects in messages that the server takes; index -> reason of those that it refused."""
        most = self._session.client.server.message_bytes - HEADROOM
        refused: dict[int, str] = {}
        piece: list[int] = []
        size = 0
        for index, item in enumerate(encoded.objects):
            length = item.ByteSize() + 8
            if length > most:
                refused[index] = (
                    f"the record has {plural(length, 'byte')}, the server takes messages of {counted(most)}"
                )
                continue
            if piece and size + length > most:
                refused |= await self._send_piece(encoded, piece)
                piece, size = [], 0
            piece.append(index)
            size += length
        return refused | (await self._send_piece(encoded, piece) if piece else {})

    async def _send_piece(self, encoded: Encoded, piece: Sequence[int]) -> dict[int, str]:
        request = pb.BatchObjectsRequest(
            objects=[encoded.objects[index] for index in piece], consistency_level=self._session.consistency
        )
        answer = await self._session.client.call("BatchObjects", request, pb.BatchObjectsReply)
        refused: dict[int, str] = {}
        for failure in answer.errors:
            if meaning(failure.error) is not None:
                # Not the object's fault: the server is busy, the shard is read-only, the tenant is off.
                self._session.forget_tenants()
                raise TextError(failure.error)
            refused[piece[failure.index]] = failure.error
        return refused

    async def delete(self, ids: Sequence[RecordId], namespace: str) -> None:
        """Remove these ids, as canonical text and in upper case (Weaviate finds ids by their text)."""
        layout = await self._session.layout()
        wanted = list(dict.fromkeys(item for item in ids if isinstance(item, UUID)))
        if not wanted or not await self._session.has(namespace):
            return
        await self._session.own(layout)
        await self._references.forget(layout, namespace, wanted)
        for start in range(0, len(wanted), DELETE_IDS):
            part = wanted[start : start + DELETE_IDS]
            matches = await self._delete(layout, namespace, [str(item) for item in part])
            if matches < len(part):
                await self._delete(layout, namespace, [str(item).upper() for item in part])

    async def _delete(self, layout: Layout, namespace: str, texts: Sequence[str]) -> int:
        """How many there were. One call removes at most QUERY_MAXIMUM_RESULTS objects."""
        total = 0
        while True:
            request = removal.BatchDeleteRequest(
                collection=layout.name,
                filters=ids_filter(texts),
                consistency_level=self._session.consistency,
            )
            if namespace:
                request.tenant = namespace
            answer = await self._session.client.call("BatchDelete", request, removal.BatchDeleteReply)
            if answer.failed:
                raise TextError(f"{answer.failed} of {answer.matches} objects could not be removed")
            total += answer.successful
            if answer.matches <= answer.successful:
                return total
            if not answer.successful:
                raise TextError(f"none of {answer.matches} objects was removed, and no reason was given")

    async def finalize(self, *, wait: bool = True, report: IndexReport = unreported) -> int:
        """Make the references that had to wait, and wait until every shard is ready; if `wait`, also until its queue
        of vectors is empty."""
        layout = await self._session.layout(fresh=True)
        if layout.later and await self._references.add_later(layout):
            layout = await self._session.layout(fresh=True)
        if layout.references:
            await self._references.settle(layout)
            if layout.marker.later and not layout.later:
                await self._set_marker(layout, replace(layout.marker, later=()))
        left = await self._indexed(layout, wait, report)
        if layout.marker.states:
            await self._session.switch_off(layout, layout.marker.states)
            await self._set_marker(layout, replace((await self._session.layout(fresh=True)).marker, states={}))
        return left

    async def _indexed(self, layout: Layout, wait: bool, report: IndexReport) -> int:
        seconds = self._session.config.ready_timeout
        poll = Poll(seconds)
        busy = {"INDEXING", "LOADING"}
        while True:
            shards: list[dict[str, Any]] = await self._session.client.rest("GET", class_path(layout.name, "shards"))
            waiting = [item for item in shards if item.get("status") in busy or item.get("vectorQueueSize")]
            left = sum(max(1, int(item.get("vectorQueueSize") or 0)) for item in waiting)
            report(left)
            if not waiting or (not wait and not any(item.get("status") == "LOADING" for item in waiting)):
                return left
            if not await poll.again():
                message = (
                    f"{counted(len(waiting))} shards of {layout.name!r} were not indexed within {duration(seconds)}"
                )
                raise TimedOut(message, adapter=NAME, operation="finalize")

    async def _changed(self, layout: Layout) -> None:
        """Wait a moment for shards that take no writes while the class is being changed."""
        poll = Poll(CHANGE_SECONDS)
        asking = True
        while asking:
            shards: list[dict[str, Any]] = await self._session.client.rest("GET", class_path(layout.name, "shards"))
            asking = any(item.get("status") == "READONLY" for item in shards) and await poll.again()

    async def drop(self) -> None:
        """Remove the class and what waits for it; missing ones are fine."""
        await self._session.client.rest("DELETE", class_path(self._session.config.collection))
        await self._references.pending.drop()
        self._session.forget()


def _wrong_namespace(namespace: str, layout: Layout) -> str | None:
    if not layout.divided:
        return "the class has no tenants" if namespace else None
    if not namespace:
        return "the class has tenants, so every record needs one"
    if re.fullmatch(TENANT_NAME, namespace) is None:
        return "a tenant is named by 1 to 64 letters, digits, _ and -"
    return None
