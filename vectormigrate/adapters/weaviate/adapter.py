"""A Weaviate collection as Source and Target."""

from __future__ import annotations

from vectormigrate.adapter import Capabilities
from vectormigrate.adapters.weaviate.dims import find_dims
from vectormigrate.adapters.weaviate.references import References
from vectormigrate.adapters.weaviate.schema import schema_of
from vectormigrate.adapters.weaviate.session import Session
from vectormigrate.adapters.weaviate.settings import Around
from vectormigrate.adapters.weaviate.writer import Writer
from vectormigrate.model.schema import CollectionSchema


class WeaviateCollection(Writer):
    """Implements Target."""

    def __init__(self, session: Session) -> None:
        super().__init__(session, References(session))

    @property
    def capabilities(self) -> Capabilities:
        return self._session.capabilities

    async def server(self) -> str:
        return self._session.client.server.label

    async def describe(self) -> CollectionSchema:
        layout = await self._session.layout(fresh=True)
        dims = await find_dims(self._session)
        unknown = layout.marker.dims is None and None in dims.values()
        empty = unknown and await self.count() == 0
        around = Around(
            aliases=await self._session.aliases(),
            left_out=await self._session.inactive(),
            switched=await self._session.switched(),
        )
        return schema_of(self._session.config.collection, layout, dims, around, empty=empty)
