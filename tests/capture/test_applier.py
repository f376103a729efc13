"""What the applier does with records that cannot be written, reads that cannot be believed, and writers that meet."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.live.databases import NAMESPACES, Database, Faults
from tests.live.faults import fault
from tests.live.virtual import run
from tests.live.world import Unchanged, World
from vectormigrate.adapter import Reject
from vectormigrate.capture.applying import applier as applying
from vectormigrate.capture.applying.fuse import LEAST, Fuse
from vectormigrate.capture.applying.locks import KeyLocks
from vectormigrate.capture.applying.quarantine import Quarantine
from vectormigrate.capture.applying.witness import Witness
from vectormigrate.capture.journal.records import Admitted, Intent, Outcome, Scope
from vectormigrate.capture.keys import Key, Side
from vectormigrate.capture.running.following import Following
from vectormigrate.errors import AuthFailed, InvalidRequest, TimedOut, Unavailable
from vectormigrate.mapping.convert.mapper import Mapped
from vectormigrate.model.batch import RecordBatch
from vectormigrate.model.ids import RecordId
from vectormigrate.model.live import Pace

pytestmark = pytest.mark.anyio

QUIET = Faults(lost_answer=0, late_source=0, dropped=0, zombie=0, limited=0, kill=0)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path, 1, QUIET)
    yield made
    made.close()


def wrote(world: World, *keys: Key, deletes: bool = False) -> None:
    """A request on these keys has ended."""
    (admission,) = world.intents.admit([Intent(side=Side.SOURCE, keys=keys, deletes=deletes)])
    assert isinstance(admission, Admitted)
    world.intents.admit([], [Outcome(seq=admission.seq, side=Side.SOURCE, definite=True)])


class Strict(Database):
    """Refuses odd ids: one by name, or the whole batch."""

    whole: bool = False

    async def upsert(self, batch: RecordBatch) -> list[Reject]:
        odd: list[RecordId] = [record_id for record_id in batch.ids if isinstance(record_id, int) and record_id % 2]
        if odd and self.whole:
            raise InvalidRequest("odd", adapter="simulated", operation="upsert")
        await super().upsert(batch.take([row for row, each in enumerate(batch.ids) if each not in odd]))
        return [Reject(record_id, batch.namespace, "odd", "it is odd") for record_id in odd]


@fault(24)
@pytest.mark.parametrize("whole", [False, True])
async def test_a_record_that_the_target_refuses_is_parked_with_the_reason_and_the_others_go(
    world: World, whole: bool
) -> None:
    world.target = Strict(random.Random(1), QUIET, 15)
    world.target.whole = whole
    keys = [Key("", number) for number in range(8)]
    world.source.records.update(dict.fromkeys(keys, 1))
    wrote(world, *keys)
    applied = await world.applier().round()
    assert (applied.written, applied.parked, applied.cleared) == (4, 4, 4)
    assert {key.id for key in world.target.records} == {0, 2, 4, 6}
    assert {key.id: "odd" in reason for key, reason in world.keys.parked(10)} == dict.fromkeys([1, 3, 5, 7], True)
    assert world.keys.figures().dirty == 4


def absent_is_believed(world: World) -> None:
    """At once, as reads of the tests' source are true."""
    world.settle = 0


async def test_a_record_that_was_deleted_is_read_until_it_is_gone(world: World) -> None:
    key = Key("", 1)
    world.source.records[key] = world.target.records[key] = 1
    wrote(world, key, deletes=True)
    applier = world.applier()
    assert (await applier.round()).waiting == 1
    assert world.keys.figures().dirty == 1, "the source still shows it, which may be old"
    del world.source.records[key]
    assert (await applier.round()).deleted == 1


