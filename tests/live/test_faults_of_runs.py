"""One fault at a time in a whole live migration: a copy that meets writes, scans that lie, refused switches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.live.faults import fault
from tests.live.playing import QUICK, Play, batch, gateway, playing, running
from vectormigrate.adapters.memory.adapter import MemoryCollection
from vectormigrate.adapters.memory.capabilities import CAPABILITIES
from vectormigrate.adapters.memory.config import register_profile
from vectormigrate.adapters.memory.store import store
from vectormigrate.capture.folder import live_folder
from vectormigrate.capture.journal.connection import connect
from vectormigrate.capture.journal.records import Admitted, Intent, Outcome, Scope
from vectormigrate.capture.journal.taints import add_taint
from vectormigrate.capture.keys import Key, Side
from vectormigrate.errors import NotSwitched, Unavailable
from vectormigrate.model.live import LiveStatus, SwitchOptions
from vectormigrate.model.position import Page

pytestmark = pytest.mark.anyio

Pages = AsyncGenerator[Page]


def meddle(patch: pytest.MonkeyPatch, collection: str, verb: str, make: Callable[[Any], Any]) -> None:
    """Have a verb of this collection do what `make(its true form)` does."""
    true, there = getattr(MemoryCollection, verb), store(collection)

    def chosen(self: Any, *arguments: Any, **options: Any) -> Any:
        own = partial(true, self)
        return (make(own) if self._store is there else own)(*arguments, **options)

    patch.setattr(MemoryCollection, verb, chosen)


def scanned(patch: pytest.MonkeyPatch, play: Play, name: str, change: Callable[[Page], Awaitable[list[Page]]]) -> None:
    """Have each page that the copy reads of the source come as `change` makes it."""

    def make(true: Any) -> Any:
        async def scan(*arguments: Any, **options: Any) -> Pages:
            async for page in true(*arguments, **options):
                copying = play.app is not None and (await play.live()).phase == "backfill"
                for each in await change(page) if copying else [page]:
                    yield each

        return scan

    meddle(patch, f"{name}-source", "scan", make)


async def settled(play: Play) -> LiveStatus:
    return await play.until(lambda live: live.phase == "ready" and not live.dirty and not live.unverified)


async def equal(play: Play, expected: dict[int, int]) -> None:
    assert await play.records(play.source) == expected
    assert await play.records(play.target) == expected


async def written(play: Play) -> None:
    assert play.app is not None
    await play.app.write([1, 2, 500])


async def deleted(play: Play) -> None:
    assert play.app is not None
    await play.app.write([1, 2], deletes=True)


async def deleted_twice(play: Play) -> None:
    assert play.app is not None
    await deleted(play)
    await written(play)
    await play.app.write([1, 2, 500], deletes=True)


@fault(7, 8, 9)
@pytest.mark.parametrize("meanwhile", [written, deleted, deleted_twice])
async def test_what_happens_between_reading_and_writing_a_page_counts_and_the_page_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[Play], Awaitable[None]]
) -> None:
    name, met = f"met-{meanwhile.__name__}", list[Page]()
    async with playing(tmp_path, name, list(range(40))) as play:

        async def meet(page: Page) -> list[Page]:
            if not met:
                met.append(page)
                await meanwhile(play)
                # The applier is done with them: an old page that is written now would be the last word.
                await play.until(lambda live: not live.dirty)
            return [page]

        scanned(monkeypatch, play, name, meet)
        async with running(play.service.migrate(play.request, live=QUICK)), gateway(play) as app:
            found = await settled(play)
            expected = {k: v for k, v in (dict.fromkeys(range(40), 0) | app.history).items() if v is not None}
            assert (len(met), 1 in met[0].batch.ids, found.figures.proof.diverged) == (1, True, 0)
            await equal(play, expected)


@fault(25)
async def test_pages_that_come_twice_and_out_of_order_do_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[Page] = []
    async with playing(tmp_path, "twice", list(range(40))) as play:

        async def repeat(page: Page) -> list[Page]:
            held.append(page)
            return [*held, page]

        scanned(monkeypatch, play, "twice", repeat)
        async with running(play.service.migrate(play.request, live=QUICK)), gateway(play):
            assert (await settled(play)).figures.proof.diverged == 0
            assert held
            await equal(play, dict.fromkeys(range(40), 0))


@fault(25, 26)
async def test_a_record_that_the_copy_was_not_given_is_found_and_in_the_way_until_somebody_has_seen_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with playing(tmp_path, "omits", list(range(40))) as play:

        async def leave_out(page: Page) -> list[Page]:
            rows = [row for row, item in enumerate(page.batch.ids) if item != 7]
            return [replace(page, batch=page.batch.take(rows))]

        scanned(monkeypatch, play, "omits", leave_out)
        async with running(play.service.migrate(play.request, live=QUICK)), gateway(play):
            found = await play.until(lambda live: live.figures.proof.pass_done and not live.dirty)
            assert [item.name for item in found.gate if not item.met] == ["divergence"]
            assert (found.figures.proof.diverged, found.figures.proof.examples) == (1, ("i:7: missing",))
            older = await play.until(lambda live: live.longest_mismatch > found.longest_mismatch)
            assert 0 < found.longest_mismatch < older.longest_mismatch < 600
            with pytest.raises(NotSwitched, match="divergence: "):
                await play.service.cut_over("m", SwitchOptions(budget=0.1))
            await equal(play, dict.fromkeys(range(40), 0))
            await play.service.acknowledge("m")
            assert (await settled(play)).longest_mismatch == 0


@fault(26)
@pytest.mark.parametrize("strict", [True, False])
async def test_a_record_that_no_scan_ever_returns_lets_no_switch_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strict: bool
) -> None:
    name = f"hides-{strict}"
    async with playing(tmp_path, name, list(range(40))) as play:

        def make(true: Any) -> Any:
            async def scan(*arguments: Any, **options: Any) -> Pages:
                async for page in true(*arguments, **options):
                    rows = [row for row, item in enumerate(page.batch.ids) if item != 7]
                    yield replace(page, batch=page.batch.take(rows))

            return scan

        meddle(monkeypatch, f"{name}-source", "scan", make)
        async with running(play.service.migrate(play.request, live=QUICK)), gateway(play):
            await play.until(lambda live: live.phase == "ready")
            with pytest.raises(NotSwitched, match="one side has 40 records"):
                await play.service.cut_over("m", SwitchOptions(budget=0, strict=strict))
            assert (await play.live()).authority == "source"


@fault(17, 18)
@pytest.mark.parametrize("reason", ["filter", "its answer was lost"])
async def test_records_that_no_request_named_keep_it_from_being_ready_until_they_are_found(
    tmp_path: Path, reason: str
) -> None:
    lost = Scope(None, reason, ids_only=reason != "filter")
    changed = [7, 8] if reason == "filter" else [900]
    async with (
        playing(tmp_path, f"unnamed-{len(changed)}", list(range(40))) as play,
        running(play.service.migrate(play.request, live=QUICK)),
        gateway(play) as app,
    ):
        await settled(play)
        (admission,) = await app.admit([Intent(side=Side.SOURCE, scopes=[lost])])
        assert isinstance(admission, Admitted)
        await play.source.upsert(batch(list(changed), 9))
        seen = await play.live()
        assert (seen.ready, seen.scopes) == (False, (reason,))
        with pytest.raises(NotSwitched, match=rf"scopes: .*{reason}"):
            await play.service.cut_over("m", SwitchOptions(budget=0))
        await app.admit([], [Outcome(seq=admission.seq, side=Side.SOURCE, definite=True)])
        await play.until(lambda live: live.phase == "ready" and not live.scopes and not live.dirty)
        held = await play.records(play.target)
        assert [held[item] for item in changed] == [9] * len(changed)


@fault(28)
async def test_a_journal_that_may_have_missed_a_write_is_good_for_a_switch_only_when_all_is_compared(
    tmp_path: Path,
) -> None:
    async with (
        playing(tmp_path, "taint", list(range(40))) as play,
        running(play.service.migrate(play.request, live=QUICK)),
        gateway(play),
    ):
        await settled(play)
        await play.source.upsert(batch([7], 77))  # forwarded without a note
        journal = connect(live_folder(play.state, "m").journal, "m", durable=True)
        add_taint(journal, "the disk was full")
        journal.close()
        with pytest.raises(NotSwitched, match="a write may have been missed: the disk was full"):
            await play.service.cut_over("m", SwitchOptions(budget=0.1))
        with pytest.raises(NotSwitched, match="i:7: different"):
            await play.service.cut_over("m", SwitchOptions(budget=0.1, strict=True))
        assert (await play.live()).tainted == ("the disk was full",)
        await play.target.upsert(batch([7], 77))
        assert (await play.service.cut_over("m", SwitchOptions(strict=True))).switched
        assert (await play.live()).tainted == ()


@fault(32)
async def test_a_switch_that_takes_too_long_lets_writes_through_and_the_source_stays_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        playing(tmp_path, "slow", list(range(40))) as play,
        running(play.service.migrate(play.request, live=QUICK)),
        gateway(play) as app,
    ):
        await settled(play)
        stuck = asyncio.Event()

        meddle(monkeypatch, "slow-target", "counts", lambda true: partial(_forever, stuck, true))
        async with app.traffic(lambda n: n, 40):
            with pytest.raises(NotSwitched, match="for which writes may be held"):
                await play.service.cut_over("m", SwitchOptions(pause=0.5, budget=0.6))
            before = app.written
            await play.until(lambda live: app.written > before + 20)
        found = await play.until(lambda live: live.figures.longest_pause_ms >= 500)
        assert (found.authority, app.refused, found.epoch) == ("source", 0, 0)
        stuck.set()
        assert (await play.service.cut_over("m")).switched


async def _forever(stuck: asyncio.Event, true: Any, *arguments: Any) -> Any:
    await stuck.wait()
    return await true(*arguments)


@fault(23)
async def test_ready_is_lost_while_the_target_is_away_and_regained_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        playing(tmp_path, "away", list(range(40))) as play,
        running(play.service.migrate(play.request, live=replace(QUICK, lag_limit=1.0))),
        gateway(play) as app,
    ):
        await settled(play)
        with monkeypatch.context() as away:
            for verb in ("upsert", "delete", "fetch", "namespaces"):
                meddle(away, "away-target", verb, lambda true: _away)
            for _ in range(30):
                await app.write([1, 2, 3])
            found = await play.until(lambda live: live.phase == "catch_up")
            assert (found.dirty, app.refused) == (3, 0)
        await settled(play)
        await equal(play, dict.fromkeys(range(40), 0) | {key: app.history[key] or 0 for key in (1, 2, 3)})


async def _away(*arguments: Any, **options: Any) -> Any:
    raise Unavailable("away", adapter="memory", operation="any")


@fault(35)
async def test_after_a_thousand_writes_to_the_target_the_source_holds_what_it_did(tmp_path: Path) -> None:
    async with (
        playing(tmp_path, "thousand", list(range(200))) as play,
        running(play.service.migrate(play.request, live=QUICK)),
        gateway(play) as app,
    ):
        await settled(play)
        await play.service.cut_over("m")
        while app.written < 1_000:
            ids = app.chance.sample(range(400), app.chance.randint(1, 5))
            await app.write(list(ids), deletes=app.chance.random() < 0.3)
        assert app.refused == 1
        assert (await play.service.reverse("m")).switched
        expected = {k: v for k, v in (dict.fromkeys(range(200), 0) | app.history).items() if v is not None}
        await equal(play, expected)


@fault(36)
async def test_a_write_that_the_source_cannot_hold_blocks_the_way_back_from_then_on(tmp_path: Path) -> None:
    register_profile("narrow", CAPABILITIES.changed(metadata={"max_bytes": 60}))
    async with (
        playing(tmp_path, "narrow", list(range(40)), source_profile="narrow") as play,
        running(play.service.migrate(play.request, live=QUICK)),
        gateway(play) as app,
    ):
        await settled(play)
        await play.service.cut_over("m")
        assert (await play.live()).rollback_blocked == ""
        await app.write([1, 2])
        large = batch([900], 9)
        large.metadata[0]["text"] = "x" * 100
        await app.write([900], content=large)
        blocked = await play.until(lambda live: live.parked == 1 and live.dirty == 1)
        assert "bytes" in blocked.rollback_blocked
        with pytest.raises(NotSwitched, match=r"parked: .*i:900"):
            await play.service.reverse("m", SwitchOptions(budget=0.1))
        held = await play.records(play.source)
        assert (held[1], held[2], 900 in held) == (app.history[1], app.history[2], False)
        await app.write([900])
        await play.until(lambda live: not live.parked and not live.dirty)
        assert (await play.service.reverse("m")).switched


@fault(39)
@pytest.mark.parametrize("apart", [{"ids": {"per_namespace": False}}, {"namespaces": {"supported": False}}])
async def test_ids_that_would_meet_in_a_namespace_that_came_after_the_plan_are_refused_by_name(
    tmp_path: Path, apart: dict[str, dict[str, bool]]
) -> None:
    (name,) = apart
    register_profile(f"together-{name}", CAPABILITIES.changed(**apart))
    async with (
        playing(tmp_path, f"meet-{name}", [1, 2], profile=f"together-{name}") as play,
        running(play.service.migrate(play.request, live=QUICK)),
        gateway(play) as app,
    ):
        await settled(play)
        (admission,) = await app.admit([Intent(side=Side.SOURCE, keys=[Key("later", 1)])])
        assert isinstance(admission, Admitted)
        await play.source.upsert(replace(batch([1], 9), namespace="later"))
        await app.admit([], [Outcome(seq=admission.seq, side=Side.SOURCE, definite=True)])
        parked = await play.until(lambda live: live.parked == 1)
        assert "namespace 'later' was not there when this was planned" in parked.parked_examples[0]
        assert await play.records(play.target) == {1: 0, 2: 0}
        with pytest.raises(NotSwitched, match="parked: 1 changed record"):
            await play.service.cut_over("m", SwitchOptions(budget=0))
        (admission,) = await app.admit([Intent(side=Side.SOURCE, keys=[Key("later", 1)], deletes=True)])
        assert isinstance(admission, Admitted)
        await play.source.delete([1], "later")
        await app.admit([], [Outcome(seq=admission.seq, side=Side.SOURCE, definite=True)])
        await settled(play)
        assert await play.records(play.target) == {1: 0, 2: 0}
