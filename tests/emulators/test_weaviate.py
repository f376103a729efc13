"""The Weaviate emulator, driven by Weaviate's own client alone."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from tests.emulators.weaviate import Emulator, Fault, emulator
from tests.weaviate_client import vendor_client, weaviate, wvc

pytestmark = pytest.mark.anyio

Property, DataType, Configure = wvc.config.Property, wvc.config.DataType, wvc.config.Configure
Filter = wvc.query.Filter
DataObject: Any = wvc.data.DataObject


@pytest.fixture
def server() -> Generator[Emulator, None, None]:
    with emulator() as running:
        yield running


@asynccontextmanager
async def connected(server: Emulator, **options: Any) -> AsyncGenerator[Any, None]:
    async with vendor_client(server.url, server.grpc, **options) as client:
        yield client


async def plain(client: Any, name: str = "Docs", **changes: Any) -> Any:
    """A class with one named vector and a few properties."""
    options: dict[str, Any] = {
        "properties": [
            Property(name="title", data_type=DataType.TEXT),
            Property(name="year", data_type=DataType.INT),
            Property(name="score", data_type=DataType.NUMBER),
            Property(name="day", data_type=DataType.DATE),
            Property(name="tags", data_type=DataType.TEXT_ARRAY),
        ],
        "vector_config": Configure.Vectors.self_provided(name="v"),
        **changes,
    }
    return await client.collections.create(name, **options)


def objects(count: int) -> list[Any]:
    return [
        DataObject(uuid=UUID(int=n + 1), properties={"title": f"t{n}", "year": n, "tags": []}, vector={"v": [n, 1.0]})
        for n in range(count)
    ]


async def test_the_client_reads_back_what_it_wrote(server: Emulator) -> None:
    async with connected(server) as client:
        docs = await plain(client)
        moment = datetime(2024, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
        values = {"title": "", "year": 2**40, "score": -0.0, "day": moment, "tags": ["a", ""]}
        answer = await docs.data.insert_many([DataObject(uuid=UUID(int=7), properties=values, vector={"v": [1, 2]})])
        assert not answer.has_errors
        found = await docs.query.fetch_object_by_id(UUID(int=7), include_vector=True)
        assert found.properties == values
        assert found.vector == {"v": [1.0, 2.0]}
        assert await docs.length() == 1
        assert (await docs.config.get()).properties[0].name == "title"
        assert [*(await client.collections.list_all(simple=False))] == ["Docs"]


async def test_a_cursor_walks_over_all_ids_in_their_order(server: Emulator) -> None:
    async with connected(server) as client:
        docs = await plain(client)
        ids = sorted(uuid4() for _ in range(57))
        await docs.data.insert_many([DataObject(uuid=key, properties={}) for key in reversed(ids)])
        assert [item.uuid async for item in docs.iterator(cache_size=10)] == ids
        after = UUID(int=ids[20].int + 1)
        assert [item.uuid for item in (await docs.query.fetch_objects(limit=5, after=after)).objects] == ids[21:26]


async def test_the_default_limit_and_the_maximum_hold(server: Emulator) -> None:
    server.knobs.query_maximum = 20
    async with connected(server) as client:
        docs = await plain(client)
        await docs.data.insert_many(objects(25))
        assert len((await docs.query.fetch_objects_by_ids([UUID(int=n) for n in range(1, 20)])).objects) == 10
        with pytest.raises(weaviate.exceptions.WeaviateQueryError, match="QUERY_MAXIMUM_RESULTS '20'"):
            await docs.query.fetch_objects(limit=21)
        removed = await docs.data.delete_many(Filter.by_property("year").greater_or_equal(0))
        assert (removed.matches, removed.successful) == (25, 20)


async def test_a_cursor_goes_with_nothing_else(server: Emulator) -> None:
    async with connected(server) as client:
        docs = await plain(client)
        with pytest.raises(weaviate.exceptions.WeaviateQueryError, match="where cannot be set with after"):
            await docs.query.fetch_objects(limit=2, after=UUID(int=1), filters=Filter.by_property("year").equal(1))


async def test_errors_of_a_batch_name_their_objects(server: Emulator) -> None:
    async with connected(server) as client:
        docs = await plain(client)
        await docs.data.insert_many(objects(1))
        bad = [
            DataObject(uuid=UUID(int=50), properties={"year": 1.5}),
            DataObject(uuid=UUID(int=51), properties={"title": "kept"}),
            DataObject(uuid=UUID(int=52), properties={}, vector={"v": [1.0, 2.0, 3.0]}),
            DataObject(uuid=UUID(int=53), properties={}, vector={"w": [1.0]}),
            DataObject(uuid=UUID(int=54), properties={"day": "2024-01-01"}),
        ]
        answer = await docs.data.insert_many(bad)
        assert sorted(answer.errors) == [0, 2, 3, 4]
        texts = [answer.errors[index].message for index in sorted(answer.errors)]
        wanted = ["requires an integer", "length 3. Existing nodes have vectors with length 2", "vector w", "RFC3339"]
        assert all(part in text for part, text in zip(wanted, texts, strict=True)), texts
        assert await docs.length() == 2
        with pytest.raises(weaviate.exceptions.WeaviateInsertManyAllFailedError):
            await docs.data.insert_many(bad[:1])


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"name": "docs"}, "already exists"),
        ({"name": "DOCS"}, "found similar class"),
        ({"name": "no-dash"}, "not a valid class name"),
        ({"properties": [Property(name="a_searchable", data_type=DataType.TEXT)]}, "reserved for internal"),
        (
            {"properties": [Property(name=name, data_type=DataType.INT) for name in ("aB", "ab")]},
            "conflict for property",
        ),
        ({"references": [wvc.config.ReferenceProperty(name="r", target_collection="Nope")]}, "nonexistent class"),
        ({"vector_config": Configure.Vectors.self_provided(name="1v")}, "target vector name"),
    ],
)
async def test_illegal_classes_are_refused(server: Emulator, change: dict[str, Any], text: str) -> None:
    async with connected(server) as client:
        await plain(client)
        with pytest.raises(weaviate.exceptions.UnexpectedStatusCodeError, match=text):
            await plain(client, **{"name": "Other", **change})


async def test_tenants_have_states_and_their_own_objects(server: Emulator) -> None:
    async with connected(server) as client:
        docs = await plain(client, multi_tenancy_config=Configure.multi_tenancy())
        await docs.tenants.create(["a", "b"])
        await docs.with_tenant("a").data.insert_many(objects(3))
        assert (await docs.with_tenant("a").length(), await docs.with_tenant("b").length()) == (3, 0)
        await docs.tenants.deactivate("b")
        states = {name: tenant.activity_status.name for name, tenant in (await docs.tenants.get()).items()}
        assert states == {"a": "ACTIVE", "b": "INACTIVE"}
        for tenant, text in (("b", "tenant not active: 'b'"), ("c", 'tenant not found: "c"')):
            with pytest.raises(weaviate.exceptions.WeaviateQueryError, match=text):
                await docs.with_tenant(tenant).query.fetch_objects()
        with pytest.raises(weaviate.exceptions.WeaviateQueryError, match="request was without tenant"):
            await docs.query.fetch_objects()
        with pytest.raises(weaviate.exceptions.UnexpectedStatusCodeError, match="not a valid tenant name"):
            await docs.tenants.create(["with space"])


async def test_references_need_their_targets_where_the_server_asks_for_them(server: Emulator) -> None:
    async with connected(server) as client:
        await plain(client)
        target = wvc.config.ReferenceProperty(name="about", target_collection="Docs")
        notes = await plain(client, "Notes", references=[target])
        await notes.data.insert_many([DataObject(uuid=UUID(int=1), properties={})])
        link = wvc.data.DataReference(from_uuid=UUID(int=1), from_property="about", to_uuid=UUID(int=9))
        assert not (await notes.data.reference_add_many([link])).has_errors
        with pytest.raises(weaviate.exceptions.WeaviateInsertManyAllFailedError, match="no object with id"):
            await notes.data.insert_many(
                [DataObject(uuid=UUID(int=2), properties={}, references={"about": UUID(int=9)})]
            )
        answer = await client._connection.get(path="/objects", params={"class": "Notes"})
        (shown,) = answer.json()["objects"]
        assert [item["beacon"] for item in shown["properties"]["about"]] == [f"weaviate://localhost/Docs/{UUID(int=9)}"]


async def test_replace_merge_and_delete(server: Emulator) -> None:
    async with connected(server) as client:
        docs = await plain(client)
        key = await docs.data.insert({"title": "one", "year": 1}, uuid=UUID(int=5))
        with pytest.raises(weaviate.exceptions.UnexpectedStatusCodeError, match="already exists"):
            await docs.data.insert({}, uuid=key)
        await docs.data.update(key, {"title": "two"})
        assert (await docs.query.fetch_object_by_id(key)).properties["year"] == 1
        await docs.data.replace(key, {"title": "three"})
        assert (await docs.query.fetch_object_by_id(key)).properties["year"] is None
        assert await docs.data.delete_by_id(key)
        assert not await docs.data.exists(key)
        with pytest.raises(weaviate.exceptions.UnexpectedStatusCodeError):
            await docs.data.update(key, {"title": "gone"})


async def test_ids_are_found_by_the_text_under_which_they_were_stored(server: Emulator) -> None:
    upper = "ABCDEF00-8B86-D011-B42D-00CF4FC964FF"
    async with connected(server) as client:
        docs = await plain(client)
        await client._connection.post(
            path="/batch/objects", weaviate_object={"objects": [{"class": "Docs", "id": upper}]}
        )
        assert (await docs.query.fetch_objects(filters=Filter.by_id().equal(upper))).objects == []
        assert len((await docs.query.fetch_objects(limit=5)).objects) == 1


async def test_near_vector_finds_the_nearest_and_refuses_other_lengths(server: Emulator) -> None:
    async with connected(server) as client:
        docs = await plain(client)
        await docs.data.insert_many(objects(20))
        found = await docs.query.near_vector([3.0, 1.0], limit=1, target_vector="v")
        assert found.objects[0].uuid == UUID(int=4)
        with pytest.raises(weaviate.exceptions.WeaviateQueryError, match="2 vs 1: vector lengths don't match"):
            await docs.query.near_vector([1.0], limit=1, target_vector="v")


async def test_batch_streams_write_and_report(server: Emulator) -> None:
    async with connected(server) as client:
        docs = await plain(client)
        async with docs.batch.stream() as batch:
            for item in objects(30):
                await batch.add_object(properties=item.properties, uuid=item.uuid, vector=item.vector)
        assert docs.batch.failed_objects == []
        assert await docs.length() == 30


async def test_aliases_lead_to_their_class(server: Emulator) -> None:
    async with connected(server) as client:
        docs = await plain(client)
        await docs.data.insert_many(objects(2))
        await client.alias.create(alias_name="Shown", target_collection="Docs")
        assert await client.collections.use("Shown").length() == 2
        assert (await client.alias.get(alias_name="Shown")).collection == "Docs"
        assert await client.alias.delete(alias_name="Shown")


async def test_a_key_is_asked_for_when_there_is_one() -> None:
    with emulator(api_key="secret") as server:
        auth = weaviate.auth.Auth.api_key("secret")
        async with connected(server, auth_credentials=auth) as client:
            await plain(client)
            assert await client.collections.use("Docs").length() == 0
        with pytest.raises(weaviate.exceptions.UnexpectedStatusCodeError):
            async with connected(server, auth_credentials=weaviate.auth.Auth.api_key("wrong")):
                pass


async def test_faults_strike_as_often_as_asked(server: Emulator) -> None:
    async with connected(server) as client:
        docs = await plain(client)
        server.knobs.faults = [
            Fault(op="BatchObjects", code="RESOURCE_EXHAUSTED", message="limit"),
            Fault(op="GET /schema"),
        ]
        with pytest.raises(weaviate.exceptions.WeaviateBatchError, match="limit"):
            await docs.data.insert_many(objects(1))
        with pytest.raises(weaviate.exceptions.UnexpectedStatusCodeError, match="503"):
            await docs.config.get()
        await docs.data.insert_many(objects(1))
        assert await docs.config.get()
        server.knobs.faults = [Fault(op="PUT /objects", kind="lose")]
        with pytest.raises(httpx.RemoteProtocolError):
            await docs.data.replace(UUID(int=1), {"title": "applied"})
        assert (await docs.query.fetch_object_by_id(UUID(int=1))).properties["title"] == "applied"


async def test_immutable_settings_stay(server: Emulator) -> None:
    async with connected(server) as client:
        await plain(client)
        answer = await client._connection.get(path="/schema/Docs")
        for key, value in (("vectorizer", "x"), ("multiTenancyConfig", {"enabled": True}), ("class", "Other")):
            body = {**answer.json(), key: value}
            refused = await client._connection.put(path="/schema/Docs", weaviate_object=body, error_msg="put")
            assert refused.status_code == 422
        described = {**answer.json(), "description": "new"}
        await client._connection.put(path="/schema/Docs", weaviate_object=described, error_msg="put")
        assert (await client.collections.use("Docs").config.get()).description == "new"
