"""A Pinecone index as Source and Target."""

from __future__ import annotations

from vectormigrate.adapter import Capabilities
from vectormigrate.adapters.pinecone.freshness import see_all
from vectormigrate.adapters.pinecone.note import read_note
from vectormigrate.adapters.pinecone.schema import schema_of
from vectormigrate.adapters.pinecone.writer import Writer
from vectormigrate.model.schema import CollectionSchema


class PineconeIndex(Writer):
    """Implements Target.

    Reads are as strong as the service allows, which is eventually consistent: `finalize`, and `count` and `scan` for
    what this object wrote, wait until queries see the writes; nothing can be waited for in fetch and list themselves.
    """

    async def freshen(self, namespace: str) -> None:
        """Wait until queries see every write to the namespace, also those of others; fetches follow soon."""
        await see_all(self._session, namespace)

    @property
    def capabilities(self) -> Capabilities:
        return self._session.capabilities

    async def server(self) -> str:
        layout = await self._session.layout()
        where = layout.settings["deployment"]
        place = " ".join(str(where[key]) for key in ("cloud", "region", "environment") if where.get(key))
        return f"Pinecone {layout.kind} index ({place})"

    async def describe(self) -> CollectionSchema:
        layout = await self._session.layout(fresh=True)
        return schema_of(layout, self._session.config.collection, await read_note(self._session))
