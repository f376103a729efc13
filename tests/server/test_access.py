"""What agents may touch, and what they never see."""

from __future__ import annotations

import json
import logging
from typing import Any

import httpx2
import pytest
from mcp import Client, MCPError

from tests.server.requirements import requirement
from tests.server.toy import bearer, connected
from tests.server.world import ADMIN_KEY, CANARY, KEYS, World, call, on_http, plan, refused, start
from vectormigrate.config.request import MigrationRequest
from vectormigrate.config.settings import Endpoint
from vectormigrate.model.plan import RunOptions

pytestmark = pytest.mark.anyio


@requirement("access:allow-list")
async def test_only_collections_of_the_list_can_be_named(world: World) -> None:
    await world.seed(10, "private")
    app = world.app()
    async with app.run(), Client(app.mcp) as client:
        ends = {"source": "here", "target": "there", "target_collection": "docs"}
        for tool, arguments in [
            ("describe_collection", {"connection": "here", "collection": "private"}),
            ("schema_recommendation", {"source": "here", "source_collection": "private", "target_type": "memory"}),
            ("plan_migration", {**ends, "source_collection": "private"}),
            ("plan_migration", {**ends, "target_collection": "private"}),
            ("describe_collection", {"connection": "closed", "collection": "docs"}),
        ]:
            text = await refused(client, tool, **arguments)
            assert "is not open to agents" in text
            assert "collections = [...]" in text
        listed = await call(client, "list_connections")
        patterns = {item["name"]: item["collections"] for item in listed["connections"]}
        assert patterns["here"] == ["docs*"]
        assert patterns["closed"] == []


@requirement("access:allow-list")
async def test_what_was_not_found_names_no_collection_beyond_the_list(world: World) -> None:
    await world.seed(10, "my-docs2")
    app = world.app()
    async with app.run(), Client(app.mcp) as client:
        text = await refused(client, "describe_collection", connection="here", collection="docs2")
        assert "no collection 'docs2'" in text
        assert "my-docs2" not in text


@requirement("access:allow-list")
async def test_only_collections_of_the_list_are_listed(world: World) -> None:
    for name in ("private", "docs2"):
        await world.seed(10, name)
    app = world.app()
    async with app.run(), Client(app.mcp) as client:
        found = await call(client, "list_collections", connection="here")
        assert [item["name"] for item in found["collections"]] == ["docs", "docs2"]
        assert "private" not in json.dumps(found)
        cut = await call(client, "list_collections", connection="here", limit=1)
        assert [item["name"] for item in cut["collections"]] == ["docs"]
        assert cut["total"] == found["total"] == 2
        nothing = await call(client, "list_collections", connection="closed")
        assert (nothing["collections"], nothing["total"]) == ([], 0)


@requirement("access:allow-list")
async def test_migrations_that_began_elsewhere_keep_to_the_list(world: World) -> None:
    """Of a migration between places that agents may not touch they see the progress and no more."""
    app = world.app()
    service = app.context.service()
    await world.seed(10, "private")
    for name, source in [
        ("private", Endpoint(connection="here", collection="private")),
        ("inline", Endpoint(type="memory", url=world.url("here"), collection="docs")),
    ]:
        target = Endpoint(connection="there", collection=f"docs-{name}")
        await service.migrate(MigrationRequest(id=name, source=source, target=target), RunOptions())
    async with app.run(), Client(app.mcp) as client:
        for name in ("private", "inline"):
            status = await call(client, "migration_status", migration_id=name)
            assert (status["status"], status["progress"]["percentage"]) == ("completed", 100.0)
            waited = await call(client, "wait_migration", migration_id=name)
            assert waited["finished"]
            read = await client.read_resource(f"migration://{name}/status")
            prompted = await client.get_prompt("diagnose_migration", {"migration_id": name})
            for seen in (json.dumps(status), json.dumps(waited), read.model_dump_json(), prompted.model_dump_json()):
                assert world.url("here") not in seen
                assert world.url("there") not in seen
            for part in ("plan", "report"):
                with pytest.raises(MCPError, match="agents"):
                    await client.read_resource(f"migration://{name}/{part}")
            for tool in (
                *("migration_report", "list_rejects", "validate_migration"),
                *("resume_migration", "stop_migration", "rollback_migration"),
                *("cutover_migration", "reverse_migration", "complete_migration"),
            ):
                asks = tool.startswith(("rollback", "cutover", "reverse", "complete"))
                arguments = {"confirm_target": f"docs-{name}"} if asks else {}
                text = await refused(client, tool, migration_id=name, **arguments)
                assert "agents" in text, tool
    assert await world.count("docs-private") == 10


@requirement("access:allow-list")
async def test_a_list_that_became_narrower_holds_for_plans_that_were_made_before(world: World) -> None:
    app = world.app()
    async with app.run(), Client(app.mcp) as client:
        planned = await plan(client)
    world.config.write_text(world.config.read_text().replace('"docs*"', '"other"'))
    later = world.app()
    async with later.run(), Client(later.mcp) as client:
        text = await refused(client, "start_migration", plan_id=planned["plan_id"])
        assert "is not open to agents" in text


