"""The collections of a database."""

from __future__ import annotations

from contextlib import AsyncExitStack

from vectormigrate.adapter import Listing
from vectormigrate.adapters.milvus.client import connected
from vectormigrate.adapters.milvus.config import MilvusConfig
from vectormigrate.adapters.milvus.embedded import served
from vectormigrate.adapters.milvus.proto import pb


async def listed(config: MilvusConfig) -> Listing:
    """Nothing is loaded. A Lite database that does not exist yet holds nothing."""
    async with AsyncExitStack() as stack:
        if not config.lite:
            address = config.address()
        elif config.path().exists():
            address = await stack.enter_async_context(served(config.path(), config.lock_wait))
        else:
            return Listing(server="Milvus Lite (will be made on first use)", names=[])
        client, server = await stack.enter_async_context(connected(config, address))
        found = await client.call(pb.ShowCollectionsRequest(), pb.ShowCollectionsResponse)
    return Listing(server=server.label, names=sorted(found.collection_names))
