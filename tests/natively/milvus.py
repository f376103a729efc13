"""pymilvus, on a server or on the process that serves a Lite database."""

from __future__ import annotations

import base64
import importlib
import json
from typing import Any

from anyio.to_thread import run_sync

from tests.natively import NativeRecord, floats
from vectormigrate.adapters.milvus.config import MilvusConfig
from vectormigrate.adapters.milvus.embedded import served
from vectormigrate.config.settings import Endpoint


async def read(endpoint: Endpoint) -> list[NativeRecord]:
    config = MilvusConfig(url=endpoint.url, collection=endpoint.collection)
    if not config.lite:
        return await run_sync(_read, endpoint.url, endpoint.collection)
    async with served(config.path(), config.lock_wait) as address:
        return await run_sync(_read, f"http://{address}", endpoint.collection)


QUIET = {"grpc.keepalive_permit_without_calls": 0, "grpc.use_local_subchannel_pool": 1}
"""By default pymilvus pings a server every ten seconds, also on the connection that grpc keeps after `close`, until
Lite's server refuses it with "Too many pings"."""


def _read(url: str, collection: str) -> list[NativeRecord]:
    pymilvus: Any = importlib.import_module("pymilvus")
    client = pymilvus.MilvusClient(url, grpc_options=QUIET)
    try:
        client.load_collection(collection)
        schema = client.describe_collection(collection)["fields"]
        key = next(field["name"] for field in schema if field.get("is_primary"))
        vectors = [field["name"] for field in schema if int(field["type"]) >= 100]
        return [
            _record(row, "" if partition == "_default" else partition, key, vectors)
            for partition in client.list_partitions(collection)
            for row in client.query(
                collection,
                filter="",
                output_fields=["*"],
                limit=16_384,
                partition_names=[partition],
                consistency_level="Strong",
            )
        ]
    finally:
        client.close()


def _record(row: dict[str, Any], namespace: str, key: str, vectors: list[str]) -> NativeRecord:
    fields = {name: value for name, value in row.items() if name != key and name not in vectors}
    return NativeRecord(
        id=row[key],
        namespace=namespace,
        fields=json.loads(json.dumps(fields, default=_plain)),
        vectors={name: _vector(row[name]) for name in vectors if row.get(name) is not None},
    )


def _vector(value: Any) -> Any:
    if isinstance(value, dict):
        return dict(zip(map(int, value), floats(value.values()), strict=True))
    return floats(value)


def _plain(value: Any) -> Any:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value.item()
