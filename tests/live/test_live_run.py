"""A live migration from its beginning to its end, with an application that never stops to write."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from tests.live.faults import fault
from tests.live.playing import QUICK, batch, gateway, playing, running
from vectormigrate import RunOptions, Status
from vectormigrate.adapters.memory.capabilities import CAPABILITIES
from vectormigrate.adapters.memory.config import register_profile
from vectormigrate.engine.events import Event, Warned
from vectormigrate.errors import NotSwitched, PlanError
from vectormigrate.model.ids import IdKind
from vectormigrate.model.live import LiveStatus, OrderVerb, Pace, SwitchOptions
from vectormigrate.service import open_service
from vectormigrate.state.store import open_store

pytestmark = pytest.mark.anyio


async def test_what_ends_a_migration_before_its_copy_ends_the_run(tmp_path: Path) -> None:
    async with (
        playing(tmp_path, "abort-early", [1, 2], IdKind.INT64) as play,
        running(play.service.migrate(play.request, live=QUICK)) as run,
    ):
        await play.until(lambda live: live.phase == "capturing")  # and no gateway comes
        await play.service.abort("m")
        status = await asyncio.wait_for(run, 10)
        assert (status.status, (await play.live()).phase) == (Status.STOPPED, "aborted")


async def test_after_the_cut_over_a_record_of_the_source_that_nobody_touched_stays_as_it_is(tmp_path: Path) -> None:
    async with (
        playing(tmp_path, "untouched", list(range(200)), IdKind.INT64) as play,
        running(play.service.migrate(play.request, live=QUICK)),
        gateway(play) as app,
    ):
        await play.until(lambda live: live.phase == "ready")
        await play.service.cut_over("m")
        # What only the source has, or has otherwise, is no business of the way back.
        await play.source.upsert(batch([7, 5000], 77))
        for n in range(3):
            await app.write([n, 300 + n])
            await play.until(lambda live: live.phase == "soak" and not live.dirty and not live.unverified)
        held = await play.records(play.source)
        assert (held[7], held[5000]) == (77, 77)
        assert held[300] == app.history[300]


async def test_a_switch_of_another_process_than_made_the_pass_compares_a_sample_all_the_same(tmp_path: Path) -> None:
    async with (
        playing(tmp_path, "sample", list(range(200)), IdKind.INT64) as play,
        running(play.service.migrate(play.request, live=QUICK)) as run,
        gateway(play),
    ):
        await play.until(lambda live: live.phase == "ready")
        await play.service.stop("m")
        assert (await run).status is Status.STOPPED
        async with open_service(state=play.state) as other, running(other.resume("m")):
            await play.until(lambda live: live.phase == "ready" and live.runner_alive and live.figures.quarantined == 0)
            result = await play.service.cut_over("m")
        assert "200 records that no request touched" in result.statement


async def test_what_a_last_check_of_every_record_finds_is_repaired_for_the_next_one(tmp_path: Path) -> None:
    async with (
        playing(tmp_path, "repaired", list(range(200)), IdKind.INT64) as play,
        running(play.service.migrate(play.request, live=QUICK)),
        gateway(play),
    ):
        await play.until(lambda live: live.phase == "ready")
        await play.target.delete([7], "")  # somebody who should not
        with pytest.raises(NotSwitched, match="the comparison failed"):
            await play.service.cut_over("m", SwitchOptions(strict=True, budget=0.1))
        await play.until(lambda live: live.figures.proof.diverged == 1 and not live.dirty)
        await play.service.acknowledge("m")
        assert (await play.service.cut_over("m", SwitchOptions(strict=True))).switched
        assert await play.records(play.target) == dict.fromkeys(range(200), 0)


async def test_a_paused_runner_copies_nothing_and_goes_on_where_it_was(tmp_path: Path) -> None:
    async with (
        playing(tmp_path, "paused", list(range(300)), IdKind.INT64) as play,
        running(play.service.migrate(play.request, live=QUICK)),
    ):
        await play.until(lambda live: live.phase == "capturing")
        await play.service.set_pace("m", Pace.PAUSED)
        async with gateway(play) as app:
            looks: set[str] = set()
            await play.until(lambda live: live.phase == "backfill")
            await app.write([1])
            await play.until(lambda live: len(looks_with(looks, live)) > 3)
            assert (await play.target.count(), (await play.live()).dirty) == (0, 1)
            await play.service.set_pace("m", Pace.FULL)
            await play.until(lambda live: live.phase == "ready" and not live.dirty)
            assert await play.records(play.target) == dict.fromkeys(range(300), 0) | {1: 1}


def looks_with(looks: set[str], live: LiveStatus) -> set[str]:
    """The times at which the runner looked."""
    looks.add(live.figures.at)
    return looks


async def test_a_hook_refuses_a_step_and_hears_of_a_switch(tmp_path: Path) -> None:
    heard, agrees = tmp_path / "heard", tmp_path / "agrees"
    script = tmp_path / "hook.sh"
    script.write_text(f'echo "$VECTORMIGRATE_TO" >> {heard}\necho not yet\ntest -e {agrees}\n')
    live = replace(QUICK, hook=f"sh {script}")
    async with (
        playing(tmp_path, "hook", [1, 2, 3], IdKind.INT64) as play,
        running(play.service.migrate(play.request, live=live)),
        gateway(play),
    ):
        await play.until(lambda live: any("refused backfill: not yet" in notice for notice in live.figures.notices))
        assert (await play.live()).phase == "capturing"
        agrees.touch()
        await play.until(lambda live: live.phase == "ready")
        agrees.unlink()
        with pytest.raises(NotSwitched, match="the hook refused freezing: not yet"):
            await play.service.cut_over("m", SwitchOptions(budget=0.1))
        assert (await play.live()).authority == "source"
        agrees.touch()
        await play.service.cut_over("m")
        await play.until(lambda live: live.phase == "soak" and "soak" in heard.read_text().split())


async def test_an_order_to_thaw_gives_a_switch_up_and_lets_writes_through(tmp_path: Path) -> None:
    agrees, script = tmp_path / "agrees", tmp_path / "hook.sh"
    waits = f"until test -e {agrees}; do sleep 0.05; done"
    script.write_text(f'if test "$VECTORMIGRATE_TO" = draining; then {waits}; fi\n')
    live = replace(QUICK, hook=f"sh {script}")
    async with (
        playing(tmp_path, "thaw", [1, 2, 3], IdKind.INT64) as play,
        running(play.service.migrate(play.request, live=live)),
        gateway(play) as app,
    ):
        await play.until(lambda live: live.phase == "ready")
        async with running(play.service.cut_over("m", SwitchOptions(pause=30, budget=60))) as switch:
            await play.until(lambda live: live.phase == "freezing")
            assert "again" in await play.service.thaw("m")
            await app.write([1])
            agrees.touch()
            with pytest.raises(NotSwitched, match="given up on request"):
                await switch
        assert ((await play.live()).authority, app.refused) == ("source", 0)


async def test_an_order_whose_runner_ended_is_not_carried_out_by_the_next_one(tmp_path: Path) -> None:
    async with (
        playing(tmp_path, "old-order", [1, 2, 3], IdKind.INT64) as play,
        running(play.service.migrate(play.request, live=QUICK)) as run,
        gateway(play),
    ):
        await play.until(lambda live: live.phase == "ready")
        await play.service.stop("m")
        await run
        async with open_store(play.state) as store:
            number = await store.live.ask("m", OrderVerb.ABORT, {})
            async with open_service(state=play.state) as other, running(other.resume("m")):
                await play.until(lambda live: live.runner_alive and live.phase == "ready")
                orders = {order.number: order for order in await store.live.orders("m", unanswered=False)}
                answer = orders[number].answer
        assert answer is not None
        assert not answer["ok"]
        # A runner that has just begun waits for what the one before it may have sent, so it may not be ready again.
        assert (await play.live()).phase in ("ready", "catch_up")


async def test_rehearsing_and_postponing_hold_and_switch_nothing_for_good(tmp_path: Path) -> None:
    async with (
        playing(tmp_path, "rehearse", list(range(50)), IdKind.INT64) as play,
        running(play.service.migrate(play.request, live=QUICK)) as run,
        gateway(play) as app,
    ):
        await play.until(lambda live: live.phase == "ready")
        rehearsed = await play.service.cut_over("m", SwitchOptions(rehearse=True, strict=True))
        assert (rehearsed.rehearsed, rehearsed.switched) == (True, False)
        postponed = await play.service.cut_over("m", SwitchOptions(postpone=True))
        assert (postponed.postponed, postponed.switched) == (True, False)
        await app.write([3, 777])
        assert ((await play.live()).authority, app.refused) == ("source", 0)
        # What the applier wrote is ours as well: a rollback takes nothing of the copy for somebody else's.
        await play.until(lambda live: not live.dirty)
        await play.service.abort("m")
        await run
        assert (await play.service.rollback("m")).dropped_collection


@fault(24)
async def test_records_that_the_target_refuses_are_in_the_way_until_they_are_followed(tmp_path: Path) -> None:
    register_profile("small", CAPABILITIES.changed(metadata={"max_bytes": 60}))
    large = batch([9], 0)
    large.metadata[0]["text"] = "x" * 100
    async with playing(tmp_path, "refused", list(range(5)), IdKind.INT64, profile="small") as play:
        await play.source.upsert(large)
        options = RunOptions(max_rejects=3)
        async with (
            running(play.service.migrate(play.request, options, live=QUICK)) as run,
            gateway(play) as app,
        ):
            refused = await play.until(lambda live: live.phase == "catch_up" and live.figures.proof.pass_done)
            assert [(each.name, each.met) for each in refused.gate if not each.met] == [("rejects", False)]
            await play.service.stop("m")
            await run
            # Tried again they are the applier's, which does not lose sight of them either.
            again = RunOptions(max_rejects=3, retry_rejects=True)
            async with open_service(state=play.state) as other, running(other.resume("m", again)):
                parked = await play.until(lambda live: live.parked == 1)
                assert (parked.rejected, "9" in parked.parked_examples[0]) == (0, True)
                await app.write([9])
                await play.until(lambda live: live.phase == "ready" and not live.dirty)
                assert (await play.records(play.target))[9] == app.history[9]


async def test_a_copy_does_not_become_live_by_asking_again(tmp_path: Path) -> None:
    async with playing(tmp_path, "again", [1, 2, 3], IdKind.INT64) as play:
        plan = await play.service.plan(play.request)
        await play.service.begin(plan)
        with pytest.raises(PlanError, match="begun without following its source"):
            await play.service.migrate(play.request, live=QUICK)


async def test_what_is_lost_on_the_target_is_not_to_come_back_to_the_source(tmp_path: Path) -> None:
    async with playing(tmp_path, "lossy", [1, 2, 3], IdKind.INT64) as play:
        play.request = replace(play.request, excludes=("n",))
        with pytest.raises(PlanError, match="would be lost on the source, too: excluded:n"):
            await play.service.migrate(play.request, live=QUICK)


@fault(35)
async def test_the_authority_goes_there_and_back_while_the_application_writes(tmp_path: Path) -> None:
    heard: list[Event] = []
    async with (
        playing(tmp_path, "there-and-back", list(range(1000)), IdKind.INT64) as play,
        running(play.service.migrate(play.request, live=QUICK, listener=heard.append)) as run,
        gateway(play) as app,
    ):
        async with app.traffic(lambda n: n, 1200):
            await play.until(lambda live: live.phase == "ready" or run.done())
            assert not run.done(), run.result()
            result = await play.service.cut_over("m")
            assert result.switched
            before = app.written
            await play.until(lambda live: app.written > before + 50)
            assert (await play.live()).authority == "target"
            back = await play.service.reverse("m")
            assert back.switched
            before = app.written
            await play.until(lambda live: app.written > before + 50)
        assert app.refused == 2
        await play.until(lambda live: live.dirty == 0 and live.phase == "ready")
        expected = dict.fromkeys(range(1000), 0) | app.history
        expected = {key: value for key, value in expected.items() if value is not None}
        assert await play.records(play.source) == expected
        assert await play.records(play.target) == expected
        await play.service.abort("m")
        status = await asyncio.wait_for(run, 10)
        assert status.status is Status.STOPPED
    warned = [event.message for event in heard if isinstance(event, Warned)]
    assert any("revoke the direct credential" in message for message in warned)
