"""What only a real server does. It runs once for this module."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Generator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any
from uuid import uuid4

import anyio
import pytest

from tests.adapters.milvus.native import native
from tests.adapters.milvus.shapes import SCHEMA, T, everything, field, floats, int_pk, layout, records, shape, text_pk
from tests.harness.milvus_server import standalone
from tests.support.connected import connected
from vectormigrate.adapters.milvus import SPEC, MilvusConfig, reader
from vectormigrate.adapters.milvus.encode import encode
from vectormigrate.adapters.milvus.indexes import pairs
from vectormigrate.adapters.milvus.proto import cp, pb
from vectormigrate.adapters.milvus.schema import schema_of
from vectormigrate.adapters.milvus.session import Session
from vectormigrate.errors import InvalidRequest, RecordsRejected, Unavailable
from vectormigrate.model.batch import RecordBatch
from vectormigrate.model.schema import DType, Metric, VectorField, VectorKind

URL = os.environ.get("VECTORMIGRATE_TEST_MILVUS_URL")

pytestmark = [pytest.mark.anyio, pytest.mark.server]


@pytest.fixture(scope="module")
def url() -> Generator[str, None, None]:
    """A running server."""
    if URL is not None:
        yield URL
        return
    pytest.importorskip("milvus")
    with standalone() as found:
        yield found


@pytest.fixture
def config(url: str) -> MilvusConfig:
    """A collection that does not exist yet."""
    return MilvusConfig(url=url, collection=f"c_{uuid4().hex[:12]}")


async def test_a_released_source_is_refused_or_loaded_for_reading_and_released_again(config: MilvusConfig) -> None:
    async with native(config) as other:
        async with connected(SPEC, config) as target:
            await target.create(SCHEMA)
            await target.upsert(records([1, 2, 3]))
            await target.finalize()
        assert await other.state(config.collection) == 3
        await other.release(config.collection)
        async with connected(SPEC, config) as source:
            await source.describe()
            with pytest.raises(InvalidRequest, match=r"is released.*load=true"):
                await source.count()
            with pytest.raises(InvalidRequest, match=r"is released.*load=true"):
                await source.fetch([2], "")
            assert await other.state(config.collection) == 1
        async with connected(SPEC, config.model_copy(update={"load": True})) as source:
            assert await source.count() == 3
            await other.release(config.collection)
            assert (await source.fetch([2], "")).ids == [2]
            assert await other.state(config.collection) == 3
        assert await other.state(config.collection) == 1
        async with connected(SPEC, config) as target:
            await target.drop()


async def test_a_scan_asks_ahead_and_leaves_no_query_behind(
    config: MilvusConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "READ_ROWS", 4)
    async with connected(SPEC, config) as target:
        await target.create(SCHEMA)
        await target.upsert(records(list(range(12))))
        await target.finalize()
    async with native(config) as other, connected(SPEC, config) as source:
        (partition,) = await source.partitions(1)
        before = asyncio.all_tasks()
        async with aclosing(source.scan(partition, page_rows=2)) as pages:
            assert (await anext(pages)).batch.ids == [0, 1]
            assert len(asyncio.all_tasks() - before) == 1
        assert asyncio.all_tasks() == before
        found: list[list[Any]] = []

        async def scan() -> None:
            async for page in source.scan(partition, page_rows=2):
                found.append(page.batch.ids)
                if len(found) == 1:
                    await asyncio.wait(asyncio.all_tasks() - before)
                    await other.release(config.collection)

        with pytest.raises(InvalidRequest, match="is released"):
            await scan()
        assert found == [[0, 1], [2, 3], [4, 5], [6, 7]]
        assert asyncio.all_tasks() == before
        await source.drop()


async def test_a_source_without_index_says_what_to_do(config: MilvusConfig) -> None:
    async with native(config) as other, connected(SPEC, config) as source:
        await other.create(config.collection, shape())
        with pytest.raises(InvalidRequest, match=r"'embedding' has no index.*create an index"):
            await source.count()
        schema = await source.describe()
        assert schema.extras["milvus"]["unindexed"] == ["embedding"]
        assert schema.warnings == ("the vector field 'embedding' has no index, so its metric is a guess",)
        await source.drop()


async def test_a_collection_is_restored_from_its_description(config: MilvusConfig) -> None:
    wanted = shape(
        text_pk("key", 77),
        floats(),
        field("year", T.Int16, description="of birth"),
        field("score", T.Float),
        field("tenant", T.VarChar, {"max_length": 9}, is_partition_key=True),
        field("doc", T.JSON),
        field("tags", T.Array, {"max_capacity": 3, "max_length": 9}, element_type=T.VarChar),
        dynamic=False,
        description="the people",
    )
    rows: list[Any] = [
        {"year": n, "score": n / 4, "tenant": f"t{n % 3}", "doc": {"n": [n, None, 1.0]}, "tags": ["é"] * (n % 3)}
        for n in range(40)
    ]
    copy = config.model_copy(update={"collection": config.collection + "_copy"})
    async with native(config) as other, connected(SPEC, config) as source, connected(SPEC, copy) as target:
        properties = {"collection.ttl.seconds": 999_999, "mine": "é"}
        await other.create(
            config.collection, wanted, num_partitions=7, properties=pairs(properties), consistency_level=1
        )
        await other.index(config.collection, index_type="IVF_FLAT", metric_type="IP", params='{"nlist": 33}')
        await other.index(config.collection, "year", index_type="STL_SORT", metric_type="")
        assert await source.upsert(records([f"k{n:02d}" for n in range(40)], rows)) == []
        schema = await source.describe()
        await target.create(schema)
        for page in await everything(source, page_rows=9):
            assert await target.upsert(page) == []
        await target.finalize()
        again = await target.describe()
        found = [row for page in await everything(target, 3) for row in zip(page.ids, page.metadata, strict=True)]
        assert repr(sorted(found)) == repr(sorted((f"k{n:02d}", row) for n, row in enumerate(rows)))
        assert replace(again, name="", extras={}) == replace(schema, name="", extras={})
        before, after = schema.extras["milvus"], again.extras["milvus"]
        assert before["properties"] == {key: str(value) for key, value in properties.items()}
        assert (before["num_partitions"], before["description"], before["consistency"]) == (7, "the people", "Session")
        assert {item["field_name"] for item in before["indexes"]} == {"embedding", "year"}
        assert after == before
        (notice,) = schema.warnings
        assert "expire (collection.ttl.seconds=999999)" in notice
        assert await target.namespaces() == [""]
        assert (target.capabilities.namespaces.supported, target.capabilities.ids.per_namespace) == (False, False)
        await source.drop()
        await target.drop()


ELEMENTS: dict[int, list[Any]] = {
    T.Bool: [True, False],
    T.Int8: [127, -128, 0],
    T.Int16: [32_767, -32_768],
    T.Int32: [2**31 - 1, -(2**31)],
    T.Int64: [2**63 - 1, -(2**63), 2**53 + 1],
    T.Float: [0.5, -0.0, 3.0, 2.0**-126],
    T.Double: [0.1, -1e300, 2.0, 5e-324],
    T.VarChar: ["", "é\U0001f600", "quote ' \" \\ \n"],
}


async def test_every_scalar_type_of_the_server_comes_back_exactly_and_is_made_again(config: MilvusConfig) -> None:
    lengths = {"max_length": 60, "max_capacity": 8}
    scalars = [field(f"f{kind}", kind, lengths if kind == T.VarChar else {}) for kind in ELEMENTS]
    arrays = [field(f"a{kind}", T.Array, lengths, element_type=kind) for kind in ELEMENTS]
    wanted = shape(int_pk("key", autoID=True), floats(), *scalars, *arrays, field("doc", T.JSON), dynamic=False)
    ids: list[Any] = list(range(6))
    rows: list[Any] = [
        {
            **{f"f{kind}": values[n % len(values)] for kind, values in ELEMENTS.items()},
            **{f"a{kind}": values[n % (len(values) + 1) :] for kind, values in ELEMENTS.items()},
            "doc": [{"a": [1, 1.0, None, "x"], "b": {}}, {}, {"n": 2**60, "$meta": 1}][n % 3],
        }
        for n in ids
    ]
    copy = config.model_copy(update={"collection": config.collection + "_copy"})
    async with native(config) as other, connected(SPEC, config) as source, connected(SPEC, copy) as target:
        await other.create(config.collection, wanted)
        for name in ("embedding", f"f{T.Int32}", f"f{T.VarChar}"):
            kind = {"embedding": "FLAT", f"f{T.VarChar}": "Trie"}.get(name, "STL_SORT")
            await other.index(config.collection, name, index_type=kind, metric_type="L2" if kind == "FLAT" else "")
        schema = await source.describe()
        await target.create(schema)
        assert await target.upsert(records(ids, rows)) == []
        if target.capabilities.vectors.max_fields == 1:
            for number, value in enumerate(([], "text", 7, 1.5, True)):
                (reject,) = await target.upsert(records([number], [{**rows[0], "doc": value}]))
                assert reject.code == "json_object"
        await target.finalize()
        (page,) = await everything(target)
        assert (page.ids, repr(page.metadata)) == (ids, repr([dict(sorted_like(row, page)) for row in rows]))
        again = await target.describe()
        assert again.fields == schema.fields
        assert {item.name for item in again.fields if item.indexed} == {f"f{T.Int32}", f"f{T.VarChar}"}
        assert again.extras["milvus"]["pk"]["auto_id"] is False
        assert [item for item in schema.settings if item.name == "auto-id"]
        await source.drop()
        await target.drop()


def sorted_like(row: dict[str, Any], page: RecordBatch) -> list[tuple[str, Any]]:
    """The row in the order of keys that the page has."""
    return [(name, row[name]) for name in page.metadata[0]]


async def test_an_index_that_an_old_server_cannot_build_is_replaced_and_keeps_nothing_from_being_made(
    config: MilvusConfig,
) -> None:
    if URL is not None:
        pytest.skip("for Milvus 2.3")
    newer = layout(
        int_pk(),
        floats(),
        field("n", T.Int64),
        field("s", T.VarChar, {"max_length": 9}),
        field("b", T.Bool),
        field("doc", T.JSON),
    )
    indexes = [
        pb.IndexDescription(field_name=name, index_name=f"{name}_i", params=pairs({"index_type": kind}))
        for name, kind in (("n", "BITMAP"), ("s", "INVERTED"), ("b", "INVERTED"), ("doc", "INVERTED"))
    ]
    vector = pb.IndexDescription(
        field_name="embedding", index_name="v", params=pairs({"index_type": "FLAT", "metric_type": "L2"})
    )
    async with connected(SPEC, config) as target:
        await target.create(schema_of("c", newer, [vector, *indexes], []))
        made = {
            item["field_name"]: item["params"]["index_type"]
            for item in (await target.describe()).extras["milvus"]["indexes"]
        }
        assert made == {"embedding": "FLAT", "n": "STL_SORT", "s": "Trie"}
        row: list[Any] = [{"n": 1, "s": "x", "b": True, "doc": {}}]
        assert await target.upsert(records([1], row)) == []
        assert (await target.fetch([1], "")).metadata == row
        await target.drop()


async def test_fields_that_an_old_server_cannot_hold_go_into_the_dynamic_field(config: MilvusConfig) -> None:
    if URL is not None:
        pytest.skip("for Milvus 2.3")
    fields = layout(
        int_pk(), floats(), field("year", T.Int64, nullable=True), field("place", T.Geometry), dynamic=False
    )
    async with connected(SPEC, config) as target:
        await target.create(SCHEMA)
        base = await target.describe()
        await target.drop()
        newer = schema_of("c", fields, [], [])
        await target.create(replace(base, fields=newer.fields, dynamic=False))
        rows: list[Any] = [{"year": None, "place": "POINT (1 2)"}, {"year": 5}]
        assert await target.upsert(records([1, 2], rows)) == []
        assert (await target.fetch([1, 2], "")).metadata == rows
        found = {item.name: (item.type, item.declared) for item in (await target.describe()).fields}
        assert found == {item.name: (item.type, False) for item in newer.fields}
        await target.drop()


@pytest.mark.parametrize(
    "item",
    [
        VectorField(name="embedding", kind=VectorKind.SPARSE, dim=None, metric=Metric.DOT),
        VectorField(name="embedding", kind=VectorKind.DENSE, dim=8, metric=Metric.L2, dtype=DType.BFLOAT16),
        VectorField(name="embedding", kind=VectorKind.DENSE, dim=8, metric=Metric.L2, dtype=DType.FLOAT16),
        VectorField(name="embedding", kind=VectorKind.DENSE, dim=8, metric=Metric.L2, dtype=DType.INT8),
        VectorField(name="embedding", kind=VectorKind.DENSE, dim=12, metric=Metric.HAMMING, dtype=DType.BITS),
        VectorField(name="embedding", kind=VectorKind.DENSE, dim=8, metric=Metric.L1),
        VectorField(name="a-b", kind=VectorKind.DENSE, dim=8, metric=Metric.L2),
        VectorField(name="id", kind=VectorKind.DENSE, dim=8, metric=Metric.L2),
    ],
)
async def test_what_would_break_an_old_server_is_not_even_sent(config: MilvusConfig, item: VectorField) -> None:
    if URL is not None:
        pytest.skip("for Milvus 2.3")
    async with connected(SPEC, config) as target:
        with pytest.raises(InvalidRequest):
            await target.create(replace(SCHEMA, vectors=(item,)))
        async with native(config) as other:
            assert await other.state(config.collection) in (0, 1)


async def test_the_id_field_is_called_as_another_database_wished(config: MilvusConfig) -> None:
    async with connected(SPEC, config) as target:
        assert target.capabilities.metadata.reserved == {"$meta", "id"}
        await target.create(replace(SCHEMA, extras={"id_field": "doc_id"}))
        assert await target.upsert(records([1], [{"id": "mine"}])) == []
        (reject,) = await target.upsert(records([2], [{"doc_id": 2}]))
        assert reject.code == "reserved_field"
        assert (await target.fetch([1], "")).metadata == [{"id": "mine"}]
        assert target.capabilities.metadata.reserved == {"$meta", "doc_id"}
        await target.drop()


async def test_writing_into_a_collection_that_makes_its_own_ids_is_refused(config: MilvusConfig) -> None:
    async with native(config) as other, connected(SPEC, config) as target:
        await other.create(config.collection, shape(int_pk(autoID=True), floats()))
        assert (await target.describe()).extras["milvus"]["pk"]["auto_id"] is True
        with pytest.raises(InvalidRequest, match=r"autoID.*let vectormigrate create"):
            await target.upsert(records([1]))
        schema = await target.describe()
        await target.drop()
        await target.create(schema)
        assert await target.upsert(records([1])) == []
        await target.drop()


async def test_rows_that_share_an_id_are_counted_by_the_server_and_can_be_counted_once(config: MilvusConfig) -> None:
    async with native(config) as other, connected(SPEC, config) as source:
        await source.create(SCHEMA)
        for _ in range(3):
            await other.insert(config.collection, records([1, 2]), shape())
        assert await source.count() == 6
        exact = config.model_copy(update={"count_by_scan": True})
        async with connected(SPEC, exact) as careful:
            assert await careful.count() == await careful.count("") == 2
        (page,) = await everything(source)
        assert page.ids == [1, 2]
        assert await source.upsert(records([1])) == []
        assert await source.count() == 4
        await source.delete([1, 2], "")
        assert await source.count() == 0
        await source.drop()


async def test_the_smallest_id_can_be_written_read_cut_at_and_deleted(config: MilvusConfig) -> None:
    low = -(2**63)
    async with connected(SPEC, config) as target:
        await target.create(SCHEMA)
        ids = [low, low + 1, -1, 0, 2**63 - 2]
        assert await target.upsert(records(ids)) == []
        assert [page.ids for page in await everything(target, 5)] == [[key] for key in ids]
        assert (await target.fetch([0, low], "")).ids == [0, low]
        await target.delete([low, -1], "")
        assert [key for page in await everything(target, page_rows=1) for key in page.ids] == [low + 1, 0, 2**63 - 2]
        (reject,) = await target.upsert(records([2**63 - 1]))
        assert reject.code == "int64_max"
        await target.drop()


async def test_partitions_made_while_the_collection_is_loaded_can_be_read_at_once(config: MilvusConfig) -> None:
    async with connected(SPEC, config) as target, connected(SPEC, config) as other:
        await target.create(SCHEMA)
        await target.upsert(records([1]))
        await target.finalize()
        async with anyio.create_task_group() as group:
            for opened in (target, other):
                for name in ("", "one", "two"):
                    group.start_soon(opened.upsert, records([1, 2, 3], [{"n": name}] * 3, namespace=name))
        assert await target.count() == 9
        assert [await other.count(name) for name in ("", "one", "two")] == [3, 3, 3]
        assert (await target.fetch([3], "one")).metadata == [{"n": "one"}]
        (reject,) = await target.upsert(records([9], namespace="no-name"))
        assert reject.code == "namespace"
        await target.drop()


async def test_records_larger_than_one_answer_are_read_in_several(config: MilvusConfig) -> None:
    async with connected(SPEC, config) as target:
        await target.create(SCHEMA)
        rows: list[Any] = [{"text": f"{number:04d}" * 15_000} for number in range(1500)]
        for start in range(0, 1500, 250):
            part = list(range(start, start + 250))
            assert await target.upsert(records(part, rows[start : start + 250])) == []
        pages = await everything(target, page_rows=1000)
        assert [key for page in pages for key in page.ids] == list(range(1500))
        assert [row for page in pages for row in page.metadata] == rows
        found = await target.fetch(list(range(1499, -1, -1)), "")
        assert found.ids == list(range(1499, -1, -1))
        with pytest.raises(RecordsRejected):
            await target.upsert(records(list(range(1200)), rows[:1200]))
        await target.drop()


async def test_an_alias_that_moves_does_not_move_an_open_source(config: MilvusConfig) -> None:
    alias = f"a_{uuid4().hex[:12]}"
    async with native(config) as other, connected(SPEC, config) as target:
        await target.create(SCHEMA)
        await target.upsert(records([1, 2]))
        await target.finalize()
        await other.alias(config.collection, alias)
        async with connected(SPEC, config.model_copy(update={"collection": alias})) as source:
            assert (await source.describe()).name == alias
            described = await source.describe()
            assert alias in described.extras["milvus"]["aliases"]
            assert any(alias in item.detail for item in described.settings if item.name == "aliases")
            (page,) = await everything(source)
            assert page.ids == [1, 2]
        await target.drop()


async def test_another_database_is_another_place(config: MilvusConfig) -> None:
    name = f"d_{uuid4().hex[:12]}"
    elsewhere = config.model_copy(update={"database": name})
    with pytest.raises(InvalidRequest, match="database"):
        async with connected(SPEC, elsewhere):
            pass
    async with native(config) as other, connected(SPEC, config) as here:
        await other.client.call(pb.CreateDatabaseRequest(db_name=name), cp.Status)
        await here.create(SCHEMA)
        await here.upsert(records([1, 2]))
        async with connected(SPEC, elsewhere) as there:
            await there.create(SCHEMA)
            await there.upsert(records([7]))
            assert (await there.count(), await here.count()) == (1, 2)
            (page,) = await everything(there)
            assert page.ids == [7]
            await there.drop()
        assert await here.count() == 2
        await here.drop()
        await other.client.call(pb.DropDatabaseRequest(db_name=name), cp.Status)


async def test_dynamic_keys_of_other_clients_are_kept_even_when_they_are_called_like_a_field(
    config: MilvusConfig,
) -> None:
    async with native(config) as other, connected(SPEC, config) as source:
        await source.create(SCHEMA)
        fields = encode(records([1]), layout(), lite=False).fields
        fields[1].scalars.json_data.data[0] = b'{"id": 5, "embedding": "x", "big": 36893488147419103232}'
        await other.send(config.collection, fields, 1)
        (page,) = await everything(source)
        assert page.metadata == [{"id": 5, "embedding": "x", "big": 2**65}]
        await source.drop()


async def test_a_server_that_does_not_answer_is_unavailable_within_the_connect_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with anyio.fail_after(20), pytest.raises(Unavailable, match=r"no answer|UNAVAILABLE"):
            async with connected(SPEC, MilvusConfig(url=url, collection="c", connect_timeout=0.5)):
                pass


async def divided(config: MilvusConfig) -> None:
    """A collection with the partitions a and b, one record in each, of which only a is loaded."""
    async with connected(SPEC, config) as target:
        await target.create(SCHEMA)
        await target.upsert(records([1], namespace="a"))
        await target.upsert(records([2], namespace="b"))
        await target.finalize()
    async with native(config) as client:
        await client.release(config.collection)
        await client.load_partitions(config.collection, ["a"])


async def test_partitions_that_are_not_loaded_are_refused_or_loaded_but_never_left_out(config: MilvusConfig) -> None:
    await divided(config)
    async with connected(SPEC, config) as source:
        assert await source.count("a") == 1
        with pytest.raises(InvalidRequest, match=r"partition .* is released.*load=true"):
            await source.count()
        with pytest.raises(InvalidRequest, match="is released"):
            await source.partitions(1)
    async with connected(SPEC, config.model_copy(update={"load": True})) as source:
        assert await source.count() == 2
        assert sorted(item for batch in await everything(source) for item in batch.ids) == [1, 2]
    async with connected(SPEC, config) as source:
        assert await source.count("a") == 1
        with pytest.raises(InvalidRequest, match="is released"):
            await source.count("b")


async def test_readers_wait_until_what_another_one_is_loading_can_be_read_whole(
    config: MilvusConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await divided(config)
    order: list[str] = []
    loading = anyio.Event()
    served = Session._until_served

    async def slow(session: Session, collection: str, partitions: Sequence[str]) -> None:
        loading.set()
        for _ in range(5):
            # As long as it takes: a count waits for the server's clock, as that of the other reader would.
            async with connected(SPEC, config) as other:
                assert await other.count("a") == 1
        await served(session, collection, partitions)
        order.append("served")

    monkeypatch.setattr(Session, "_until_served", slow)
    async with connected(SPEC, config.model_copy(update={"load": True})) as source, anyio.create_task_group() as group:

        async def count() -> None:
            order.append(f"counted {await source.count('b')}")

        group.start_soon(count)
        await loading.wait()
        group.start_soon(count)
    assert order == ["served", "counted 1", "counted 1"]
