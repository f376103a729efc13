"""Short ways to open and fill collections on an emulator."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx
import numpy as np
from qdrant_client import AsyncQdrantClient

from tests.emulators.qdrant import Emulator
from tests.support.connected import connected
from vectormigrate.adapter import Target
from vectormigrate.adapters.qdrant import SPEC, QdrantConfig
from vectormigrate.model.batch import DenseColumn, Metadata, RecordBatch
from vectormigrate.model.ids import IdKind, RecordId
from vectormigrate.model.schema import CollectionSchema, Metric, VectorField, VectorKind

FIELD = VectorField(name="", kind=VectorKind.DENSE, dim=4, metric=Metric.DOT)
SCHEMA = CollectionSchema(name="c", id_kinds=frozenset({IdKind.UINT64}), vectors=(FIELD,))


def new_name() -> str:
    return f"c_{uuid4().hex[:10]}"


def call(server: Emulator, method: str, path: str, body: Any = None) -> Any:
    """The result of a plain REST request."""
    answer = httpx.request(method, f"{server.url}/{path}", json=body)
    answer.raise_for_status()
    return answer.json()["result"]


def config(server: Emulator, collection: str, **options: Any) -> QdrantConfig:
    found = {"url": server.url, "grpc_port": server.grpc_port, "collection": collection, "channels": 2, **options}
    return QdrantConfig.model_validate(found)


@asynccontextmanager
async def created(
    server: Emulator, schema: CollectionSchema = SCHEMA, name: str | None = None, **options: Any
) -> AsyncGenerator[Target, None]:
    """A new collection, dropped at the end."""
    async with connected(SPEC, config(server, name or new_name(), **options)) as target:
        await target.create(schema)
        try:
            yield target
        finally:
            await target.drop()


def records(ids: Sequence[RecordId], metadata: Sequence[Metadata] | None = None, namespace: str = "") -> RecordBatch:
    values = np.random.default_rng(len(ids)).standard_normal((len(ids), 4)).astype(np.float32)
    rows = [{"n": row} for row in range(len(ids))] if metadata is None else list(metadata)
    return RecordBatch(namespace, list(ids), {"": DenseColumn(values)}, rows)  # pyright: ignore[reportArgumentType]


async def everything(target: Target, parts: int = 1) -> dict[tuple[str, RecordId], Metadata]:
    """Metadata by namespace and id; fails when one comes twice."""
    found: dict[tuple[str, RecordId], Metadata] = {}
    for partition in await target.partitions(parts):
        async for page in target.scan(partition, page_rows=7):
            for row, record_id in enumerate(page.batch.ids):
                assert (partition.namespace, record_id) not in found
                found[partition.namespace, record_id] = page.batch.metadata[row]
    return found


@asynccontextmanager
async def vendor(server: Emulator, *, grpc: bool) -> AsyncGenerator[AsyncQdrantClient, None]:
    """The vendor's own client."""
    client = AsyncQdrantClient(
        url=server.url, grpc_port=server.grpc_port, prefer_grpc=grpc, check_compatibility=False, timeout=30
    )
    try:
        yield client
    finally:
        await client.close()
