"""Comparing a live migration while it moves, from another process than its runner."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.capture.live_pair import Live, inline, live
from tests.capture.test_proving import K, changed, damage, lose, unreadable
from tests.engine.test_sync import OPTIONS, World
from tests.engine.test_sync import world as world
from tests.validation.support import id_of, pair
from vectormigrate.capture.folder import live_folder
from vectormigrate.capture.journal.connection import connect, make
from vectormigrate.capture.journal.intents import Intents
from vectormigrate.capture.journal.phase import move, position
from vectormigrate.capture.journal.records import Intent
from vectormigrate.capture.keys import Key, Side
from vectormigrate.capture.phases import LivePhase
from vectormigrate.capture.proving.moving import MovingComparison
from vectormigrate.errors import InvalidTransition
from vectormigrate.model.live import LiveOptions
from vectormigrate.model.status import DiffCheck, Phase, Status

pytestmark = pytest.mark.anyio

ROWS = 40


async def compared(made: Live, sample: int | None = None) -> DiffCheck:
    check = MovingComparison(sides=made.sides, keys=made.compared, journalled=inline, sleep=made.confirmer.sleep)
    return await check.run(sample)


@pytest.mark.parametrize("sample", [None, 1000])
async def test_what_moves_is_neither_a_difference_nor_verified(tmp_path: Path, sample: int | None) -> None:
    async with pair(rows=ROWS) as both, live(both, tmp_path) as made:
        await made.upsert(changed(1))
        made.begin(K[2])
        await both.source.upsert(changed(2))
        diff = await compared(made, sample)
        assert diff.passed
        assert diff.identical == 2 * ROWS - 2
        assert "about 2 records that were being written" in diff.statement
        await damage(made, 4)
        await lose(made, 5)
        diff = await compared(made, sample)
        assert (diff.different, diff.missing, diff.passed) == (1, 1, False)
        assert {item.source_id for item in diff.differences} == {id_of(4), id_of(5)}
        assert made.dirty() == {K[1], K[2]}, "nothing is marked by looking"


async def test_a_key_that_is_written_while_it_is_looked_at_is_no_difference(tmp_path: Path) -> None:
    async with pair(rows=ROWS) as both, live(both, tmp_path) as made:
        await damage(made, 1)
        made.slept = lambda: made.upsert(changed(1))
        assert (await compared(made)).passed


async def test_what_cannot_be_looked_at_again_is_not_verified(tmp_path: Path) -> None:
    async with pair(rows=ROWS) as both, live(both, tmp_path) as made:
        await damage(made, 1)

        unreadable(made, "source", id_of(1))
        diff = await compared(made)
        assert (diff.unreadable, diff.passed) == (1, False)


async def test_a_live_migration_is_validated_without_its_runner(world: World) -> None:
    service, state = world.service, world.service.settings.state
    async with service._store() as store:  # pyright: ignore[reportPrivateUsage]
        stored = await store.migrations.load("m")
        plan = replace(stored.plan, spec=replace(stored.plan.spec, id="live"))
        folder = live_folder(state, "live")
        make(folder.journal, "live")
        await store.live.create(plan, OPTIONS, LiveOptions(), folder=folder.path, journal="x")
        await store.migrations.set_phase("live", Phase.LIVE, Status.STOPPED, lease=None)
    connection = connect(folder.journal, "live", durable=True)
    try:
        with pytest.raises(InvalidTransition, match="still copying"):
            await service.validate("live", full=True)
        for phase in (LivePhase.CAPTURING, LivePhase.BACKFILL, LivePhase.CATCH_UP):
            with connection.transaction():
                move(connection, position(connection).phase, phase, {})
        Intents(connection, lambda: 1).admit([Intent(side=Side.SOURCE, keys=[Key("", 1)])])
        await world.write(world.source, 2, 1)
        report = await service.validate("live", full=True)
        assert report.passed
        assert report.diff is not None
        assert "about 1 record that were being written" in report.diff.statement
        await world.write(world.source, 2, 2)
        assert not (await service.validate("live", full=True)).passed
        with pytest.raises(InvalidTransition, match="its runner repairs"):
            await service.validate("live", full=True, repair=True)
    finally:
        connection.close()
