"""Targets that exist: what is there stays there, and a rollback takes back exactly what the migration put there."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.crash.support import DIM, Cli, fill, migrate_args, schema
from tests.edge_reader import read_shard
from vectormigrate import Endpoint, MigrationRequest, RunOptions, Service, Status, open_service
from vectormigrate.engine.connect import open_endpoint
from vectormigrate.errors import (
    CollectionNotFound,
    ConfigError,
    IncompatibleSchema,
    InvalidTransition,
    PlanError,
    TargetNotEmpty,
)
from vectormigrate.model.batch import DenseColumn, RecordBatch
from vectormigrate.state import open_store

pytestmark = pytest.mark.anyio

RECORDS = 200
OPTIONS = RunOptions(batch_size=20)


class World:
    """A filled source and an existing target that holds ids 90…109 of its own, of which 90…99 are the source's too."""

    def __init__(self, folder: Path, service: Service) -> None:
        self.folder = folder
        self.service = service
        self.source = Endpoint(type="qdrant_edge", url=str(folder / "edge"), collection="source")
        self.target = replace(self.source, collection="target")
        self.request = MigrationRequest(id="job", source=self.source, target=self.target)

    async def make_target(self, ids: range) -> None:
        async with open_endpoint(self.target) as target:
            await target.create(schema("target"))
            if ids:
                vectors = {"v": DenseColumn(np.full((len(ids), DIM), 7, np.float32))}
                await target.upsert(RecordBatch("", list(ids), vectors, [{"theirs": n} for n in ids]))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[World]:
    async with open_service(state=tmp_path / "state.db") as service:
        world = World(tmp_path, service)
        await fill(world.source, RECORDS, namespaces=("",))
        yield world


async def test_a_target_that_holds_records_is_refused_and_left_alone(world: World) -> None:
    await world.make_target(range(90, 110))
    before = read_shard(world.target)
    with pytest.raises(TargetNotEmpty, match=r"'target' exists and holds 20 records.*request\.into_existing=True"):
        await world.service.migrate(world.request, OPTIONS)
    assert read_shard(world.target) == before
    assert await world.service.list() == []
    assert not (world.folder / "state.db").exists()


async def test_ids_that_are_there_are_refused_and_rollback_removes_only_what_was_added(world: World) -> None:
    await world.make_target(range(190, 210))
    before = read_shard(world.target)
    request = replace(world.request, into_existing=True)
    status = await world.service.migrate(request, replace(OPTIONS, max_rejects=10))
    assert (status.migrated_records, status.rejected_records) == (RECORDS - 10, 10)
    assert {row.code for row in await world.service.rejects("job")} == {"exists"}
    after = read_shard(world.target)
    assert len(after) == RECORDS + 10
    assert {key: after[key] for key in before} == before
    report = await world.service.validate("job", full=True, queries=0)
    assert report.passed, report
    result = await world.service.rollback("job")
    assert (result.dropped_collection, result.deleted_records) == (False, RECORDS - 10)
    assert read_shard(world.target) == before
    assert (await world.service.status("job")).status is Status.ROLLED_BACK


async def test_ids_that_are_there_are_counted_before_anything_is_written(world: World) -> None:
    await world.make_target(range(190, 210))
    before = read_shard(world.target)
    request = replace(world.request, into_existing=True)
    plan = await world.service.plan(request)
    assert plan.collisions == 10
    with pytest.raises(TargetNotEmpty, match=r"10 of the source's ids .*request\.overwrite=True"):
        await world.service.migrate(request, OPTIONS)
    assert read_shard(world.target) == before
    assert await world.service.list() == []


async def test_overwritten_records_are_announced_and_stay_after_a_rollback(world: World) -> None:
    await world.make_target(range(190, 210))
    request = replace(world.request, into_existing=True, overwrite=True)
    plan = await world.service.plan(request)
    assert any("rolled back" in warning for warning in plan.warnings)
    status = await world.service.migrate(request, OPTIONS)
    assert (status.migrated_records, status.rejected_records) == (RECORDS, 0)
    source, target = read_shard(world.source), read_shard(world.target)
    assert {key: target[key] for key in source} == source
    result = await world.service.rollback("job")
    assert (result.deleted_records, result.kept_records) == (RECORDS - 10, 10)
    left = read_shard(world.target)
    assert sorted(map(int, left)) == list(range(190, 210))
    assert all(left[str(n)] == source[str(n)] for n in range(190, 200))


@pytest.mark.parametrize("also", [(), ("--overwrite",)])
async def test_a_crash_between_announcing_and_writing_neither_loses_nor_refuses_our_own_records(
    world: World, also: tuple[str, ...]
) -> None:
    await world.make_target(range(1000, 1005))
    before = read_shard(world.target)
    cli = Cli(world.folder / "state.db")
    words = migrate_args("job", world.source, world.target, "--into-existing", "--batch-size", "20", *also)
    for place in ("intents:3", "after_write:4", "before_commit:1"):
        killed = cli.run(*words, env={"VECTORMIGRATE_FAILPOINT": place})
        assert killed.returncode == -9, killed.stderr
    done = cli.run("resume", "job")
    assert done.returncode == 0, done.stderr
    status = await world.service.status("job")
    assert (status.migrated_records, status.rejected_records) == (RECORDS, 0)
    assert read_shard(world.target) == {**before, **read_shard(world.source)}
    async with open_store(world.folder / "state.db") as store:
        # What a killed run had half-written is known for ours when it is written again, also where it is overwritten.
        assert await store.written_ids.counts("job") == {"": RECORDS}
    await world.service.rollback("job")
    assert read_shard(world.target) == before


