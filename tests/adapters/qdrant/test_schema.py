"""Settings, indexes and versions: what the server tells comes back on another collection."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from tests.adapters.qdrant.support import FIELD, SCHEMA, call, config, created, everything, new_name, records
from tests.emulators.qdrant import Emulator, emulator
from tests.support.connected import connected
from vectormigrate.adapters.qdrant import SPEC, QdrantConfig
from vectormigrate.adapters.qdrant.capabilities import parse_version
from vectormigrate.errors import InvalidRequest
from vectormigrate.model.ids import RecordId
from vectormigrate.model.schema import CollectionSchema, FieldType, MetadataField, Metric, VectorField, VectorKind

pytestmark = pytest.mark.anyio

EXTRAS: dict[str, Any] = {
    "hnsw_config": {"m": 20, "ef_construct": 90, "full_scan_threshold": 500, "payload_m": 8},
    "quantization_config": {"scalar": {"type": "int8", "quantile": 0.9, "always_ram": True}},
    "optimizers": {"indexing_threshold": 5000},
    "wal_config": {"wal_capacity_mb": 64},
    "strict_mode_config": {"enabled": True, "max_query_limit": 5000},
    "metadata": {"owner": {"team": "search"}},
    "on_disk_payload": False,
    "replication_factor": 2,
    "vectors": {"flat": {"on_disk": True, "quantization_config": {"binary": {"always_ram": True}}}},
    "sparse_vectors": {"words": {"modifier": "idf", "full_scan_threshold": 900, "on_disk": True}},
    "payload_schema": {"user": {"data_type": "keyword", "params": {"is_tenant": True}}},
}
FIELDS = (
    MetadataField(name="user", type=FieldType.STRING, indexed=True),
    MetadataField(name="a.b", type=FieldType.INT64, indexed=True),
    MetadataField(name="tags", type=FieldType.LIST, element=FieldType.STRING, indexed=True),
    MetadataField(name="place", type=FieldType.GEO, indexed=True),
    MetadataField(name="at", type=FieldType.DATETIME, indexed=True),
    MetadataField(name="text", type=FieldType.TEXT, indexed=True),
    MetadataField(name="uid", type=FieldType.UUID, indexed=True),
)
VECTORS = (
    replace(FIELD, name="graph", index={"type": "hnsw", "m": 8, "ef_construct": 40}),
    VectorField(name="words", kind=VectorKind.SPARSE, dim=None, metric=Metric.DOT),
    replace(FIELD, name="flat", index={"type": "flat"}),
)


def indexed(schema: CollectionSchema) -> dict[str, Any]:
    found: dict[str, Any] = schema.extras["qdrant"]["payload_schema"]
    return {path: item["data_type"] for path, item in found.items()}


async def test_settings_and_indexes_come_back_and_make_the_same_collection(server: Emulator) -> None:
    wanted = replace(SCHEMA, vectors=VECTORS, fields=FIELDS, extras={"qdrant": EXTRAS})
    async with created(server, wanted) as target:
        first = await target.describe()
        await target.finalize()
        assert await target.describe() == first
    scalar, binary = {"kind": "scalar", "bits": 8}, {"kind": "binary", "bits": 1}
    indexes = ({**VECTORS[0].index, "quantization": scalar}, {}, {**VECTORS[2].index, "quantization": binary})
    vectors = tuple(replace(item, index=index) for item, index in zip(VECTORS, indexes, strict=True))
    assert (first.vectors, first.fields) == (vectors, FIELDS)
    found = first.extras["qdrant"]
    for key, value in EXTRAS.items():
        if key not in ("payload_schema", "vectors"):
            assert found[key] == value, key
    assert found["vectors"]["flat"] == {**EXTRAS["vectors"]["flat"], "hnsw_config": {"m": 0}}
    assert found["payload_schema"]["user"] == EXTRAS["payload_schema"]["user"]
    assert indexed(first) == {
        "user": "keyword",
        "a.b": "integer",
        "tags": "keyword",
        "place": "geo",
        "at": "datetime",
        "text": "text",
        "uid": "uuid",
    }
    async with created(server, first) as again:
        assert replace(await again.describe(), name="") == replace(first, name="")


async def test_a_collection_with_default_settings_carries_none(server: Emulator) -> None:
    async with created(server) as target:
        assert (await target.describe()).extras == {}
        name = (await target.describe()).name
        async with connected(SPEC, config(server, name, settings="all")) as full:
            assert (await full.describe()).extras["qdrant"]["hnsw_config"]["m"] == 16


async def test_settings_of_zero_and_false_are_settings(server: Emulator) -> None:
    """Nothing is taken for "not set" because it is falsy."""
    name = new_name()
    graph = {"m": 0, "ef_construct": 4, "full_scan_threshold": 10, "payload_m": 0}
    body = {
        "vectors": {"d": {"size": 4, "distance": "Dot", "on_disk": False, "hnsw_config": {"m": 8, "payload_m": 0}}},
        "sparse_vectors": {"s": {"index": {"full_scan_threshold": 0, "on_disk": False}}},
        "hnsw_config": graph,
        "optimizers_config": {"indexing_threshold": 0, "flush_interval_sec": 0, "deleted_threshold": 0.0},
        "wal_config": {"wal_capacity_mb": 1, "wal_segments_ahead": 0},
        "on_disk_payload": False,
    }
    call(server, "PUT", f"collections/{name}", body)
    before = call(server, "GET", f"collections/{name}")["config"]
    async with connected(SPEC, config(server, name)) as source:
        found = await source.describe()
        await source.drop()
    async with created(server, found, name) as target:
        await target.finalize()
        after = call(server, "GET", f"collections/{name}")["config"]
    after.pop("metadata", None)
    assert after == before


async def test_unknown_settings_are_kept(server: Emulator) -> None:
    name = new_name()
    body = {"vectors": {"size": 4, "distance": "Dot", "on_disk": True, "brand_new": {"x": 1}}}
    call(server, "PUT", f"collections/{name}", body)
    async with connected(SPEC, config(server, name)) as target:
        found = (await target.describe()).extras["qdrant"]["vectors"][""]
        assert found == {"on_disk": True, "brand_new": {"x": 1}}
        await target.drop()


async def test_aliases_are_reported_and_can_be_read_through(server: Emulator) -> None:
    async with created(server) as target:
        name = (await target.describe()).name
        alias = f"alias_{name}"
        action = {"create_alias": {"collection_name": name, "alias_name": alias}}
        call(server, "POST", "collections/aliases", {"actions": [action]})
        assert any(alias in item.detail for item in (await target.describe()).settings)
        await target.upsert(records([1, 2]))
        async with connected(SPEC, config(server, alias)) as through:
            assert await through.count() == 2
            assert (await through.describe()).vectors == SCHEMA.vectors


async def test_an_old_server_keeps_the_note_in_a_collection_of_ours(old_server: Emulator) -> None:
    def names() -> set[str]:
        return {item["name"] for item in call(old_server, "GET", "collections")["collections"]}

    note = {"version": 1, "text": "é\"'"}
    async with created(old_server, replace(SCHEMA, note=note, vectors=VECTORS)) as target:
        found = await target.describe()
        assert (found.note, found.vectors) == (note, VECTORS)
        assert "_vm_notes" in names()
        await target.set_note(None)
        assert (await target.describe()).note is None
        assert (await target.describe()).vectors == VECTORS
    assert "_vm_notes" not in names()
    with pytest.raises(InvalidRequest, match="reserved"):
        async with connected(SPEC, config(old_server, "_vm_notes")) as target:
            await target.create(SCHEMA)


@pytest.mark.parametrize("prefer_grpc", [True, False])
async def test_an_old_server_is_never_asked_for_slices_and_is_cut_all_the_same(
    old_server: Emulator, prefer_grpc: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a server would drop the condition over gRPC without a word."""
    monkeypatch.setattr("vectormigrate.adapters.qdrant.partitions.SAMPLE_IDS", 40)
    numbers: list[RecordId] = [10 * number for number in range(150)]
    uuids: list[RecordId] = [UUID(int=number << 100) for number in range(1, 151)]
    async with created(old_server, prefer_grpc=prefer_grpc) as target:
        await target.upsert(records([*numbers, *uuids]))
        partitions = await target.partitions(6)
        assert await target.partitions(6) == partitions
        assert len(partitions) == 6
        assert len(await everything(target, 6)) == 300
        sizes = [sum([len(page.batch) async for page in target.scan(item)]) for item in partitions]
        assert min(sizes) >= 40


