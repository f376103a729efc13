"""Writing: create, upsert, delete, finalize, drop, note."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import orjson

from vectormigrate.adapter import IndexReport, Reject, unreported
from vectormigrate.adapter.concurrency import gather
from vectormigrate.adapters.pinecone.calls import FETCHES
from vectormigrate.adapters.pinecone.capabilities import MAX_RECORDS
from vectormigrate.adapters.pinecone.ddl import creation, protected
from vectormigrate.adapters.pinecone.encode import encode, legal_id, requests
from vectormigrate.adapters.pinecone.errors import NAME
from vectormigrate.adapters.pinecone.freshness import barrier, delete_ids, settle
from vectormigrate.adapters.pinecone.layout import PROTECT_TAG, Layout
from vectormigrate.adapters.pinecone.note import write_note
from vectormigrate.adapters.pinecone.reader import Reader
from vectormigrate.adapters.pinecone.session import NamespaceMissing, documents_path
from vectormigrate.errors import AlreadyExists, InvalidRequest, Unavailable
from vectormigrate.figures import counted
from vectormigrate.model.batch import RecordBatch
from vectormigrate.model.ids import RecordId
from vectormigrate.model.schema import CollectionSchema, Json


class Writer(Reader):
    """Everything that changes the index; raises vendor errors, which `classify` turns into ours."""

    async def create(self, schema: CollectionSchema) -> None:
        """Create the index, wait until it is ready, leave the note. Deletion protection comes in `finalize`, so that
        what failed half-way can be undone; until then a tag asks for it, or, where there is no room for one, it comes
        as the last step here."""
        session = self._session
        if await session.find() is not None:
            raise AlreadyExists(f"the index {session.config.collection!r} exists", adapter=NAME, operation="create")
        arguments = creation(session.config, schema, session.capabilities)
        await session.control.create(arguments)
        try:
            for namespace in schema.namespaces:
                await session.make_namespace(namespace)
            if schema.note is not None:
                await write_note(session, dict(schema.note))
            if protected(session.config, schema) and PROTECT_TAG not in arguments.get("tags", {}):
                await session.control.protect()
            session.forget()
        except BaseException:
            with anyio.CancelScope(shield=True):
                await session.control.delete()
            session.forget()
            raise

    async def make_namespaces(self, namespaces: Sequence[str]) -> None:
        """They are made by their first record, as cheaply."""

    async def set_note(self, note: Json) -> None:
        """Replace the origin note."""
        await write_note(self._session, note)

    async def upsert(self, batch: RecordBatch) -> list[Reject]:
        """Write whole records, in as many requests as the service's limits demand. A request is all or nothing."""
        layout = await self._session.layout()
        _check_own_vectors(layout)
        encoded = encode(batch, layout, self._session.capabilities)
        path, head, tail = "/vectors/upsert", b'{"vectors":[', b'],"namespace":' + orjson.dumps(batch.namespace) + b"}"
        if layout.documents:
            path, head, tail = documents_path(batch.namespace, "upsert"), b'{"documents":[', b"]}"
        for body, count in requests(encoded.records, head, tail):
            reply = await self._session.post(path, body)
            self._session.wrote(batch.namespace, reply.written)
            # Without a count nothing was acknowledged: proto JSON leaves a zero out.
            taken = reply.json.get("upserted_count" if layout.documents else "upsertedCount", 0)
            if taken != count:
                raise Unavailable(
                    f"{counted(taken)} of {counted(count)} records were acknowledged", adapter=NAME, operation="upsert"
                )
        return encoded.rejects

    async def delete(self, ids: Sequence[RecordId], namespace: str) -> None:
        """Remove these ids from the namespace."""
        await self._session.layout()
        wanted = list(dict.fromkeys(item for item in ids if isinstance(item, str) and legal_id(item)))
        for start in range(0, len(wanted), MAX_RECORDS):
            try:
                reply = await delete_ids(self._session, namespace, wanted[start : start + MAX_RECORDS])
            except NamespaceMissing:
                return
            self._session.wrote(namespace, reply.written)

    async def finalize(self, *, wait: bool = True, report: IndexReport = unreported) -> int:
        """Wait until queries see every write, also those of an earlier process: Pinecone shows no other index."""
        await self._session.layout(fresh=True)
        names = await self.namespaces()
        await gather([lambda name=name: self._settle(name) for name in names], FETCHES)
        if await self._session.to_protect():
            await self._session.control.protect(tag=PROTECT_TAG)
        return 0

    async def _settle(self, namespace: str) -> None:
        await barrier(self._session, namespace)
        await settle(self._session, namespace, by_counts=True)

    async def drop(self) -> None:
        """Delete the index, if it exists. Raises InvalidRequest for a protected one."""
        await self._session.control.delete()
        self._session.forget()


def _check_own_vectors(layout: Layout) -> None:
    """Refuse an index that would make new vectors of the texts it is sent."""
    if layout.embedded and (layout.documents or not layout.vectors):
        message = (
            f"the index {layout.name!r} makes its vectors itself from the text of {layout.embedded[0]!r}, so the "
            "vectors of a migration have no place in it; write into an index without integrated embedding"
        )
        raise InvalidRequest(message, adapter=NAME, operation="upsert")
