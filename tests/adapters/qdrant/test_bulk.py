"""Indexing that is put off during a load comes back, whatever happens in between."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.adapters.qdrant.support import FIELD, SCHEMA, call, config, created, new_name, records
from tests.emulators.qdrant import Emulator
from tests.support.connected import connected
from vectormigrate.adapters.qdrant import SPEC
from vectormigrate.errors import TerminalError, TimedOut, Unavailable
from vectormigrate.model.schema import CollectionSchema

pytestmark = pytest.mark.anyio

GRAPH = replace(SCHEMA, vectors=(replace(FIELD, index={"type": "hnsw", "m": 12, "ef_construct": 70}),))


def settings(server: Emulator, name: str) -> dict[str, Any]:
    """The collection's settings as the server has them now."""
    return call(server, "GET", f"collections/{name}")["config"]


@pytest.fixture(params=["new", "old"])
def any_server(request: pytest.FixtureRequest) -> Emulator:
    return request.getfixturevalue("server" if request.param == "new" else "old_server")


@pytest.mark.parametrize(
    ("how", "schema"), [("indexing_threshold", SCHEMA), ("hnsw", GRAPH), ("hnsw", SCHEMA), ("off", SCHEMA)]
)
async def test_indexing_waits_for_finalize_and_the_schema_never_shows_it(
    any_server: Emulator, how: str, schema: CollectionSchema
) -> None:
    name = new_name()
    async with created(any_server, schema, name, bulk_load=how) as target:
        during = settings(any_server, name)
        assert (during["optimizer_config"]["indexing_threshold"] == 0) == (how == "indexing_threshold")
        assert (during["hnsw_config"]["m"] == 0) == (how == "hnsw")
        before = await target.describe()
        await target.upsert(records([1, 2]))
        await target.finalize()
        after = settings(any_server, name)
        assert await target.describe() == before
    assert (before.vectors, before.extras.get("qdrant", {}).get("optimizers")) == (schema.vectors, None)
    assert after["optimizer_config"]["indexing_threshold"] == 10_000
    assert after["hnsw_config"]["m"] == 16
    if schema is GRAPH:
        assert after["params"]["vectors"]["hnsw_config"] == {"m": 12, "ef_construct": 70}
    assert "_vm_restore" not in (after.get("metadata") or {})


@pytest.mark.parametrize("how", ["indexing_threshold", "hnsw", "off"])
async def test_a_collection_without_an_index_stays_without_one(any_server: Emulator, how: str) -> None:
    schema = replace(GRAPH, extras={"qdrant": {"optimizers": {"indexing_threshold": 0}}})
    name = new_name()
    async with created(any_server, schema, name, bulk_load=how) as target:
        await target.upsert(records([1, 2]))
        await target.finalize()
        assert settings(any_server, name)["optimizer_config"]["indexing_threshold"] == 0
        assert (await target.describe()).extras["qdrant"]["optimizers"] == {"indexing_threshold": 0}


async def test_a_later_run_restores_what_a_crashed_one_left(any_server: Emulator) -> None:
    name = new_name()
    optimizers = {"indexing_threshold": 777, "deleted_threshold": 0.4}
    schema = replace(SCHEMA, extras={"qdrant": {"optimizers": optimizers}}, note={"version": 1})
    async with connected(SPEC, config(any_server, name)) as first:
        await first.create(schema)
    async with connected(SPEC, config(any_server, name, bulk_load="off")) as second:
        await second.set_note({"version": 2})
        assert (await second.describe()).extras["qdrant"]["optimizers"] == optimizers
        any_server.fault("update", status=503)
        with pytest.raises(Unavailable):
            await second.finalize()
        await second.finalize()
        found = settings(any_server, name)["optimizer_config"]
        assert (found["indexing_threshold"], found["deleted_threshold"]) == (777, 0.4)
        assert (await second.describe()).note == {"version": 2}
        await second.drop()


async def test_a_collection_of_somebody_else_is_not_switched(server: Emulator) -> None:
    name = new_name()
    body = {"vectors": {"size": 4, "distance": "Dot"}}
    call(server, "PUT", f"collections/{name}", body)
    before = settings(server, name)
    async with connected(SPEC, config(server, name)) as target:
        await target.upsert(records([1]))
        await target.finalize()
        assert settings(server, name) == before
        await target.drop()


async def test_strict_mode_is_in_force_after_the_load_only(server: Emulator) -> None:
    strict = {"enabled": True, "max_query_limit": 50, "upsert_max_batchsize": 7}
    name = new_name()
    async with created(server, replace(SCHEMA, extras={"qdrant": {"strict_mode_config": strict}}), name) as target:
        assert "strict_mode_config" not in settings(server, name)
        assert (await target.describe()).extras["qdrant"]["strict_mode_config"] == strict
        await target.upsert(records(list(range(120))))
        await target.finalize()
        assert settings(server, name)["strict_mode_config"] == strict
        await target.describe()
        assert target.capabilities.writes.rows == 7
        await target.upsert(records(list(range(100, 140))))
        found = await target.partitions(3)
        ids = [key for part in found async for page in target.scan(part, page_rows=90) for key in page.batch.ids]
        assert sorted(ids) == list(range(140))  # pyright: ignore[reportArgumentType]


async def test_without_waiting_for_the_index_finalize_waits_only_until_all_can_be_read(server: Emulator) -> None:
    name = new_name()
    told: list[int] = []
    async with created(server, name=name, ready_timeout=0.5) as target:
        await target.upsert(records(list(range(7))))
        server.collection(name, busy=1_000)
        assert await target.finalize(wait=False, report=told.append) == 7
        assert told == [7]
        server.collection(name, deferred=3)
        with pytest.raises(TimedOut):
            await target.finalize(wait=False)
        server.collection(name, busy=3, deferred=0)
        assert await target.finalize(report=told.append) == 0
        assert told[-2:] == [7, 0]


async def test_finalize_waits_for_the_server_and_says_when_it_cannot(server: Emulator) -> None:
    name = new_name()
    async with created(server, name=name, ready_timeout=0.5) as target:
        server.collection(name, busy=2)
        await target.finalize()
        server.collection(name, queue=3)
        with pytest.raises(TimedOut, match="still green"):
            await target.finalize()
        server.collection(name, queue=0, status="red")
        with pytest.raises(TerminalError, match="the optimiser failed"):
            await target.finalize()
        server.collection(name, status="grey")
        await target.finalize()