@fault(11)
async def test_a_record_that_was_written_is_not_deleted_because_a_read_misses_it(world: World) -> None:
    key = Key("", 1)
    world.target.records[key] = 1
    wrote(world, key)
    applier = world.applier()
    assert (await applier.round()).waiting == 1
    assert world.target.records == {key: 1}
    world.source.records[key] = 2
    assert (await applier.round()).written == 1


@pytest.mark.parametrize("deletes", [True, False])
async def test_a_read_that_contradicts_for_good_is_believed_after_a_while(world: World, deletes: bool) -> None:
    key = Key("", 1)
    world.target.records[key] = 1
    if deletes:
        world.source.records[key] = 2
    wrote(world, key, deletes=deletes)
    now = 0
    applier = world.applier()
    applier.witness = Witness(3, lambda: now)
    await applier.round()
    now = 2_999
    assert (await applier.round()).waiting == 1
    wrote(world, key, deletes=deletes)
    now = 3_000
    assert (await applier.round()).waiting == 1, "it was touched since, so the time begins again"
    now = 6_000
    assert (await applier.round()).cleared == 1
    assert applier.witness.unwitnessed == 1
    assert world.target.records == ({key: 2} if deletes else {})


async def test_a_source_whose_reads_lag_is_read_when_a_key_was_left_alone_for_a_while(world: World) -> None:
    key = Key("", 1)
    world.source.records[key] = 1
    wrote(world, key)
    clock = [0]
    applier = world.applier()
    applier.witness = Witness(3, lambda: clock[0], eventual=True)
    for clock[0] in (0, 2_999):
        assert (await applier.round()).waiting == 1
        assert world.target.records == {}
    world.source.records[key] = 2
    wrote(world, key)  # it begins anew
    for clock[0] in (3_000, 5_999):
        assert (await applier.round()).waiting == 1
    clock[0] = 6_000
    assert (await applier.round()).cleared == 1
    assert world.target.records == {key: 2}
    wrote(world, key)
    assert (await applier.round()).waiting == 1, "each write is waited for"


async def test_a_namespace_that_has_gone_with_its_last_record_is_emptied_on_the_target(world: World) -> None:
    world.target.records[Key("gone", 1)] = 1
    world.target.names = [*NAMESPACES, "gone"]
    wrote(world, Key(None, 1), deletes=True)
    assert (await world.applier().round()).cleared == 1
    assert world.target.records == {}


async def test_a_record_that_shares_its_place_with_one_that_is_gone_stays(world: World) -> None:
    class Merging(Unchanged):
        def convert(self, batch: RecordBatch) -> list[Mapped]:
            return super().convert(replace(batch, namespace="all"))

        def target_key(self, namespace: str, record_id: RecordId) -> tuple[str, RecordId]:
            return "all", record_id

    world.source.records[Key("", 1)] = 2
    wrote(world, Key(None, 1))
    await world.applier(conversion=Merging()).round()
    assert world.target.records == {Key("all", 1): 2}


async def test_records_that_are_in_one_namespace_of_many_do_not_blow_the_fuse(world: World) -> None:
    absent_is_believed(world)
    keys = [Key(None, number) for number in range(2 * LEAST)]
    world.source.records.update({Key("b", key.id): 1 for key in keys})
    wrote(world, *keys)
    fuse = Fuse()
    assert (await world.applier(fuse).round()).cleared == len(keys)
    assert not fuse.blown


@fault(12)
async def test_a_source_that_has_nothing_any_more_does_not_empty_the_target(world: World) -> None:
    absent_is_believed(world)
    keys = [Key("", number) for number in range(LEAST + 1)]
    world.target.records.update(dict.fromkeys(keys, 1))
    wrote(world, *keys)
    fuse = Fuse()
    applier = world.applier(fuse)
    applied = await applier.round()
    assert fuse.blown
    assert (applied.deleted, len(world.target.records)) == (0, LEAST + 1)
    fuse.reset()
    wrote(world, *keys, deletes=True)
    assert (await applier.round()).deleted == LEAST + 1


