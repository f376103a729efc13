"""What the checks of a live migration find, what they leave alone because it moves, and what they never call proven."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.capture.live_pair import Live, Wrapped, live
from tests.live.faults import fault
from tests.validation.support import batch_of, id_of, pair, rules_of, with_metadata
from vectormigrate.capture.keys import Key
from vectormigrate.capture.proving.frozen import draw, fast, strict
from vectormigrate.capture.proving.full_pass import run_pass
from vectormigrate.capture.proving.sides import still_rejected
from vectormigrate.errors import InvalidRequest, Unavailable
from vectormigrate.mapping.convert.mapper import Mapper
from vectormigrate.model.batch import RecordBatch
from vectormigrate.model.ids import RecordId

pytestmark = pytest.mark.anyio

ROWS = 60
K = [Key("a", id_of(row)) for row in range(ROWS)]


@pytest.fixture
async def moved(tmp_path: Path) -> AsyncGenerator[Live]:
    async with pair(rows=ROWS) as both, live(both, tmp_path) as made:
        yield made


def changed(row: int, namespace: str = "a") -> RecordBatch:
    return batch_of([row], namespace, seed=8)


async def damage(made: Live, row: int) -> None:
    """Somebody writes to the target who should not."""
    place, target_id = made.both.mapper.target_key("a", id_of(row))
    await made.both.edit(target_id, with_metadata(year=1), place)


async def lose(made: Live, row: int) -> None:
    place, target_id = made.both.mapper.target_key("a", id_of(row))
    await made.both.target.delete([target_id], place)


async def test_settled_keys_are_verified_whether_they_are_there_or_not(moved: Live) -> None:
    await moved.upsert(changed(1))
    await moved.delete([id_of(2)])
    await moved.apply()
    result = await moved.rounds.round()
    assert (result.verified, result.diverged, result.ended) == (2, {}, True)
    assert moved.compared.unverified(10)[0] == []


@pytest.mark.parametrize("harm", [damage, lose])
async def test_a_settled_key_that_differs_is_a_divergence_and_is_repaired(moved: Live, harm: Any) -> None:
    await moved.upsert(changed(1))
    await moved.upsert(changed(2))
    await moved.apply()
    await harm(moved, 1)
    rounds = moved.rounds
    result = await rounds.round()
    assert (set(result.diverged), result.verified) == ({K[1]}, 1)
    assert moved.dirty() == {K[1]}
    await moved.apply()
    assert (await rounds.round()).verified == 1
    assert moved.compared.unacknowledged() == 1, "what was repaired was wrong all the same"


async def test_what_is_dirty_or_under_way_is_not_compared(moved: Live) -> None:
    await moved.upsert(changed(1))
    await moved.upsert(changed(2))
    await moved.apply()
    await moved.upsert(changed(3))
    moved.begin(K[2])
    await lose(moved, 2)
    result = await moved.rounds.round()
    assert (result.looked_at, result.verified, result.diverged) == (1, 1, {})


async def test_a_key_is_not_compared_while_the_applier_has_it(moved: Live) -> None:
    await moved.upsert(changed(1))
    await moved.apply()
    rounds, verified = moved.rounds, list[int]()

    async def look() -> None:
        verified.append((await rounds.round()).verified)

    async with anyio.create_task_group() as tasks, moved.locks.hold([K[1].id]):
        await lose(moved, 1)
        tasks.start_soon(look)
        await anyio.wait_all_tasks_blocked()
        assert not await moved.both.target.upsert(changed(1))
    assert (verified, moved.dirty()) == ([1], set())


async def test_a_key_that_is_written_while_it_is_compared_is_hot_and_no_divergence(moved: Live) -> None:
    await moved.upsert(changed(1))
    await moved.apply()
    await damage(moved, 1)
    moved.slept = lambda: moved.upsert(changed(1))
    result = await moved.rounds.round()
    assert (result.verified, result.hot, result.diverged) == (0, 1, {})
    assert moved.compared.unacknowledged() == 0


@fault(10)
async def test_an_older_value_that_was_read_of_the_source_is_found_and_repaired(moved: Live) -> None:
    old = await moved.both.source.fetch([id_of(1)], "a")

    async def fetch(ids: Sequence[RecordId], namespace: str, *, vectors: bool = True) -> RecordBatch:
        return old

    await moved.upsert(changed(1))
    moved.changes["source"] = Wrapped(moved.both.source, fetch=fetch)
    await moved.apply()
    moved.changes.clear()
    assert moved.dirty() == set(), "no read contradicts a write by an older value"
    result = await moved.rounds.round()
    assert (set(result.diverged), result.verified, moved.dirty()) == ({K[1]}, 0, {K[1]})
    await moved.apply()
    assert (await moved.rounds.round()).verified == 1
    assert (await strict(moved.sides, moved.touched)).passed
    assert moved.compared.unacknowledged() == 1


async def test_a_read_that_was_a_moment_old_is_no_divergence(moved: Live) -> None:
    await moved.upsert(changed(1))
    await moved.apply()
    await damage(moved, 1)

    async def catch_up() -> None:
        assert not await moved.both.target.upsert(changed(1))

    moved.slept = catch_up
    result = await moved.rounds.round()
    assert (result.diverged, moved.dirty()) == ({}, set())
    moved.slept = None
    assert (await moved.rounds.round()).verified == 1


def unreadable(made: Live, side: str, *bad: RecordId, error: type[Exception] = InvalidRequest) -> None:
    """Fetching these records fails, `bad` empty: fetching any."""
    inner: Any = getattr(made.both, side)

    async def fetch(ids: Sequence[RecordId], namespace: str, *, vectors: bool = True) -> RecordBatch:
        if not bad or set(bad) & set(ids):
            raise error("unreadable", adapter="memory", operation="fetch")  # pyright: ignore[reportCallIssue]
        return await inner.fetch(ids, namespace, vectors=vectors)

    made.changes[side] = Wrapped(inner, fetch=fetch)


@fault(38)
@pytest.mark.parametrize("side", ["source", "target"])
async def test_a_key_that_cannot_be_read_stays_unverified_and_the_others_have_their_turn(
    moved: Live, side: str
) -> None:
    for row in (1, 2, 4):
        await moved.upsert(changed(row))
    await moved.apply()
    unreadable(moved, side, id_of(1))
    rounds = moved.rounds
    found = [await rounds.round(1) for _ in range(4)]
    assert sum(each.verified for each in found) == 2
    assert {key for each in found for key in each.errors} == {K[1]}
    assert [each.key for each in moved.compared.unverified(10)[0]] == [K[1]]


async def test_a_database_that_is_down_verifies_nothing_and_accuses_nobody(moved: Live) -> None:
    await moved.upsert(changed(1))
    await moved.apply()
    unreadable(moved, "target", error=Unavailable)
    result = await moved.rounds.round()
    assert (result.verified, result.diverged, set(result.errors)) == (0, {}, {K[1]})


async def test_a_key_of_whichever_namespace_is_looked_for_in_those_that_are_gone_too(moved: Live) -> None:
    seq = moved.begin(Key(None, id_of(1)))
    moved.end(seq)
    moved.touched.clear(moved.touched.dirty(10))
    await moved.both.target.upsert(replace(changed(1), namespace="gone"))
    result = await moved.rounds.round()
    assert set(result.diverged) == {Key("gone", id_of(1))}
    await moved.both.target.delete([id_of(1)], "gone")
    moved.touched.clear(moved.touched.dirty(10))
    assert (await moved.rounds.round()).verified == 2


async def test_a_pass_over_equal_sides_finds_every_record_equal(moved: Live) -> None:
    result = await run_pass(moved.confirmer, moved.saved)
    assert (result.verified, result.clean, result.pending) == (2 * ROWS, True, 0)
    assert not moved.saved.path.exists()


@pytest.mark.parametrize("ids", ["native", "uuid5"])
async def test_a_pass_marks_what_differs_untouched_and_leaves_what_moves(ids: str, tmp_path: Path) -> None:
    async with pair(rows=ROWS, rules=rules_of(id_strategy=ids)) as both, live(both, tmp_path) as made:
        await differences_are_told_apart(made)


async def differences_are_told_apart(made: Live) -> None:
    await damage(made, 1)
    await lose(made, 2)
    # Deleted past the gateway: the target has one too many.
    await made.both.source.delete([id_of(3)], "a")
    await made.upsert(changed(4))
    await made.delete([id_of(5)])
    made.begin(K[6])
    await made.both.source.upsert(changed(6))
    result = await run_pass(made.confirmer, made.saved)
    assert {each.key for each in made.compared.divergences(10)} == {K[1], K[2], K[3]}
    assert (result.diverged, result.pending, result.errors, result.clean) == (3, 3, 0, False)
    assert made.dirty() >= {K[1], K[2], K[3]}
    await made.apply()
    again = await run_pass(made.confirmer, made.saved)
    assert (again.diverged, again.pending) == (0, 1)


async def test_a_record_of_the_target_that_is_nobodys_is_never_called_verified(moved: Live) -> None:
    made = moved
    made.changes["keys"] = Mapper(rules_of(id_strategy="uuid5"))
    await made.both.target.upsert(replace(changed(1), ids=["foreign"]))
    result = await run_pass(made.confirmer, made.saved)
    assert not result.clean
    assert "s:foreign: on the target, and nobody's" in result.examples


async def test_a_pass_that_is_interrupted_resumes_and_does_not_read_everything_again(moved: Live) -> None:
    pages = 0

    async def stop_after(limit: int) -> None:
        nonlocal pages
        inner = moved.both.source

        async def scan(*args: Any, **options: Any) -> AsyncGenerator[Any]:
            nonlocal pages
            async for page in inner.scan(*args, **options):
                pages += 1
                if pages > limit:
                    raise Unavailable("down", adapter="memory", operation="scan")
                yield page

        moved.changes["source"] = Wrapped(inner, scan=scan)

    await stop_after(10**6)
    assert (await run_pass(moved.confirmer, moved.saved, page_rows=10)).verified == 2 * ROWS
    whole, pages = pages, 0
    await stop_after(whole - 2)
    first = await run_pass(moved.confirmer, moved.saved, page_rows=10)
    assert (first.verified, first.errors, first.clean) == (0, 1, False)
    await stop_after(10**6)
    pages = 0
    assert (await run_pass(moved.confirmer, moved.saved, page_rows=10)).verified == 2 * ROWS
    assert 0 < pages < whole // 2


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    harmed=st.sets(st.integers(0, 29), max_size=6),
    lost=st.sets(st.integers(0, 29), max_size=6),
    written=st.sets(st.integers(0, 29), max_size=10),
    applied=st.booleans(),
)
async def test_a_pass_finds_exactly_what_differs_and_is_not_about_to_be_written(
    tmp_path_factory: pytest.TempPathFactory, harmed: set[int], lost: set[int], written: set[int], applied: bool
) -> None:
    async with pair(rows=30, namespaces=["a"]) as both, live(both, tmp_path_factory.mktemp("live")) as made:
        for row in written:
            await made.upsert(changed(row))
        if applied:
            await made.apply()
        for row in harmed - lost:
            await damage(made, row)
        for row in lost:
            await lose(made, row)
        result = await run_pass(made.confirmer, made.saved)
        wrong = harmed | lost if applied else (harmed | lost) - written
        assert {each.key for each in made.compared.divergences(100)} == {K[row] for row in wrong}
        assert result.pending == (0 if applied else len(written))
        assert result.verified == 30 - len(wrong) - result.pending


async def test_frozen_sides_that_are_equal_pass_both_checks(moved: Live) -> None:
    audit = await draw(moved.sides, size=20)
    await moved.upsert(changed(1))
    await moved.delete([id_of(2)])
    await moved.apply()
    full = await strict(moved.sides, moved.touched)
    assert (full.passed, full.compared, full.problems) == (True, 2 * ROWS - 1, ())
    quick = await fast(moved.confirmer, moved.touched, audit, count_seconds=60)
    assert (quick.passed, quick.problems) == (True, ())
    assert 20 <= quick.compared <= 42


HARMS: dict[str, Callable[[Live], Awaitable[Any]]] = {
    "damage": lambda made: damage(made, 7),
    "lost": lambda made: lose(made, 7),
    "bypass": lambda made: made.both.source.delete([id_of(7)], "a"),
    "extra": lambda made: made.both.target.upsert(replace(changed(7), ids=["new"])),
    "dirty": lambda made: made.upsert(changed(7)),
}


@fault(26, 30)
@pytest.mark.parametrize("harm", HARMS)
async def test_frozen_sides_that_differ_in_one_untouched_record_fail(moved: Live, harm: str) -> None:
    audit = await draw(moved.sides, size=1000)
    await HARMS[harm](moved)
    assert not (await strict(moved.sides, moved.touched)).passed
    verdict = await fast(moved.confirmer, moved.touched, audit, count_seconds=60)
    assert not verdict.passed
    assert verdict.problems


async def test_the_counts_find_a_record_that_no_sample_can_hold(moved: Live) -> None:
    audit = await draw(moved.sides, size=0)
    await lose(moved, 7)
    verdict = await fast(moved.confirmer, moved.touched, audit, count_seconds=60)
    assert [problem.partition(":")[0] for problem in verdict.problems] == ["a"]


async def test_counts_that_take_too_long_are_left_out_and_said_so(moved: Live) -> None:
    async def counts(names: Sequence[str]) -> dict[str, int]:
        await anyio.sleep_forever()
        raise AssertionError

    moved.changes["source"] = Wrapped(moved.both.source, counts=counts)
    verdict = await fast(moved.confirmer, moved.touched, await draw(moved.sides, size=5), count_seconds=0.01)
    assert verdict.passed
    assert "The counts were not compared" in verdict.statement


@fault(26)
async def test_a_record_that_every_scan_leaves_out_fails_a_strict_check(moved: Live) -> None:
    await lose(moved, 7)

    async def scan(*args: Any, **options: Any) -> AsyncGenerator[Any]:
        async for page in moved.both.source.scan(*args, **options):
            rows = [row for row, record_id in enumerate(page.batch.ids) if record_id != id_of(7)]
            yield replace(page, batch=page.batch.take(rows))

    moved.changes["source"] = Wrapped(moved.both.source, scan=scan)
    verdict = await strict(moved.sides, moved.touched, count_seconds=60)
    assert (verdict.passed, verdict.unrepaired) == (False, True)


@fault(38)
@pytest.mark.parametrize("side", ["source", "target"])
async def test_an_error_never_passes_a_frozen_check(moved: Live, side: str) -> None:
    audit = await draw(moved.sides, size=20)
    unreadable(moved, side, error=Unavailable)
    assert not (await fast(moved.confirmer, moved.touched, audit)).passed

    async def scan(*args: Any, **options: Any) -> AsyncGenerator[Any]:
        raise Unavailable("down", adapter="memory", operation="scan")
        yield

    moved.changes[side] = Wrapped(getattr(moved.both, side), scan=scan)
    verdict = await strict(moved.sides, moved.touched)
    assert (verdict.passed, verdict.compared) == (False, 0)


async def test_a_fast_check_reads_no_more_of_a_larger_collection(tmp_path: Path) -> None:
    reads: list[int] = []
    for rows in (50, 200):
        folder = tmp_path / str(rows)
        folder.mkdir()
        async with pair(rows=rows, namespaces=["a"]) as both, live(both, folder) as made:
            audit = await draw(made.sides, size=10)
            await made.upsert(changed(1))
            await made.apply()
            count = 0

            async def fetch(ids: Sequence[RecordId], namespace: str, *, vectors: bool = True) -> RecordBatch:
                nonlocal count
                count += len(ids)
                return await both.target.fetch(ids, namespace, vectors=vectors)

            made.changes["target"] = Wrapped(both.target, fetch=fetch, scan=None)
            assert (await fast(made.confirmer, made.touched, audit, count_seconds=60)).passed
            reads.append(count)
    assert max(reads) <= 21
    assert max(reads) - min(reads) <= 10


async def test_parked_records_are_named_and_not_counted_as_differences(moved: Live) -> None:
    await moved.upsert(changed(1))
    moved.touched.park([(moved.touched.dirty(1)[0], "too large")])
    full = await strict(moved.sides, moved.touched)
    assert full.passed
    assert "1 difference of parked records" in full.statement
    quick = await fast(moved.confirmer, moved.touched, await draw(moved.sides, size=5), count_seconds=60)
    assert quick.passed
    assert "1 parked record" in quick.statement


async def test_a_reject_that_was_written_again_is_expected_on_the_target(moved: Live) -> None:
    rejected = frozenset({("a", "i:1"), ("a", "i:2")})
    moved.end(moved.begin(K[1]))
    assert still_rejected(moved.touched, rejected) == {("a", "i:2")}
