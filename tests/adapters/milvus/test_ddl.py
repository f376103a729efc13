"""What is sent to create a collection, for servers that are not here too."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.milvus.shapes import T, field, floats, int_pk, layout, shape
from tests.support.connected import connected
from vectormigrate.adapters.milvus import SPEC, MilvusConfig
from vectormigrate.adapters.milvus.capabilities import Server, narrowed, server_of
from vectormigrate.adapters.milvus.ddl import creation
from vectormigrate.adapters.milvus.indexes import index_params, scalar_index
from vectormigrate.adapters.milvus.layout import layout_of
from vectormigrate.adapters.milvus.proto import cp, pb, sp
from vectormigrate.adapters.milvus.schema import schema_of
from vectormigrate.errors import InvalidRequest, MissingExtra
from vectormigrate.model.ids import IdKind
from vectormigrate.model.schema import (
    CollectionSchema,
    DType,
    FieldType,
    MetadataField,
    Metric,
    VectorField,
    VectorKind,
    Weight,
)

OLD, NEW = Server(label="", version=(2, 3), lite=False), Server(label="", version=(3, 0), lite=False)

FOREIGN = CollectionSchema(
    name="c",
    id_kinds=frozenset({IdKind.STRING}),
    vectors=(VectorField(name="v", kind=VectorKind.DENSE, dim=8, metric=Metric.COSINE),),
)


def fields_of(schema: CollectionSchema, server: Server) -> tuple[dict[str, sp.FieldSchema], pb.CreateCollectionRequest]:
    request = creation("c", schema, server, narrowed(server)).collection
    proto = sp.CollectionSchema.FromString(request.schema)
    return {item.name: item for item in proto.fields}, request


@pytest.mark.parametrize(
    ("version", "mode", "tags", "label", "number", "lite"),
    [
        ("v2.3.5-lite", "STANDALONE", "v2.3.5-lite", "Milvus 2.3.5 standalone", (2, 3), False),
        ("milvus_lite-3.2.2", "embedded", "milvus_lite", "Milvus Lite 3.2.2", (3, 2), True),
        ("v2.6.0-rc1", "DISTRIBUTED", "", "Milvus 2.6.0 distributed", (2, 6), False),
        ("Zilliz Cloud Vector Database(Compatible with Milvus 2.5)", "", "", None, (2, 5), False),
        ("unknown", "", "", "Milvus unknown", (99, 0), False),
    ],
)
def test_servers_are_told_apart(
    version: str, mode: str, tags: str, label: str | None, number: tuple[int, int], lite: bool
) -> None:
    found = server_of(version, mode, tags)
    assert (found.label, found.version, found.lite) == (label or version, number, lite)


def test_capabilities_shrink_with_the_version() -> None:
    at = {
        version: narrowed(Server(label="", version=version, lite=False)) for version in ((2, 3), (2, 4), (2, 6), (3, 0))
    }
    assert [caps.vectors.max_fields for caps in at.values()] == [1, 4, 4, 10]
    assert [VectorKind.SPARSE in caps.vectors.kinds for caps in at.values()] == [False, True, True, True]
    assert [DType.INT8 in caps.vectors.dtypes for caps in at.values()] == [False, False, True, True]
    assert [DType.FLOAT16 in caps.vectors.dtypes for caps in at.values()] == [False, True, True, True]
    lite = narrowed(Server(label="", version=(3, 2), lite=True))
    assert (lite.vectors.dtypes, lite.ids.per_namespace, lite.writes.writers) == ({DType.FLOAT32}, False, 1)


def test_fields_of_other_databases_are_typed_only_when_every_record_has_a_value() -> None:
    schema = replace(
        FOREIGN,
        fields=(
            MetadataField(name="year", type=FieldType.INT32, declared=True, nullable=False),
            MetadataField(name="title", type=FieldType.TEXT, declared=True, nullable=False),
            MetadataField(name="maybe", type=FieldType.INT32, declared=True),
            MetadataField(name="a.b", type=FieldType.STRING, declared=True, nullable=False),
            MetadataField(name="when", type=FieldType.DATETIME, declared=True, nullable=False),
            MetadataField(name="loose", type=FieldType.BOOL, indexed=True),
        ),
        dynamic=False,
    )
    found, request = fields_of(schema, NEW)
    assert {name: item.data_type for name, item in found.items()} == {
        "id": T.VarChar,
        "v": T.FloatVector,
        "year": T.Int32,
        "title": T.VarChar,
    }
    assert sp.CollectionSchema.FromString(request.schema).enable_dynamic_field
    described = layout_of(pb.DescribeCollectionResponse(schema=shape(), properties=request.properties))
    assert [item.name for item in schema_of("c", described, [], []).fields] == ["maybe", "a.b", "when", "loose"]


def test_neutral_index_parameters_are_taken_over_within_what_milvus_builds() -> None:
    def built(**index: Any) -> dict[str, str]:
        schema = replace(FOREIGN, vectors=(replace(FOREIGN.vectors[0], index=index),))
        (request,) = creation("c", schema, OLD, narrowed(OLD)).indexes
        return {item.key: item.value for item in request.extra_params}

    assert built() == {"index_type": "HNSW", "metric_type": "COSINE", "params": '{"M": 16, "efConstruction": 200}'}
    assert built(type="hnsw", m=12, ef_construct=77)["params"] == '{"M": 12, "efConstruction": 77}'
    assert built(type="hnsw", m=1000, ef_construct=1)["params"] == '{"M": 64, "efConstruction": 8}'
    assert built(type="flat") == {"index_type": "FLAT", "metric_type": "COSINE"}


def test_an_index_of_a_newer_milvus_is_replaced_on_one_that_cannot_build_it() -> None:
    described = pb.IndexDescription(field_name="embedding", index_name="i")
    for key, value in (("index_type", "GPU_CAGRA"), ("metric_type", "L2"), ("params", '{"nlist": 9}')):
        described.params.add(key=key, value=value)
    schema = schema_of("c", layout(), [described], [])
    assert schema.vectors[0].index == {"type": "gpu_cagra"}
    kinds: list[str] = []
    for server in (OLD, NEW):
        (request,) = creation("c", schema, server, narrowed(server)).indexes
        kinds.append({item.key: item.value for item in request.extra_params}["index_type"])
    assert kinds == ["HNSW", "GPU_CAGRA"]
    assert index_params(described)["params"] == '{"nlist": 9}'


def test_scann_stays_on_an_old_server_without_the_parameter_with_which_it_never_loads() -> None:
    described = pb.IndexDescription(field_name="embedding", index_name="i")
    for key, value in (("index_type", "SCANN"), ("metric_type", "L2"), ("with_raw_data", "True"), ("nlist", "9")):
        described.params.add(key=key, value=value)
    schema = schema_of("c", layout(), [described], [])
    for server, extra in ((OLD, {}), (NEW, {"with_raw_data": "True"})):
        (request,) = creation("c", schema, server, narrowed(server)).indexes
        found = {item.key: item.value for item in request.extra_params}
        assert found == {"index_type": "SCANN", "metric_type": "L2", "nlist": "9", **extra}


@pytest.mark.parametrize(
    ("kind", "kept", "made"),
    [
        (T.Int64, "STL_SORT", ["STL_SORT", "STL_SORT", "INVERTED"]),
        (T.Int64, "BITMAP", ["STL_SORT", "BITMAP", "INVERTED"]),
        (T.VarChar, "Trie", ["Trie", "Trie", "INVERTED"]),
        (T.VarChar, "INVERTED", ["Trie", "INVERTED", "INVERTED"]),
        (T.VarChar, "LATER", ["Trie", "INVERTED", "INVERTED"]),
        (T.Bool, "INVERTED", [None, "INVERTED", "INVERTED"]),
        (T.Array, "INVERTED", [None, "INVERTED", None]),
        (T.JSON, "INVERTED", [None, "INVERTED", None]),
        (T.Geometry, "RTREE", [None, "RTREE", None]),
    ],
)
def test_scalar_indexes_are_kept_or_replaced_by_what_the_server_has(
    kind: int, kept: str, made: list[str | None]
) -> None:
    servers = (OLD, NEW, Server(label="", version=(3, 2), lite=True))
    found = [scalar_index(kind, {"index_type": kept}, server) for server in servers]
    assert [item and item["index_type"] for item in found] == made


def test_an_index_on_a_path_of_the_dynamic_field_is_kept_where_there_are_such() -> None:
    path = pb.IndexDescription(field_name="$meta", index_name="by_color")
    for key, value in (("index_type", "INVERTED"), ("json_path", '$meta["color"]'), ("json_cast_type", "varchar")):
        path.params.add(key=key, value=value)
    schema = schema_of("c", layout(), [path], [])
    newest = creation("c", schema, NEW, narrowed(NEW)).indexes
    (kept,) = [item for item in newest if item.field_name == "$meta"]
    assert {item.key: item.value for item in kept.extra_params} == index_params(path)
    assert [item.field_name for item in creation("c", schema, OLD, narrowed(OLD)).indexes] == ["embedding"]


def test_a_field_that_another_database_filters_on_gets_an_index() -> None:
    fields = (
        MetadataField(name="year", type=FieldType.INT32, declared=True, nullable=False, indexed=True),
        MetadataField(name="flag", type=FieldType.BOOL, declared=True, nullable=False),
    )
    made = creation("c", replace(FOREIGN, fields=fields), NEW, narrowed(NEW)).indexes
    assert [item.field_name for item in made] == ["v", "year"]


def test_what_a_reader_should_know_is_said() -> None:
    source = layout(int_pk(autoID=True), floats())
    source.answer.properties.add(key="collection.ttl.seconds", value="60")
    source.answer.properties.add(key="mmap.enabled", value="true")
    source.answer.consistency_level = cp.ConsistencyLevel.Bounded
    found = schema_of("c", source, [], ["b", "a"])
    for told, words in (
        (found.warnings, ("collection.ttl.seconds=60", "metric is a guess")),
        (
            [item.detail for item in found.settings],
            ("collection.ttl.seconds=60", "autoID", "known as a, b", "mmap.enabled=true"),
        ),
    ):
        assert len(told) == len(words)
        for word in words:
            assert [text for text in told if word in text]
    assert [item.weight for item in found.settings if item.name == "ttl"] == [Weight.BEHAVIOUR]
    quiet = layout()
    quiet.answer.properties.add(key="collection.ttl.seconds", value="0")
    index = pb.IndexDescription(field_name="embedding", index_name="i")
    assert schema_of("c", quiet, [index], []).warnings == ()


def test_what_milvus_told_about_its_fields_is_restored_as_far_as_the_server_goes() -> None:
    default = sp.ValueField(long_data=3)
    source = layout(
        int_pk("key", autoID=True, description="d"),
        field("embedding", T.FloatVector, {"dim": 4, "mmap.enabled": "true"}, nullable=True),
        field("year", T.Int64, nullable=True),
        field("rank", T.Int64, default_value=default),
        field("place", T.Geometry),
        floats("other"),
        dynamic=False,
    )
    schema = replace(schema_of("c", source, [], []))
    newest, _ = fields_of(schema, NEW)
    assert set(newest) == {"key", "embedding", "other", "year", "rank", "place"}
    assert (newest["key"].autoID, newest["key"].description) == (False, "d")
    assert newest["embedding"].nullable
    assert {item.key: item.value for item in newest["embedding"].type_params} == {"dim": "4", "mmap.enabled": "true"}
    assert newest["rank"].default_value.long_data == 3
    middle, request = fields_of(schema, Server(label="", version=(2, 5), lite=False))
    assert set(middle) == {"key", "embedding", "other", "year", "rank"}
    assert not middle["embedding"].nullable
    assert sp.CollectionSchema.FromString(request.schema).enable_dynamic_field
    single = replace(schema, vectors=schema.vectors[:1])
    oldest, _ = fields_of(single, OLD)
    assert set(oldest) == {"key", "embedding", "rank"}
    assert not oldest["rank"].HasField("default_value")


@pytest.mark.parametrize(
    "change",
    [
        {"vectors": ()},
        {"vectors": FOREIGN.vectors * 2},
        {"id_kinds": frozenset({IdKind.UUID})},
        {"vectors": (replace(FOREIGN.vectors[0], dim=0),)},
        {"vectors": (replace(FOREIGN.vectors[0], dim=32_769),)},
        {"vectors": (replace(FOREIGN.vectors[0], metric=Metric.HAMMING),)},
        {"vectors": (replace(FOREIGN.vectors[0], kind=VectorKind.MULTI),)},
        {"fields": (MetadataField(name="v", type=FieldType.BOOL, declared=True, nullable=False),)},
    ],
)
def test_impossible_shapes_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        creation("c", replace(FOREIGN, **change), NEW, narrowed(NEW))


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("module", "url", "extra"),
    [("pymilvus", "http://127.0.0.1:1", "milvus"), ("milvus_lite", "a.db", "milvus-lite"), ("grpc", "a.db", "milvus")],
)
async def test_a_missing_package_is_named_with_the_extra_that_brings_it(
    module: str, url: str, extra: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtra, match=rf"'{module}'.*vectormigrate\[{extra}\]"):
        async with connected(SPEC, MilvusConfig(url=url, collection="c")):
            pass
