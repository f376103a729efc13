"""Plan first: what a plan shows, who may start it, and that nothing is started twice."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import pytest
from mcp import Client
from mcp.types import ElicitRequestParams, ElicitResult

from tests.server.requirements import requirement
from tests.server.toy import connected
from tests.server.world import ADMIN_KEY, OTHER_KEY, Failed, World, call, on_http, plan, refused, start
from tests.state.support import sql
from vectormigrate import registry
from vectormigrate.adapters.memory import register_profile
from vectormigrate.errors import CollectionNotFound
from vectormigrate.server.app import App

pytestmark = pytest.mark.anyio


@pytest.fixture
async def app(world: World) -> AsyncGenerator[App]:
    made = world.app()
    async with made.run():
        yield made


@pytest.fixture
async def client(app: App) -> AsyncGenerator[Client]:
    async with Client(app.mcp) as made:
        yield made


async def agree(context: Any, params: ElicitRequestParams) -> ElicitResult:
    return ElicitResult(action="accept", content={"target_collection": "docs"})


async def ids(client: Client) -> list[str]:
    return [item["migration_id"] for item in (await call(client, "list_migrations"))["migrations"]]


@requirement("start:plan-first")
async def test_a_dry_run_writes_nothing_to_the_databases_and_lists_nothing(world: World, client: Client) -> None:
    planned = await plan(client)
    assert planned["plan_id"] in planned["next_step"]
    assert await ids(client) == []
    with pytest.raises(CollectionNotFound):
        await world.count()
    again = await call(client, "plan_migration", plan_id=planned["plan_id"])
    assert again == planned
    assert "leave out source" in await refused(client, "plan_migration", plan_id=planned["plan_id"], source="here")


@requirement("start:plan-first")
async def test_without_a_plan_nothing_starts(client: Client) -> None:
    ends = {"source": "here", "target": "there", "target_collection": "docs"}
    for earlier in ({**ends}, {**ends, "dry_run": True}, {"plan_id": "plan-x", "dry_run": False}):
        assert "plan_migration(source=..., target=...)" in await refused(client, "start_migration", **earlier)
    assert "no plan 'plan-x' of yours" in await refused(client, "start_migration", plan_id="plan-x")


@requirement("start:losses")
async def test_a_plan_with_losses_is_started_only_after_they_were_accepted(world: World, client: Client) -> None:
    register_profile("narrow", registry.load("pinecone").capabilities)
    lossy = await plan(client, target="narrow", plain=True)
    losses = lossy["plan"]["unaccepted_losses"]
    assert losses
    assert "accept_losses=" in lossy["next_step"]
    text = await refused(client, "start_migration", plan_id=lossy["plan_id"])
    assert f'accept_losses=["{losses[0]}"' in text
    accepted = await plan(client, target="narrow", plain=True, accept_losses=losses)
    assert accepted["plan"]["unaccepted_losses"] == []
    started = await call(client, "start_migration", plan_id=accepted["plan_id"])
    assert started["state"] == "started"
    assert (await call(client, "wait_migration", migration_id="docs"))["status"] == "completed"


@requirement("start:idempotent")
async def test_a_repeated_start_starts_nothing_twice_even_after_a_restart(world: World) -> None:
    app = world.app()
    async with app.run(), Client(app.mcp) as client:
        planned = await plan(client)
        given = {"plan_id": planned["plan_id"], "request_id": "r-1"}
        assert (await call(client, "start_migration", **given))["state"] == "started"
        assert (await call(client, "start_migration", **given))["state"] == "already_started"
        assert (await call(client, "wait_migration", migration_id="docs"))["status"] == "completed"
    later = world.app()
    async with later.run(), Client(later.mcp) as client:
        by_request = await call(client, "start_migration", **given)
        by_plan = await call(client, "start_migration", plan_id=planned["plan_id"])
        assert by_request == by_plan
        assert (by_plan["state"], by_plan["migration_id"]) == ("already_started", "docs")
        assert await ids(client) == ["docs"]


@requirement("start:idempotent")
@pytest.mark.parametrize("overwrite", [False, True])
async def test_a_repeated_request_is_answered_when_its_plan_is_long_gone_and_nobody_is_asked_again(
    world: World, overwrite: bool
) -> None:
    app = world.app(unattended=frozenset())
    async with app.run():
        async with Client(app.mcp, elicitation_callback=agree) as client:
            if overwrite:
                await start(client, migration_id="before")
                await call(client, "wait_migration", migration_id="before")
            planned = await plan(client, into_existing=overwrite, overwrite=overwrite)
            given = {"plan_id": planned["plan_id"], "request_id": "r-1"}
            assert (await call(client, "start_migration", **given))["state"] == "started"
            assert (await call(client, "wait_migration", migration_id="docs"))["status"] == "completed"
        sql(world.folder / "state.db", "UPDATE proposal SET made_at = '2020-01-01T00:00:00.000Z'")
        async with Client(app.mcp) as client:
            again = await call(client, "start_migration", **given)
            assert (again["state"], again["migration_id"]) == ("already_started", "docs")
            for other in ({"request_id": "r-2"}, {"plan_id": "plan-of-another"}, {"request_id": None}):
                assert "no plan" in await refused(client, "start_migration", **{**given, **other})
            sql(world.folder / "state.db", "UPDATE request SET plan_id = NULL")
            assert await call(client, "start_migration", **given) == again


@requirement("start:own-plan")
async def test_a_plan_can_be_started_by_its_owner_only(world: World) -> None:
    async with on_http(world) as (_, url):
        async with connected(url, "http", "auto", ADMIN_KEY) as ada:
            planned = await plan(ada)
        async with connected(url, "http", "auto", OTHER_KEY) as bob:
            text = await refused(bob, "start_migration", plan_id=planned["plan_id"])
            assert "of yours" in text
            assert "of yours" in await refused(bob, "plan_migration", plan_id=planned["plan_id"])


@requirement("start:idempotent")
async def test_a_request_id_cannot_stand_for_two_migrations(client: Client) -> None:
    first = await plan(client)
    second = await plan(client, migration_id="docs-2", target_collection="docs-2")
    await call(client, "start_migration", plan_id=first["plan_id"], request_id="r-1")
    text = await refused(client, "start_migration", plan_id=second["plan_id"], request_id="r-1")
    assert "'docs' before, not 'docs-2'" in text
    assert await ids(client) == ["docs"]


@requirement("start:consent")
@pytest.mark.parametrize("era", ["auto", "legacy"])
@pytest.mark.parametrize(
    ("action", "typed", "begun"), [("accept", "docs", True), ("accept", "other", False), ("decline", "", False)]
)
async def test_replacing_records_is_asked_of_a_person_and_a_model_cannot_answer(
    app: App, era: str, action: Any, typed: str, begun: bool
) -> None:
    asked: list[str] = []

    async def answer(context: Any, params: ElicitRequestParams) -> ElicitResult:
        asked.append(params.message)
        return ElicitResult(action=action, content={"target_collection": typed} if action == "accept" else None)

    async with Client(app.mcp, mode=era, elicitation_callback=answer) as client:
        await start(client)
        await call(client, "wait_migration", migration_id="docs")
        assert asked == []
        planned = await plan(client, migration_id="again", into_existing=True, overwrite=True)
        given = {"plan_id": planned["plan_id"], "confirm_target": "docs"}
        if begun:
            assert (await call(client, "start_migration", **given))["state"] == "started"
            assert (await call(client, "wait_migration", migration_id="again"))["status"] == "completed"
        else:
            assert "nothing was started" in await refused(client, "start_migration", **given)
            assert await ids(client) == ["docs"]
    assert len(asked) == 1
    assert "no rollback can bring back" in asked[0]


@requirement("start:consent")
async def test_where_nobody_can_be_asked_the_operator_decides(world: World) -> None:
    app = world.app(unattended=frozenset())
    async with app.run(), Client(app.mcp) as client:
        await start(client)
        await call(client, "wait_migration", migration_id="docs")
        planned = await plan(client, migration_id="again", into_existing=True, overwrite=True)
        given = {"plan_id": planned["plan_id"], "confirm_target": "docs"}
        assert "serve --unattended overwrite" in await refused(client, "start_migration", **given)
        text = await refused(client, "rollback_migration", migration_id="docs", confirm_target="docs")
        assert "vectormigrate rollback docs" in text
        assert await ids(client) == ["docs"]
        assert await world.count() == 60


@requirement("start:idempotent")
async def test_a_request_id_does_not_stand_for_another_plan_of_the_same_name(client: Client) -> None:
    first = await plan(client)
    second = await plan(client, target_collection="docs-2")
    await call(client, "start_migration", plan_id=first["plan_id"], request_id="r-1")
    text = await refused(client, "start_migration", plan_id=second["plan_id"], request_id="r-1")
    assert "with another plan" in text


async def test_the_id_of_a_migration_is_none_of_a_plan(client: Client) -> None:
    await start(client)
    for _ in range(2):
        assert "no plan 'docs' of yours" in await refused(client, "plan_migration", plan_id="docs")
        await call(client, "wait_migration", migration_id="docs")


async def test_an_id_is_made_up_where_none_is_given(client: Client) -> None:
    planned = await call(client, "plan_migration", source="here", target="there", target_collection="docs")
    assert planned["migration_id"].startswith("docs-")


async def test_a_plan_that_takes_long_is_waited_for_with_further_calls(client: Client) -> None:
    answer = await plan(client, max_wait_seconds=0)
    assert (answer["state"], answer["plan"]) == ("planning", None)
    while answer["state"] == "planning":
        answer = await call(client, "plan_migration", plan_id=answer["plan_id"])
    assert (answer["state"], answer["migration_id"]) == ("planned", "docs")


async def test_a_plan_that_failed_says_why_when_asked_for_again(client: Client) -> None:
    answer = await plan(client, source_collection="docs-missing", max_wait_seconds=0)
    text = ""
    while not text:
        try:
            await call(client, "plan_migration", plan_id=answer["plan_id"])
        except Failed as error:
            text = str(error)
    assert "no collection 'docs-missing'" in text
