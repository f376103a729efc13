"""What a server keeps in the state file: plans that wait, requests that were answered, migrations it runs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.state.support import make_plan, sql
from vectormigrate.errors import InvalidTransition
from vectormigrate.model.plan import RunOptions
from vectormigrate.state import Store, open_store
from vectormigrate.state.proposals import KEEP, Proposal, Starter
from vectormigrate.state.records import utc_text

pytestmark = pytest.mark.anyio

R1 = Starter(owner="ada", request_id="r1", plan_id="plan-1")
R2 = Starter(owner="ada", request_id="r2")


def proposal(name: str = "plan-1", made: datetime | None = None) -> Proposal:
    return Proposal(id=name, owner="ada", plan=make_plan(), options=RunOptions(batch_size=7), made_at=utc_text(made))


async def test_a_plan_that_waits_comes_back_as_it_was(store: Store, path: Path) -> None:
    await store.proposals.save(proposal())
    async with open_store(path, read_only=True) as other:
        found = await other.proposals.find("plan-1")
    assert found is not None
    assert (found.plan, found.options, found.owner) == (make_plan(), RunOptions(batch_size=7), "ada")
    assert await store.proposals.find("plan-2") is None


async def test_a_plan_that_waited_too_long_is_gone(store: Store, path: Path) -> None:
    await store.proposals.save(proposal("old", datetime.now(UTC) - KEEP - timedelta(seconds=1)))
    assert await store.proposals.find("old") is None
    await store.proposals.save(proposal("new"))
    assert sql(path, "SELECT id FROM proposal") == [("new",)]


async def test_the_same_request_starts_one_migration(store: Store, path: Path) -> None:
    plan = make_plan("served")
    assert await store.proposals.begin(plan, RunOptions(), R1) == (plan.spec.id, True)
    assert await store.proposals.begin(plan, RunOptions(), R1) == (plan.spec.id, False)
    with pytest.raises(InvalidTransition, match="started the migration 'served' before, not 'another'"):
        await store.proposals.begin(make_plan("another"), RunOptions(), R1)
    assert [item.id for item in await store.migrations.list()][1:] == [plan.spec.id]
    assert sql(path, "SELECT owner, request_id, migration_id FROM request") == [("ada", "r1", plan.spec.id)]


async def test_a_request_is_known_with_its_plan_for_as_long_as_the_migration(store: Store) -> None:
    await store.proposals.begin(make_plan("served"), RunOptions(), R1)
    assert await store.proposals.requested("ada", "r1") == ("served", "plan-1")
    assert await store.proposals.requested("bob", "r1") is None
    assert await store.proposals.requested("ada", "r2") is None


async def test_who_keeps_apart_gets_no_answer_from_the_migration_of_another(store: Store, path: Path) -> None:
    plan = make_plan("served")
    await store.proposals.begin(plan, RunOptions(), Starter(owner="ada"))
    apart = Starter(owner="bob", request_id="r1", apart=True)
    with pytest.raises(InvalidTransition, match="the id 'served' is taken"):
        await store.proposals.begin(plan, RunOptions(), apart)
    assert await store.proposals.requested("bob", "r1") is None
    assert not (await store.proposals.begin(plan, RunOptions(), replace(apart, owner="ada")))[1]


async def test_the_same_plan_begins_once_and_another_plan_of_the_id_is_refused(store: Store, path: Path) -> None:
    plan = make_plan("served")
    assert (await store.proposals.begin(plan, RunOptions(), Starter(owner="ada")))[1]
    assert not (await store.proposals.begin(plan, RunOptions(), Starter(owner="bob")))[1]
    assert plan.spec.id == make_plan("served", rows=1).spec.id
    with pytest.raises(InvalidTransition, match="with another plan"):
        await store.proposals.begin(make_plan("served", rows=1), RunOptions(), R2)
    with pytest.raises(InvalidTransition, match="with another plan"):
        await store.proposals.begin(replace(plan, spec=replace(plan.spec, overwrite=True)), RunOptions(), R2)
    assert sql(path, "SELECT * FROM request") == []


async def test_what_a_server_runs_is_known_to_the_next_one(store: Store, path: Path) -> None:
    plan = make_plan("served")
    await store.proposals.begin(plan, RunOptions(), Starter(owner="ada"))
    async with open_store(path, read_only=True) as other:
        assert await other.served.all() == [(plan.spec.id, "ada")]
    await store.served.remove(plan.spec.id)
    assert await store.served.all() == []
    await store.served.add(plan.spec.id, "bob")
    assert await store.served.all() == [(plan.spec.id, "bob")]


async def test_marks_change_with_what_can_be_seen(store: Store) -> None:
    plan = make_plan("served")
    await store.migrations.create(plan, RunOptions())
    before = (await store.served.marks())[plan.spec.id]
    assert (await store.served.marks())[plan.spec.id] == before
    await store.migrations.request_stop(plan.spec.id)
    asked = (await store.served.marks())[plan.spec.id]
    assert (asked.state != before.state, asked.outline, asked.report) == (True, before.outline, 0)
    await store.reports.save(plan.spec.id, {"passed": True})
    assert (await store.served.marks())[plan.spec.id].report > 0


async def test_who_began_a_migration_of_an_earlier_version_is_learned_from_the_request(path: Path) -> None:
    async with open_store(path) as store:
        await store.proposals.begin(make_plan("served"), RunOptions(), R1)
        await store.migrations.create(make_plan("typed"), RunOptions())
    assert sql(path, "SELECT id, owner FROM migration ORDER BY id") == [("served", "ada"), ("typed", None)]
    for statement in (
        "ALTER TABLE migration DROP COLUMN owner",
        "ALTER TABLE request DROP COLUMN plan_id",
        "DROP TABLE profile",
        "DROP TABLE live_order",
        "DROP TABLE live",
        "PRAGMA user_version = 3",
    ):
        sql(path, statement)
    async with open_store(path, read_only=True) as store:
        assert await store.proposals.requested("ada", "r1") == ("served", None)
    assert sql(path, "SELECT id, owner FROM migration ORDER BY id") == [("served", "ada"), ("typed", None)]
