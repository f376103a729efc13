"""Two records never become one: whatever the way, the target holds as many as the source, or a plan refuses by name."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, aclosing
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from tests.conformance.data import batch, ids_of
from tests.harness.base import Harness, all_harnesses
from tests.matrix.moving import copy, endpoint, fill
from vectormigrate import Endpoint, MigrationRequest, open_service
from vectormigrate.adapter import Target
from vectormigrate.engine.connect import open_endpoint
from vectormigrate.errors import IncompatibleSchema
from vectormigrate.model.batch import RecordBatch
from vectormigrate.model.ids import IdKind
from vectormigrate.model.position import Partition

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Generator[dict[str, Harness]]:
    wanted = {harness.name: harness for harness in all_harnesses()}
    with ExitStack() as stack:
        for name in ("qdrant", "weaviate"):
            if wanted[name].unavailable() is not None:
                pytest.skip(f"{name} cannot run here")
            stack.enter_context(wanted[name].running(tmp_path_factory.mktemp(name)))
        yield wanted


def sharded(url: str, name: str) -> None:
    """A collection made by an application, in which each of 20 ids stands under two shard keys."""
    place = f"{url}/collections/{name}"
    body = {"vectors": {"size": 4, "distance": "Dot"}, "sharding_method": "custom"}
    httpx.put(place, json=body).raise_for_status()
    for key in ("eu", "us"):
        httpx.put(f"{place}/shards", json={"shard_key": key}).raise_for_status()
        points = [{"id": n, "vector": [1, 2, 3, n], "payload": {"of": key}} for n in range(1, 21)]
        httpx.put(f"{place}/points?wait=true", json={"points": points, "shard_key": key}).raise_for_status()


async def first_page(collection: Target, partition: Partition) -> RecordBatch:
    async with aclosing(collection.scan(partition)) as pages:
        return (await anext(pages)).batch


async def found(end: Endpoint) -> int:
    async with open_endpoint(end) as collection:
        return await collection.count()


@pytest.mark.parametrize("options", [{}, {"divide_by": "shard_key"}], ids=["default", "sharded"])
async def test_ids_of_two_shard_keys_come_home_as_two_records(
    engines: dict[str, Harness], options: dict[str, str], tmp_path: Path
) -> None:
    qdrant, weaviate = engines["qdrant"], engines["weaviate"]
    ends = [endpoint(harness, harness.new_name()) for harness in (qdrant, weaviate, qdrant)]
    ends[2] = replace(ends[2], options={**ends[2].options, **options})
    sharded(ends[0].url, ends[0].collection)
    async with open_service(state=tmp_path / "state.db") as service:
        await copy(service, "there", ends[0], ends[1])
        plan = await copy(service, "back", ends[1], ends[2])
        assert await found(ends[2]) == 40
    derived = {loss.name for loss in plan.losses} & {"id-original"}
    assert derived == (set() if options else {"id-original"})


async def test_a_payload_copied_on_the_way_is_a_record_of_its_own_at_home(
    engines: dict[str, Harness], tmp_path: Path
) -> None:
    qdrant, weaviate = engines["qdrant"], engines["weaviate"]
    ends = [endpoint(harness, harness.new_name()) for harness in (qdrant, weaviate, qdrant)]
    schema = qdrant.schema(samples=[{"n": 0}])
    await fill(ends[0], schema, [batch(schema, ids_of(schema, range(18)))])
    async with open_service(state=tmp_path / "state.db") as service:
        await copy(service, "there", ends[0], ends[1])
        async with open_endpoint(ends[1]) as there:
            (name,) = await there.namespaces()
            (partition,) = await there.partitions(1)
            two = (await first_page(there, partition)).take([0, 1])
            await there.upsert(replace(two, namespace=name, ids=[UUID(int=1), UUID(int=2)]))
        await copy(service, "back", ends[1], ends[2])
        assert await found(ends[2]) == 20
        async with open_endpoint(ends[2]) as home:
            added = await home.fetch([UUID(int=1), UUID(int=2)], "")
        assert [[key for key in row if key.startswith("_vm_")] for row in added.metadata] == [[], []]


@pytest.mark.parametrize(("limit", "home"), [(None, True), (1, True), (1, False)])
async def test_a_record_under_the_original_id_of_another_is_refused_by_name_however_few_are_read_for_the_plan(
    engines: dict[str, Harness], tmp_path: Path, limit: int | None, home: bool
) -> None:
    qdrant, weaviate = engines["qdrant"], engines["weaviate"]
    ends = [endpoint(harness, harness.new_name()) for harness in (qdrant, weaviate, qdrant)]
    schema = replace(qdrant.schema(), id_kinds=frozenset({IdKind.UINT64, IdKind.UUID}))
    records = batch(schema, [7, UUID(int=7), UUID(int=8)])
    await fill(ends[0], schema, [records])
    async with open_service(state=tmp_path / "state.db") as service:
        await copy(service, "there", ends[0], ends[1])
        async with open_endpoint(ends[1]) as there:
            (partition,) = await there.partitions(1)
            one = (await first_page(there, partition)).take([0])
            await there.upsert(replace(one, ids=[UUID(int=7)], metadata=[{}]))
        away = Endpoint(type="memory", url=f"memory://{tmp_path.name}", collection="away")
        place = ends[2] if home else away
        request = MigrationRequest(id="on", source=ends[1], target=place, partitions=1, profile_limit=limit)
        with pytest.raises(IncompatibleSchema, match=r"1 ids more than once.*00000007"):
            await service.plan(request)
