"""Where a Milvus server listens, and how its clients are pointed elsewhere."""

from __future__ import annotations

import grpc

from vectormigrate.adapter.ports import MEBIBYTE, Fronts, Served, ServerPort, split_address
from vectormigrate.adapters.milvus.client import Client, connected, denied, unimplemented
from vectormigrate.adapters.milvus.config import MilvusConfig
from vectormigrate.adapters.milvus.errors import StatusError
from vectormigrate.adapters.milvus.proto import pb

LARGEST = 256 * MEBIBYTE
"""The most that any release takes by default."""

MISSING = 100


async def served(config: MilvusConfig) -> Served | None:
    """One port, for gRPC and REST. None for Milvus Lite."""
    if config.lite:
        return None
    host, number = split_address(config.address())
    port = ServerPort(
        interface="http",
        host=host,
        port=number,
        tls=config.secure,
        largest=LARGEST,
        host_header=host if config.secure else "",
        server_name=config.tls_server_name or "",
    )
    async with connected(config, config.address()) as (client, _):
        return Served(ports=(port,), names=await _names(client, config.collection), repoint=repoint)


async def _names(client: Client, own: str) -> frozenset[str]:
    """The collection's own name, which may itself be an alias, and all others."""
    try:
        request = pb.DescribeCollectionRequest(collection_name=own)
        found = await client.call(request, pb.DescribeCollectionResponse)
    except StatusError as error:
        if error.code != MISSING:
            raise
        return frozenset({own})
    # `collection_name` repeats the name that was asked for.
    name = found.schema.name or own
    return frozenset({own, name, *found.aliases, *await _listed(client, name)})


async def _listed(client: Client, name: str) -> list[str]:
    """As `DescribeCollection` has them too, where the server knows the call and the user may make it."""
    try:
        return list((await client.call(pb.ListAliasesRequest(collection_name=name), pb.ListAliasesResponse)).aliases)
    except grpc.RpcError as error:
        if not unimplemented(error) and not denied(error):
            raise
    except StatusError as error:
        if error.code == MISSING:
            raise
    return []


def repoint(fronts: Fronts) -> tuple[str, ...]:
    """A client takes one address, and no server sends it elsewhere."""
    front = fronts["http"]
    return (f'  MilvusClient(uri="{front.url}")', f"other languages and REST: {front.url}")
