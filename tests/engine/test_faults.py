"""A migration on the real Qdrant engine while its network and server misbehave."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.crash.support import fill
from tests.edge_reader import read_shard
from tests.engine.faults import Faults, inject
from vectormigrate import Endpoint, MigrationRequest, RunOptions, Service, Status, open_service
from vectormigrate.engine.events import Event, Retrying
from vectormigrate.errors import MigrationFailed, Unavailable
from vectormigrate.model.batch import RecordBatch
from vectormigrate.model.ids import RecordId

pytestmark = pytest.mark.anyio

RECORDS = 400
OPTIONS = RunOptions(batch_size=20, max_retries=3, validate_every=4)


class World:
    """A filled Edge collection, an empty one beside it, and a service."""

    def __init__(self, folder: Path, service: Service) -> None:
        self.service = service
        self.source = Endpoint(type="qdrant_edge", url=str(folder / "edge"), collection="source")
        self.target = replace(self.source, collection="target")
        self.request = MigrationRequest(id="job", source=self.source, target=self.target)
        self.events: list[Event] = []

    @property
    def retries(self) -> list[Retrying]:
        return [event for event in self.events if isinstance(event, Retrying)]

    async def migrate(self, options: RunOptions = OPTIONS) -> None:
        status = await self.service.migrate(self.request, options, self.events.append)
        assert status.status is Status.COMPLETED

    def assert_equal(self, without: int = 0) -> None:
        source, target = read_shard(self.source), read_shard(self.target)
        assert len(target) == RECORDS - without
        assert all(source[key] == record for key, record in target.items())


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[World]:
    async with open_service(state=tmp_path / "state.db") as service:
        world = World(tmp_path, service)
        await fill(world.source, RECORDS // 2)
        yield world


async def test_lost_answers_and_half_applied_batches_are_written_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts: Counter[RecordId] = Counter()

    def fault(call: int, batch: RecordBatch) -> str | None:
        del call
        attempts[batch.ids[0]] += 1
        return {1: "lost", 2: "half", 3: "down"}.get(attempts[batch.ids[0]])

    faults = Faults(upsert=fault)
    inject(monkeypatch, "target", faults)
    await world.migrate()
    world.assert_equal()
    assert len(world.retries) >= 3 * RECORDS // 20
    assert (await world.service.status("job")).retries == len([r for r in world.retries if r.operation == "upsert"])


async def test_a_read_that_breaks_off_goes_on_behind_the_last_page(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    inject(monkeypatch, "source", Faults(scan=lambda page: "down" if page % 3 == 0 else None))
    await world.migrate()
    world.assert_equal()
    assert {retry.operation for retry in world.retries} == {"scan"}


async def test_retry_after_is_waited_in_full_and_the_load_is_halved(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = Faults(upsert=lambda call, _: "limited:0.2" if call in (5, 6) else "slow")
    inject(monkeypatch, "target", faults)
    await world.migrate()
    world.assert_equal()
    assert [retry.delay for retry in world.retries] == [0.2, 0.2]


async def test_being_rate_limited_for_long_does_not_use_up_the_retries(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    inject(monkeypatch, "target", Faults(upsert=lambda call, _: "limited:0.01" if 3 <= call <= 14 else None))
    await world.migrate(replace(OPTIONS, max_retries=2, concurrency=1))
    world.assert_equal()


async def test_a_server_that_stays_down_fails_the_run_and_resume_finishes_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        inject(patch, "target", Faults(upsert=lambda call, _: "down" if call > 8 else None))
        with pytest.raises(Unavailable, match="connection refused"):
            await world.migrate(replace(OPTIONS, max_retries=1))
    status = await world.service.status("job")
    assert status.status is Status.FAILED
    assert status.error is not None
    assert "connection refused" in status.error
    await world.service.resume("job")
    world.assert_equal()


async def test_a_bad_record_is_isolated_kept_listed_and_retried(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        inject(patch, "target", Faults(poison=frozenset({7, 333}), refused=frozenset({100})))
        await world.migrate(replace(OPTIONS, max_rejects=3))
    rows = await world.service.rejects("job")
    assert {(row.id, row.namespace, row.code) for row in rows} == {
        ("i:7", "", "refused"),
        ("i:333", "other", "refused"),
        ("i:100", "", "test"),
    }
    assert all("bad value" in row.reason for row in rows if row.code == "refused")
    world.assert_equal(without=3)
    status = await world.service.status("job")
    assert (status.migrated_records, status.rejected_records) == (RECORDS - 3, 3)
    report = await world.service.validate("job", full=True, queries=0)
    assert report.passed
    assert report.rejected == 3
    await world.service.resume("job", replace(OPTIONS, retry_rejects=True))
    world.assert_equal()
    assert await world.service.rejects("job") == []
    assert (await world.service.status("job")).migrated_records == RECORDS


async def test_too_many_rejects_fail_the_run_and_a_higher_limit_lets_it_finish(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    inject(monkeypatch, "target", Faults(refused=frozenset(range(50, 60))))
    with pytest.raises(MigrationFailed, match=r"options\.max_rejects=4` .*service\.rejects\('job'"):
        await world.migrate(replace(OPTIONS, max_rejects=4))
    assert (await world.service.status("job")).status is Status.FAILED
    await world.service.resume("job", replace(OPTIONS, max_rejects=20))
    world.assert_equal(without=10)
    assert len(await world.service.rejects("job")) == 10


async def test_concurrency_never_exceeds_what_was_asked_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    faults = Faults(upsert=lambda call, _: "slow")
    inject(monkeypatch, "target", faults)
    await world.migrate(replace(OPTIONS, concurrency=1))
    assert faults.most_in_flight == 1
    assert max(faults.sizes) <= 20