async def test_a_rollback_half_way_through_a_copy_removes_what_was_announced_too(world: World) -> None:
    await world.make_target(range(1000, 1005))
    before = read_shard(world.target)
    cli = Cli(world.folder / "state.db")
    words = migrate_args("job", world.source, world.target, "--into-existing", "--batch-size", "20")
    assert cli.run(*words, env={"VECTORMIGRATE_FAILPOINT": "after_write:2"}).returncode == -9
    assert len(read_shard(world.target)) > len(before)
    await world.service.rollback("job")
    assert read_shard(world.target) == before


async def test_rollback_drops_a_collection_that_the_migration_made_and_nothing_else(world: World) -> None:
    await world.service.migrate(world.request, OPTIONS)
    result = await world.service.rollback("job")
    assert result.dropped_collection
    async with open_endpoint(world.target) as target:
        with pytest.raises(CollectionNotFound):
            await target.describe()
    assert len(read_shard(world.source)) == RECORDS
    with pytest.raises(InvalidTransition):
        await world.service.rollback("job")


async def test_rollback_does_not_drop_a_collection_that_someone_else_made_since(world: World) -> None:
    await world.service.migrate(world.request, OPTIONS)
    async with open_endpoint(world.target) as target:
        await target.drop()
    await world.make_target(range(5))
    before = read_shard(world.target)
    with pytest.raises(InvalidTransition, match="someone else"):
        await world.service.rollback("job")
    assert read_shard(world.target) == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"dim": 9}, "9"),
        ({"metric": "cosine"}, "cosine"),
        ({"name": "other"}, "other"),
    ],
)
async def test_an_existing_target_of_another_shape_is_refused_with_the_difference(
    world: World, change: dict[str, object], words: str
) -> None:
    wanted = schema("target")
    vector = replace(wanted.vectors[0], **change)  # pyright: ignore[reportArgumentType]
    async with open_endpoint(world.target) as target:
        await target.create(replace(wanted, vectors=(vector,)))
    with pytest.raises(IncompatibleSchema, match=words):
        await world.service.migrate(replace(world.request, into_existing=True), OPTIONS)
    assert await world.service.list() == []


async def test_a_collection_that_appears_between_plan_and_copy_is_left_alone(world: World) -> None:
    cli = Cli(world.folder / "state.db")
    words = migrate_args("job", world.source, world.target)
    assert cli.run(*words, env={"VECTORMIGRATE_FAILPOINT": "creating"}).returncode == -9
    await world.make_target(range(0))
    with pytest.raises(TargetNotEmpty, match="appeared since"):
        await world.service.resume("job")
    assert read_shard(world.target) == {}
    await world.service.rollback("job")
    assert read_shard(world.target) == {}


async def test_source_and_target_must_differ(world: World) -> None:
    with pytest.raises(ConfigError, match="same collection"):
        await world.service.plan(replace(world.request, target=world.source))


async def test_a_missing_source_is_not_found(world: World) -> None:
    with pytest.raises(CollectionNotFound, match="nowhere"):
        await world.service.plan(replace(world.request, source=replace(world.source, collection="nowhere")))


async def test_an_unknown_namespace_and_an_unknown_loss_are_named(world: World) -> None:
    with pytest.raises(PlanError, match="no namespace 'x'"):
        await world.service.plan(replace(world.request, namespaces=("x",)))
    with pytest.raises(PlanError, match="no-such-loss"):
        await world.service.plan(replace(world.request, accepted_losses=("no-such-loss",)))


async def test_the_same_id_goes_on_with_the_same_request_only(world: World) -> None:
    await world.make_target(range(1000, 1005))
    cli = Cli(world.folder / "state.db")
    words = migrate_args("job", world.source, world.target, "--into-existing")
    assert cli.run(*words, env={"VECTORMIGRATE_FAILPOINT": "planned"}).returncode == -9
    with pytest.raises(PlanError, match="into_existing"):
        await world.service.migrate(world.request, OPTIONS)
    status = await world.service.migrate(replace(world.request, into_existing=True), OPTIONS)
    assert status.status is Status.COMPLETED
    again = await world.service.migrate(replace(world.request, into_existing=True), OPTIONS)
    assert again == status, "nothing is done twice"


async def test_an_id_that_another_namespace_of_the_target_holds_is_not_overwritten(world: World) -> None:
    async with open_endpoint(world.target) as target:
        await target.create(schema("target"))
        vectors = {"v": DenseColumn(np.full((10, DIM), 7, np.float32))}
        await target.upsert(RecordBatch("theirs", list(range(195, 205)), vectors, [{"theirs": n} for n in range(10)]))
    before = read_shard(world.target)
    request = replace(world.request, into_existing=True)
    plan = await world.service.plan(request)
    assert plan.collisions == 5
    status = await world.service.migrate(request, replace(OPTIONS, max_rejects=5))
    assert (status.migrated_records, status.rejected_records) == (RECORDS - 5, 5)
    after = read_shard(world.target)
    assert {key: after[key] for key in before} == before
