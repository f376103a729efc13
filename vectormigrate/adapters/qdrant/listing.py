"""The collections of a server."""

from __future__ import annotations

from vectormigrate.adapter import Listing
from vectormigrate.adapters.qdrant import client_rest
from vectormigrate.adapters.qdrant.config import QdrantConfig
from vectormigrate.adapters.qdrant.session import greeted


async def listed(config: QdrantConfig) -> Listing:
    """Ask over REST, through which every collection is opened."""
    async with client_rest.connected(config) as client:
        text = await greeted(client, config)
        found = await client.call("GET", "/collections")
    return Listing(server=f"Qdrant {text}", names=sorted(item["name"] for item in found["collections"]))
