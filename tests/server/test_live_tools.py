"""Live migrations by tools: started, looked at, switched with a person's word, and ended."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio.lowlevel
import pytest
from mcp import Client
from mcp.types import ElicitRequestParams, ElicitResult

from tests.live.playing import Play, gateway
from tests.server.requirements import requirement
from tests.server.toy import connected
from tests.server.world import WRITE_KEY, World, call, on_http, plan, refused
from vectormigrate import Endpoint, MigrationRequest
from vectormigrate.engine.connect import open_endpoint
from vectormigrate.server.app import App

pytestmark = pytest.mark.anyio

QUICK = {"live": True, "fenced": True, "source_deadline": 0.2, "target_deadline": 0.2}
NAMED = {"migration_id": "docs", "confirm_target": "docs"}


@asynccontextmanager
async def captured(world: World, app: App) -> AsyncGenerator[None]:
    """While this lasts, the journal of the migration has a gateway."""
    ends = [Endpoint(type="memory", url=world.url(side), collection="docs") for side in ("here", "there")]
    async with open_endpoint(ends[0]) as source, open_endpoint(ends[1]) as target:
        play = Play(
            service=app.context.service(),
            request=MigrationRequest(id="docs", source=ends[0], target=ends[1]),
            state=world.folder / "state.db",
            source=source,
            target=target,
        )
        async with gateway(play):
            yield


async def start_live(client: Client, **more: Any) -> dict[str, Any]:
    """Plan and start it; what start_migration answered."""
    planned = await plan(client)
    return await call(client, "start_migration", plan_id=planned["plan_id"], **{**QUICK, **more})


async def until_phase(client: Client, phase: str) -> dict[str, Any]:
    """The status, as soon as the live migration is there; the timeout of the test is the limit."""
    while True:
        status = await call(client, "migration_status", migration_id="docs")
        if status["live"] is not None and status["live"]["phase"] == phase:
            return status
        await anyio.lowlevel.checkpoint()


async def to_ready(client: Client) -> dict[str, Any]:
    """Until nothing is in the way of a switch."""
    while True:
        status = await until_phase(client, "ready")
        if status["live"]["ready"]:
            return status


@requirement("live:same-verbs")
async def test_a_live_migration_goes_there_and_back_and_to_its_end_by_tools(world: World) -> None:
    app = world.app()
    async with app.run(), Client(app.mcp) as client:
        started = await start_live(client)
        assert "vectormigrate gateway docs" in started["next_step"]
        waiting = await until_phase(client, "capturing")
        assert not waiting["live"]["gateway_alive"]
        assert "vectormigrate gateway docs" in waiting["next_step"]
        async with captured(world, app):
            ready = await to_ready(client)
            assert ready["next_step"].startswith("ready: cutover_migration(migration_id='docs', dry_run=true)")
            assert (ready["live"]["authority"], ready["lag"]) == ("source", 0.0)
            switched = await call(client, "cutover_migration", **NAMED)
            assert (switched["state"], switched["live"]["authority"]) == ("switched", "target")
            assert "complete_migration" in switched["next_step"]
            library = await app.context.service().live_status("docs")
            assert library is not None
            assert (library.phase, library.epoch) == (switched["live"]["phase"], switched["live"]["epoch"])
            assert "in which the target has the authority" in await refused(client, "cutover_migration", **NAMED)
            back = await call(client, "reverse_migration", **NAMED)
            assert (back["state"], back["live"]["authority"]) == ("switched", "source")
            await to_ready(client)
            await call(client, "cutover_migration", **NAMED)
            ended = await call(client, "complete_migration", **NAMED)
            assert (ended["state"], ended["live"]["phase"]) == ("completed", "completed")
            waited = await call(client, "wait_migration", migration_id="docs")
            assert (waited["finished"], waited["status"]) == (True, "completed")
    assert await world.count() == 60


@requirement("live:consent")
async def test_a_switch_needs_the_name_from_a_person_and_a_dry_run_switches_nothing(world: World) -> None:
    asked: list[str] = []

    async def answer(context: Any, params: ElicitRequestParams) -> ElicitResult:
        asked.append(params.message)
        return ElicitResult(action="accept", content={"target_collection": "other"})

    app = world.app(unattended=frozenset())
    async with app.run(), Client(app.mcp) as client, Client(app.mcp, elicitation_callback=answer) as person:
        await start_live(client)
        async with captured(world, app):
            await to_ready(client)
            looked = await call(person, "cutover_migration", migration_id="docs", dry_run=True)
            assert (looked["state"], looked["live"]["ready"], asked) == ("dry_run", True, [])
            assert {item["name"] for item in looked["live"]["gate"]} >= {"gateway", "lag", "in doubt", "compared"}
            text = await refused(client, "cutover_migration", **NAMED)
            assert "vectormigrate cutover docs" in text
            assert "serve --unattended cutover" in text
            assert "nothing was changed" in await refused(person, "cutover_migration", **NAMED)
            assert "makes 'docs'" in asked[0]
            for tool in ("reverse_migration", "complete_migration"):
                assert "in which the source has the authority" in await refused(person, tool, **NAMED)
            live = await app.context.service().live_status("docs")
            assert live is not None
            assert (live.authority, live.epoch) == ("source", looked["live"]["epoch"])


@requirement("live:consent", "tools:scopes")
async def test_switching_needs_the_scope_of_an_admin(world: World) -> None:
    async with on_http(world) as (_, url), connected(url, "http", "auto", WRITE_KEY) as writer:
        for tool in ("cutover_migration", "reverse_migration", "complete_migration"):
            assert "migrations:admin" in await refused(writer, tool, **NAMED)


@requirement("live:same-verbs")
async def test_what_cannot_be_followed_is_refused_before_anything_is_stored(world: World) -> None:
    app = world.app()
    async with app.run(), Client(app.mcp) as client:
        planned = await plan(client, excludes=["title"], accept_losses=["excluded:title"])
        given = {"plan_id": planned["plan_id"], **QUICK}
        text = await refused(client, "start_migration", **given)
        assert "no way back" in text
        assert "one_way=true" in text
        assert (await call(client, "list_migrations"))["total"] == 0
        assert "only with live=true" in await refused(client, "start_migration", **{**given, "live": False})
        started = await call(client, "start_migration", **given, one_way=True)
        assert started["state"] == "started"
        again = await call(client, "start_migration", **given, one_way=True)
        assert again["state"] == "already_started"
        text = await refused(client, "start_migration", plan_id=planned["plan_id"])
        assert "exists already and is live" in text


@requirement("live:same-verbs")
async def test_a_migration_that_is_not_live_is_switched_by_no_tool(world: World) -> None:
    app = world.app()
    async with app.run(), Client(app.mcp) as client:
        planned = await plan(client)
        await call(client, "start_migration", plan_id=planned["plan_id"])
        await call(client, "wait_migration", migration_id="docs")
        status = await call(client, "migration_status", migration_id="docs")
        assert (status["live"], status["lag"]) == (None, None)
        assert "is not live" in await refused(client, "cutover_migration", **NAMED)
