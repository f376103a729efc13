"""With --own-migrations-only a key knows of no migration but those that keys of its name started."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client, MCPError
from mcp.shared.exceptions import MCPDeprecationWarning
from mcp.types import ResourceTemplateReference, ResourceUpdatedNotification

from tests.server.requirements import requirement
from tests.server.toy import bearer, connected
from tests.server.world import MANY, SLOW, World, call, on_http, plan, refused, start, until, until_moving
from vectormigrate.config.request import MigrationRequest
from vectormigrate.config.settings import Endpoint
from vectormigrate.engine.lifecycle import NEW
from vectormigrate.model.plan import RunOptions
from vectormigrate.server.app import App
from vectormigrate.state.proposals import Starter

pytestmark = pytest.mark.anyio

ADA, ADA_NEXT, BOB, BOSS = ("k" * 30 + name for name in ("-ada", "-ada-next", "-bob", "-boss"))
KEYS = (f"ada:write={ADA}", f"ada:write={ADA_NEXT}", f"bob:write={BOB}", f"boss:admin={BOSS}")
HERS = "adas-own"
NONE = "nobodys-"
"""As long as hers, which no id is near."""
HIS = "7"
"""Near none of the others."""

TAKES_OTHER_NAMES = {"plan_migration"}
"""Its migration_id names one that is to be made."""


@pytest.fixture
async def server(world: World) -> AsyncGenerator[tuple[App, str]]:
    async with on_http(world, KEYS, own_only=True) as made:
        yield made


async def hers(url: str, **more: Any) -> str:
    """Ada's migration; the id of its plan."""
    async with connected(url, "http", "auto", ADA) as ada:
        planned = await plan(ada, migration_id=HERS, **more)
        await call(ada, "start_migration", plan_id=planned["plan_id"], request_id="r-1")
        if not more:
            await call(ada, "wait_migration", migration_id=HERS)
        else:
            await until_moving(ada, HERS)
    return planned["plan_id"]


async def answers(client: Client, http: httpx2.AsyncClient, tool: str, arguments: dict[str, Any]) -> list[str]:
    """What the tool answers over MCP and over plain JSON-RPC."""
    result = await client.call_tool(tool, arguments)
    body = {"jsonrpc": "2.0", "id": 1, "method": tool, "params": arguments}
    return [result.model_dump_json(), (await http.post("/", json=body)).text]


async def resource(client: Client, uri: str) -> str:
    try:
        return (await client.read_resource(uri)).model_dump_json()
    except MCPError as error:
        return error.error.model_dump_json()


async def ids(client: Client) -> list[str]:
    return [item["migration_id"] for item in (await call(client, "list_migrations"))["migrations"]]


@requirement("access:own-only")
async def test_a_migration_of_another_key_answers_every_tool_like_one_that_does_not_exist(
    server: tuple[App, str],
) -> None:
    app, url = server
    plan_id = await hers(url)
    async with (
        connected(url, "http", "auto", BOB) as bob,
        httpx2.AsyncClient(base_url=url, headers=bearer(BOB), timeout=60) as http,
    ):
        await start(bob, migration_id=HIS, target_collection="docs-7")
        await call(bob, "wait_migration", migration_id=HIS)
        walked: set[str] = set()
        for name, tool in app.tools.items():
            if name not in TAKES_OTHER_NAMES and "migration_id" in tool.argument_names:
                more = {"confirm_target": "docs"} if "confirm_target" in tool.argument_names else {}
                there = await answers(bob, http, name, {"migration_id": HERS, **more})
                nowhere = await answers(bob, http, name, {"migration_id": NONE, **more})
                assert [text.replace(HERS, NONE) for text in there] == nowhere
                assert "no migration" in there[0] or "lacks the scope" in there[0], there
                walked.add(name)
            if "plan_id" in tool.argument_names:
                more = {"request_id": "r-1"} if "request_id" in tool.argument_names else {}
                there = await answers(bob, http, name, {"plan_id": plan_id, **more})
                nowhere = await answers(bob, http, name, {"plan_id": "plan-x", **more})
                assert [text.replace(plan_id, "plan-x") for text in there] == nowhere
                walked.add(name)
        assert walked >= {"start_migration", "plan_migration", "stop_migration", "migration_report", "list_rejects"}
        assert await ids(bob) == [HIS]
        assert (await call(bob, "list_migrations"))["total"] == 1
        assert HERS not in await refused(bob, "migration_status", migration_id=HERS[:-1])
        taken = await refused(bob, "plan_migration", **ENDS, migration_id=HERS)
        assert "is taken; choose another migration_id" in taken
        assert "completed" not in taken
    async with connected(url, "http", "auto", BOSS) as boss:
        assert sorted(await ids(boss)) == [HIS, HERS]
        assert (await call(boss, "migration_status", migration_id=HERS))["status"] == "completed"


