"""A Milvus collection as Source and Target."""

from __future__ import annotations

import grpc

from vectormigrate.adapter import Capabilities
from vectormigrate.adapters.milvus.client import denied, unimplemented
from vectormigrate.adapters.milvus.errors import StatusError
from vectormigrate.adapters.milvus.proto import pb
from vectormigrate.adapters.milvus.schema import schema_of
from vectormigrate.adapters.milvus.writer import Writer
from vectormigrate.model.schema import CollectionSchema


class MilvusCollection(Writer):
    """Implements Target."""

    @property
    def capabilities(self) -> Capabilities:
        return self._session.capabilities

    async def server(self) -> str:
        return self._session.server.label

    async def describe(self) -> CollectionSchema:
        layout = await self._session.layout(fresh=True)
        indexes = await self._session.indexes()
        name, aliases = self._session.config.collection, await self._aliases(layout.name)
        return schema_of(name, layout, indexes, aliases, lite=self._session.server.lite)

    async def _aliases(self, name: str) -> list[str]:
        try:
            request = pb.ListAliasesRequest(collection_name=name)
            return list((await self._session.client.call(request, pb.ListAliasesResponse)).aliases)
        except grpc.RpcError as error:
            if not unimplemented(error) and not denied(error):
                raise
        except StatusError as error:
            # A missing right, or a server that does not know the call: the aliases are only reported.
            if error.code in (100, 800):
                raise
        return []
