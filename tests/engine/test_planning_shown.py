"""A plan that takes its time is seen, and can be ended, from another terminal."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from tests.crash.support import fill
from tests.engine.faults import Faults, inject
from tests.state.support import sql
from vectormigrate import Endpoint, MigrationRequest, RunOptions, Service, Status, open_service
from vectormigrate.adapters.memory import CAPABILITIES, register_profile
from vectormigrate.engine import planning_progress as planning_watch
from vectormigrate.errors import Interrupted, InvalidTransition, LeaseHeld, LossNotAccepted, MigrationNotFound
from vectormigrate.model.schema import Metric
from vectormigrate.model.status import Phase

pytestmark = pytest.mark.anyio


class World:
    """A source whose second page is only read once `go` is set."""

    def __init__(self, folder: Path, service: Service) -> None:
        self.state = folder / "state.db"
        self.service = service
        self.source = Endpoint(type="qdrant_edge", url=str(folder / "edge"), collection="source")
        self.request = MigrationRequest(id="job", source=self.source, target=replace(self.source, collection="target"))
        self.go = anyio.Event()
        self.outcome: list[object] = []

    async def migrate(self) -> None:
        try:
            self.outcome.append(await self.service.migrate(self.request, RunOptions()))
        except Interrupted as error:
            self.outcome.append(error)

    async def seen(self, service: Service) -> None:
        with anyio.fail_after(60):
            while True:
                try:
                    if (await service.status("job")).planned_records:
                        return
                except MigrationNotFound:
                    pass
                await anyio.sleep(0.01)


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[World]:
    monkeypatch.setattr(planning_watch, "SHOWN_AFTER", 0)
    monkeypatch.setattr(planning_watch, "EVERY", 0.01)
    async with open_service(state=tmp_path / "state.db") as service:
        world = World(tmp_path, service)
        await fill(world.source, 50)
        inject(monkeypatch, "source", Faults(scan=lambda page: "wait" if page == 2 else None, go=world.go))
        yield world


async def test_a_migration_that_is_being_planned_is_a_row_with_its_progress(world: World) -> None:
    async with open_service(state=world.state) as other, anyio.create_task_group() as tasks:
        tasks.start_soon(world.migrate)
        await world.seen(other)
        status = await other.status("job")
        assert (status.status, status.phase, status.runner_alive) == (Status.IN_PROGRESS, Phase.PLANNING, True)
        assert (status.planned_records, status.total_records, status.migrated_records) == (50, 100, 0)
        assert [item.id for item in await other.list()] == ["job"]
        assert await other.list(Status.COMPLETED) == []
        with pytest.raises(LeaseHeld):
            await other.migrate(world.request)
        for verb in (other.resume("job"), other.rollback("job"), other.validate("job")):
            with pytest.raises((InvalidTransition, LeaseHeld)):
                await verb
        world.go.set()
    status = await world.service.status("job")
    assert (status.status, status.planned_records) == (Status.COMPLETED, 0)
    assert len(await world.service.list()) == 1


async def test_a_stop_from_elsewhere_ends_the_planning_and_nothing_is_left(world: World) -> None:
    async with open_service(state=world.state) as other, anyio.create_task_group() as tasks:
        tasks.start_soon(world.migrate)
        await world.seen(other)
        assert (await other.stop("job")).status is Status.STOPPED
    assert isinstance(world.outcome[0], Interrupted)
    assert await world.service.list() == []


async def test_planning_that_was_killed_is_shown_as_dead_and_can_be_asked_for_again(world: World) -> None:
    row: list[tuple[object, ...]] = []
    async with open_service(state=world.state) as other, anyio.create_task_group() as tasks:
        tasks.start_soon(world.migrate)
        await world.seen(other)
        row[:] = sql(world.state, "SELECT * FROM planning")
        tasks.cancel_scope.cancel()
    names = [column[1] for column in sql(world.state, "PRAGMA table_info(planning)")]
    left = {**dict(zip(names, row[0], strict=True)), "pid": 2147483000}
    sql(world.state, f"INSERT INTO planning VALUES ({','.join('?' * len(left))})", *left.values())
    status = await world.service.status("job")
    assert (status.phase, status.runner_alive) == (Phase.PLANNING, False)
    with pytest.raises(InvalidTransition, match="ask for it again with"):
        await world.service.resume("job")
    world.go.set()
    assert (await world.service.migrate(world.request)).status is Status.COMPLETED


async def test_a_refused_plan_leaves_no_row(world: World) -> None:
    world.go.set()
    register_profile("cosine only", CAPABILITIES.changed(vectors={"metrics": frozenset({Metric.COSINE})}))
    target = Endpoint(type="memory", url="memory://narrow", collection="t", options={"profile": "cosine only"})
    with pytest.raises(LossNotAccepted):
        await world.service.migrate(replace(world.request, target=target))
    assert await world.service.list() == []
