"""Classes as their users made them: there and back, hidden marker, vectors of every shape, names."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from pydantic import ValidationError

from tests.adapters.weaviate.conftest import Place
from tests.weaviate_client import wvc
from vectormigrate.adapter import Target
from vectormigrate.adapters.weaviate import WeaviateConfig
from vectormigrate.adapters.weaviate.note import Marker, joined, split
from vectormigrate.errors import AlreadyExists, InvalidRequest
from vectormigrate.model.batch import DenseColumn, MultiColumn, RecordBatch
from vectormigrate.model.ids import IdKind
from vectormigrate.model.schema import (
    CollectionSchema,
    FieldType,
    MetadataField,
    Metric,
    VectorField,
    VectorKind,
)

pytestmark = pytest.mark.anyio

NAMED: dict[str, Any] = {
    "graph": {
        "vectorizer": {"none": {}},
        "vectorIndexType": "hnsw",
        "vectorIndexConfig": {"distance": "manhattan", "maxConnections": 12, "efConstruction": 77, "ef": 99},
    },
    "small": {
        "vectorizer": {"none": {}},
        "vectorIndexType": "flat",
        "vectorIndexConfig": {"distance": "dot", "bq": {"enabled": True}},
    },
    "late": {
        "vectorizer": {"none": {}},
        "vectorIndexType": "hnsw",
        "vectorIndexConfig": {"distance": "cosine", "multivector": {"enabled": True}},
    },
}
CLASS: dict[str, Any] = {
    "description": "my [own] words",
    "vectorConfig": NAMED,
    "invertedIndexConfig": {
        "bm25": {"b": 0.5, "k1": 1.5},
        "stopwords": {"preset": "none", "additions": ["x"]},
        "indexNullState": True,
        "indexTimestamps": True,
    },
    "objectTtlConfig": {"enabled": False, "deleteOn": "_creationTimeUnix", "defaultTtl": 3600},
    "properties": [
        {"name": "word", "dataType": ["text"], "description": "a word", "tokenization": "lowercase"},
        {"name": "exact", "dataType": ["text"], "tokenization": "field", "indexSearchable": False},
        {"name": "n", "dataType": ["int"], "indexRangeFilters": True, "indexFilterable": False},
        {"name": "plain", "dataType": ["number"], "indexFilterable": False},
        {"name": "o", "dataType": ["object"], "nestedProperties": [{"name": "x", "dataType": ["uuid"]}]},
    ],
}


def records() -> RecordBatch:
    late = MultiColumn(np.array([0, 2, 3], np.int64), np.ones((3, 4), np.float32))
    vectors = {name: DenseColumn(np.ones((2, 3), np.float32)) for name in ("graph", "small")}
    return RecordBatch("", [UUID(int=1), UUID(int=2)], {**vectors, "late": late}, [{"n": 1}, {"o": {}}])


def settings(raw: dict[str, Any]) -> dict[str, Any]:
    """The class without name and marker, and without the flag that keeps the server from choosing a quantizer. The
    order of the properties has no meaning, and the server does not keep it."""
    raw["properties"] = sorted(raw["properties"], key=str)
    found = {key: value for key, value in raw.items() if key not in ("class", "description")}
    for config in found.get("vectorConfig", {}).values():
        config["vectorIndexConfig"].pop("skipDefaultQuantization", None)
    return found


async def test_a_class_comes_back_with_all_its_settings(place: Place) -> None:
    name = place.create(**CLASS)
    async with place.open(name) as source:
        assert await source.upsert(records()) == []
        schema = await source.describe()
    copy = place.name()
    async with place.open(copy) as target:
        await target.create(replace(schema, name=copy, note={"version": 1}))
        assert await target.upsert(records()) == []
        again = await target.describe()
        await target.set_note(None)
    assert settings(place.rest("GET", f"/schema/{copy}")) == settings(place.rest("GET", f"/schema/{name}"))
    assert place.rest("GET", f"/schema/{copy}")["description"].startswith("my [own] words\n[vectormigrate:1:")
    assert {item.name: item for item in again.vectors} == {item.name: item for item in schema.vectors}
    assert (again.fields, again.note) == (schema.fields, {"version": 1})


async def test_neutral_words_for_vectors_and_fields(place: Place) -> None:
    name = place.create(**CLASS)
    async with place.open(name) as source:
        await source.upsert(records())
        schema = await source.describe()
    graph, late, small = sorted(schema.vectors, key=lambda item: item.name)
    assert graph.index == {"type": "hnsw", "m": 12, "ef_construct": 77}
    assert (graph.metric, late.metric, small.metric) == (Metric.L1, Metric.COSINE, Metric.DOT)
    assert (graph.dim, late.dim, small.dim) == (3, 4, 3)
    assert late.kind is VectorKind.MULTI
    fields = {item.name: (item.type, item.indexed) for item in schema.fields}
    assert fields["word"] == (FieldType.TEXT, True)
    assert fields["exact"] == (FieldType.STRING, True)
    assert fields["n"] == (FieldType.INT64, True)
    assert fields["plain"] == (FieldType.FLOAT64, False)
    assert fields["o.x"] == (FieldType.UUID, True)


async def test_a_dimension_is_found_wherever_it_first_appears(place: Place) -> None:
    """The first hundred records have no vector, and a quantized index does not tell its dimension."""
    name = place.create(vectorConfig={key: NAMED[key] for key in ("graph", "small")})
    async with place.open(name) as source:
        empty = await source.describe()
        assert [(item.name, item.dim) for item in sorted(empty.vectors, key=lambda v: v.name)] == [
            ("graph", None),
            ("small", None),
        ]
        ids = [UUID(int=number + 1) for number in range(150)]
        assert await source.upsert(RecordBatch("", list(ids), {}, [{} for _ in ids])) == []
        bare = await source.describe()
        assert bare.vectors == ()
        assert len([text for text in bare.warnings if "no record holds" in text]) == 2
        columns = {key: DenseColumn(np.ones((1, width), np.float32)) for key, width in (("graph", 5), ("small", 7))}
        assert await source.upsert(RecordBatch("", [UUID(int=2**100)], columns, [{}])) == []
    async with place.open(name) as source:
        assert {item.name: item.dim for item in (await source.describe()).vectors} == {"graph": 5, "small": 7}


async def test_a_new_class_leaves_nothing_to_the_servers_defaults(place: Place) -> None:
    name = place.name()
    fields = (
        MetadataField(name="s", type=FieldType.STRING, indexed=True, declared=True),
        MetadataField(name="t", type=FieldType.TEXT, indexed=True, declared=True),
        MetadataField(name="_vm_origin", type=FieldType.STRING, indexed=True, declared=True),
        MetadataField(name="l", type=FieldType.LIST, element=FieldType.DATETIME, declared=True),
    )
    vectors = (VectorField(name="v", kind=VectorKind.DENSE, dim=4, metric=Metric.L2),)
    schema = CollectionSchema(name=name, id_kinds=frozenset({IdKind.UUID}), vectors=vectors, fields=fields)
    async with place.open(name) as target:
        await target.create(schema)
        with pytest.raises(AlreadyExists):
            await target.create(schema)
        raw = place.rest("GET", f"/schema/{name}")
        vector = raw["vectorConfig"]["v"]
        assert vector["vectorizer"] == {"none": {}}
        assert vector["vectorIndexConfig"]["skipDefaultQuantization"] is True
        assert vector["vectorIndexConfig"]["distance"] == "l2-squared"
        keys = ("dataType", "tokenization", "indexFilterable", "indexSearchable")
        shown = {item["name"]: tuple(item.get(key) for key in keys) for item in raw["properties"]}
        assert shown == {
            "s": (["text"], "field", True, False),
            "t": (["text"], "word", True, True),
            "_vm_origin": (["text"], "field", False, False),
            "l": (["date[]"], None, False, False),
        }


async def test_the_unnamed_vector_lives_beside_named_ones(place: Place) -> None:
    name = place.name()
    vectors = tuple(
        VectorField(name=key, kind=VectorKind.DENSE, dim=dim, metric=Metric.DOT) for key, dim in (("", 2), ("n", 3))
    )
    schema = CollectionSchema(name=name, id_kinds=frozenset({IdKind.UUID}), vectors=vectors, note={"a": 1})
    columns = {item.name: DenseColumn(np.full((1, item.dim or 0), 0.5, np.float32)) for item in vectors}
    async with place.open(name) as target:
        await target.create(schema)
        assert await target.upsert(RecordBatch("", [UUID(int=1)], columns, [{}])) == []
        found = await target.describe()
        assert ([(item.name, item.dim) for item in found.vectors], found.note) == ([("", 2), ("n", 3)], {"a": 1})
        await _search_both(target)
    async with place.vendor() as client:
        query = client.collections.use(name).query
        assert (await query.fetch_object_by_id(UUID(int=1), include_vector=True)).vector["default"] == [0.5, 0.5]
        assert (await query.fetch_object_by_id(UUID(int=1), include_vector=["n"])).vector == {"n": [0.5, 0.5, 0.5]}


async def _search_both(target: Target) -> None:
    for key, width in (("", 2), ("n", 3)):
        (hits,) = await target.search(key, np.ones((1, width), np.float32), 5, "")
        assert hits.ids == [UUID(int=1)]


async def test_a_class_of_the_vendors_client_is_a_source_and_target(place: Place) -> None:
    name = place.name()
    async with place.vendor() as client:
        await client.collections.create(
            name,
            properties=[wvc.config.Property(name="t", data_type=wvc.config.DataType.TEXT)],
            vector_config=wvc.config.Configure.MultiVectors.self_provided(name="late"),
        )
    async with place.open(name) as target:
        late = MultiColumn(np.array([0, 2], np.int64), np.ones((2, 4), np.float32))
        assert await target.upsert(RecordBatch("", [UUID(int=1)], {"late": late}, [{"t": "x"}])) == []
        (vector,) = (await target.describe()).vectors
        assert (vector.kind, vector.dim) == (VectorKind.MULTI, 4)


@pytest.mark.parametrize("bad", ["A", "9x", "a-b", "x_searchable", "id", "_id", "x" * 232, "a.b c"])
async def test_illegal_property_names_are_refused_before_anything_is_made(place: Place, bad: str) -> None:
    name = place.name()
    fields = (MetadataField(name=bad, type=FieldType.STRING, declared=True),)
    schema = CollectionSchema(name=name, id_kinds=frozenset({IdKind.UUID}), vectors=(), fields=fields)
    async with place.open(name) as target:
        if "." in bad:
            await target.create(schema)
            assert (await target.describe()).fields == ()
            return
        with pytest.raises(InvalidRequest):
            await target.create(schema)
        assert name not in [item["class"] for item in place.rest("GET", "/schema")["classes"]]


def test_the_marker_survives_and_damage_is_ignored() -> None:
    marker = Marker(note={"x": ["é", None, 2**60]}, dims={"a": 3}, later=({"name": "r"},))
    text = joined("words", marker)
    assert split(text) == ("words", marker)
    assert split(joined("", marker)) == ("", marker)
    assert split("words") == ("words", Marker())
    damaged = text.replace("vectormigrate:1:", "vectormigrate:1:AAAA")
    assert split(damaged) == (damaged, Marker())


@pytest.mark.parametrize(
    ("options", "rest", "grpc"),
    [
        ({"url": "http://h:8080"}, "http://h:8080/v1", ("h:50051", False)),
        ({"url": "http://h:1234", "grpc_port": 9}, "http://h:1234/v1", ("h:9", False)),
        ({"url": "https://h"}, "https://h:443/v1", ("h:50051", True)),
        ({"url": "https://x.weaviate.cloud"}, "https://x.weaviate.cloud:443/v1", ("grpc-x.weaviate.cloud:443", True)),
        (
            {"url": "https://x-1.weaviate.network"},
            "https://x-1.weaviate.network:443/v1",
            ("x-1.grpc.weaviate.network:443", True),
        ),
        ({"url": "https://x.c0.gcp.weaviate.cloud:8443"}, None, ("grpc-x.c0.gcp.weaviate.cloud:443", True)),
        ({"url": "http://[::1]:80", "grpc_port": 7}, "http://[::1]:80/v1", ("[::1]:7", False)),
        ({"url": "http://h", "grpc_url": "https://g"}, "http://h:8080/v1", ("g:443", True)),
        ({"url": "https://h", "grpc_url": "g:99"}, "https://h:443/v1", ("g:99", True)),
    ],
)
def test_addresses(options: dict[str, Any], rest: str | None, grpc: tuple[str, bool]) -> None:
    config = WeaviateConfig(collection="docs", api_key=None, **options)
    rest = rest or f"{options['url']}/v1"
    assert (config.rest(), config.grpc()) == (rest, grpc)
    assert config.location() == f"weaviate:{rest.removesuffix('/v1')}#Docs"


@pytest.mark.parametrize(
    "options",
    [
        {"url": "h:80"},
        {"url": "http://h:1234"},
        {"url": "http://u:p@h"},
        {"url": "http://h?x=1"},
        {"url": "http://h", "grpc_url": "g/x"},
        {"url": ""},
    ],
)
def test_wrong_addresses_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        WeaviateConfig(collection="c", **options)
