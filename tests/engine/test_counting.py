"""The count at the end of a migration: nothing is called complete that is not there."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.crash.support import DIM, fill, schema
from tests.engine.faults import Faults, inject
from vectormigrate import Endpoint, MigrationRequest, RunOptions, Service, Status, open_service
from vectormigrate.engine.connect import open_endpoint
from vectormigrate.engine.events import Event, Planned, Warned
from vectormigrate.errors import MigrationFailed, Unavailable
from vectormigrate.mapping.convert.mapper import Mapped, Mapper
from vectormigrate.model.batch import DenseColumn, RecordBatch
from vectormigrate.model.ids import RecordId
from vectormigrate.model.status import Phase
from vectormigrate.state import open_store

pytestmark = pytest.mark.anyio

RECORDS = 200
OPTIONS = RunOptions(batch_size=20, validate_every=0)


class World:
    """A filled source in two namespaces, and a target that is not there."""

    def __init__(self, folder: Path, service: Service) -> None:
        self.service = service
        self.state = folder / "state.db"
        self.source = Endpoint(type="qdrant_edge", url=str(folder / "edge"), collection="source")
        self.target = replace(self.source, collection="target")
        self.request = MigrationRequest(id="job", source=self.source, target=self.target)

    async def make_target(self, ids: Sequence[int]) -> None:
        vectors = {"v": DenseColumn(np.full((len(ids), DIM), 7, np.float32))}
        async with open_endpoint(self.target) as target:
            await target.create(schema("target"))
            await target.upsert(RecordBatch("", list[RecordId](ids), vectors, [{"theirs": n} for n in ids]))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[World]:
    async with open_service(state=tmp_path / "state.db") as service:
        world = World(tmp_path, service)
        await fill(world.source, RECORDS // 2)
        yield world


async def test_a_record_that_was_acknowledged_and_is_not_there_fails_the_migration(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    inject(monkeypatch, "target", Faults(vanished=frozenset({5, 150})))
    with pytest.raises(MigrationFailed, match=r"in default namespace 1 of 100 written records are not there; in "):
        await world.service.migrate(world.request, OPTIONS)
    status = await world.service.status("job")
    assert (status.status, status.phase) == (Status.FAILED, Phase.FINALIZING)
    assert "are not there" in (status.error or "")
    monkeypatch.undo()
    with pytest.raises(MigrationFailed, match="are not there"):
        await world.service.resume("job")
    report = await world.service.validate("job", full=True, queries=0, repair=True)
    assert (report.passed, report.repaired) == (True, 2)
    assert (await world.service.resume("job")).status is Status.COMPLETED


async def test_an_announced_record_does_not_make_up_for_one_that_is_missing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        inject(patch, "target", Faults(vanished=frozenset({5})))
        with pytest.raises(MigrationFailed, match="1 of 100 written records are not there"):
            await world.service.migrate(world.request, OPTIONS)
    # What a crash leaves: announced, on the target, and settled by no page. The number of records is right again.
    async with open_store(world.state) as store, store.leases.hold("job") as lease:
        (partition, *_) = [
            item.partition for item in await store.progress.partitions("job") if not item.partition.namespace
        ]
        await store.written_ids.announce(lease, partition.id, "", [777])
    async with open_endpoint(world.target) as target:
        await target.upsert(RecordBatch("", [777], {"v": DenseColumn(np.ones((1, DIM), np.float32))}, [{}]))
        assert await target.count("") == RECORDS // 2
    with pytest.raises(MigrationFailed, match="1 of 100 written records are not there"):
        await world.service.resume("job")


async def test_two_records_that_went_to_one_id_fail_the_migration(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whatever the reason: here the mapping of ids itself is wrong, so that a check that asks it sees nothing.
    whole = Mapper.convert

    def halved(self: Mapper, batch: RecordBatch) -> list[Mapped]:
        return [
            replace(part, batch=replace(part.batch, ids=[int(str(record_id)) // 2 for record_id in part.batch.ids]))
            for part in whole(self, batch)
        ]

    def listen(event: Event) -> None:
        if isinstance(event, Planned):  # planning would refuse it
            monkeypatch.setattr(Mapper, "convert", halved)

    with pytest.raises(MigrationFailed, match="50 of 100 written records went to an id of another one"):
        await world.service.migrate(world.request, OPTIONS, listen)


async def test_a_record_of_somebody_else_in_a_collection_that_the_migration_made_fails_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    inject(monkeypatch, "target", Faults(upsert=lambda call, _: "foreign" if call == 3 else None))
    with pytest.raises(MigrationFailed, match="namespace holds 1 records that this migration did not write"):
        await world.service.migrate(world.request, OPTIONS)


async def test_a_record_of_somebody_else_in_an_existing_collection_is_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.make_target([1000, 1001])
    inject(monkeypatch, "target", Faults(upsert=lambda call, _: "foreign" if call == 3 else None))
    status = await world.service.migrate(replace(world.request, into_existing=True), OPTIONS)
    assert status.status is Status.COMPLETED
    assert len(status.notices) == 1
    assert "changed while it was copied to: beside what this migration wrote it holds +1 records" in status.notices[0]


async def test_what_an_application_writes_once_the_migration_was_complete_fails_no_later_run(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        inject(patch, "target", Faults(refused=frozenset({5})))
        await world.service.migrate(world.request, replace(OPTIONS, max_rejects=1))
        async with open_endpoint(world.target) as target:
            vectors = {"v": DenseColumn(np.ones((1, DIM), np.float32))}
            await target.upsert(RecordBatch("", [9999], vectors, [{}]))
        faults = Faults(upsert=lambda call, _: "down")
        inject(patch, "target", faults)
        with pytest.raises(Unavailable):
            await world.service.resume("job", replace(OPTIONS, retry_rejects=True, max_retries=0))
    status = await world.service.resume("job", replace(OPTIONS, max_rejects=1, retry_rejects=True))
    assert (status.status, status.rejected_records) == (Status.COMPLETED, 0)
    assert "it holds +1 records" in status.notices[0]


async def test_a_record_that_vanished_from_an_existing_collection_fails_the_migration(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.make_target([1000, 1001])
    inject(monkeypatch, "target", Faults(vanished=frozenset({5})))
    with pytest.raises(MigrationFailed, match="in default namespace 1 of 100 written records are not there"):
        await world.service.migrate(replace(world.request, into_existing=True), OPTIONS)


async def test_a_source_that_did_not_change_is_not_spoken_of(world: World) -> None:
    status = await world.service.migrate(world.request, OPTIONS)
    assert (status.status, status.notices) == (Status.COMPLETED, ())


async def test_a_source_that_changed_meanwhile_is_named_with_how_much(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[Event] = []
    plan = await world.service.plan(world.request)
    assert plan.total_records == RECORDS

    def change(page: int) -> str | None:
        return {first + 1: "shrink", first + 2: "grow"}.get(page)

    faults = Faults(scan=change)
    first = 10**9
    inject(monkeypatch, "source", faults)

    def listen(event: Event) -> None:
        nonlocal first
        events.append(event)
        if isinstance(event, Planned):
            first = faults.calls["scan"]

    status = await world.service.migrate(world.request, OPTIONS, listen)
    assert status.status is Status.COMPLETED
    shrunk, grown = status.notices
    assert "its default namespace holds 99 records, of which 100 were read (-1)" in shrunk
    assert "its namespace 'new' holds 3 records, of which 0 were read (+3)" in grown
    assert "service.validate('job', full=True, repair=True)" in grown
    assert [event.message for event in events if isinstance(event, Warned)] == [shrunk, grown]
    report = await world.service.validate("job", full=True, queries=0, repair=True)
    assert (report.passed, report.repaired, report.deleted) == (True, 3, 1)
    # What the repair deleted is no longer missing, and what it added is no stranger.
    again = await world.service.resume("job", replace(OPTIONS, retry_rejects=True))
    assert (again.status, again.notices[:0]) == (Status.COMPLETED, ())