def deleted_by_filter(world: World) -> int:
    """A request that deletes what it does not name is under way."""
    scope = Scope("", "filter", ids_only=True)
    (admission,) = world.intents.admit([Intent(side=Side.SOURCE, scopes=[scope])])
    assert isinstance(admission, Admitted)
    return admission.seq


def ended(world: World, seq: int) -> None:
    world.intents.admit([], [Outcome(seq=seq, side=Side.SOURCE, definite=True)])


@pytest.mark.parametrize("settled", [False, True])
async def test_records_that_a_filter_deleted_after_they_were_written_do_not_blow_the_fuse(
    world: World, settled: bool
) -> None:
    absent_is_believed(world)
    keys = [Key("", number) for number in range(2 * LEAST)]
    world.target.records.update(dict.fromkeys(keys, 1))
    world.source.records[Key("", 3)] = 1
    wrote(world, *keys)
    seq = deleted_by_filter(world)
    ended(world, seq)
    if settled:
        world.keys.end_scope(seq)
    fuse = Fuse()
    assert (await world.applier(fuse).round()).deleted == len(keys) - 1
    assert not fuse.blown
    later = [Key("", number) for number in range(1000, 1000 + LEAST + 2)]
    world.source.records[later[0]] = 1
    wrote(world, *later)
    await world.applier(fuse).round()
    assert fuse.blown is settled, "what was written after the filter was settled is not absent because of it"


async def test_a_source_that_has_nothing_while_a_filter_deletes_does_not_empty_the_target(world: World) -> None:
    absent_is_believed(world)
    keys = [Key("", number) for number in range(LEAST + 1)]
    world.target.records.update(dict.fromkeys(keys, 1))
    wrote(world, *keys)
    ended(world, deleted_by_filter(world))
    fuse = Fuse()
    assert (await world.applier(fuse).round()).deleted == 0
    assert fuse.blown


async def test_a_source_that_cannot_be_read_is_an_error_and_nothing_is_deleted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fetch(*args: Any, **kwargs: Any) -> RecordBatch:
        raise Unavailable("down", adapter="simulated", operation="fetch")

    world.target.records[Key("", 1)] = 1
    wrote(world, Key("", 1))
    monkeypatch.setattr(Database, "fetch", fetch)
    with pytest.raises(Unavailable):
        await world.applier().round()
    assert world.target.records == {Key("", 1): 1}
    assert world.keys.figures().dirty == 1


class Meeting(Database):
    """Its writes wait for other calls."""

    async def fetch(self, ids: Sequence[RecordId], namespace: str, *, vectors: bool = True) -> RecordBatch:
        self.began("read")
        return await super().fetch(ids, namespace, vectors=vectors)

    async def upsert(self, batch: RecordBatch) -> list[Reject]:
        self.began("write")
        with anyio.fail_after(5):
            await self.enough.wait()
        if 0 in batch.ids:
            raise AuthFailed("not you", adapter="simulated", operation="upsert")
        return await super().upsert(batch)

    def until(self, kind: str, times: int) -> None:
        """Writes take until so many calls of this kind have begun."""
        self.enough, self._kind, self._left = anyio.Event(), kind, times

    def began(self, kind: str) -> None:
        self._left -= kind == self._kind
        if not self._left:
            self.enough.set()


def meeting(world: World, keys: Sequence[Key], kind: str, times: int) -> None:
    """Both sides are one database, whose writes take until so many such calls have begun."""
    database = Meeting(random.Random(1), QUIET, 15)
    database.until(kind, times)
    database.records.update(dict.fromkeys(keys, 1))
    world.source = world.target = database
    wrote(world, *keys)


async def test_some_records_are_written_while_the_next_are_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(applying, "AT_ONCE", 2)
    meeting(world, [Key("", 1), Key("", 2), Key("", 3)], "read", 2)
    assert (await world.applier().round()).cleared == 3


