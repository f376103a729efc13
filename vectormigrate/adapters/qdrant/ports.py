"""Where a Qdrant server listens, and how its clients are pointed elsewhere."""

from __future__ import annotations

from urllib.parse import urlsplit

from vectormigrate.adapter.ports import MEBIBYTE, Fronts, Served, ServerPort, split_address
from vectormigrate.adapters.qdrant.client_rest import Rest, connected, segment
from vectormigrate.adapters.qdrant.config import REST_PORT, QdrantConfig
from vectormigrate.adapters.qdrant.errors import NAME, HttpError
from vectormigrate.errors import AuthFailed

LARGEST = 128 * MEBIBYTE
"""The server takes 32 MiB over REST, unless it is configured to take more."""


async def served(config: QdrantConfig) -> Served:
    """REST, and gRPC where the config names it."""
    name = config.tls_server_name or ""
    places = [("rest", config.address())]
    if config.prefer_grpc or config.grpc_port is not None or config.address().endswith(f":{REST_PORT}"):
        places.append(("grpc", config.grpc_address()))
    ports: list[ServerPort] = []
    for interface, address in places:
        host, port = split_address(address)
        ports.append(
            ServerPort(
                interface="grpc" if interface == "grpc" else "rest",
                host=host,
                port=port,
                tls=config.secure,
                largest=LARGEST,
                path="" if interface == "grpc" else urlsplit(config.url).path.rstrip("/"),
                server_name=name,
            )
        )
    async with connected(config) as rest:
        return Served(ports=tuple(ports), names=await _names(rest, config.collection), repoint=repoint)


async def _names(rest: Rest, own: str) -> frozenset[str]:
    """The collection's own name, which may itself be an alias, and all others."""
    try:
        found = (await rest.call("GET", "/aliases"))["aliases"]
    except HttpError as error:
        if error.status != 403:
            raise
        found = await _own_aliases(rest, own)
    collection = next((item["collection_name"] for item in found if item["alias_name"] == own), own)
    others = {item["alias_name"] for item in found if item["collection_name"] == collection}
    return frozenset({own, collection, *others})


async def _own_aliases(rest: Rest, own: str) -> list[dict[str, str]]:
    """With a key for this collection alone."""
    try:
        return (await rest.call("GET", f"/collections/{segment(own)}/aliases"))["aliases"]
    except HttpError as error:
        if error.status == 404:
            return []
        if error.status != 403:
            raise
        message = "the key may not list aliases, and what is written by one of them would be missed"
        raise AuthFailed(message, adapter=NAME, operation="open") from error


def repoint(fronts: Fronts) -> tuple[str, ...]:
    """The client asks the REST port for the version also when it works over gRPC."""
    rest, grpc = fronts["rest"], fronts.get("grpc")
    if grpc is None:
        return (f'  QdrantClient(url="{rest.url}")', "gRPC has no port here: the connection does not name one")
    return (
        f'  QdrantClient(url="{rest.url}", grpc_port={grpc.port}, prefer_grpc=True)',
        f'  QdrantClient(url="{rest.url}")',
        f"other languages: REST {rest.url}, gRPC {grpc.url}; change both, a client of gRPC also asks REST",
    )