@requirement("access:inline")
async def test_urls_are_taken_on_stdio_with_the_flag_only(world: World) -> None:
    inline = f"memory={world.url('here')}"
    for app in (world.app(), world.app(local=False, inline=True, keys=KEYS)):
        assert not app.context.access.inline
    closed = world.app()
    async with closed.run(), Client(closed.mcp) as client:
        text = await refused(client, "describe_collection", connection=inline, collection="docs")
        assert "not accepted by this server" in text
        assert "not accepted by this server" in await refused(client, "list_collections", connection=inline)
        assert world.url("here") not in text
    opened = world.app(inline=True)
    async with opened.run(), Client(opened.mcp) as client:
        found = await call(client, "describe_collection", connection=inline, collection="docs")
        assert found["records"] == 60
        listed = await call(client, "list_collections", connection=inline)
        assert [item["name"] for item in listed["collections"]] == ["docs"]
        planned = await plan(client, source=inline, source_collection="docs")
        await call(client, "start_migration", plan_id=planned["plan_id"])
        assert (await call(client, "wait_migration", migration_id="docs"))["status"] == "completed"
        secret = "postgres=http://user:sk-in-the-url@h/x?token=sk-in-the-query"
        for word in ("sk-in-the-url", "sk-in-the-query"):
            assert word not in await refused(client, "describe_collection", connection=secret, collection="docs")


@requirement("access:secrets")
async def test_the_canary_is_in_no_answer_log_metric_or_audit_line(
    world: World, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    from vectormigrate.server.telemetry.logs import JsonLines

    world.config.write_text(
        world.config.read_text()
        + f"""
        [connections.literal]
        type = "qdrant"
        url = "http://user:{CANARY}-password@127.0.0.1:9/{CANARY}-path?token={CANARY}-query"
        api_key = "{CANARY}-literal"
        collections = ["*"]
        """
    )
    said: list[str] = []
    caplog.set_level(logging.DEBUG)
    async with on_http(world) as (app, url), httpx2.AsyncClient(timeout=60) as http:
        for era in ("auto", "legacy"):
            async with connected(url, "http", era, ADMIN_KEY) as client:
                if era == "auto":
                    await start(client)
                for tool in app.tools:
                    for arguments in _arguments(tool):
                        result = await client.call_tool(tool, arguments)
                        said.append(result.model_dump_json())
                said += [tool.model_dump_json() for tool in (await client.list_tools()).tools]
                said.append((await client.read_resource("migration://index")).model_dump_json())
        for tool in app.tools:
            for arguments in _arguments(tool):
                body = {"jsonrpc": "2.0", "id": 1, "method": tool, "params": arguments}
                said.append((await http.post(f"{url}/", json=body, headers=bearer(ADMIN_KEY))).text)
        for path in ("/metrics", "/readyz", "/healthz"):
            said.append((await http.get(url + path, headers=bearer(ADMIN_KEY))).text)
    logs = [JsonLines().format(record) for record in caplog.records if record.name.startswith(("vectormigrate", "mcp"))]
    audit = [path.read_text(errors="replace") for path in world.folder.glob("audit*")]
    state = [path.read_bytes().decode("latin-1") for path in world.folder.glob("state.db*")]
    assert len(logs) > 10
    assert audit
    assert state
    for text in [*said, *logs, *audit, *state, *capfd.readouterr()]:
        assert CANARY not in text
        assert ADMIN_KEY not in text


def _arguments(tool: str) -> list[dict[str, Any]]:
    """Ways to call it that touch the connections with secrets, and ways to put one into the arguments."""
    if tool == "start_migration":
        return [{"plan_id": CANARY, "request_id": CANARY}]
    if tool == "plan_migration":
        names = ("dead", "literal", f"{CANARY}-literal", f"http://u:{CANARY}@h/")
        ends = {"source_collection": "docs", "target": "there", "target_collection": "docs"}
        return [{"source": name, **ends} for name in names]
    if tool == "list_collections":
        return [{"connection": name} for name in ("dead", "literal")]
    if tool == "describe_collection":
        return [{"connection": name, "collection": "docs"} for name in ("dead", "literal")]
    if tool == "schema_recommendation":
        return [{"source": name, "source_collection": "docs", "target_type": "memory"} for name in ("dead", "literal")]
    if tool in ("list_migrations", "list_connections"):
        return [{}]
    return [{"migration_id": "docs"}]


@requirement("access:secrets")
async def test_no_answer_of_a_finished_migration_names_a_url_of_a_connection_with_a_password(world: World) -> None:
    app = world.app()
    async with app.run(), Client(app.mcp) as client:
        await start(client)
        await call(client, "wait_migration", migration_id="docs")
        listed = json.dumps(await call(client, "list_connections"))
        assert "127.0.0.1:9" not in listed
        assert world.url("here") not in listed


@requirement("access:allow-list")
async def test_a_list_that_became_narrower_holds_for_the_next_call_and_a_broken_file_changes_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vectormigrate.server.access.allow_list.LOOK_SECONDS", -1.0)
    app = world.app()
    async with app.run(), Client(app.mcp) as client:
        planned = await plan(client)
        await call(client, "describe_collection", connection="here")
        text = world.config.read_text()
        world.config.write_text(text.replace('"docs*"', '"other"'))
        for tool, arguments in (
            ("describe_collection", {"connection": "here", "collection": "docs"}),
            ("start_migration", {"plan_id": planned["plan_id"]}),
        ):
            assert "is not open to agents" in await refused(client, tool, **arguments)
        world.config.write_text("[connections.here\n")
        assert "is not open to agents" in await refused(
            client, "describe_collection", connection="here", collection="docs"
        )
        world.config.write_text(text)
        await call(client, "describe_collection", connection="here")
