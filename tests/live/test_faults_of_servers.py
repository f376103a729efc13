"""One fault at a time, in virtual time: what a server or the way to it does wrong, and what comes of it."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.live import databases
from tests.live.databases import SOURCE_LIFE, TARGET_LIFE, Database, Faults
from tests.live.faults import fault
from tests.live.virtual import run
from tests.live.world import PATIENCE, World
from vectormigrate.adapter import Reject
from vectormigrate.capture.applying.fuse import Fuse
from vectormigrate.capture.applying.quarantine import Quarantine
from vectormigrate.capture.gateway.admission import EARLY_SECONDS
from vectormigrate.capture.journal.intents import alive
from vectormigrate.capture.journal.records import Admitted, Intent, Outcome
from vectormigrate.capture.keys import Key, Side
from vectormigrate.capture.running.following import Following
from vectormigrate.capture.running.look import look
from vectormigrate.errors import RateLimited, TimedOut, Unavailable
from vectormigrate.model import clock
from vectormigrate.model.batch import RecordBatch
from vectormigrate.model.ids import RecordId
from vectormigrate.model.live import LiveFigures, LiveOptions, Pace
from vectormigrate.state.live import LiveRow

QUIET = Faults(lost_answer=0, late_source=0, dropped=0, zombie=0, limited=0, kill=0)
KEY = Key("", 1)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path, 1, QUIET)
    yield made
    made.close()


def hold(world: World, keys: Sequence[Key], value: int = 1) -> None:
    """Both sides have these records."""
    for side in (world.source, world.target):
        side.records.update(dict.fromkeys(keys, value))


async def request(
    world: World,
    keys: Sequence[Key],
    effect: Callable[[], None],
    *,
    after: float = 0.0,
    answered: float | None = 0.0,
    deletes: bool = False,
) -> None:
    """A request that takes effect `after` so many seconds and is answered after so many, or (None) given up."""
    (admission,) = world.intents.admit([Intent(side=Side.SOURCE, keys=keys, deletes=deletes)])
    assert isinstance(admission, Admitted)
    asyncio.get_running_loop().call_later(after, effect)
    await asyncio.sleep(PATIENCE if answered is None else answered)
    world.intents.admit([], [Outcome(seq=admission.seq, side=Side.SOURCE, definite=answered is not None)])


def puts(world: World, value: int | None, *keys: Key) -> Callable[[], None]:
    """The source holds this from now."""

    def put() -> None:
        for key in keys or (KEY,):
            world.source.put(key, value)

    return put


@asynccontextmanager
async def working(world: World, fuse: Fuse | None = None) -> AsyncGenerator[Following]:
    """A gateway that ends doubts, and the loop that follows."""
    following = Following(world.applier(fuse), lambda: Pace.FULL)

    async def follow() -> None:
        while True:
            await following.turn()

    tasks = [asyncio.create_task(world.run_gateway()), asyncio.create_task(follow())]
    try:
        yield following
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def after(world: World, *requests: Coroutine[Any, Any, None]) -> dict[Key, tuple[int | None, int | None]]:
    """On what both sides differ when these requests were made and everything is settled."""

    async def play() -> None:
        async with working(world):
            await asyncio.gather(*requests)
            async with asyncio.timeout(3600):
                await world.drained()
        await asyncio.sleep(2 * SOURCE_LIFE)

    run(play())
    return world.difference()


@fault(3)
def test_a_write_whose_answer_is_lost_is_on_the_target_when_its_doubt_is_over(world: World) -> None:
    assert after(world, request(world, [KEY], puts(world, 7), answered=None)) == {}
    assert world.target.records == {KEY: 7}


@fault(4)
def test_a_write_that_takes_effect_long_after_it_was_given_up_is_captured(world: World) -> None:
    hold(world, [KEY])
    seen: list[tuple[bool, int]] = []

    async def watch() -> None:
        while world.source.records[KEY] == 1:
            await asyncio.sleep(0.5)
            seen.append((bool(world.keys.figures().dirty), world.target.records[KEY]))

    late = request(world, [KEY], puts(world, 7), after=PATIENCE + 0.98 * SOURCE_LIFE, answered=None)
    assert after(world, late, watch()) == {}
    assert (len(seen) > SOURCE_LIFE, set(seen)) == (True, {(True, 1)})
    assert world.target.records == {KEY: 7}


@fault(5)
def test_a_write_that_the_source_refused_leaves_the_target_as_it_was_and_its_keys_settled(world: World) -> None:
    hold(world, [KEY])
    new = Key("", 2)

    def refuse() -> None:
        """Nothing changes."""

    refused = [request(world, [KEY, new], refuse), request(world, [KEY], refuse, deletes=True)]
    assert after(world, *refused) == {}
    assert world.target.records == {KEY: 1}
    assert world.keys.figures().dirty == 0


@fault(6)
def test_five_hundred_writes_of_two_clients_to_one_key_end_with_what_the_source_ends_with(world: World) -> None:
    hold(world, [KEY])
    chance = random.Random(6)

    async def client(first: int) -> None:
        for value in range(first, first + 250):
            deletes, answered = chance.random() < 0.2, chance.random() < 0.99
            effect = puts(world, None if deletes else value)
            wait = chance.random() * 0.2 if answered else None
            takes = chance.random() * (wait if wait is not None else PATIENCE + 0.9 * SOURCE_LIFE)
            await request(world, [KEY], effect, after=takes, answered=wait, deletes=deletes)
            await asyncio.sleep(chance.random() * 0.5)

    assert after(world, client(1_000), client(2_000)) == {}


@fault(10)
def test_reads_that_are_old_for_five_seconds_settle_nothing_and_the_lag_grows_meanwhile(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(databases, "STALE", 5.0)
    world.faults.stale, world.settle = 1.0, 10
    gone, come = Key("", 1), Key("", 2)
    hold(world, [gone])

    async def watch() -> None:
        await asyncio.sleep(4.5)
        figures = world.keys.figures()
        assert figures.oldest is not None
        assert (figures.dirty, world.now() - figures.oldest >= 4_000) == (2, True)
        assert world.target.records == {gone: 1}

    delete = request(world, [gone], puts(world, None, gone), deletes=True)
    assert after(world, delete, request(world, [come], puts(world, 2, come)), watch()) == {}
    assert world.target.records == {come: 2}


class TwoReplicas(Database):
    """Of which every second one does not know yet what came or went, for some reads."""

    behind = 8

    def _seen(self, key: Key) -> int | None:
        self.behind -= self.behind > 0
        return self.before[key][1] if self.behind % 2 and key in self.before else self.records.get(key)


@fault(11)
@pytest.mark.parametrize("deletes", [True, False])
def test_reads_that_change_their_mind_are_made_again_until_they_are_true(world: World, deletes: bool) -> None:
    world.source = TwoReplicas(random.Random(1), QUIET, SOURCE_LIFE)
    if deletes:
        hold(world, [KEY])
    assert after(world, request(world, [KEY], puts(world, None if deletes else 7), deletes=deletes)) == {}
    assert world.target.records == ({} if deletes else {KEY: 7})


class Outage(Database):
    """Answers for some time that it has nothing."""

    until = 0.0

    def _seen(self, key: Key) -> int | None:
        return None if asyncio.get_running_loop().time() < self.until else super()._seen(key)


@fault(12)
def test_half_a_minute_of_nothing_at_all_does_not_empty_the_target_and_passes(world: World) -> None:
    world.source = source = Outage(random.Random(1), QUIET, SOURCE_LIFE)
    keys, fuse = [Key("", number) for number in range(300)], Fuse()
    hold(world, keys)

    async def play() -> None:
        source.until = asyncio.get_running_loop().time() + 30
        async with working(world, fuse):
            await request(world, keys, puts(world, 2, *keys))
            await asyncio.sleep(30)
            assert (fuse.blown, len(world.target.records)) == (True, len(keys))
            fuse.reset()
            async with asyncio.timeout(3600):
                await world.drained()

    run(play())
    assert world.target.records == dict.fromkeys(keys, 2)


@fault(13)
def test_a_write_that_takes_effect_some_time_after_its_answer_is_read_when_it_has(world: World) -> None:
    hold(world, [KEY])
    # As the gateway has it: the answer alone does not end it.
    assert after(world, request(world, [KEY], puts(world, 7), after=1.9, answered=EARLY_SECONDS)) == {}
    assert world.target.records == {KEY: 7}


@fault(14)
@pytest.mark.parametrize("seed", range(40))
def test_a_partial_change_that_meets_a_write_of_the_whole_record_ends_as_on_the_source(world: World, seed: int) -> None:
    hold(world, [KEY])
    chance = random.Random(seed)

    def change() -> None:
        world.source.put(KEY, world.source.records[KEY] + 1_000)

    async def one(effect: Callable[[], None]) -> None:
        await asyncio.sleep(chance.random())
        wait = 1 + chance.random()
        await request(world, [KEY], effect, after=chance.random() * wait, answered=wait)

    assert after(world, one(change), one(puts(world, 7)), one(change)) == {}
    assert world.target.records[KEY] in (7, 1_007, 2_007)


@fault(20)
def test_a_batch_of_which_some_records_failed_leaves_both_sides_equal(world: World) -> None:
    keys = [Key("", number) for number in range(8)]
    hold(world, keys[:4])
    assert after(world, request(world, keys, puts(world, 2, *keys[::2]))) == {}
    assert world.target.records == {keys[0]: 2, keys[1]: 1, keys[2]: 2, keys[3]: 1, keys[4]: 2, keys[6]: 2}


class Zombie(Database):
    """Whose first write is reported as timed out, and lands just before it could not any more."""

    writes: list[tuple[float, Any]]

    async def upsert(self, batch: RecordBatch) -> list[Reject]:
        loop, value = asyncio.get_running_loop(), batch.metadata[0]["value"]
        self.writes.append((loop.time(), value))
        if len(self.writes) > 1:
            return await super().upsert(batch)
        loop.call_later(0.98 * TARGET_LIFE, lambda: self.records.update({KEY: value}))  # type: ignore[dict-item]
        raise TimedOut("no answer", adapter="simulated", operation="upsert")


@fault(21)
def test_a_write_that_lands_after_its_time_out_is_written_over_by_the_newest(world: World) -> None:
    world.target = target = Zombie(random.Random(1), QUIET, TARGET_LIFE)
    target.writes = []

    async def newer() -> None:
        await asyncio.sleep(3)
        assert len(target.writes) == 1
        await request(world, [KEY], puts(world, 2))

    assert after(world, request(world, [KEY], puts(world, 1)), newer()) == {}
    (first, one), (second, two) = target.writes
    assert (one, two, world.target.records) == (1, 2, {KEY: 2})
    assert second - first >= TARGET_LIFE


class Storm(Database):
    """Fails in every way for a minute."""

    until = 0.0
    refused = 0

    async def _write(self, apply: Callable[[], None]) -> None:
        if asyncio.get_running_loop().time() < self.until:
            self.refused += 1
            await asyncio.sleep(self.chance.random() * 2)
            kind = self.chance.choice([RateLimited, Unavailable, TimedOut])
            if self.chance.random() < 0.5 and kind is not RateLimited:
                self.land_later(apply)
            raise kind("a storm", adapter="simulated", operation="write")
        await super()._write(apply)


@fault(22)
def test_a_storm_at_the_target_keeps_no_client_waiting_and_passes(tmp_path: Path) -> None:
    def waits(minutes: float) -> tuple[list[float], int]:
        world, found = World(tmp_path, round(minutes), QUIET), list[float]()
        world.target = target = Storm(random.Random(1), QUIET, TARGET_LIFE)
        chance = random.Random(2)

        async def client() -> None:
            loop = asyncio.get_running_loop()
            target.until = loop.time() + 60 * minutes
            for value in range(200):
                began, key = loop.time(), Key("", chance.randrange(20))
                await request(world, [key], puts(world, value, key), answered=chance.random() * 0.05)
                found.append(loop.time() - began)
                await asyncio.sleep(chance.random())

        assert after(world, client()) == {}
        world.close()
        return found, target.refused

    quiet, _ = waits(0)
    stormy, refused = waits(1)
    assert (stormy == quiet, refused > 10) == (True, True)


class Away(Database):
    """Cannot be reached for some time."""

    until = 0.0

    async def _write(self, apply: Callable[[], None]) -> None:
        self._reach()
        await super()._write(apply)

    async def namespaces(self) -> list[str]:
        self._reach()
        return await super().namespaces()

    def _reach(self) -> None:
        if asyncio.get_running_loop().time() < self.until:
            raise Unavailable("away", adapter="simulated", operation="any")


@fault(23)
def test_a_target_that_is_away_for_an_hour_costs_a_key_per_record_and_the_switch_until_it_is_back(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.target = target = Away(random.Random(1), QUIET, TARGET_LIFE)
    chance, keys = random.Random(3), [Key("", number) for number in range(50)]
    row = LiveRow(
        options=LiveOptions(), folder=tmp_path, journal="", seen=0, reverse=None, pace=Pace.FULL, figures=None
    )

    def in_time() -> bool:
        found = look(world.runner, row, LiveFigures(), runner_alive=True, rejected=frozenset())
        return next(item.met for item in found.gate if item.name == "lag")

    async def play() -> None:
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(clock, "monotonic_ns", lambda: round(loop.time() * 1e9))
        begin = loop.time()
        async with working(world) as following:
            await request(world, keys[:3], puts(world, 1, *keys[:3]))
            await world.drained()
            assert in_time()
            target.until = begin + 3600
            while loop.time() < target.until:
                some: list[Key] = chance.sample(keys, 3) if chance.random() < 0.9 else [Key(None, 1)]
                value = chance.randrange(1_000)
                await request(world, some, puts(world, value, *(Key(key.namespace or "", key.id) for key in some)))
                await asyncio.sleep(5)
            assert (in_time(), "away" in following.trouble) == (False, True)
            assert world.keys.figures().dirty <= len(keys) + 1
            async with asyncio.timeout(3600):
                await world.drained()
            assert in_time()

    run(play())
    assert world.difference() == {}


@fault(40)
@pytest.mark.parametrize("hours", [-1, 1])
def test_a_wall_clock_that_is_set_ends_no_quarantine_and_no_doubt(
    world: World, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    world.now = clock.steady_milliseconds  # type: ignore[method-assign]
    session = world.intents.begin_session(fail_open=False)
    (admission,) = world.intents.admit([Intent(side=Side.SOURCE, keys=[KEY])])
    assert isinstance(admission, Admitted)
    world.intents.admit([], [Outcome(seq=admission.seq, side=Side.SOURCE, definite=False)])
    ids: list[RecordId] = [1]
    quarantine = Quarantine(60, clock.steady_milliseconds, everything=False)
    quarantine.add(ids)
    seconds, nanoseconds = time.time, time.time_ns
    monkeypatch.setattr(time, "time", lambda: seconds() + 3600 * hours)
    monkeypatch.setattr(time, "time_ns", lambda: nanoseconds() + 3600 * hours * 10**9)
    world.intents.beat(session)
    assert (world.intents.end_doubts(60_000), world.keys.figures().in_doubt) == (0, 1)
    assert (quarantine.has(1), alive(world.gateway, clock.steady_milliseconds)) == (True, True)
