"""Where a Weaviate server listens, and how its clients are pointed elsewhere."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from vectormigrate.adapter.ports import MEBIBYTE, Fronts, Served, ServerPort, split_address
from vectormigrate.adapters.weaviate.client import Client, connected
from vectormigrate.adapters.weaviate.config import WeaviateConfig
from vectormigrate.adapters.weaviate.errors import RestError

LARGEST = 128 * MEBIBYTE
"""gRPC takes 100 MB unless the server is configured to take more."""


async def served(config: WeaviateConfig) -> Served:
    """REST (which also carries gRPC of web pages) and gRPC."""
    rest = urlsplit(config.rest())
    address, grpc_tls = config.grpc()
    host, port = split_address(address)
    name = config.tls_server_name or ""
    # A cluster in the cloud is found by the name that requests ask for.
    ports = (
        ServerPort(
            interface="rest",
            host=rest.hostname or "",
            port=rest.port or 0,
            tls=config.secure,
            largest=LARGEST,
            path=rest.path.removesuffix("/v1"),
            host_header=(rest.hostname or "") if config.secure else "",
            server_name=name,
        ),
        ServerPort(
            interface="grpc",
            host=host,
            port=port,
            tls=grpc_tls,
            largest=LARGEST,
            host_header=host if grpc_tls else "",
            server_name=name,
        ),
    )
    async with connected(config) as client:
        return Served(ports=ports, names=await _names(client, config.collection), repoint=repoint)


async def _names(client: Client, own: str) -> frozenset[str]:
    """The collection's own name, which may itself be an alias, and all others."""
    try:
        answer: Any = await client.rest("GET", "/aliases")
    except RestError as error:
        # Servers before 1.32 have no aliases.
        if error.status not in (404, 405):
            raise
        answer = None
    found = (answer or {}).get("aliases") or []
    collection = next((item["class"] for item in found if item["alias"] == own), own)
    return frozenset({own, collection, *(item["alias"] for item in found if item["class"] == collection)})


def repoint(fronts: Fronts) -> tuple[str, ...]:
    """Both ports change, and the client refuses one address for both."""
    rest, grpc = fronts["rest"], fronts["grpc"]
    return (
        f'  weaviate.connect_to_custom(http_host="{rest.host}", http_port={rest.port}, http_secure={rest.tls}, '
        f'grpc_host="{grpc.host}", grpc_port={grpc.port}, grpc_secure={grpc.tls})',
        "connect_to_weaviate_cloud derives the gRPC host from the URL and so leaves it: use connect_to_custom",
        f"other languages: REST {rest.url}, gRPC {grpc.url}; sign-in by OpenID goes to its issuer as before",
    )
