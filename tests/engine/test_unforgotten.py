"""What a run found wrong is not forgotten by the next one: limits on rejects, and records that did not read back."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from tests.crash.support import fill
from tests.engine.faults import Faults, inject
from vectormigrate import Endpoint, MigrationRequest, RunOptions, Service, Status, open_service
from vectormigrate.engine.events import Event, Indexing, PageCommitted
from vectormigrate.errors import Interrupted, MigrationFailed, ValidationFailed
from vectormigrate.state import open_store

pytestmark = pytest.mark.anyio

RECORDS = 100
OPTIONS = RunOptions(batch_size=20, validate_every=1)


class World:
    """A filled source and a target that is not there."""

    def __init__(self, folder: Path, service: Service) -> None:
        self.state = folder / "state.db"
        self.service = service
        self.source = Endpoint(type="qdrant_edge", url=str(folder / "edge"), collection="source")
        self.target = replace(self.source, collection="target")
        self.request = MigrationRequest(id="job", source=self.source, target=self.target)

    async def due(self) -> list[tuple[object, bool]]:
        async with open_store(self.state) as store:
            return [(item.id, item.failed) for item in await store.rechecks.read("job")]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[World]:
    async with open_service(state=tmp_path / "state.db") as service:
        world = World(tmp_path, service)
        await fill(world.source, RECORDS, namespaces=("",))
        yield world


async def test_a_resume_does_not_raise_the_limit_of_rejects(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        inject(patch, "target", Faults(refused=frozenset({50})))
        with pytest.raises(MigrationFailed, match=r"1 records rejected, more than `options\.max_rejects=0` allows"):
            await world.service.migrate(world.request, OPTIONS)
    for _ in range(2):
        with pytest.raises(
            MigrationFailed, match=r"max_rejects=0` allows.*service\.resume\('job', retry_rejects=True\)"
        ):
            await world.service.resume("job")
        assert (await world.service.status("job")).status is Status.FAILED
    status = await world.service.resume("job", replace(OPTIONS, retry_rejects=True))
    assert (status.status, status.rejected_records, status.migrated_records) == (Status.COMPLETED, 0, RECORDS)


async def test_a_resume_beyond_the_limit_copies_nothing_more(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    faults = Faults(refused=frozenset({1}))
    inject(monkeypatch, "target", faults)
    pages_of_20 = replace(OPTIONS, batch_size=2)
    with pytest.raises(MigrationFailed):
        await world.service.migrate(world.request, pages_of_20)
    written = faults.calls["upsert"]
    assert written < RECORDS // 2
    with pytest.raises(MigrationFailed):
        await world.service.resume("job")
    assert faults.calls["upsert"] == written


async def test_rejects_that_are_refused_again_still_count(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    inject(monkeypatch, "target", Faults(refused=frozenset({50})))
    with pytest.raises(MigrationFailed):
        await world.service.migrate(world.request, OPTIONS)
    with pytest.raises(MigrationFailed, match="1 records rejected"):
        await world.service.resume("job", replace(OPTIONS, retry_rejects=True))
    status = await world.service.resume("job", replace(OPTIONS, max_rejects=1))
    assert (status.status, status.rejected_records) == (Status.COMPLETED, 1)


@pytest.mark.parametrize("unreadable", [False, True], ids=["at once", "put off"])
async def test_a_record_that_did_not_read_back_is_checked_again_until_it_does(
    world: World, monkeypatch: pytest.MonkeyPatch, unreadable: bool
) -> None:
    inject(monkeypatch, "target", Faults(damaged=frozenset({0}), unreadable=unreadable))
    with pytest.raises(ValidationFailed, match="not as they were written: 0; "):
        await world.service.migrate(world.request, OPTIONS)
    assert [item for item in await world.due() if item[1]] == [(0, True)]
    for options in (None, replace(OPTIONS, validate_every=0)):
        with pytest.raises(ValidationFailed, match="not as they were written: 0; "):
            await world.service.resume("job", options)
    assert (await world.service.status("job")).status is Status.FAILED
    monkeypatch.undo()
    if unreadable:  # what was written stays as it is, unless it is asked to be written again
        with pytest.raises(ValidationFailed, match=r"service\.resume\('job', retry_rejects=True\)"):
            await world.service.resume("job")
    status = await world.service.resume("job", replace(OPTIONS, retry_rejects=True))
    assert status.status is Status.COMPLETED
    assert await world.due() == []
    assert (await world.service.validate("job", full=True, queries=0)).passed


async def test_read_backs_that_were_put_off_survive_a_stop(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    inject(monkeypatch, "target", Faults(damaged=frozenset({0}), unreadable=True))

    def stop_early(event: Event) -> None:
        if isinstance(event, PageCommitted):
            world.service.stop_now()

    with pytest.raises(Interrupted):
        await world.service.migrate(world.request, replace(OPTIONS, rate_limit=20), stop_early)
    assert (0, False) in await world.due()
    monkeypatch.undo()
    with pytest.raises(ValidationFailed, match="not as they were written: 0; "):
        await world.service.resume("job", replace(OPTIONS, rate_limit=None))


@pytest.mark.parametrize("asked", ["86400", ""], ids=["retry-after", "back-off"])
async def test_a_run_that_waits_for_its_database_hears_a_stop(
    world: World, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    fault = f"limited:{asked}" if asked else "down"
    inject(monkeypatch, "target", Faults(upsert=lambda call, _: fault if call > 2 else None))
    waiting = anyio.Event()
    reasons: list[str] = []
    delays: list[float] = []

    def listen(event: Event) -> None:
        if hasattr(event, "delay"):
            delays.append(event.delay)  # type: ignore[union-attr]
            reasons.append(event.reason)  # type: ignore[union-attr]
            waiting.set()

    stopped: list[Status] = []

    async def run() -> None:
        status = await world.service.migrate(world.request, replace(OPTIONS, max_retries=60), listen)
        stopped.append(status.status)

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            await waiting.wait()
            async with open_service(state=world.state) as other:
                assert (await other.stop("job")).status is Status.STOPPED
    assert stopped == [Status.STOPPED]
    if asked:
        assert delays[0] == 300
        assert "it asks to wait 1 d" in reasons[0]
    monkeypatch.undo()
    assert (await world.service.resume("job")).status is Status.COMPLETED


async def test_a_plan_that_waits_for_its_database_hears_a_stop(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    inject(monkeypatch, "source", Faults(scan=lambda page: "down"))

    def listen(event: Event) -> None:
        if hasattr(event, "delay"):
            world.service.stop_now()

    with anyio.fail_after(60), pytest.raises(Interrupted):
        await world.service.migrate(world.request, replace(OPTIONS, max_retries=60), listen)
    assert await world.service.list() == []


async def test_who_does_not_wait_for_the_index_is_told_what_is_left_of_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    inject(monkeypatch, "target", Faults(unindexed=4321))
    done = await world.service.migrate(world.request, replace(OPTIONS, wait_for_index=False))
    assert done.status is Status.COMPLETED
    assert [text for text in done.notices if "4,321 vectors" in text]


async def test_others_see_how_far_the_index_is_and_nothing_of_it_once_it_is_built(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = anyio.Event()
    inject(monkeypatch, "target", Faults(unindexed=4321, go=go))
    told: list[Event] = []
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(world.service.migrate, world.request, OPTIONS, told.append)
            seen: list[str] = []
            while not any("4,321 vectors" in text for text in seen):
                await anyio.lowlevel.checkpoint()
                seen = [text for job in await world.service.list() for text in job.notices]
            go.set()
    assert Indexing(left=4321) in told
    done = await world.service.status("job")
    assert (done.status, done.notices) == (Status.COMPLETED, ())


async def test_a_stop_is_heard_while_the_target_is_made_ready(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    finalizing = anyio.Event()
    inject(monkeypatch, "target", Faults(finalizing=finalizing))

    async def stop() -> None:
        await finalizing.wait()
        world.service.stop_now()

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stop)
            with pytest.raises(Interrupted):
                await world.service.migrate(world.request, OPTIONS)
    monkeypatch.undo()
    assert (await world.service.resume("job")).status is Status.COMPLETED
