"""Resources, their updates, prompts, completions, and the form before a rollback, in both protocol eras."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator
from typing import Any

import anyio
import pytest
from mcp import Client, MCPError
from mcp.shared.exceptions import MCPDeprecationWarning
from mcp.types import (
    ElicitRequestParams,
    ElicitResult,
    PromptReference,
    ResourceTemplateReference,
    ResourceUpdatedNotification,
)

from tests.server.requirements import requirement
from tests.server.test_tools import ALL
from tests.server.toy import Way, connected
from tests.server.world import ADMIN_KEY, World, call, on_http, plan, refused, start
from vectormigrate.config.request import MigrationRequest
from vectormigrate.config.settings import Endpoint
from vectormigrate.model.plan import RunOptions
from vectormigrate.server.app import App

pytestmark = pytest.mark.anyio


@pytest.fixture
async def app(world: World) -> AsyncGenerator[App]:
    made = world.app()
    async with made.run():
        yield made


@pytest.fixture(params=["auto", "legacy"])
async def client(app: App, request: pytest.FixtureRequest) -> AsyncGenerator[Client]:
    async with Client(app.mcp, mode=request.param, cache=None) as made:
        yield made


async def read(client: Client, uri: str) -> Any:
    [content] = (await client.read_resource(uri)).contents
    assert content.mime_type == "application/json"
    return json.loads(getattr(content, "text", ""))


@requirement("resources:read")
async def test_every_resource_tells_what_its_tool_tells(client: Client) -> None:
    planned = await plan(client)
    waiting = await read(client, f"migration://{planned['plan_id']}/plan")
    assert (waiting["total_records"], waiting["unaccepted"]) == (60, [])
    await start(client, migration_id="docs2", target_collection="docs2")
    await call(client, "wait_migration", migration_id="docs2")
    await call(client, "validate_migration", migration_id="docs2")
    assert await read(client, "migration://docs2/status") == await call(
        client, "migration_status", migration_id="docs2"
    )
    report = await call(client, "migration_report", migration_id="docs2")
    assert (await read(client, "migration://docs2/report"))["validation"] == report["validation"]
    stored = await read(client, "migration://docs2/plan")
    assert (stored["spec"]["id"], stored["partitions"] > 0) == ("docs2", True)
    assert [item["migration_id"] for item in (await read(client, "migration://index"))["migrations"]] == ["docs2"]
    assert [str(item.uri) for item in (await client.list_resources()).resources] == ["migration://index"]
    templates = (await client.list_resource_templates()).resource_templates
    assert {item.uri_template for item in templates} == {
        f"migration://{{migration_id}}/{what}" for what in ("status", "report", "plan")
    }
    assert all(item.description for item in templates)


@requirement("resources:read")
@pytest.mark.parametrize("uri", ["migration://nope/status", "migration://nope/plan", "migration://nope/other"])
async def test_what_is_not_there_is_not_found(client: Client, uri: str) -> None:
    with pytest.raises(MCPError) as caught:
        await client.read_resource(uri)
    assert caught.value.error.code == -32602


@requirement("resources:updates")
@pytest.mark.parametrize("way", ["sse", "http"])
async def test_new_clients_are_told_of_changes(world: World, way: Way) -> None:
    async with on_http(world) as (_, url), connected(url, way, "auto", ADMIN_KEY) as client:
        uris = ["migration://index", "migration://docs/status", "migration://docs/report"]
        async with client.listen(resource_subscriptions=uris) as events:
            await start(client)
            await call(client, "wait_migration", migration_id="docs")
            await call(client, "validate_migration", migration_id="docs")
            waiting = set(uris)
            async for event in events:
                waiting.discard(str(getattr(event, "uri", "")))
                if not waiting:
                    break


@requirement("resources:updates")
@pytest.mark.parametrize("way", ["sse", "http"])
async def test_old_clients_are_told_of_changes_that_another_process_makes(world: World, way: Way) -> None:
    heard: set[str] = set()
    all_heard = anyio.Event()

    async def hear(message: Any) -> None:
        if isinstance(message, ResourceUpdatedNotification):
            heard.add(str(message.params.uri))
            if {"migration://index", "migration://docs/status"} <= heard:
                all_heard.set()

    async with on_http(world) as (app, url), connected(url, way, "legacy", ADMIN_KEY) as client:
        client.session._message_handler = hear
        for uri in ("migration://index", "migration://docs/status"):
            with pytest.warns(MCPDeprecationWarning):
                await client.subscribe_resource(uri)  # pyright: ignore[reportDeprecated]
        request = MigrationRequest(
            id="docs",
            source=Endpoint(connection="here", collection="docs"),
            target=Endpoint(connection="there", collection="docs"),
        )
        await app.context.service().migrate(request, RunOptions())
        await all_heard.wait()
        for uri in ("migration://index", "migration://docs/status"):
            with pytest.warns(MCPDeprecationWarning):
                await client.unsubscribe_resource(uri)  # pyright: ignore[reportDeprecated]
    assert app.subscriptions._sessions == {}


@requirement("prompts:listed")
async def test_prompts_are_described_and_name_existing_tools(client: Client) -> None:
    prompts = {prompt.name: prompt for prompt in (await client.list_prompts()).prompts}
    assert set(prompts) == {"plan_migration", "diagnose_migration"}
    for prompt in prompts.values():
        assert prompt.description
        assert all(argument.description for argument in prompt.arguments or ())
    texts = [
        str((await client.get_prompt("plan_migration", {"source": "here", "target": "there"})).messages),
        str((await client.get_prompt("diagnose_migration", {"migration_id": "nope"})).messages),
    ]
    assert "no migration 'nope'" in texts[1]
    for text in texts:
        named = set(re.findall(r"\b(?:list|start|wait|validate|resume|describe|migration)_[a-z]+\b", text))
        assert named - {"migration_id"} <= ALL


@requirement("completions:offered")
async def test_ids_connections_and_types_are_completed(client: Client) -> None:
    await start(client)
    template = ResourceTemplateReference(uri="migration://{migration_id}/status")

    async def offered(ref: Any, name: str, value: str) -> list[str]:
        return (await client.complete(ref, {"name": name, "value": value})).completion.values

    assert await offered(template, "migration_id", "") == ["docs"]
    assert await offered(template, "migration_id", "x") == []
    prompt = PromptReference(name="plan_migration")
    assert await offered(prompt, "source", "h") == ["here"]
    assert await offered(prompt, "target", "") == ["closed", "dead", "here", "narrow", "there"]
    assert await offered(prompt, "source_collection", "d") == ["docs"]
    assert await offered(prompt, "unknown", "") == []


@requirement("rollback:confirmed")
@pytest.mark.parametrize("era", ["auto", "legacy"])
@pytest.mark.parametrize(
    ("action", "typed", "undone"),
    [("accept", "docs", True), ("accept", "wrong", False), ("decline", "", False), ("cancel", "", False)],
)
async def test_a_host_with_forms_asks_the_user(app: App, era: str, action: Any, typed: str, undone: bool) -> None:
    asked: list[str] = []

    async def answer(context: Any, params: ElicitRequestParams) -> ElicitResult:
        asked.append(params.message)
        return ElicitResult(action=action, content={"target_collection": typed} if action == "accept" else None)

    async with Client(app.mcp, mode=era, elicitation_callback=answer) as client:
        await start(client)
        await call(client, "wait_migration", migration_id="docs")
        if undone:
            assert (await call(client, "rollback_migration", migration_id="docs"))["dropped_collection"]
        else:
            assert "nothing was removed" in await refused(client, "rollback_migration", migration_id="docs")
        status = await call(client, "migration_status", migration_id="docs")
        assert status["status"] == ("rolled_back" if undone else "completed")
    assert len(asked) == 1
    assert "type the name docs" in asked[0]
