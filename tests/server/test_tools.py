"""What the tools say of themselves, what they answer, and what they refuse."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcp import Client

from tests.cli.process import Shell
from tests.server.requirements import requirement
from tests.server.toy import connected
from tests.server.world import (
    ADMIN_KEY,
    READ_KEY,
    WRITE_KEY,
    Era,
    World,
    call,
    on_http,
    plan,
    refused,
    start,
)
from vectormigrate.config.settings import Endpoint
from vectormigrate.server.access import auth
from vectormigrate.server.app import App

pytestmark = pytest.mark.anyio

LOOKING = {
    *("list_migrations", "migration_status", "wait_migration", "migration_report", "list_rejects"),
    *("list_connections", "list_collections", "describe_collection", "schema_recommendation", "validate_migration"),
    "plan_migration",
}
WRITING = {"start_migration", "stop_migration", "resume_migration"}
SWITCHING = {"cutover_migration", "reverse_migration", "complete_migration"}
DESTROYING = {"start_migration", "resume_migration", "rollback_migration", *SWITCHING}
ALL = {*LOOKING, *WRITING, "rollback_migration", *SWITCHING}


@pytest.fixture(params=["auto", "legacy"])
def era(request: pytest.FixtureRequest) -> Era:
    return request.param


@pytest.fixture
async def client(world: World, era: Era) -> AsyncGenerator[Client]:
    app = world.app()
    async with app.run(), Client(app.mcp, mode=era) as made:
        yield made


@requirement("tools:schemas")
async def test_every_tool_tells_what_it_takes_gives_and_does(client: Client) -> None:
    tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert set(tools) == ALL
    for name, tool in tools.items():
        assert tool.title, name
        assert 20 < len(tool.description or "") < 400, name
        jsonschema.Draft202012Validator.check_schema(tool.input_schema)
        assert tool.input_schema["additionalProperties"] is False
        assert (tool.output_schema or {})["type"] == "object", name
        for argument, schema in tool.input_schema.get("properties", {}).items():
            assert "description" in schema or argument in ("sort_by", "sort_order"), f"{name}.{argument}"
        hints = tool.annotations
        assert hints is not None
        said = (hints.read_only_hint, hints.destructive_hint, hints.idempotent_hint, hints.open_world_hint)
        assert None not in said, name
        assert (hints.read_only_hint, hints.destructive_hint) == (name in LOOKING, name in DESTROYING)


@requirement("tools:original-shapes")
async def test_the_original_answers_have_exactly_their_fields(client: Client) -> None:
    await start(client)
    await call(client, "wait_migration", migration_id="docs")
    status = await call(client, "migration_status", migration_id="docs")
    original = {"migration_id", "status", "progress", "batches_processed", "started_at", "ended_at"}
    assert original <= set(status)
    assert {"phase", "rate", "eta_seconds", "rejects", "lag"} <= set(status)
    assert status["progress"] == {"total_records": 60, "migrated_records": 60, "percentage": 100.0}
    listed = await call(client, "list_migrations")
    assert set(listed) == {"migrations", "total", "limit", "offset"}
    [line] = listed["migrations"]
    assert line == {
        "migration_id": "docs",
        "status": "completed",
        "created_at": line["created_at"],
        "progress": {"total": 60, "current": 60, "percent": 100.0},
    }
    fields = {"title": "string", "year": "integer"}
    schema = await call(
        client, "schema_recommendation", source_type="pinecone", target_type="milvus", source_schema=fields
    )
    assert set(schema) == {"source_type", "target_type", "field_mappings", "overall_confidence", "warnings"}
    assert {"title", "year"} <= {mapping["source_field"] for mapping in schema["field_mappings"]}
    for mapping in schema["field_mappings"]:
        assert set(mapping) == {"source_field", "target_field", "confidence", "conversion_needed", "notes"}


async def test_a_schema_is_recommended_for_a_collection_that_is_looked_at(client: Client) -> None:
    found = await call(client, "schema_recommendation", source="here", target_type="memory")
    assert found["source_type"] == "memory"
    assert {"title", "deep.n"} <= {mapping["source_field"] for mapping in found["field_mappings"]}


@requirement("tools:list-pages")
async def test_the_list_filters_sorts_and_pages(client: Client) -> None:
    for name in ("c", "a", "b"):
        await start(client, migration_id=name, target_collection=f"docs-{name}")
        await call(client, "wait_migration", migration_id=name)
    await call(client, "rollback_migration", migration_id="a", confirm_target="docs-a")

    async def ids(**arguments: Any) -> tuple[list[str], int]:
        found = await call(client, "list_migrations", **arguments)
        return [item["migration_id"] for item in found["migrations"]], found["total"]

    assert await ids() == (["b", "a", "c"], 3)
    assert await ids(sort_order="asc") == (["c", "a", "b"], 3)
    assert await ids(sort_by="migration_id", sort_order="asc", limit=2) == (["a", "b"], 3)
    assert await ids(sort_by="migration_id", sort_order="asc", limit=2, offset=2) == (["c"], 3)
    assert await ids(status="completed", sort_by="migration_id", sort_order="asc") == (["b", "c"], 2)
    assert await ids(status="failed") == ([], 0)
    assert "less than or equal to 200" in await refused(client, "list_migrations", limit=1000)


@requirement("tools:errors-tell")
async def test_expected_failures_name_the_tool_that_helps(client: Client) -> None:
    assert "list_migrations" in await refused(client, "migration_status", migration_id="nope")
    assert "no connection 'nope'" in await refused(client, "describe_collection", connection="nope")
    assert "which collection" in await refused(client, "describe_collection", connection="there")
    assert "no collection 'docs2'" in await refused(
        client, "describe_collection", connection="here", collection="docs2"
    )
    dead = await refused(client, "describe_collection", connection="dead", collection="docs")
    assert "qdrant" in dead
    assert "source and target missing" in await refused(client, "plan_migration")
    assert "plan_migration(source=" in await refused(client, "start_migration", source="here", dry_run=True)
    await start(client)
    await call(client, "wait_migration", migration_id="docs")
    again = await refused(client, "resume_migration", migration_id="docs")
    assert "validate_migration(migration_id='docs')" in again
    assert "vectormigrate " not in again
    taken = await refused(
        client, "plan_migration", source="here", target="there", target_collection="docs", migration_id="other"
    )
    assert "into_existing=true" in taken
    assert "exists already" in await refused(
        client, "plan_migration", source="here", target="there", target_collection="docs9", migration_id="docs"
    )


@requirement("tools:unknown-arguments")
async def test_arguments_that_do_not_fit_are_refused_by_name_and_without_their_value(client: Client) -> None:
    secret = "sk-very-secret"
    text = await refused(client, "plan_migration", source="here", target="there", namespace=[secret])
    assert "unknown argument 'namespace'" in text
    assert "namespaces" in text
    assert secret not in text
    text = await refused(client, "migration_status", migration_id=f"{secret}/..")
    assert text.startswith("wrong arguments: migration_id:")
    assert secret not in text
    assert "limit" in await refused(client, "list_migrations", limit=secret)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@requirement("tools:no-crash")
@pytest.mark.parametrize("name", sorted(ALL))
async def test_no_argument_makes_a_tool_fail_unexpectedly(world: World, name: str) -> None:
    app = world.app()
    async with app.run():
        known = sorted(app.tools[name].argument_names - {"max_wait_seconds", "sample"})
        arguments = st.dictionaries(st.sampled_from([*known, "other"]), JSON | st.sampled_from(["here", "docs"]))

        @settings(
            max_examples=15,
            database=None,
            suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
        )
        @given(given_arguments=arguments)
        def drawn(given_arguments: dict[str, Any]) -> None:
            seen.append(given_arguments)

        seen: list[dict[str, Any]] = []
        drawn()
        async with Client(app.mcp) as client:
            for drawn_arguments in seen:
                result = await client.call_tool(name, drawn_arguments)
                text = " ".join(getattr(block, "text", "") for block in result.content)
                assert text != f"Error executing tool {name}", drawn_arguments
                assert text


@requirement("tools:scopes")
async def test_each_tool_needs_its_scope(world: World) -> None:
    async with on_http(world) as (_, url):
        async with connected(url, "http", "auto", READ_KEY) as reader:
            assert (await call(reader, "list_migrations"))["total"] == 0
            for name in WRITING:
                arguments = {"plan_id": "p"} if name == "start_migration" else {"migration_id": "docs"}
                assert "migrations:write" in await refused(reader, name, **arguments)
        async with connected(url, "sse", "legacy", WRITE_KEY) as writer:
            await start(writer)
            await call(writer, "wait_migration", migration_id="docs")
            text = await refused(writer, "rollback_migration", migration_id="docs", confirm_target="docs")
            assert "migrations:admin" in text
        async with connected(url, "http", "legacy", ADMIN_KEY) as admin:
            await call(admin, "rollback_migration", migration_id="docs", confirm_target="docs")


@requirement("tools:scopes")
async def test_without_a_caller_nothing_can_be_called(world: World) -> None:
    app: App = world.app()
    with auth.as_caller(auth.NOBODY), pytest.raises(Exception, match="migrations:read"):
        await app.tools["list_migrations"].run({}, context=None)  # pyright: ignore[reportArgumentType]


@requirement("tools:parity")
async def test_tools_command_line_and_library_tell_the_same(world: World) -> None:
    app = world.app()
    async with app.run(), Client(app.mcp) as client:
        planned = await plan(client)
        await start(client, migration_id="docs")
        await call(client, "wait_migration", migration_id="docs")
        await call(client, "validate_migration", migration_id="docs", full=True)
        status = await call(client, "migration_status", migration_id="docs")
        report = await call(client, "migration_report", migration_id="docs", details=True)
        rejects = await call(client, "list_rejects", migration_id="docs")
        listed = await call(client, "list_migrations", sort_order="asc")
        service = app.context.service()
        library = await service.status("docs")
        stored = await service.stored_plan("docs")
        verdict = await service.last_validation("docs")
        assert verdict is not None
    shell = Shell(world.folder, {"VECTORMIGRATE_STATE": str(world.settings.state)})
    cli = shell.run("status", "docs", "--json").document
    cli_list = shell.run("list", "--json").document["migrations"]

    assert cli["total_records"] == status["progress"]["total_records"] == library.total_records
    assert cli["migrated_records"] == status["progress"]["migrated_records"] == library.migrated_records
    assert cli["percentage"] == status["progress"]["percentage"] == library.percentage
    for field in ("status", "phase", "started_at", "ended_at", "runner_alive", "stop_requested", "source", "target"):
        assert cli[field] == status[field] == json.loads(json.dumps(asdict(library)))[field], field
    assert (cli["batches"], cli["rejected_records"]) == (status["batches_processed"], status["rejects"])
    assert [item["id"] for item in cli_list] == [item["migration_id"] for item in listed["migrations"]]
    assert cli["reject_codes"] == rejects["by_code"] == report["rejects_by_code"] == {}
    assert cli["validation"]["passed"] == report["validation"]["passed"] == verdict.passed is True
    assert cli["validation"]["diff"]["compared"] == report["validation"]["compared"] == 60
    assert report["details"]["started_at"] == verdict.started_at
    assert planned["plan"]["losses"] == report["plan"]["losses"] == [asdict(loss) for loss in stored.losses]


@requirement("tools:parity")
async def test_tools_command_line_and_library_list_the_same_collections(tmp_path: Path) -> None:
    world = World(tmp_path, "qdrant_edge", "parity")
    world.write()
    await world.seed()
    await world.seed(10, "docs2")
    app = world.app()
    async with app.run(), Client(app.mcp) as client:
        listed = await call(client, "list_collections", connection="here")
        library = await app.context.service().collections(Endpoint(connection="here", collection=""))
    shell = Shell(world.folder, {"VECTORMIGRATE_CONFIG": str(world.config), "CANARY": "x"})
    cli = shell.run("collections", "here", "--json").document
    assert cli == json.loads(json.dumps(asdict(library)))
    assert cli["server"] == listed["server"]
    assert [(item["name"], item["records"]) for item in cli["collections"]] == [("docs", 60), ("docs2", 10)]
    for one, other in zip(cli["collections"], listed["collections"], strict=True):
        assert (one["name"], one["records"], one["problem"]) == (other["name"], other["records"], other["problem"])
        assert [(v["name"], v["kind"], v["dim"]) for v in one["vectors"]] == [
            (v["name"], v["kind"], v["dim"]) for v in other["vectors"]
        ]