def test_what_can_wait_knows_when_there_is_more_to_apply_than_a_round_takes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(applying, "ROUND", 4)
    keys = [Key("", number) for number in range(5)]
    world.source.records.update(dict.fromkeys(keys, 1))
    behind: list[bool] = []

    async def play() -> None:
        wrote(world, *keys)
        following = Following(world.applier(), lambda: Pace.FULL)
        for _ in range(2):
            await following.turn()
            behind.append(following.behind)

    run(play())
    assert behind == [True, False]
    assert world.difference() == {}


async def test_batches_are_written_side_by_side_and_when_one_fails_the_others_still_end(world: World) -> None:
    meeting(world, [Key("", number) for number in range(6)], "write", 3)
    with pytest.raises(AuthFailed):
        await world.applier().round()
    assert {each.key.id for each in world.keys.dirty(10)} == {0, 1}


@fault(21)
async def test_a_key_whose_write_has_an_unknown_outcome_waits_for_its_quarantine(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def upsert(*args: Any) -> list[Reject]:
        raise TimedOut("no answer", adapter="simulated", operation="upsert")

    world.source.records[Key("", 1)] = 1
    wrote(world, Key("", 1))
    applier = world.applier()
    with monkeypatch.context() as patched:
        patched.setattr(Database, "upsert", upsert)
        assert (await applier.round()).unknown == 1
    again = await applier.round()
    assert (again.waiting, again.written) == (1, 0)
    assert world.keys.figures().dirty == 1


async def test_a_key_with_a_request_under_way_is_left_for_later(world: World) -> None:
    world.source.records[Key("", 1)] = 1
    world.intents.admit([Intent(side=Side.SOURCE, keys=[Key("", 1)])])
    applied = await world.applier().round()
    assert (applied.waiting, applied.written, world.target.records) == (1, 0, {})


async def test_a_record_that_moved_between_namespaces_ends_in_the_one_it_is_in(world: World) -> None:
    world.source.records[Key("b", 1)] = 2
    world.target.records[Key("", 1)] = 1
    wrote(world, Key(None, 1))
    await world.applier().round()
    assert world.target.records == {Key("b", 1): 2}
    assert world.keys.figures().dirty == 0


async def test_writers_of_one_key_take_turns_and_of_others_do_not_wait() -> None:
    locks, order = KeyLocks(), list[str]()

    async def write(name: str, ids: Sequence[RecordId], entered: anyio.Event, leave: anyio.Event) -> None:
        async with locks.hold(ids):
            order.append(name)
            entered.set()
            await leave.wait()

    first, second, third = anyio.Event(), anyio.Event(), anyio.Event()
    go, at_once = anyio.Event(), anyio.Event()
    at_once.set()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(write, "first", [1, 2], first, go)
        await first.wait()
        tasks.start_soon(write, "second", [2, 3], second, at_once)
        tasks.start_soon(write, "third", ["2", 4], third, at_once)
        await third.wait()
        assert order == ["first", "third"]
        go.set()
    assert order == ["first", "third", "second"]


def test_a_quarantine_ends_after_its_time_and_after_a_start_it_is_everybodys() -> None:
    now = 0
    kept = Quarantine(15, lambda: now, everything=True)
    assert kept.has(1)
    now = 14_999
    kept.add([2])
    assert kept.has(1)
    now = 15_000
    assert (kept.has(1), kept.has(2), kept.has("2"), len(kept)) == (False, True, False, 1)
    now = 29_999
    assert (kept.has(2), len(kept)) == (False, 0)


def test_a_few_absent_records_are_believed_and_many_are_not() -> None:
    fuse = Fuse()
    assert fuse.look(reads=100, absent=LEAST)
    assert not fuse.look(reads=100, absent=1)
    assert not fuse.look(reads=1_000_000, absent=0)
    fuse.reset()
    assert fuse.look(reads=100_000, absent=900)