async def test_a_new_server_samples_by_slices(server: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vectormigrate.adapters.qdrant.partitions.SAMPLE_IDS", 100)
    async with created(server) as target:
        await target.upsert(records(list(range(1000))))
        partitions = await target.partitions(4)
        assert await target.partitions(4) == partitions
        sizes = [sum([len(page.batch) async for page in target.scan(item)]) for item in partitions]
        assert (len(sizes), sum(sizes)) == (4, 1000)
        assert min(sizes) > 100


async def test_settings_that_an_older_server_lacks_are_not_sent(old_server: Emulator) -> None:
    extras = {"optimizers": {"prevent_unoptimized": True, "indexing_threshold": 77}, "payload_memory": "pinned"}
    fields = (MetadataField(name="user", type=FieldType.STRING, indexed=True),)
    index = {"user": {"data_type": "keyword", "params": {"is_tenant": True, "prefix": True, "memory": "cold"}}}
    vectors = {"": {"datatype": "turbo8", "memory": "pinned"}}
    own = {**extras, "payload_schema": index, "vectors": vectors}
    async with created(old_server, replace(SCHEMA, fields=fields, extras={"qdrant": own})) as target:
        found = (await target.describe()).extras["qdrant"]
    assert found == {
        "optimizers": {"indexing_threshold": 77},
        "payload_schema": {"user": {"data_type": "keyword", "params": {"is_tenant": True}}},
    }


async def test_a_server_that_is_too_old_is_refused() -> None:
    with emulator(version="1.12.5") as ancient, pytest.raises(InvalidRequest, match=r"1\.12\.5.*1\.15"):
        async with connected(SPEC, config(ancient, "c")):
            pass


def test_versions_are_read() -> None:
    assert [parse_version(text) for text in ("1.19.0", "1.20.3-dev", "1.16", "dev")] == [
        (1, 19, 0),
        (1, 20, 3),
        (1, 16, 0),
        (1, 15, 0),
    ]


@pytest.mark.parametrize(
    "options",
    [
        {"url": "host:6333"},
        {"url": "http://user:secret@host"},
        {"url": "http://host?x=1"},
        {"shard_key": -1},
        {"divide_by": "shard_key", "shard_key": "a"},
        {"grpc_port": 0},
        {"unknown": 1},
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        QdrantConfig.model_validate({"url": "http://host", "collection": "c", **options})


def test_locations_are_canonical_and_without_the_key() -> None:
    def location(url: str, **options: Any) -> str:
        return QdrantConfig.model_validate({"url": url, "collection": "c", **options}).location()

    assert location("http://host", api_key="secret") == location("https://HOST:6333/") == "qdrant:host:6333/c"
    assert location("http://host", shard_key="a") != location("http://host")
    assert QdrantConfig(url="http://[::1]/p/", collection="c").grpc_address() == "[::1]:6334"
