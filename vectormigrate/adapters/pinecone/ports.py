"""Where a Pinecone index is reached, and how its clients are pointed elsewhere."""

from __future__ import annotations

from urllib.parse import urlsplit

from vectormigrate.adapter.ports import MEBIBYTE, Fronts, Served, ServerPort
from vectormigrate.adapters.pinecone.client import base_url
from vectormigrate.adapters.pinecone.client_control import Control
from vectormigrate.adapters.pinecone.config import PineconeConfig
from vectormigrate.errors import CollectionNotFound

LARGEST = 16 * MEBIBYTE
"""The service takes 2 MB in most requests."""


async def served(config: PineconeConfig, key: str) -> Served:
    """One port for REST and gRPC, at the host that the control plane names. Raises CollectionNotFound while there is no
    such index."""
    control = Control(config, key)
    try:
        found = await control.describe()
    finally:
        await control.close()
    if found is None or not found.get("host"):
        raise CollectionNotFound(f"there is no index {config.collection!r} yet, or it has no address yet")
    place = urlsplit(base_url(found["host"]))
    tls = place.scheme == "https"
    host = place.hostname or ""
    port = ServerPort(
        interface="http",
        host=host,
        port=place.port or (443 if tls else 80),
        tls=tls,
        largest=LARGEST,
        path=place.path,
        # Every index of a project is behind the same addresses: its name decides.
        host_header=place.netloc,
        server_name=config.tls_server_name or host,
    )
    return Served(ports=(port,), names=frozenset({config.collection}), repoint=repoint)


def repoint(fronts: Fronts) -> tuple[str, ...]:
    """An index that is named is looked up in the control plane, whose answer leads to the service itself."""
    front = fronts["http"]
    scheme = "" if front.tls else 'grpc_scheme="http"'
    return (
        f'  Pinecone().index(host="{front.url}")',
        f'  Pinecone({scheme}).index(host="{front.address}", grpc=True)',
        "always with the host: by name, as in index(name), a client asks Pinecone for it and goes there directly",
        f"older clients over gRPC without TLS: secure=False; other languages: {front.url}",
    )
