"""Requests that named no keys: what they did is found and marked, and until then they stay open."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.capture.live_pair import Live, Wrapped, live
from tests.live.faults import fault
from tests.live.world import inline
from tests.validation.support import batch_of, id_of, pair, rules_of
from vectormigrate.capture.journal.records import Outcome, Scope
from vectormigrate.capture.keys import Key, Side
from vectormigrate.capture.proving.frozen import strict
from vectormigrate.capture.reconcile import Reconciled, Reconciler
from vectormigrate.errors import Unavailable
from vectormigrate.mapping.convert.mapper import Mapper

pytestmark = pytest.mark.anyio

ROWS = 40


@pytest.fixture
async def moved(tmp_path: Path) -> AsyncGenerator[Live]:
    async with pair(rows=ROWS) as both, live(both, tmp_path) as made:
        yield made


def reconciler(made: Live, settle: float = 0) -> Reconciler:
    return Reconciler(made.sides, made.touched, journalled=inline, clock=lambda: made.now, settle=settle, page_rows=7)


def key(row: int, namespace: str = "a") -> Key:
    return Key(namespace, id_of(row))


async def delete_by_filter(made: Live, rows: list[int], namespace: str = "a", *, told: bool = True) -> None:
    """`told`: the request named its namespace."""
    seq = made.begin(scopes=[Scope(namespace if told else None, "filter", ids_only=True)])
    await made.both.source.delete([id_of(row) for row in rows], namespace)
    made.end(seq)


async def change_by_filter(made: Live, rows: list[int], namespace: str = "a") -> None:
    seq = made.begin(scopes=[Scope(namespace, "filter")])
    assert not await made.both.source.upsert(batch_of(rows, namespace, seed=8))
    made.end(seq)


async def settled(made: Live) -> Reconciled:
    """Reconcile, apply, compare everything."""
    result = await reconciler(made).round()
    assert result.problems == []
    assert made.touched.scopes() == []
    await made.apply()
    assert (await strict(made.sides, made.touched)).passed
    return result


@pytest.mark.parametrize("strategy", ["native", "uuid5"])
@pytest.mark.parametrize("told", [True, False])
async def test_what_a_filter_deleted_is_found_by_its_ids(tmp_path: Path, strategy: str, told: bool) -> None:
    async with pair(rows=ROWS, rules=rules_of(id_strategy=strategy)) as both, live(both, tmp_path) as made:
        await delete_by_filter(made, [1, 2, 6], told=told)
        result = await reconciler(made).round()
        assert (result.ended, result.marked) == (1, 3)
        assert made.dirty() == {key(1), key(2), key(6)}
        await settled(made)


async def test_deletes_are_found_without_reading_a_vector(moved: Live) -> None:
    await delete_by_filter(moved, [1])
    for side in ("source", "target"):
        inner: Any = getattr(moved.both, side)

        async def scan(*args: Any, vectors: bool = True, inner: Any = inner, **options: Any) -> AsyncGenerator[Any]:
            assert not vectors
            async for page in inner.scan(*args, vectors=vectors, **options):
                yield page

        moved.changes[side] = Wrapped(inner, scan=scan, fetch=None)
    assert (await reconciler(moved).round()).marked == 1


@fault(16)
@pytest.mark.parametrize("strategy", ["native", "uuid5"])
async def test_what_a_filter_changed_is_found_by_content_and_nothing_else_is_marked(
    tmp_path: Path, strategy: str
) -> None:
    async with pair(rows=ROWS, rules=rules_of(id_strategy=strategy)) as both, live(both, tmp_path) as made:
        await change_by_filter(made, [3, 4])
        await both.source.delete([id_of(5)], "a")
        assert not await both.source.upsert(replace(batch_of([1], "a"), ids=["new"]))
        assert not await both.source.upsert(batch_of([9], "b", seed=8))
        result = await reconciler(made).round()
        assert made.dirty() == {key(3), key(4), key(5), Key("a", "new")}
        assert result.read == 2 * ROWS


@fault(18)
async def test_records_whose_ids_only_the_lost_answer_held_are_found(moved: Live) -> None:
    seq = moved.begin()
    assert not await moved.both.source.upsert(replace(batch_of([1], "b"), ids=["assigned"]))
    lost = Scope(None, "its answer was lost", ids_only=True)
    moved.intents.admit([], [Outcome(seq=seq, side=Side.SOURCE, definite=True, scopes=[lost])])
    assert (await settled(moved)).marked == 1


async def test_a_namespace_that_is_emptied_is_emptied_on_the_other_side(moved: Live) -> None:
    await delete_by_filter(moved, list(range(ROWS)), "b")
    assert (await settled(moved)).marked == ROWS
    assert await moved.both.target.count("b") == 0


async def test_a_namespace_that_came_after_the_plan_and_has_gone_is_emptied_too(moved: Live) -> None:
    batch = batch_of([1, 2], "later")
    for side in (moved.both.source, moved.both.target):
        assert not await side.upsert(batch)
    await delete_by_filter(moved, [1, 2], "later", told=False)
    # Databases keep no empty namespaces.
    inner: Any = moved.both.source

    async def namespaces() -> list[str]:
        return [name for name in await inner.namespaces() if await inner.count(name)]

    moved.changes["source"] = Wrapped(inner, namespaces=namespaces)
    assert (await settled(moved)).marked == 2


async def test_namespaces_that_share_a_place_are_judged_together(tmp_path: Path) -> None:
    rules = rules_of(id_strategy="uuid5", namespaces={"a": "x", "b": "x"})
    async with pair(rows=ROWS, rules=rules) as both, live(both, tmp_path) as made:
        await delete_by_filter(made, [1])
        assert (await settled(made)).marked == 1
        assert await both.target.count("x") == 2 * ROWS - 1


async def test_a_request_that_has_not_ended_is_left_open(moved: Live) -> None:
    moved.begin(scopes=[Scope("a", "filter")])
    doubted = moved.begin(scopes=[Scope("a", "filter")])
    moved.intents.admit([], [Outcome(seq=doubted, side=Side.SOURCE, definite=False)])
    result = await reconciler(moved).round()
    assert (result.ended, result.waiting, result.read) == (0, 2, 0)
    assert len(moved.touched.scopes()) == 2


async def test_a_request_that_ends_while_both_sides_are_read_waits_for_the_next_round(moved: Live) -> None:
    await change_by_filter(moved, [1])
    inner: Any = moved.both.source

    async def scan(*args: Any, **options: Any) -> AsyncGenerator[Any]:
        moved.changes.clear()
        await change_by_filter(moved, [2])
        async for page in inner.scan(*args, **options):
            yield page

    moved.changes["source"] = Wrapped(inner, scan=scan)
    assert (await reconciler(moved).round()).ended == 1
    assert len(moved.touched.scopes()) >= 1


async def test_what_a_request_did_is_read_only_after_reads_have_settled(moved: Live) -> None:
    await change_by_filter(moved, [1])
    check = reconciler(moved, settle=2)
    assert (await check.round()).ended == 0
    moved.now += 1_999
    assert (await check.round()).waiting == 1
    moved.now += 1
    assert (await check.round()).ended == 1


@pytest.mark.parametrize("side", ["source", "target"])
async def test_a_side_that_cannot_be_read_leaves_the_request_open(moved: Live, side: str) -> None:
    await delete_by_filter(moved, [1])

    async def scan(*args: Any, **options: Any) -> AsyncGenerator[Any]:
        raise Unavailable("down", adapter="memory", operation="scan")
        yield

    moved.changes[side] = Wrapped(getattr(moved.both, side), scan=scan)
    result = await reconciler(moved).round()
    assert (result.ended, len(result.problems), len(moved.touched.scopes())) == (0, 1, 1)


async def test_a_record_of_nobody_leaves_the_request_open(moved: Live) -> None:
    moved.changes["keys"] = Mapper(rules_of(id_strategy="uuid5"))
    await delete_by_filter(moved, [1])
    result = await reconciler(moved).round()
    assert result.ended == 0
    assert result.problems


async def test_rejects_of_the_copy_are_not_taken_for_missing_unless_they_were_changed(moved: Live) -> None:
    for row in (1, 2):
        await moved.both.target.delete([id_of(row)], "a")
    moved.both.rejected = {("a", f"i:{row}") for row in (1, 2)}
    await delete_by_filter(moved, [4])
    await reconciler(moved).round()
    assert moved.dirty() == {key(4)}
    await change_by_filter(moved, [1])
    await reconciler(moved).round()
    assert moved.dirty() >= {key(1)}, "it may be writable now"


@fault(15, 16)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    deleted=st.sets(st.integers(0, 19), max_size=6),
    changed=st.sets(st.integers(0, 29), max_size=6),
    strategy=st.sampled_from(["native", "uuid5"]),
    before=st.booleans(),
)
async def test_after_a_reconcile_and_the_applier_both_sides_are_equal(
    tmp_path_factory: pytest.TempPathFactory, deleted: set[int], changed: set[int], strategy: str, before: bool
) -> None:
    rules = rules_of(id_strategy=strategy)
    async with pair(rows=20, rules=rules) as both, live(both, tmp_path_factory.mktemp("live")) as made:
        if changed and before:
            await change_by_filter(made, sorted(changed))
        await delete_by_filter(made, sorted(deleted), "b")
        if changed and not before:
            await change_by_filter(made, sorted(changed))
        await settled(made)
