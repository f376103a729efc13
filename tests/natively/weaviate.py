"""The weaviate client: the iterator over every tenant, vectors and all properties included."""

from __future__ import annotations

import importlib
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from tests.natively import NativeRecord, floats
from vectormigrate.config.settings import Endpoint


async def read(endpoint: Endpoint) -> list[NativeRecord]:
    weaviate: Any = importlib.import_module("weaviate")
    http = urlsplit(endpoint.url)
    grpc = str(endpoint.options.get("grpc_url", "")).rpartition("//")[2]
    host, _, port = grpc.rpartition(":")
    key = endpoint.api_key.get_secret_value() if endpoint.api_key else None
    client = weaviate.use_async_with_custom(
        http_host=http.hostname,
        http_port=http.port,
        http_secure=http.scheme == "https",
        grpc_host=host or http.hostname,
        grpc_port=int(port or 50051),
        grpc_secure=http.scheme == "https",
        auth_credentials=weaviate.auth.AuthApiKey(key) if key else None,
        skip_init_checks=True,
    )
    async with client:
        raw = await client._connection.get(path=f"/schema/{endpoint.collection}")
        shape = raw.json()
        collection = client.collections.use(endpoint.collection)
        names = [item["name"] for item in shape.get("properties", [])]
        if not shape.get("multiTenancyConfig", {}).get("enabled"):
            return await _objects(collection, "", names)
        found: list[NativeRecord] = []
        for tenant in sorted(await collection.tenants.get()):
            found += await _objects(collection.with_tenant(tenant), tenant, names)
        return found


async def _objects(collection: Any, tenant: str, names: list[str]) -> list[NativeRecord]:
    found: list[NativeRecord] = []
    async for item in collection.iterator(include_vector=True, return_properties=names or None):
        fields = {name: _plain(value) for name, value in item.properties.items() if value is not None}
        vectors = {"" if name == "default" else name: floats(value) for name, value in item.vector.items()}
        found.append(NativeRecord(id=str(item.uuid), namespace=tenant, fields=fields, vectors=vectors))
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, UUID):
        return str(value)
    if hasattr(value, "latitude"):
        return {"lat": value.latitude, "lon": value.longitude}
    return value
