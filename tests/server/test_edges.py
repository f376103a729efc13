"""Small promises of the server that clients rely on."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest
from mcp import Client, MCPError

from tests.server.support import ALICE, accounting
from tests.server.toy import bearer, connected, serving
from tests.server.world import ADMIN_KEY, OTHER_KEY, World, call, on_http, plan, refused
from vectormigrate.server.http.host_policy import HostPolicy
from vectormigrate.server.telemetry.metrics import Metrics
from vectormigrate.server.telemetry.migrations import MOST_MIGRATIONS

pytestmark = pytest.mark.anyio

PAGE = "https://tools.example.com"
HOSTS = HostPolicy.of("127.0.0.1", (), [PAGE])


@pytest.mark.parametrize(
    "body",
    [
        r'{"jsonrpc": "2.0", "id": "\ud800", "method": "list_migrations"}',
        '{"jsonrpc": "2.0", "id": 1e999, "method": "list_migrations"}',
        '{"jsonrpc": "2.0", "id": -1e999, "method": "list_migrations"}',
        r'{"jsonrpc": "2.0", "id": 1, "method": "migration_status", "params": {"migration_id": "\udfff"}}',
        '[{"jsonrpc": "2.0", "id": 1e999, "method": "x"}]',
    ],
)
@pytest.mark.parametrize("path", ["/", "/mcp"])
async def test_what_json_can_write_and_nothing_can_answer_is_refused(world: World, path: str, body: str) -> None:
    async with on_http(world) as (_, url), httpx2.AsyncClient(headers=bearer(ADMIN_KEY)) as http:
        accept = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
        answer = await http.post(url + path, content=body, headers=accept)
        assert answer.status_code < 500
        assert "error" in json.loads(answer.text)


async def test_a_page_of_an_allowed_origin_may_ask_and_read() -> None:
    async with serving(accounting(), hosts=HOSTS) as url, httpx2.AsyncClient() as http:
        asked = {
            "Origin": PAGE,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type,mcp-protocol-version",
        }
        preflight = await http.options(f"{url}/mcp", headers=asked)
        assert preflight.status_code == 204
        assert preflight.headers["access-control-allow-origin"] == PAGE
        assert "mcp-protocol-version" in preflight.headers["access-control-allow-headers"]
        for headers, status in (({**bearer(ALICE)}, 200), ({}, 401)):
            answer = await http.get(f"{url}/page", headers={**headers, "Origin": PAGE})
            assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (status, PAGE)
        other = {**asked, "Origin": "https://evil.example"}
        refusal = await http.options(f"{url}/mcp", headers=other)
        assert (refusal.status_code, "access-control-allow-origin" in refusal.headers) == (403, False)


async def test_a_key_of_the_operator_goes_to_no_url_of_an_agent(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    app = world.app(inline=True)
    async with app.run(), Client(app.mcp) as client:
        monkeypatch.setenv("VECTORMIGRATE_SOURCE_API_KEY", "operators-own-key")
        text = await refused(
            client, "plan_migration", source="memory=memory://x", source_collection="docs", target="there"
        )
        assert "VECTORMIGRATE_SOURCE_API_KEY is set" in text
        assert "operators-own-key" not in text


async def test_a_plan_is_its_owners_as_a_resource_too(world: World) -> None:
    async with on_http(world) as (_, url):
        async with connected(url, "http", "auto", ADMIN_KEY) as ada:
            planned = await plan(ada)
            assert (await ada.read_resource(f"migration://{planned['plan_id']}/plan")).contents
        async with connected(url, "http", "auto", OTHER_KEY) as bob:
            with pytest.raises(MCPError, match="no migration"):
                await bob.read_resource(f"migration://{planned['plan_id']}/plan")


@pytest.mark.filterwarnings("ignore::mcp.MCPDeprecationWarning")
async def test_only_resources_of_this_server_can_be_subscribed_to(world: World) -> None:
    app = world.app()
    foreign = ("file:///etc/passwd", "migration://docs/secrets", "https://example.com")
    async with app.run(), Client(app.mcp, mode="legacy") as client:
        for uri in foreign:
            with pytest.raises(MCPError, match="only resources of this server"):
                await client.subscribe_resource(uri)  # pyright: ignore[reportDeprecated]
    later = world.app()
    async with later.run(), Client(later.mcp) as client:
        for uri in foreign:
            with pytest.raises(MCPError, match="only resources of this server"):
                async with client.listen(resource_subscriptions=[uri]):
                    pass


@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_no_word_of_changed_lists_is_promised_and_lists_may_be_kept(world: World, era: str) -> None:
    app = world.app()
    async with app.run(), Client(app.mcp, mode=era) as client:
        promised = client.server_capabilities.model_dump()
        assert [promised[name]["list_changed"] for name in ("tools", "prompts", "resources")] == [False] * 3
        assert promised["resources"]["subscribe"]
        if era == "auto":
            listed: Any = await client.list_tools()
            assert listed.ttl_ms == 3_600_000


@pytest.mark.parametrize("name", [".", "..", "..."])
async def test_an_id_is_never_a_step_in_a_path(world: World, name: str) -> None:
    app = world.app()
    async with app.run(), Client(app.mcp) as client:
        assert "migration_id" in await refused(client, "migration_status", migration_id=name)
        assert "migration_id" in await refused(
            client, "plan_migration", source="here", target="there", migration_id=name
        )
        await call(client, "list_migrations")


def test_figures_of_migrations_are_forgotten_in_the_end() -> None:
    metrics = Metrics()
    for number in range(MOST_MIGRATIONS + 50):
        metrics._count_commit(f"m{number}")  # pyright: ignore[reportPrivateUsage]
    samples = [item for family in metrics.commits.collect() for item in family.samples if item.name.endswith("_total")]
    assert len(samples) == MOST_MIGRATIONS
