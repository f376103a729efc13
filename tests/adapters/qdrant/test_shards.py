"""Custom sharding, namespaces in payload fields, and ids that stand under several shard keys."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.adapters.qdrant.support import SCHEMA, call, config, created, everything, new_name, records
from tests.emulators.qdrant import Emulator
from tests.support.connected import connected
from vectormigrate.adapters.qdrant import SPEC
from vectormigrate.errors import InvalidRequest
from vectormigrate.model.batch import Metadata

pytestmark = pytest.mark.anyio

both = pytest.mark.parametrize("prefer_grpc", [True, False])


def sharded(server: Emulator, keys: list[int | str]) -> str:
    """A user's collection in which the ids 1 and 2 stand under every one of these shard keys."""
    name = new_name()
    call(server, "PUT", f"collections/{name}", {"vectors": {"size": 4, "distance": "Dot"}, "sharding_method": "custom"})
    for key in keys:
        call(server, "PUT", f"collections/{name}/shards", {"shard_key": key})
        points = [{"id": number, "vector": [1, 2, 3, number], "payload": {"key": key}} for number in (1, 2)]
        call(server, "PUT", f"collections/{name}/points?wait=true", {"points": points, "shard_key": key})
    return name


@pytest.fixture(params=["new", "old"])
def any_server(request: pytest.FixtureRequest) -> Emulator:
    return request.getfixturevalue("server" if request.param == "new" else "old_server")


@both
async def test_one_id_under_several_shard_keys_is_several_records(any_server: Emulator, prefer_grpc: bool) -> None:
    name = sharded(any_server, ["eu", "us", 7])
    async with connected(SPEC, config(any_server, name, prefer_grpc=prefer_grpc)) as target:
        assert target.capabilities.ids.per_namespace
        assert await target.namespaces() == ["7", "eu", "us"]
        assert await target.count() == 6
        found = await everything(target)
        assert found == {(str(key), number): {"key": key} for key in ("eu", "us", 7) for number in (1, 2)}
        assert (await target.fetch([1], "us")).metadata == [{"key": "us"}]
        await target.delete([1], "us")
        assert [await target.count(item) for item in ("7", "eu", "us", "none")] == [2, 2, 1, 0]
        assert (await target.describe()).extras["qdrant"]["shard_keys"] == [7, "eu", "us"]
        await target.drop()


@both
async def test_a_named_shard_key_is_the_whole_collection(server: Emulator, prefer_grpc: bool) -> None:
    name = sharded(server, ["eu", "us"])
    async with connected(SPEC, config(server, name, shard_key="eu", prefer_grpc=prefer_grpc)) as target:
        assert await target.namespaces() == [""]
        await target.upsert(records([3]))
        await target.upsert(records([4], namespace="tenant"))
        await target.delete([1], "")
        assert set(await everything(target)) == {("", 2), ("", 3), ("tenant", 4)}
    async with connected(SPEC, config(server, name, shard_key="us", prefer_grpc=prefer_grpc)) as other:
        assert await other.count() == 2
        await other.drop()


async def test_shard_keys_are_made_for_namespaces_where_they_are_asked_for(server: Emulator) -> None:
    name = new_name()
    async with created(server, name=name, divide_by="shard_key") as target:
        assert target.capabilities.ids.per_namespace
        for namespace in ("", "a", "b"):
            rows: list[Metadata] = [{"of": namespace}, {"of": namespace}]
            await target.upsert(records([1, 2], rows, namespace))
        assert await target.namespaces() == ["", "a", "b"]
        assert set(await everything(target, 5)) == {(key, number) for key in ("", "a", "b") for number in (1, 2)}
    keys = ["_vm_default", "a", "b"]
    async with created(server, replace(SCHEMA, extras={"qdrant": {"shard_keys": keys}}), divide_by="shard_key") as made:
        assert (await made.describe()).extras["qdrant"]["shard_keys"] == keys


async def test_what_would_hide_records_is_refused(server: Emulator) -> None:
    name = sharded(server, ["eu", "us"])
    for options in ({"namespace_field": "key"}, {"divide_by": "payload"}):
        with pytest.raises(InvalidRequest, match="name the shard_key"):
            async with connected(SPEC, config(server, name, **options)):
                pass
    mixed = sharded(server, [7, "7"])
    with pytest.raises(InvalidRequest, match="as a number and as text"):
        async with connected(SPEC, config(server, mixed)):
            pass
    async with created(server) as target:
        plain = (await target.describe()).name
        await target.upsert(records([1]))
        with pytest.raises(InvalidRequest, match="no custom sharding"):
            async with connected(SPEC, config(server, plain, shard_key="eu")):
                pass


@both
async def test_the_users_own_tenant_field_gives_the_namespaces(server: Emulator, prefer_grpc: bool) -> None:
    name = new_name()
    call(server, "PUT", f"collections/{name}", {"vectors": {"size": 4, "distance": "Dot"}})
    index = {"field_name": "user", "field_schema": {"type": "keyword", "is_tenant": True}}
    call(server, "PUT", f"collections/{name}/index?wait=true", index)
    payloads: list[dict[str, Any]] = [{"user": "ann", "x": 1}, {"user": "bob"}, {}, {"user": None}, {"user": []}]
    points = [{"id": number, "vector": [1, 2, 3, 4], "payload": item} for number, item in enumerate(payloads)]
    call(server, "PUT", f"collections/{name}/points?wait=true", {"points": points})
    async with connected(SPEC, config(server, name, prefer_grpc=prefer_grpc)) as plain:
        assert any("namespace_field" in text for text in (await plain.describe()).warnings)
        assert await everything(plain) == {("", number): item for number, item in enumerate(payloads)}
    async with connected(SPEC, config(server, name, namespace_field="user", prefer_grpc=prefer_grpc)) as target:
        assert await target.namespaces() == ["", "ann", "bob"]
        assert await everything(target, 4) == {
            ("ann", 0): {"x": 1},
            ("bob", 1): {},
            ("", 2): {},
            ("", 3): {"user": None},
            ("", 4): {"user": []},
        }
        assert await target.upsert(records([9], namespace="eve")) == []
        (reject,) = await target.upsert(records([10], [{"user": "x"}], namespace="eve"))
        assert reject.code == "reserved"
        assert [item.name for item in (await target.describe()).fields] == []
    stored = call(server, "POST", f"collections/{name}/points", {"ids": [9], "with_payload": True})
    assert stored[0]["payload"] == {"n": 0, "user": "eve"}