ENDS = {"source": "here", "target": "there", "target_collection": "docs"}


@requirement("access:own-only")
async def test_so_do_resources_prompts_completions_and_figures(server: tuple[App, str]) -> None:
    _, url = server
    plan_id = await hers(url)
    async with connected(url, "http", "auto", BOB) as bob:
        for template in (await bob.list_resource_templates()).resource_templates:
            uri = template.uri_template
            nowhere = await resource(bob, uri.replace("{migration_id}", NONE))
            assert (await resource(bob, uri.replace("{migration_id}", HERS))).replace(HERS, NONE) == nowhere
            assert (await resource(bob, uri.replace("{migration_id}", plan_id))).replace(plan_id, NONE) == nowhere
        index = json.loads(getattr((await bob.read_resource("migration://index")).contents[0], "text", ""))
        assert index == {"migrations": [], "total": 0}
        texts = [
            (await bob.get_prompt("diagnose_migration", {"migration_id": name})).model_dump_json().replace(name, NONE)
            for name in (HERS, NONE)
        ]
        assert texts[0] == texts[1]
        reference = ResourceTemplateReference(uri="migration://{migration_id}/status")
        argument = {"name": "migration_id", "value": ""}
        assert (await bob.complete(reference, argument)).completion.values == []
    async with httpx2.AsyncClient(base_url=url, timeout=60) as http:
        figures = await http.get("/metrics", headers=bearer(BOB))
        assert (figures.status_code, HERS in figures.text) == (403, False)
        assert HERS in (await http.get("/metrics", headers=bearer(BOSS))).text


@requirement("access:own-only")
async def test_a_migration_that_runs_is_neither_stopped_nor_gone_on_with_by_another_key(
    world: World, server: tuple[App, str]
) -> None:
    _, url = server
    await world.seed(MANY, "docs-many")
    await hers(url, source_collection="docs-many", **SLOW)
    async with connected(url, "http", "auto", BOB) as bob:
        for tool in ("stop_migration", "resume_migration", "validate_migration", "wait_migration"):
            assert "no migration" in await refused(bob, tool, migration_id=HERS)
    async with connected(url, "http", "auto", ADA_NEXT) as ada:
        assert (await call(ada, "migration_status", migration_id=HERS))["runner_alive"]
        stopped = await call(ada, "stop_migration", migration_id=HERS)
        assert stopped["status"] == "stopped"
    async with connected(url, "http", "auto", BOB) as bob:
        assert "no migration" in await refused(bob, "resume_migration", migration_id=HERS)


