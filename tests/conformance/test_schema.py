"""Creating, describing, noting and dropping a collection."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.conformance.data import batch, ids_of, legal, read_all, write
from tests.conformance.requirements import requirement
from tests.harness.base import Harness
from vectormigrate.errors import AlreadyExists, CollectionNotFound, TerminalError
from vectormigrate.model.schema import FieldType, MetadataField, VectorKind

pytestmark = pytest.mark.anyio

FIELDS = (
    MetadataField(name="flag", type=FieldType.BOOL, indexed=True),
    MetadataField(name="year", type=FieldType.INT64, indexed=True),
    MetadataField(name="score", type=FieldType.FLOAT64, indexed=True),
    MetadataField(name="title", type=FieldType.STRING, indexed=True),
)


@requirement("describe:returns-what-was-created")
async def test_describe_returns_the_shape_that_was_created(harness: Harness) -> None:
    vectors = [harness.vector("embedding", dim=16)]
    if harness.supports(VectorKind.SPARSE):
        vectors.append(harness.vector("words", VectorKind.SPARSE))
    vectors.append(harness.vector("abstract", dim=8, metric=harness.metrics(VectorKind.DENSE)[-1]))
    wanted = harness.schema(*harness.together(*vectors), name=harness.new_name())
    async with harness.fresh(wanted) as target:
        found = await target.describe()
    assert found.name == wanted.name
    assert found.id_kinds >= wanted.id_kinds
    assert [replace(item, index={}) for item in found.vectors] == list(wanted.vectors)
    assert found.note is None


@requirement("describe:metadata-indexes")
async def test_describe_returns_the_indexed_fields(harness: Harness) -> None:
    async with harness.fresh(harness.schema(fields=FIELDS)) as target:
        await target.finalize()
        found = {item.name: item for item in (await target.describe()).fields}
    for item in FIELDS:
        assert item.name in found
        assert (found[item.name].type, found[item.name].indexed) == (item.type, True)


@requirement("describe:vector-index")
async def test_describe_returns_the_graph_parameters(harness: Harness) -> None:
    index = {"type": "hnsw", "m": 12, "ef_construct": 77}
    async with harness.fresh(harness.schema(replace(harness.vector(), index=index))) as target:
        await target.finalize()
        (item,) = (await target.describe()).vectors
    assert {key: item.index.get(key) for key in index} == index


@requirement("describe:missing-collection")
async def test_a_missing_collection_is_reported_as_missing(harness: Harness) -> None:
    schema = harness.schema()
    records = batch(schema, ids_of(schema, [1]))
    async with harness.open(harness.new_name()) as target:
        for call in (
            target.describe,
            target.count,
            target.namespaces,
            target.finalize,
            lambda: target.partitions(2),
            lambda: target.fetch(records.ids, ""),
            lambda: target.upsert(records),
            lambda: target.delete(records.ids, ""),
            lambda: target.set_note({}),
        ):
            with pytest.raises(CollectionNotFound):
                await call()


@requirement("describe:server")
async def test_server_is_named(harness: Harness) -> None:
    async with harness.fresh() as target:
        assert len(await target.server()) > 3


@requirement("create:existing-collection")
async def test_creating_an_existing_collection_changes_nothing(harness: Harness) -> None:
    schema = harness.schema()
    async with harness.fresh(schema) as target:
        await write(target, batch(schema, ids_of(schema, range(3))))
        before = await target.describe()
        with pytest.raises(AlreadyExists):
            await target.create(harness.schema(harness.vector("other", dim=3)))
        assert await target.describe() == before
        assert await target.count() == 3


@requirement("create:any-legal-name")
async def test_collections_with_unusual_names_live_side_by_side(harness: Harness) -> None:
    names = ["Docs_2024", "docs_2024", "a-b", "a.b", "..", "a/b", "a b", "日本", "it's", "q" * 120, "%41", "C:\\x"]
    schema = harness.schema()
    wanted = legal(harness.capabilities.collection.names, names)
    for number, name in enumerate(wanted):
        async with harness.open(name) as target:
            await target.drop()
            await target.create(replace(schema, name=name))
            await write(target, batch(schema, ids_of(schema, [number])))
    for number, name in enumerate(wanted):
        async with harness.open(name) as target:
            assert (await target.describe()).name == name
            assert [key for _, key in await read_all(target)] == ids_of(schema, [number])
            await target.drop()


@requirement("create:impossible-schema")
async def test_an_impossible_schema_is_refused_and_leaves_nothing(harness: Harness) -> None:
    too_wide = harness.schema(harness.vector(dim=harness.capabilities.vectors.max_dim + 1))
    async with harness.open(harness.new_name()) as target:
        with pytest.raises(TerminalError):
            await target.create(too_wide)
        with pytest.raises(CollectionNotFound):
            await target.describe()


@requirement("note:survives")
async def test_the_note_is_stored_replaced_and_removed(harness: Harness) -> None:
    first = {"version": 1, "adapter": "x", "schema": {"fields": [], "extras": {"a": None, "b": 2**60, "c": "é\"'\n😀"}}}
    name = harness.new_name()
    async with harness.fresh(harness.schema(name=name, note=first)) as target:
        assert (await target.describe()).note == first
        second = {"big": "x" * 20_000}
        await target.set_note(second)
        assert (await target.describe()).note == second
        async with harness.open(name) as again:
            assert (await again.describe()).note == second
            await again.set_note(None)
        assert (await target.describe()).note is None


@requirement("drop:removes")
async def test_a_dropped_collection_is_gone_and_its_name_free(harness: Harness) -> None:
    name = harness.new_name()
    schema = harness.schema(name=name)
    async with harness.fresh(schema) as target:
        await write(target, batch(schema, ids_of(schema, range(5))))
        await target.drop()
        with pytest.raises(CollectionNotFound):
            await target.count()
        await target.drop()
        await target.create(schema)
        assert await target.count() == 0
        assert await read_all(target) == {}
