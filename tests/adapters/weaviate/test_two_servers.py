"""REST of one server and gRPC of its neighbour: nothing is written to the neighbour, nothing is read from it."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from tests.adapters.weaviate.conftest import Place
from tests.conformance.data import read_all
from tests.emulators.weaviate import Emulator, Fault, emulator
from tests.support.connected import connected
from vectormigrate.adapters.weaviate import SPEC, WeaviateConfig
from vectormigrate.errors import TerminalError, TimedOut
from vectormigrate.model.batch import DenseColumn, RecordBatch
from vectormigrate.model.ids import IdKind
from vectormigrate.model.schema import CollectionSchema, Metric, VectorField, VectorKind

pytestmark = pytest.mark.anyio

TWO = "another server than REST"
KEY = UUID("00000000-0000-4000-8000-000000000001")
FIELD = VectorField(name="", kind=VectorKind.DENSE, dim=2, metric=Metric.DOT)
SCHEMA = CollectionSchema(name="C", id_kinds=frozenset({IdKind.UUID}), vectors=(FIELD,))
TENANTS = {"enabled": True, "autoTenantCreation": True}


@pytest.fixture(scope="module")
def pair() -> Generator[tuple[Emulator, Emulator], None, None]:
    with emulator() as one, emulator() as other:
        yield one, other


@pytest.fixture
def near(pair: tuple[Emulator, Emulator]) -> Generator[Emulator, None, None]:
    yield pair[0]
    _clean(pair[0])


@pytest.fixture
def far(pair: tuple[Emulator, Emulator]) -> Generator[Emulator, None, None]:
    yield pair[1]
    _clean(pair[1])


def _clean(server: Emulator) -> None:
    server.calls()
    server.store.classes.clear()
    server.store.knobs = type(server.knobs)()


def crossed(near: Emulator, far: Emulator, **options: Any) -> WeaviateConfig:
    return WeaviateConfig(url=near.url, grpc_url=far.grpc, collection="C", **options)


def rest(server: Emulator, method: str, path: str, body: Any = None) -> Any:
    return Place(server.url, server.grpc).rest(method, path, body)


def objects(server: Emulator) -> int:
    return sum(len(space.objects) for owner in server.store.classes.values() for space in owner.spaces.values())


def batch(namespace: str = "") -> RecordBatch:
    return RecordBatch(namespace, [KEY], {"": DenseColumn(np.ones((1, 2), np.float32))}, [{}])


async def opened(settings: WeaviateConfig) -> None:
    async with connected(SPEC, settings):
        pass


async def test_a_new_class_is_refused_and_leaves_nothing_on_either_server(near: Emulator, far: Emulator) -> None:
    async with connected(SPEC, crossed(near, far)) as target:
        with pytest.raises(TerminalError, match=TWO) as caught:
            await target.create(SCHEMA)
    assert "grpc_port" in str(caught.value)
    assert not near.store.classes
    assert not far.store.classes


async def test_a_class_that_the_neighbour_has_is_not_made(near: Emulator, far: Emulator) -> None:
    rest(far, "POST", "/schema", {"class": "C"})
    with pytest.raises(TerminalError, match=TWO):
        await opened(crossed(near, far))
    assert not near.store.classes
    assert near.calls()["POST /schema"] == 0


async def test_another_class_with_records_tells_the_servers_apart_before_one_is_made(
    near: Emulator, far: Emulator
) -> None:
    for server in (near, far):
        rest(server, "POST", "/schema", {"class": "Other"})
    rest(near, "POST", "/objects", {"class": "Other", "id": str(KEY), "properties": {}})
    near.calls()
    with pytest.raises(TerminalError, match=TWO):
        await opened(crossed(near, far))
    assert near.calls()["POST /schema"] == 0


@pytest.mark.parametrize("tenancy", [{"enabled": False}, TENANTS])
async def test_an_empty_class_of_the_same_name_on_the_neighbour_is_not_written(
    near: Emulator, far: Emulator, tenancy: dict[str, Any]
) -> None:
    for server in (near, far):
        rest(server, "POST", "/schema", {"class": "C", "multiTenancyConfig": tenancy})
    async with connected(SPEC, crossed(near, far)) as target:
        with pytest.raises(TerminalError, match=TWO) as caught:
            await target.upsert(batch("t" if tenancy["enabled"] else ""))
    assert type(caught.value) is TerminalError, "else the engine would ask again for every record of the batch"
    assert objects(far) == objects(near) == 0
    assert [len(item.states) for server in (near, far) for item in server.store.classes.values()] == [0, 0]
    assert list(near.store.classes) == list(far.store.classes) == ["C"]


async def test_a_role_for_one_class_only_is_enough_to_tell(near: Emulator, far: Emulator) -> None:
    for server in (near, far):
        rest(server, "POST", "/schema", {"class": "C"})
    near.knobs.faults.append(Fault(op="POST /schema", kind="refuse", status=403, message="forbidden", times=2))
    async with connected(SPEC, crossed(near, far)) as target:
        with pytest.raises(TerminalError, match=TWO):
            await target.upsert(batch())
    async with connected(SPEC, crossed(near, near)) as target:
        assert await target.upsert(batch()) == []
    assert (objects(near), objects(far)) == (1, 0)


async def test_records_that_came_at_other_times_are_another_servers(near: Emulator, far: Emulator) -> None:
    for server in (near, far):
        rest(server, "POST", "/schema", {"class": "C"})
        rest(server, "POST", "/objects", {"class": "C", "id": str(KEY), "properties": {}})
    far.store.classes["C"].spaces[""].objects[KEY.int].created -= 1
    with pytest.raises(TerminalError, match="other times"):
        async with connected(SPEC, crossed(near, far)):
            pass


async def test_an_empty_class_is_not_read_from_the_neighbour(near: Emulator, far: Emulator) -> None:
    for server in (near, far):
        rest(server, "POST", "/schema", {"class": "C"})
    rest(far, "POST", "/objects", {"class": "C", "id": str(KEY), "properties": {}})
    with pytest.raises(TerminalError, match="this one none"):
        async with connected(SPEC, crossed(near, far)):
            pass


async def test_tenants_of_a_source_are_compared_and_none_is_made(near: Emulator, far: Emulator) -> None:
    for server, tenant in ((near, "a"), (far, "b")):
        rest(server, "POST", "/schema", {"class": "C", "multiTenancyConfig": TENANTS})
        rest(server, "POST", "/schema/C/tenants", [{"name": tenant}])
    with pytest.raises(TerminalError, match="tenant"):
        async with connected(SPEC, crossed(near, far)):
            pass
    assert set(near.store.classes["C"].states) == {"a"}
    assert set(far.store.classes["C"].states) == {"b"}


async def test_a_tenant_that_was_switched_off_is_compared_once_it_is_on(near: Emulator, far: Emulator) -> None:
    for server in (near, far):
        rest(server, "POST", "/schema", {"class": "C", "multiTenancyConfig": {"enabled": True}})
        rest(server, "POST", "/schema/C/tenants", [{"name": "a"}])
        rest(server, "POST", "/objects", {"class": "C", "id": str(KEY), "properties": {}, "tenant": "a"})
    far.store.classes["C"].spaces["a"].objects[KEY.int].created -= 1
    for server in (near, far):
        rest(server, "PUT", "/schema/C/tenants", [{"name": "a", "activityStatus": "COLD"}])
    async with connected(SPEC, crossed(near, far, activate_tenants=True, ready_timeout=1)) as source:
        with pytest.raises(TimedOut, match="one server"):
            await source.fetch([KEY], "a")


@pytest.mark.parametrize("tenancy", [{"enabled": False}, TENANTS])
async def test_one_server_is_known_as_one_and_keeps_no_trace_of_the_question(
    near: Emulator, tenancy: dict[str, Any]
) -> None:
    rest(near, "POST", "/schema", {"class": "C", "multiTenancyConfig": tenancy})
    namespace = "t" if tenancy["enabled"] else ""
    async with connected(SPEC, crossed(near, near)) as target:
        assert await target.upsert(batch(namespace)) == []
        assert await target.count() == 1
    assert list(near.store.classes) == ["C"]
    assert list(near.store.classes["C"].states) == ([namespace] if namespace else [])


async def test_an_empty_tenant_is_compared_once_and_again_when_it_holds_records(near: Emulator, far: Emulator) -> None:
    names = [f"t{number:02}" for number in range(12)]
    for server in (near, far):
        rest(server, "POST", "/schema", {"class": "C", "multiTenancyConfig": {"enabled": True}})
        rest(server, "POST", "/schema/C/tenants", [{"name": name} for name in names])
    async with connected(SPEC, crossed(near, far)) as source:
        near.calls()
        assert await source.counts(names) == dict.fromkeys(names, 0)
        assert near.calls()["GET /objects"] == len(names)
        assert await source.counts(names) == dict.fromkeys(names, 0)
        assert near.calls()["GET /objects"] == 0
        for server in (near, far):
            rest(server, "POST", "/objects", {"class": "C", "id": str(KEY), "properties": {}, "tenant": names[3]})
        far.store.classes["C"].spaces[names[3]].objects[KEY.int].created -= 1
        for read in (source.count(names[3]), source.fetch([KEY], names[3]), read_all(source)):
            with pytest.raises(TerminalError, match="other times"):
                await read


async def test_every_tenant_is_compared_before_it_is_read_until_one_tells(near: Emulator, far: Emulator) -> None:
    names = [f"t{number:02}" for number in range(12)]
    for server in (near, far):
        rest(server, "POST", "/schema", {"class": "C", "multiTenancyConfig": {"enabled": True}})
        rest(server, "POST", "/schema/C/tenants", [{"name": name} for name in names])
        rest(server, "POST", "/objects", {"class": "C", "id": str(KEY), "properties": {}, "tenant": names[-1]})
    far.store.classes["C"].spaces[names[-1]].objects[KEY.int].created -= 1
    async with connected(SPEC, crossed(near, far)) as source:
        assert await source.count(names[0]) == 0
        for read in (source.count(), source.count(names[-1]), source.fetch([KEY], names[-1])):
            with pytest.raises(TerminalError, match="other times"):
                await read
