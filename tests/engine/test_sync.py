"""Passes after the copy: they bring the target up to date, leave others' records alone, and keep rollback right."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.crash.support import DIM, schema
from tests.edge_reader import read_shard
from vectormigrate import Endpoint, MigrationRequest, RunOptions, Service, open_service
from vectormigrate.engine.connect import open_endpoint
from vectormigrate.errors import Interrupted, InvalidTransition
from vectormigrate.model.batch import DenseColumn, RecordBatch
from vectormigrate.model.ids import RecordId

pytestmark = pytest.mark.anyio

OPTIONS = RunOptions(batch_size=20, max_retries=0)


def batch(value: int, ids: Sequence[int]) -> RecordBatch:
    vectors = {"v": DenseColumn(np.full((len(ids), DIM), 3, np.float32))}
    return RecordBatch("", list[RecordId](ids), vectors, [{"value": value} for _ in ids])


class World:
    """A source of the ids 0…49, copied; `source` and `target` are written by others too."""

    def __init__(self, folder: Path, service: Service) -> None:
        self.service = service
        self.source = Endpoint(type="qdrant_edge", url=str(folder / "edge"), collection="source")
        self.target = replace(self.source, collection="target")

    async def write(self, end: Endpoint, value: int, *ids: int) -> None:
        async with open_endpoint(end) as opened:
            await opened.upsert(batch(value, ids))

    async def delete(self, end: Endpoint, *ids: int) -> None:
        async with open_endpoint(end) as opened:
            await opened.delete(ids, "")

    def held(self) -> list[int]:
        return sorted(map(int, read_shard(self.target)))

    async def proven(self) -> bool:
        return (await self.service.validate("m", full=True, queries=0)).passed


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[World]:
    async with open_service(state=tmp_path / "state.db") as service:
        made = World(tmp_path, service)
        async with open_endpoint(made.source) as collection:
            await collection.create(schema("source"))
            await collection.upsert(batch(1, range(50)))
        request = MigrationRequest(id="m", source=made.source, target=made.target)
        await service.migrate(request, OPTIONS)
        yield made


async def test_a_pass_adds_changes_and_removes_and_the_next_finds_nothing(world: World) -> None:
    await world.write(world.source, 2, 1, 2, 50, 51, 52)
    await world.delete(world.source, 3)
    result = await world.service.sync("m")
    assert (result.added, result.changed, result.removed, result.complete) == (3, 2, 1, True)
    assert (result.written, result.deleted, result.read) == (5, 1, 52 + 50)
    assert result.window_seconds >= result.compare_seconds > 0
    assert await world.proven()
    again = await world.service.sync("m")
    assert (again.added, again.changed, again.removed, again.written, again.deleted) == (0, 0, 0, 0, 0)


async def test_more_deletes_than_the_fuse_allows_are_followed(world: World) -> None:
    await world.write(world.source, 2, *range(100, 300))
    await world.service.sync("m")
    await world.delete(world.source, *range(100, 300))
    result = await world.service.sync("m")
    assert (result.removed, result.deleted, result.complete) == (200, 200, True)
    assert await world.proven()


async def test_what_a_pass_wrote_goes_with_a_rollback_and_what_it_removed_is_nobodys(world: World) -> None:
    await world.write(world.source, 2, 60)
    await world.delete(world.source, 3)
    await world.service.sync("m")
    await world.write(world.target, 9, 3)
    result = await world.service.rollback("m")
    assert (result.dropped_collection, result.foreign_records) == (False, 1)
    assert world.held() == [3]


async def test_records_of_others_are_neither_removed_nor_replaced(world: World) -> None:
    await world.write(world.target, 9, 900, 901)
    await world.write(world.source, 2, 901, 60)
    result = await world.service.sync("m")
    assert (result.foreign, result.deleted, result.complete) == (1, 0, False)
    assert result.problems == ("i:901: somebody else's record has this id on the target",)
    async with open_endpoint(world.target) as target:
        assert (await target.fetch([901], "")).metadata == [{"value": 9}]
    assert 60 in world.held()


async def test_a_pass_that_is_stopped_is_made_good_by_the_next(world: World) -> None:
    await world.write(world.source, 2, *range(5000))
    world.service.stop_now()
    with pytest.raises(Interrupted):
        await world.service.sync("m")
    async with open_service(world.service.settings) as service:
        result = await service.sync("m")
        assert 0 < result.added < 4950, "what was applied before is there"
        assert result.complete
        assert (await service.validate("m", full=True, queries=0)).passed


async def test_a_source_that_is_empty_all_at_once_does_not_empty_the_target(world: World) -> None:
    await world.delete(world.source, *range(50))
    with pytest.raises(InvalidTransition, match="holds no record any more"):
        await world.service.sync("m")
    assert len(world.held()) == 50


async def test_only_a_finished_copy_into_a_collection_of_its_own_can_be_brought_up_to_date(world: World) -> None:
    await world.service.migrate(
        MigrationRequest(id="other", source=world.source, target=world.target, into_existing=True, overwrite=True),
        OPTIONS,
    )
    with pytest.raises(InvalidTransition, match="was there before"):
        await world.service.sync("other")
    await world.service.rollback("other")
    with pytest.raises(InvalidTransition):
        await world.service.sync("other")
