"""A rollback removes exactly what its migration wrote, or says why it cannot and leaves everything as it was."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from pathlib import Path

import anyio
import numpy as np
import pytest

from tests.crash.support import DIM, schema
from tests.edge_reader import read_shard
from tests.engine.faults import Faults, inject
from vectormigrate import Endpoint, MigrationRequest, RunOptions, Service, Status, open_service
from vectormigrate.adapters.memory import CAPABILITIES, register_profile
from vectormigrate.engine.connect import open_endpoint
from vectormigrate.errors import InvalidTransition, LeaseHeld, TargetNotEmpty, TimedOut, Unavailable
from vectormigrate.model.batch import DenseColumn, RecordBatch
from vectormigrate.model.ids import RecordId
from vectormigrate.model.status import Phase
from vectormigrate.state import open_store

pytestmark = pytest.mark.anyio

OPTIONS = RunOptions(batch_size=20)


def batch(name: str, ids: Sequence[int]) -> RecordBatch:
    vectors = {"v": DenseColumn(np.full((len(ids), DIM), 3, np.float32))}
    return RecordBatch("", list[RecordId](ids), vectors, [{"from": name} for _ in ids])


class World:
    """Two filled sources of 50 records each, `a` with the ids 0…49, `b` with 100…149, and one place to copy both to."""

    def __init__(self, folder: Path, service: Service) -> None:
        self.folder = folder
        self.service = service
        self.target = Endpoint(type="qdrant_edge", url=str(folder / "edge"), collection="target")

    def request(self, name: str, *, into_existing: bool = False, overwrite: bool = False) -> MigrationRequest:
        source = replace(self.target, collection=name)
        return MigrationRequest(
            id=name, source=source, target=self.target, into_existing=into_existing, overwrite=overwrite
        )

    async def fill(self, name: str, ids: Sequence[int]) -> None:
        async with open_endpoint(replace(self.target, collection=name)) as collection:
            await collection.create(schema(name))
            await collection.upsert(batch(name, ids))

    async def write(self, name: str, ids: Sequence[int]) -> None:
        async with open_endpoint(self.target) as opened:
            await opened.upsert(batch(name, ids))

    def held(self) -> list[int]:
        return sorted(map(int, read_shard(self.target)))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[World]:
    async with open_service(state=tmp_path / "state.db") as service:
        world = World(tmp_path, service)
        await world.fill("a", range(50))
        await world.fill("b", range(100, 150))
        yield world


async def test_what_others_put_into_the_collection_outlives_the_rollback_of_its_maker(world: World) -> None:
    await world.service.migrate(world.request("a"), OPTIONS)
    await world.service.migrate(world.request("b", into_existing=True), OPTIONS)
    await world.write("an application", [999])
    result = await world.service.rollback("a")
    assert (result.dropped_collection, result.deleted_records, result.foreign_records) == (False, 50, 51)
    assert world.held() == [*range(100, 150), 999]
    assert (await world.service.validate("b", full=True, queries=0)).passed
    result = await world.service.rollback("b")
    assert (result.dropped_collection, result.deleted_records) == (False, 50)
    assert world.held() == [999]


async def test_one_record_more_is_found_when_the_count_is_the_same(world: World) -> None:
    await world.service.migrate(world.request("a"), OPTIONS)
    await world.write("an application", [999])
    async with open_endpoint(world.target) as target:
        await target.delete([7], "")
    result = await world.service.rollback("a")
    assert (result.dropped_collection, result.deleted_records, result.foreign_records) == (False, 49, 1)
    assert world.held() == [999]


async def test_a_collection_with_nothing_but_our_own_is_dropped(world: World) -> None:
    await world.service.migrate(world.request("a"), OPTIONS)
    result = await world.service.rollback("a")
    assert (result.dropped_collection, result.foreign_records) == (True, 0)


async def test_what_a_lost_answer_left_behind_is_ours_and_goes_with_the_collection(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        inject(patch, "target", Faults(upsert=lambda call, _: "lost" if call > 1 else None))
        with pytest.raises(TimedOut):
            await world.service.migrate(world.request("a"), replace(OPTIONS, max_retries=0, concurrency=1))
    assert world.held()
    result = await world.service.rollback("a")
    assert (result.dropped_collection, result.foreign_records) == (True, 0)


async def test_a_refused_rollback_leaves_the_migration_as_it_was(world: World) -> None:
    await world.service.migrate(world.request("a"), OPTIONS)
    async with open_endpoint(world.target) as target:
        await target.drop()
    await world.fill("target", [1, 2])
    before = await world.service.status("a")
    with pytest.raises(InvalidTransition, match="made by someone else, not by migration 'a'; nothing was removed"):
        await world.service.rollback("a")
    after = await world.service.status("a")
    assert (after.status, after.phase) == (before.status, before.phase) == (Status.COMPLETED, before.phase)
    assert world.held() == [1, 2]


async def test_the_same_id_in_another_state_file_is_another_migration(world: World) -> None:
    await world.service.migrate(world.request("a"), OPTIONS)
    async with open_service(state=world.folder / "other.db") as other:
        await other.migrate(replace(world.request("b", into_existing=True), id="a"), OPTIONS)
        result = await other.rollback("a")
        assert (result.dropped_collection, result.deleted_records) == (False, 50)
    assert world.held() == list(range(50))


async def test_two_state_files_with_one_id_do_not_share_a_new_collection(world: World) -> None:
    twin = replace(world.request("b"), id="a")
    async with open_service(state=world.folder / "other.db") as other:
        plan = await other.plan(twin)  # both saw that the target is not there
        await world.service.migrate(world.request("a"), OPTIONS)
        migration_id, _ = await other.begin(plan, OPTIONS)
        with pytest.raises(TargetNotEmpty, match="appeared since the plan was made"):
            await other.resume(migration_id)
        with pytest.raises(InvalidTransition, match="made by a migration 'a' of another state file"):
            await other.rollback("a")
    assert world.held() == list(range(50))


async def test_two_state_files_do_not_share_a_new_collection_without_a_note_either(world: World) -> None:
    plain = replace(world.request("b"), id="a", plain=True)
    async with open_service(state=world.folder / "other.db") as other:
        plan = await other.plan(plain)
        assert plan.target_schema.note is None
        async with open_endpoint(world.target) as target:  # somebody makes it meanwhile, and has not written yet
            await target.create(schema("target"))
        migration_id, _ = await other.begin(plan, OPTIONS)
        with pytest.raises(TargetNotEmpty, match="appeared since the plan was made"):
            await other.resume(migration_id)


async def test_a_collection_that_another_migration_is_about_to_write_to_is_not_dropped(world: World) -> None:
    await world.service.migrate(world.request("a"), OPTIONS)
    plan = await world.service.plan(world.request("b", into_existing=True))
    await world.service.begin(plan, OPTIONS)
    async with open_store(world.folder / "state.db") as store, store.leases.hold("b") as lease:
        await store.migrations.set_phase("b", Phase.COPYING, Status.IN_PROGRESS, lease=lease)
        with pytest.raises(InvalidTransition, match="'b' is writing to the same collection"):
            await world.service.rollback("a")
    assert world.held() == list(range(50))


async def test_a_collection_that_cannot_be_read_is_not_removed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.service.migrate(world.request("a"), OPTIONS)
    with monkeypatch.context() as patch:
        inject(patch, "target", Faults(scan=lambda page: "broken"))
        with pytest.raises(InvalidTransition, match=r"cannot be read.*nothing was removed.*own tools"):
            await world.service.rollback("a")
    assert (await world.service.status("a")).status is Status.COMPLETED
    assert world.held() == list(range(50))


async def test_a_collection_that_another_migration_overwrote_is_not_taken_apart(world: World) -> None:
    await world.fill("c", range(40, 60))
    await world.service.migrate(world.request("a"), OPTIONS)
    await world.service.migrate(world.request("c", into_existing=True, overwrite=True), OPTIONS)
    with pytest.raises(InvalidTransition, match=r"'c' overwrote records .*service\.rollback\('c'\)"):
        await world.service.rollback("a")
    assert (await world.service.status("a")).status is Status.COMPLETED
    assert world.held() == list(range(60))


async def test_a_rollback_that_fails_half_way_is_failed_and_can_be_repeated(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.service.migrate(world.request("a"), OPTIONS)
    await world.service.migrate(world.request("b", into_existing=True), OPTIONS)
    with monkeypatch.context() as patch:
        inject(patch, "target", Faults(delete="down"))
        with pytest.raises(Unavailable):
            await world.service.rollback("b")
    status = await world.service.status("b")
    assert (status.status, status.phase) == (Status.FAILED, "rolling_back")
    assert "connection refused" in (status.error or "")
    await world.service.rollback("b")
    assert world.held() == list(range(50))


async def test_nothing_is_rolled_back_or_validated_while_a_validation_runs(world: World) -> None:
    await world.service.migrate(world.request("a"), OPTIONS)
    reading = anyio.Event()
    errors: list[Exception] = []

    def listen(event: object) -> None:
        del event
        reading.set()

    async def validate() -> None:
        await world.service.validate("a", full=True, queries=0, listener=listen)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(validate)
        await reading.wait()
        for verb in (world.service.rollback("a"), world.service.validate("a", queries=0)):
            try:
                await verb
            except LeaseHeld as error:
                errors.append(error)
    assert len(errors) == 2
    assert world.held() == list(range(50))


async def test_the_rollback_of_a_later_migration_keeps_the_note_of_an_earlier_one(tmp_path: Path) -> None:
    # The memory database of this profile keeps no note itself, as some servers do not: the state file does.
    register_profile("noteless", CAPABILITIES.changed(collection={"keeps_note": False}))
    url = f"memory://{tmp_path.name}"
    ends = {name: Endpoint(type="memory", url=url, collection=name, options={"profile": "noteless"}) for name in "abt"}
    async with open_service(state=tmp_path / "state.db") as service, open_store(tmp_path / "state.db") as store:
        for name, ids in (("a", range(10)), ("b", range(20, 30))):
            async with open_endpoint(ends[name]) as collection:
                await collection.create(schema(name))
                await collection.upsert(batch(name, ids))
        request = MigrationRequest(id="a", source=ends["a"], target=ends["t"])
        await service.migrate(request, OPTIONS)
        location = (await service.status("a")).target
        note = await store.origin.find(location)
        assert note is not None
        await service.migrate(replace(request, id="b", source=ends["b"], into_existing=True), OPTIONS)
        await service.rollback("b")
        assert await store.origin.find(location) == note
        async with open_endpoint(ends["t"]) as collection:
            await collection.drop()
        # The note must not outlive the collection: the next one at this place has another origin.
        assert not (await service.rollback("a")).dropped_collection
        assert await store.origin.find(location) is None