@requirement("access:own-only")
async def test_what_a_key_started_is_its_own_after_a_restart_and_what_the_command_line_began_is_the_admins(
    world: World,
) -> None:
    async with on_http(world, KEYS, own_only=True) as (app, url):
        await hers(url)
        ends = [Endpoint(connection=side, collection=f"docs{end}") for side, end in (("here", ""), ("there", "-cli"))]
        await app.context.service().migrate(MigrationRequest(id="cli", source=ends[0], target=ends[1]), RunOptions())
    async with on_http(world, KEYS, own_only=True) as (_, url):
        for key, seen in ((ADA_NEXT, [HERS]), (BOB, []), (BOSS, ["cli", HERS])):
            async with connected(url, "http", "auto", key) as client:
                assert await ids(client) == seen
    async with on_http(world, KEYS) as (_, url), connected(url, "http", "auto", BOB) as bob:
        # Without the option everybody sees everything, as before.
        assert await ids(bob) == ["cli", HERS]


@requirement("access:own-only")
async def test_what_the_last_server_ran_is_gone_on_with_whoever_began_it(world: World) -> None:
    await world.seed(MANY, "docs-many")
    async with on_http(world, KEYS, own_only=True) as (_, url):
        await hers(url, source_collection="docs-many", **SLOW)
    async with (
        on_http(world, KEYS, own_only=True, resume_on_start=True) as (_, url),
        connected(url, "http", "auto", ADA) as ada,
    ):
        await until(ada, HERS, runner_alive=True)
        await call(ada, "stop_migration", migration_id=HERS)


async def begin_for_bob(app: App, bob: Client) -> None:
    """One change, and no more, of one migration of his."""
    planned = await plan(bob, migration_id=HIS, target_collection="docs-7")
    async with app.context.store() as store:
        proposal = await store.proposals.find(planned["plan_id"])
    assert proposal is not None
    await app.context.service().begin(proposal.plan, by=Starter(owner="bob"))
    status = await call(bob, "migration_status", migration_id=HIS)
    assert (status["status"], status["phase"]) == (str(NEW.status), str(NEW.phase))


URIS = ["migration://index", f"migration://{HERS}/status", f"migration://{HERS}/report", f"migration://{HIS}/status"]


@requirement("access:own-only")
async def test_no_listener_is_told_of_the_migration_of_another_key(server: tuple[App, str]) -> None:
    app, url = server
    heard: list[str] = []
    async with (
        connected(url, "http", "auto", BOB) as bob,
        connected(url, "http", "auto", BOSS) as boss,
        bob.listen(resource_subscriptions=URIS) as his,
        boss.listen(resource_subscriptions=URIS) as all_of_them,
    ):
        await hers(url)
        async for event in all_of_them:
            if str(getattr(event, "uri", "")).startswith(f"migration://{HERS}"):
                break
        await begin_for_bob(app, bob)
        async for event in his:
            heard.append(str(getattr(event, "uri", "")))
            if heard[-1] == f"migration://{HIS}/status":
                break
    assert heard == ["migration://index", f"migration://{HIS}/status"]


@requirement("access:own-only")
async def test_no_subscriber_of_the_older_protocol_is_either(server: tuple[App, str]) -> None:
    app, url = server
    heard: dict[str, list[str]] = {"bob": [], "boss": []}
    told = {"bob": anyio.Event(), "boss": anyio.Event()}
    awaited = {"bob": f"migration://{HIS}/status", "boss": f"migration://{HERS}/status"}

    def hears(name: str) -> Any:
        async def hear(message: Any) -> None:
            if isinstance(message, ResourceUpdatedNotification):
                heard[name].append(str(message.params.uri))
                if heard[name][-1] == awaited[name]:
                    told[name].set()

        return hear

    async with connected(url, "sse", "legacy", BOB) as bob, connected(url, "http", "legacy", BOSS) as boss:
        for name, client in (("bob", bob), ("boss", boss)):
            client.session._message_handler = hears(name)
            for uri in URIS:
                with pytest.warns(MCPDeprecationWarning):
                    await client.subscribe_resource(uri)  # pyright: ignore[reportDeprecated]
        await hers(url)
        await told["boss"].wait()
        await begin_for_bob(app, bob)
        await told["bob"].wait()
    assert heard["bob"] == ["migration://index", f"migration://{HIS}/status"]
