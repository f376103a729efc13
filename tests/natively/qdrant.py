"""qdrant-client over REST, which carries every integer and float of a payload."""

from __future__ import annotations

import importlib
from typing import Any

from tests.natively import NativeRecord, floats
from vectormigrate.config.settings import Endpoint


async def read(endpoint: Endpoint) -> list[NativeRecord]:
    client_module: Any = importlib.import_module("qdrant_client")
    key = endpoint.api_key.get_secret_value() if endpoint.api_key else None
    client = client_module.AsyncQdrantClient(url=endpoint.url, api_key=key, timeout=60, check_compatibility=False)
    try:
        found: list[NativeRecord] = []
        offset = None
        while True:
            points, offset = await client.scroll(
                endpoint.collection, limit=500, offset=offset, with_payload=True, with_vectors=True
            )
            found += [record(point.id, point.payload, point.vector) for point in points]
            if offset is None:
                return found
    finally:
        await client.close()


def record(point_id: Any, payload: Any, vectors: Any) -> NativeRecord:
    """One point; an unnamed vector is the one named ""."""
    named = vectors if isinstance(vectors, dict) else {} if vectors is None or vectors == [] else {"": vectors}
    fields = dict(payload or {})
    namespace = fields.pop("_vm_namespace", "")
    shown = {name: _vector(value) for name, value in named.items()}
    return NativeRecord(
        id=point_id if isinstance(point_id, int) else str(point_id), namespace=namespace, fields=fields, vectors=shown
    )


def _vector(value: Any) -> Any:
    if hasattr(value, "indices"):
        return dict(zip(value.indices, floats(value.values), strict=True))
    return floats(value)