@pytest.mark.parametrize("value", [7, "", ["a", "b"], {"a": 1}])
async def test_a_tenant_field_that_is_not_one_text_is_refused_instead_of_hidden(server: Emulator, value: Any) -> None:
    name = new_name()
    call(server, "PUT", f"collections/{name}", {"vectors": {"size": 4, "distance": "Dot"}})
    call(server, "PUT", f"collections/{name}/index?wait=true", {"field_name": "user", "field_schema": "keyword"})
    points = [{"id": 1, "vector": [1, 2, 3, 4], "payload": {"user": value}}]
    call(server, "PUT", f"collections/{name}/points?wait=true", {"points": points})
    async with connected(SPEC, config(server, name, namespace_field="user")) as target:
        with pytest.raises(InvalidRequest, match="cannot be read as"):
            await target.namespaces()


async def test_an_id_moves_between_namespaces_and_reserved_keys_are_rejected(server: Emulator) -> None:
    async with created(server) as target:
        for namespace in ("", "a", "b", ""):
            await target.upsert(records([1], namespace=namespace))
            assert await target.namespaces() == [namespace]
            assert (await target.fetch([1], namespace)).ids == [1]
            assert await target.count() == 1
        for key in ("_vm_namespace", "_vm_exact"):
            (reject,) = await target.upsert(records([1], [{key: "x"}]))
            assert reject.code == "reserved"


async def test_a_reader_that_opened_before_the_first_namespace_does_not_mix_them_up(server: Emulator) -> None:
    name = new_name()
    async with created(server, name=name) as writer, connected(SPEC, config(server, name)) as reader:
        await writer.upsert(records([1, 2]))
        assert (await reader.fetch([1, 2], "")).ids == [1, 2]
        await writer.upsert(records([2, 3], namespace="late"))
        assert (await reader.fetch([1, 2, 3], "")).ids == [1]
        assert (await reader.fetch([1, 2, 3], "late")).ids == [2, 3]
        await reader.delete([1, 2, 3], "")
        assert await writer.count("late") == 2


async def test_namespaces_without_records_are_shard_keys_where_those_are_asked_for(server: Emulator) -> None:
    shape = replace(SCHEMA, extras={"qdrant": {"shard_keys": [7, "a"]}}, namespaces=("7", "a", "b"))
    async with created(server, shape, divide_by="shard_key") as target:
        assert target.capabilities.namespaces.empty
        assert await target.namespaces() == ["7", "a", "b"]
    async with created(server, SCHEMA) as target:
        assert not target.capabilities.namespaces.empty


TENANT = {"type": "keyword", "is_tenant": True, "on_disk": True}


@pytest.mark.parametrize("options", [{}, {"namespace_field": "tenant"}])
async def test_a_tenant_field_and_its_index_come_back_without_the_option(
    any_server: Emulator, options: dict[str, Any]
) -> None:
    name = new_name()
    call(any_server, "PUT", f"collections/{name}", {"vectors": {"size": 4, "distance": "Dot"}})
    call(any_server, "PUT", f"collections/{name}/index?wait=true", {"field_name": "tenant", "field_schema": TENANT})
    async with connected(SPEC, config(any_server, name, namespace_field="tenant")) as source:
        await source.upsert(records([1], [{"n": 1}], "ann"))
        await source.upsert(records([2], [{"n": 2}]))
        shape = await source.describe()
        assert [item.name for item in shape.settings] == ["namespace-field"]
    copy = new_name()
    async with created(any_server, shape, copy, **options) as target:
        assert "namespace-field" in target.capabilities.collection.settings
        await target.upsert(records([1], [{"n": 1}], "ann"))
        await target.upsert(records([2], [{"n": 2}]))
        await target.finalize()
        assert await everything(target) == {("ann", 1): {"n": 1}, ("", 2): {"n": 2}}
        first, second = (call(any_server, "GET", f"collections/{item}")["payload_schema"] for item in (name, copy))
        assert {key: item["params"] for key, item in second.items()} == {"tenant": TENANT}
        assert first.keys() == second.keys()
        body = {"limit": 9, "with_payload": True}
        points = call(any_server, "POST", f"collections/{copy}/points/scroll", body)["points"]
        assert [item["payload"] for item in points] == [{"n": 1, "tenant": "ann"}, {"n": 2}]
        async with connected(SPEC, config(any_server, copy)) as again:
            assert await again.namespaces() == ["", "ann"]
            assert replace(await again.describe(), name="") == replace(shape, name="")


async def test_the_option_names_another_field_for_the_same_index(server: Emulator) -> None:
    extras = {"namespace_field": {"name": "tenant", "data_type": "keyword", "params": {"is_tenant": True}}}
    async with created(server, replace(SCHEMA, extras={"qdrant": extras}), namespace_field="owner") as target:
        await target.upsert(records([1], [{}], "ann"))
        name = (await target.describe()).name
        assert list(call(server, "GET", f"collections/{name}")["payload_schema"]) == ["owner"]
        assert await target.namespaces() == ["ann"]
