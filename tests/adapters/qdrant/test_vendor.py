"""What the adapter writes is what the vendor's own client reads, and the other way round."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import numpy as np
import pytest
from qdrant_client import models

from tests.adapters.qdrant.support import SCHEMA, config, created, new_name, records, vendor
from tests.emulators.qdrant import Emulator
from tests.support.connected import connected
from vectormigrate.adapters.qdrant import SPEC
from vectormigrate.model.batch import DenseColumn, Metadata, MultiColumn, RecordBatch, SparseColumn
from vectormigrate.model.schema import DType, Metric, VectorField, VectorKind

pytestmark = pytest.mark.anyio

VECTORS = (
    VectorField(name="plain", kind=VectorKind.DENSE, dim=4, metric=Metric.L2),
    VectorField(name="small", kind=VectorKind.DENSE, dim=4, metric=Metric.DOT, dtype=DType.UINT8),
    VectorField(name="words", kind=VectorKind.SPARSE, dim=None, metric=Metric.DOT),
    VectorField(name="parts", kind=VectorKind.MULTI, dim=2, metric=Metric.DOT),
    VectorField(name="bytes", kind=VectorKind.MULTI, dim=2, metric=Metric.DOT, dtype=DType.UINT8),
)
METADATA: list[Metadata] = [
    {"text": "é", "n": 3, "f": 0.5, "list": [1, "a", None], "obj": {"x": {"y": True}}, "null": None},
    {"big": 2**63 + 1, "huge": 2**64 - 1, "deep": {"a": [{"b": 2**63}]}},
]
BATCH = RecordBatch(
    "",
    [5, UUID(int=99)],
    {
        "plain": DenseColumn(np.array([[1, 2, 3, 4], [5, 6, 7, 8]], np.float32)),
        "small": DenseColumn(np.array([[0, 1, 2, 255], [9, 9, 9, 9]], np.uint8), DType.UINT8),
        "words": SparseColumn(
            np.array([0, 2, 2], np.int64),
            np.array([3, 70_000], np.uint32),
            np.array([0.5, 2], np.float32),
            np.array([True, False]),
        ),
        "parts": MultiColumn(np.array([0, 2, 3], np.int64), np.arange(6, dtype=np.float32).reshape(3, 2)),
        # Two rows of whole numbers are what the REST interface mistakes for a sparse vector.
        "bytes": MultiColumn(np.array([0, 2, 4], np.int64), np.arange(8, dtype=np.uint8).reshape(4, 2), DType.UINT8),
    },
    METADATA,
)


@pytest.mark.parametrize("prefer_grpc", [True, False])
@pytest.mark.parametrize("grpc", [True, False])
async def test_the_vendors_client_reads_what_we_wrote(server: Emulator, prefer_grpc: bool, grpc: bool) -> None:
    name = new_name()
    schema = type(SCHEMA)(name=name, id_kinds=SCHEMA.id_kinds, vectors=VECTORS)
    async with created(server, schema, name, prefer_grpc=prefer_grpc) as target, vendor(server, grpc=grpc) as client:
        assert await target.upsert(BATCH) == []
        points, following = await client.scroll(name, with_vectors=True, with_payload=True, limit=10)
        assert following is None
        assert [point.id for point in points] == [5, str(UUID(int=99))]
        first: Any = points[0].vector
        second: Any = points[1].vector
        assert first["plain"] == [1, 2, 3, 4]
        assert first["small"] == [0, 1, 2, 255]
        assert (first["words"].indices, first["words"].values) == ([3, 70_000], [0.5, 2])
        assert first["parts"] == [[0, 1], [2, 3]]
        assert first["bytes"] == [[0, 1], [2, 3]]
        assert set(second) == {"plain", "small", "parts", "bytes"}
        assert points[0].payload == METADATA[0]
        if not grpc:
            assert points[1].payload == METADATA[1]
        info = await client.get_collection(name)
        assert info.status in (models.CollectionStatus.GREEN, models.CollectionStatus.YELLOW)
        assert (await client.count(name)).count == 2
        found = await target.fetch([UUID(int=99), 5], "")
        assert found.metadata == METADATA[::-1]


@pytest.mark.parametrize("grpc", [True, False])
async def test_we_read_what_the_vendors_client_wrote(server: Emulator, grpc: bool) -> None:
    name = new_name()
    async with vendor(server, grpc=False) as maker, vendor(server, grpc=grpc) as client:
        await maker.create_collection(
            name,
            vectors_config={"a": models.VectorParams(size=3, distance=models.Distance.COSINE)},
            sparse_vectors_config={"s": models.SparseVectorParams()},
        )
        sparse = models.SparseVector(indices=[9, 4], values=[1.5, 2.5])
        points = [
            models.PointStruct(id=1, vector={"a": [3.0, 4.0, 0.0], "s": sparse}, payload={"x": [1.0, 1]}),
            models.PointStruct(id=str(UUID(int=7)), vector={}, payload={}),
        ]
        await client.upsert(name, points, wait=True)
        async with connected(SPEC, config(server, name)) as target:
            found = await target.fetch([UUID(int=7), 1], "")
            a, s = found.vectors["a"], found.vectors["s"]
            assert isinstance(s, SparseColumn)
            assert a.valid is not None
            assert a.valid.tolist() == [False, True]
            assert a.values[1].tolist() == np.array([0.6, 0.8, 0], np.float32).tolist()
            assert (s.indices.tolist(), s.values.tolist()) == ([4, 9], [2.5, 1.5])
            assert found.metadata == [{}, {"x": [1.0, 1]}]
            assert [type(item) for item in found.metadata[1]["x"]] == [float, int]  # pyright: ignore[reportGeneralTypeIssues, reportOptionalIterable]
            await target.drop()


async def test_namespaces_are_filters_to_the_vendors_client(server: Emulator) -> None:
    name = new_name()
    async with created(server, name=name) as target, vendor(server, grpc=True) as client:
        await target.upsert(records([1, 2]))
        await target.upsert(records([3], namespace="ann"))
        condition = models.FieldCondition(key="_vm_namespace", match=models.MatchValue(value="ann"))
        points, _ = await client.scroll(name, scroll_filter=models.Filter(must=[condition]))
        assert [(point.id, point.payload) for point in points] == [(3, {"n": 0, "_vm_namespace": "ann"})]
        (hit,) = (await client.query_points(name, query=[1.0, 0.0, 0.0, 0.0], limit=1)).points
        assert hit.id in (1, 2, 3)
