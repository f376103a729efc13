"""The collections of a server."""

from __future__ import annotations

from typing import Any

from vectormigrate.adapter import Listing
from vectormigrate.adapters.weaviate.client import connected
from vectormigrate.adapters.weaviate.config import WeaviateConfig


async def listed(config: WeaviateConfig) -> Listing:
    """Ask for the schema, and so for the right to read one; gRPC has answered too by then."""
    async with connected(config) as client:
        schema: Any = await client.rest("GET", "/schema")
        return Listing(server=client.server.label, names=sorted(item["class"] for item in schema.get("classes") or ()))
