"""A memory collection with a profile keeps that profile's limits."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest

from vectormigrate.adapter import Capabilities, Target, ValueKind
from vectormigrate.adapters.memory import CAPABILITIES, SPEC, MemoryConfig, register_profile
from vectormigrate.errors import ConfigError, InvalidRequest
from vectormigrate.model.batch import DenseColumn, Metadata, RecordBatch
from vectormigrate.model.ids import IdKind, RecordId
from vectormigrate.model.schema import (
    CollectionSchema,
    DType,
    FieldType,
    MetadataField,
    Metric,
    VectorField,
    VectorKind,
)

pytestmark = pytest.mark.anyio

FIELD = VectorField(name="v", kind=VectorKind.DENSE, dim=2, metric=Metric.COSINE)
SCHEMA = CollectionSchema(name="c", id_kinds=frozenset(IdKind), vectors=(FIELD,))


@asynccontextmanager
async def opened(profile: Capabilities | str, schema: CollectionSchema | None = SCHEMA) -> AsyncGenerator[Target, None]:
    config = MemoryConfig(url=f"memory://{uuid4().hex}", collection="c", profile=profile)
    async with SPEC.open(config) as target:
        if schema is not None:
            await target.create(replace(schema, id_kinds=schema.id_kinds & target.capabilities.ids.kinds))
        yield target


def record(
    record_id: RecordId = 1, metadata: Metadata | None = None, namespace: str = "", **vectors: Any
) -> RecordBatch:
    columns = {name: DenseColumn(np.array([value], np.float32)) for name, value in vectors.items()}
    return RecordBatch(
        namespace, [record_id], columns or {"v": DenseColumn(np.ones((1, 2), np.float32))}, [metadata or {}]
    )


def limits(**changes: Any) -> Capabilities:
    return CAPABILITIES.changed(**changes)


STRINGS = frozenset({ValueKind.STRING, ValueKind.LIST_OF_STRINGS})

REFUSED: list[tuple[str, dict[str, Any], RecordBatch]] = [
    ("id", {"ids": {"kinds": frozenset({IdKind.STRING})}}, record(7)),
    ("id", {"ids": {"kinds": frozenset({IdKind.INT64, IdKind.UUID})}}, record(2**63)),
    ("id", {"ids": {"kinds": frozenset({IdKind.UINT64})}}, record(UUID(int=1))),
    ("id_size", {"ids": {"max_bytes": 3}}, record("éé")),
    ("value", {"metadata": {"value_kinds": STRINGS}}, record(metadata={"a": 1})),
    ("value", {"metadata": {"value_kinds": STRINGS}}, record(metadata={"a": None})),
    ("value", {"metadata": {"value_kinds": STRINGS}}, record(metadata={"a": True})),
    ("value", {"metadata": {"value_kinds": STRINGS}}, record(metadata={"a": 1.5})),
    ("value", {"metadata": {"value_kinds": STRINGS}}, record(metadata={"a": b"x"})),
    ("value", {"metadata": {"value_kinds": STRINGS}}, record(metadata={"a": datetime(2024, 1, 1, tzinfo=UTC)})),
    ("value", {"metadata": {"value_kinds": STRINGS}}, record(metadata={"a": {}})),
    ("value", {"metadata": {"value_kinds": STRINGS}}, record(metadata={"a": ["x", 1]})),
    ("value", {"metadata": {"value_kinds": STRINGS | {ValueKind.OBJECT}}}, record(metadata={"a": {"b": {"c": 1}}})),
    (
        "value",
        {"metadata": {"value_kinds": frozenset(ValueKind) - {ValueKind.NONFINITE}}},
        record(metadata={"a": float("nan")}),
    ),
    ("value", {"metadata": {"int_range": (-(2**53), 2**53)}}, record(metadata={"a": [2**53 + 1]})),
    ("value", {}, record(metadata={"a": datetime(2024, 1, 1)})),
    ("field_name", {"metadata": {"names": "[a-z]+"}}, record(metadata={"A": "x"})),
    ("field_name", {"metadata": {"reserved": frozenset({"id"})}}, record(metadata={"id": "x"})),
    ("field_name", {"metadata": {"shared_names": True}}, record(metadata={"v": "x"})),
    ("size", {"metadata": {"max_bytes": 20}}, record(metadata={"a": "x" * 20})),
    ("namespace", {"namespaces": {"supported": False}}, record(namespace="x")),
    ("namespace", {"namespaces": {"names": "[a-z]*"}}, record(namespace="X")),
    ("missing_vector", {"vectors": {"required": frozenset({VectorKind.DENSE})}}, replace(record(), vectors={})),
    ("dimension", {}, record(v=[1, 2, 3])),
    ("nan", {}, record(v=[1, float("nan")])),
]


@pytest.mark.parametrize(("code", "changes", "bad"), REFUSED)
async def test_a_record_beyond_the_profile_is_rejected(code: str, changes: dict[str, Any], bad: RecordBatch) -> None:
    async with opened(limits(**changes)) as target:
        (reject,) = await target.upsert(bad)
        assert (reject.code, reject.id) == (code, bad.ids[0])
        assert await target.count() == 0


async def test_namespaces_beyond_the_profile_are_rejected() -> None:
    async with opened(limits(namespaces={"max_count": 2})) as target:
        for name in ("a", "b", "a"):
            assert await target.upsert(record(namespace=name)) == []
        assert [reject.code for reject in await target.upsert(record(namespace="c"))] == ["namespace"]


async def test_an_id_unique_in_the_collection_moves_between_namespaces() -> None:
    async with opened(limits(ids={"per_namespace": False})) as target:
        for name in ("a", "b"):
            await target.upsert(record(namespace=name))
        assert (await target.namespaces(), await target.count()) == (["b"], 1)


async def test_a_normalising_profile_stores_unit_vectors_and_keeps_zeros() -> None:
    async with opened(limits(vectors={"normalises_cosine": True})) as target:
        values = np.array([[3, 4], [0, 0], [0.6, 0.8]], np.float32)
        await target.upsert(RecordBatch("", [1, 2, 3], {"v": DenseColumn(values)}, [{}, {}, {}]))
        found = (await target.fetch([1, 2, 3], "")).vectors["v"].values
    assert np.array_equal(found, np.array([[0.6, 0.8], [0, 0], [0.6, 0.8]], np.float32))


@pytest.mark.parametrize(
    ("changes", "bad"),
    [
        ({"ids": {"kinds": frozenset({IdKind.UUID})}}, {"id_kinds": frozenset({IdKind.STRING})}),
        ({"vectors": {"kinds": frozenset({VectorKind.SPARSE})}}, {}),
        ({"vectors": {"dtypes": frozenset({DType.INT8})}}, {}),
        ({"vectors": {"metrics": frozenset({Metric.L2})}}, {}),
        ({"vectors": {"max_dim": 1}}, {}),
        ({"vectors": {"max_fields": 1}}, {"vectors": (FIELD, replace(FIELD, name="w"))}),
        ({"vectors": {"unnamed": False}}, {"vectors": (replace(FIELD, name=""),)}),
        ({"vectors": {"names": "[a-u]"}}, {}),
        ({"collection": {"names": "[a-b]"}}, {}),
        ({"metadata": {"names": "[a-z]+"}}, {"fields": (MetadataField(name="A", type=FieldType.INT64),)}),
        ({}, {"vectors": (FIELD, FIELD)}),
    ],
)
async def test_a_schema_beyond_the_profile_is_refused(changes: dict[str, Any], bad: dict[str, Any]) -> None:
    async with opened(limits(**changes), schema=None) as target:
        with pytest.raises(InvalidRequest):
            await target.create(replace(SCHEMA, **bad))


@pytest.mark.parametrize("changes", [{"writes": {"rows": 1}}, {"writes": {"bytes": 15}}])
async def test_a_write_beyond_the_profile_is_refused(changes: dict[str, int]) -> None:
    async with opened(limits(**changes)) as target:
        assert await target.upsert(record()) == []
        with pytest.raises(InvalidRequest):
            await target.upsert(RecordBatch.concat([record(2), record(3)]))
        assert await target.count() == 1


@pytest.mark.parametrize("vectors", [{"w": [1, 2]}, {"v": [1, 2], "w": [1, 2]}])
async def test_a_column_that_the_collection_lacks_is_refused(vectors: dict[str, Any]) -> None:
    async with opened(CAPABILITIES) as target:
        with pytest.raises(InvalidRequest, match="no vector field 'w'"):
            await target.upsert(record(**vectors))


async def test_a_column_of_another_storage_type_is_refused() -> None:
    async with opened(CAPABILITIES) as target:
        with pytest.raises(InvalidRequest, match="float16"):
            await target.upsert(
                replace(record(), vectors={"v": DenseColumn(np.ones((1, 2), np.float16), DType.FLOAT16)})
            )


async def test_a_profile_can_be_named() -> None:
    register_profile("strings only", limits(ids={"kinds": frozenset({IdKind.STRING})}))
    async with opened("strings only") as target:
        assert target.capabilities.ids.kinds == {IdKind.STRING}
    with pytest.raises(ConfigError, match="strings only"):
        async with opened("unknown"):
            pass


async def test_the_store_does_not_share_objects_with_its_users() -> None:
    async with opened(CAPABILITIES) as target:
        nested: Metadata = {"a": {"b": [1]}}
        batch = record(metadata=nested)
        await target.upsert(batch)
        nested["a"] = 2
        batch.vectors["v"].values[0, 0] = 9
        found = await target.fetch([1], "")
        assert (found.metadata, found.vectors["v"].values.tolist()) == ([{"a": {"b": [1]}}], [[1, 1]])
        inner: Any = found.metadata[0]["a"]
        inner["b"].append(2)
        assert (await target.fetch([1], "")).metadata == [{"a": {"b": [1]}}]


@pytest.mark.parametrize("url", ["", "memory://", "http://x", "memory://a/b"])
def test_a_url_of_another_form_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="memory://NAME"):
        MemoryConfig(url=url, collection="c")
