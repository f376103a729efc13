"""Live migrations in the state file: stored with their plan or not at all, and orders that are answered once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.state.support import make_plan
from vectormigrate.errors import InvalidTransition, MigrationNotFound
from vectormigrate.model.live import LiveFigures, LiveOptions, OrderVerb, Pace, Proof
from vectormigrate.model.plan import RunOptions
from vectormigrate.state.store import Store, open_store

pytestmark = pytest.mark.anyio

OPTIONS = LiveOptions(source_deadline=3.0, one_way=True)


async def begin(store: Store, name: str = "moved") -> None:
    await store.live.create(make_plan(name), RunOptions(), OPTIONS, folder=Path("/live/orders"), journal="abc")


async def test_a_live_migration_is_stored_with_its_plan(store: Store) -> None:
    await begin(store)
    row = await store.live.find("moved")
    assert row is not None
    assert (row.options, row.folder, row.journal, row.pace) == (OPTIONS, Path("/live/orders"), "abc", Pace.FULL)
    assert (await store.migrations.load("moved")).plan.spec.id == "moved"


async def test_of_an_id_in_use_nothing_is_stored(store: Store) -> None:
    await store.migrations.create(make_plan("moved"), RunOptions())
    with pytest.raises(InvalidTransition, match="exists already"):
        await begin(store)
    assert await store.live.find("moved") is None


async def test_the_highest_number_of_the_journal_never_falls(store: Store) -> None:
    await begin(store)
    figures = LiveFigures(applied=2.5, proof=Proof(verified=3, examples=("a",)))
    async with store.leases.hold("moved") as lease:
        await store.live.set_figures(lease, figures, 7)
        await store.live.set_figures(lease, replace(figures, applied=1.0), 5)
        await store.live.set_reverse(lease, make_plan("back"))
    row = await store.live.find("moved")
    assert row is not None
    assert row.figures is not None
    assert row.reverse is not None
    assert (row.seen, row.figures.applied, row.figures.proof.verified) == (7, 1.0, 3)
    assert row.reverse.spec.id == "back"


async def test_an_order_is_answered_once_and_seen_by_other_processes(path: Path) -> None:
    async with open_store(path) as store, open_store(path) as other:
        await begin(store)
        number = await other.live.ask("moved", OrderVerb.CUT_OVER, {"pause": 4.0})
        (order,) = await store.live.orders("moved")
        assert (order.number, order.verb, order.options) == (number, OrderVerb.CUT_OVER, {"pause": 4.0})
        await store.live.answer(number, {"switched": True})
        await store.live.answer(number, {"switched": False})
        assert await store.live.orders("moved") == []
        (order,) = await other.live.orders("moved", unanswered=False)
        assert order.answer == {"switched": True}


async def test_only_a_live_migration_has_a_pace(store: Store) -> None:
    await store.migrations.create(make_plan("plain"), RunOptions())
    with pytest.raises(MigrationNotFound):
        await store.live.set_pace("plain", Pace.PAUSED)
    await begin(store)
    await store.live.set_pace("moved", Pace.PAUSED)
    row = await store.live.find("moved")
    assert row is not None
    assert row.pace is Pace.PAUSED
