"""A collection on a Qdrant server as Source and Target."""

from __future__ import annotations

from typing import Any

from vectormigrate.adapter import Capabilities
from vectormigrate.adapters.qdrant.errors import HttpError
from vectormigrate.adapters.qdrant.schema import schema_of
from vectormigrate.adapters.qdrant.writer import Writer
from vectormigrate.model.schema import CollectionSchema


class QdrantCollection(Writer):
    """Implements Target."""

    @property
    def capabilities(self) -> Capabilities:
        return self._session.capabilities

    async def server(self) -> str:
        return self._session.server.label

    async def describe(self) -> CollectionSchema:
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
