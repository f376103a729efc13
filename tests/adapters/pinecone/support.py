"""Indexes on the emulator, opened by the adapter and by Pinecone's own SDK."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast
from uuid import uuid4

import numpy as np
from pinecone import AsyncPinecone, RetryConfig
from pydantic import SecretStr

from tests.emulators.pinecone import Emulator
from tests.support.connected import connected
from vectormigrate.adapter import Target
from vectormigrate.adapters.pinecone import SPEC, PineconeConfig
from vectormigrate.model.batch import DenseColumn, Metadata, RecordBatch, SparseColumn, VectorColumn
from vectormigrate.model.ids import IdKind, RecordId
from vectormigrate.model.schema import CollectionSchema, Metric, VectorField, VectorKind

DIM = 3


def config(emulator: Emulator, name: str, **options: Any) -> PineconeConfig:
    """The config of an index there."""
    return PineconeConfig(url=emulator.url, collection=name, api_key=SecretStr(emulator.api_key), **options)


def dense(name: str = "values", metric: Metric = Metric.DOT, dim: int = DIM) -> VectorField:
    return VectorField(name=name, kind=VectorKind.DENSE, dim=dim, metric=metric)


def sparse(name: str = "sparse_values") -> VectorField:
    return VectorField(name=name, kind=VectorKind.SPARSE, dim=None, metric=Metric.DOT)


def schema(*vectors: VectorField, **changes: Any) -> CollectionSchema:
    """A schema of these vector fields, or a dense one."""
    return CollectionSchema(name="", id_kinds=frozenset({IdKind.STRING}), vectors=vectors or (dense(),), **changes)


def records(
    ids: Sequence[str],
    *,
    namespace: str = "",
    metadata: Sequence[Metadata] | None = None,
    dim: int = DIM,
    **others: Any,
) -> RecordBatch:
    """Records with a dense vector each; `others` are further columns."""
    values = np.random.default_rng(len(ids)).standard_normal((len(ids), dim), dtype=np.float32)
    vectors: dict[str, VectorColumn] = {"values": DenseColumn(values), **others}
    rows = [{"n": row} for row in range(len(ids))] if metadata is None else list(metadata)
    return RecordBatch(namespace, cast("list[RecordId]", list(ids)), vectors, cast("list[Metadata]", rows))


def sparse_column(rows: Sequence[dict[int, float]]) -> SparseColumn:
    """One sparse vector per row; an empty one counts as none."""
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    indices = np.array([index for row in rows for index in row], np.uint32)
    values = np.array([value for row in rows for value in row.values()], np.float32)
    return SparseColumn(offsets, indices, values, np.array([bool(row) for row in rows]))


@asynccontextmanager
async def opened(emulator: Emulator, name: str, **options: Any) -> AsyncGenerator[Target, None]:
    async with connected(SPEC, config(emulator, name, **options)) as index:
        yield index


@asynccontextmanager
async def fresh(
    emulator: Emulator, wanted: CollectionSchema | None = None, **options: Any
) -> AsyncGenerator[tuple[Target, str], None]:
    """A new index and its name; dropped at the end."""
    name = f"t-{uuid4().hex[:12]}"
    async with opened(emulator, name, **options) as index:
        await index.create(wanted or schema())
        try:
            yield index, name
        finally:
            await index.drop()


@asynccontextmanager
async def sdk(emulator: Emulator) -> AsyncGenerator[AsyncPinecone, None]:
    """Pinecone's own client, without retries where it can be told so."""
    retries = RetryConfig(max_retries=0)
    async with AsyncPinecone(api_key=emulator.api_key, host=emulator.url, retry_config=retries) as client:
        yield client


@asynccontextmanager
async def sdk_index(emulator: Emulator, name: str) -> AsyncGenerator[Any, None]:
    """An index through Pinecone's own client."""
    async with sdk(emulator) as client, await client.index(name=name) as index:
        yield index
