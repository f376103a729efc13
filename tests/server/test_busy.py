"""A state file that another process keeps locked: calls are answered in time, runs go on."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest
from mcp import Client

from tests.server.requirements import requirement
from tests.server.world import MANY, SLOW, World, call, plan, refused, start, until, until_moving
from tests.state.test_busy import locked
from vectormigrate.errors import CollectionNotFound
from vectormigrate.server.runtime.context import CALL_SECONDS
from vectormigrate.state import connection as state_connection

pytestmark = pytest.mark.anyio


def state_of(world: World) -> Path:
    return world.folder / "state.db"


@requirement("jobs:busy-state")
async def test_a_start_on_a_locked_state_file_begins_nothing_and_the_same_call_succeeds_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What has not the patience of a call waits for the end of the test.
    monkeypatch.setattr(state_connection, "PATIENCE", 1e6)
    app = world.app(call_seconds=0.1)
    async with app.run(), Client(app.mcp) as client:
        planned = await plan(client)
        given = {"plan_id": planned["plan_id"], "request_id": "r-1"}
        async with locked(state_of(world)):
            result = await client.call_tool("start_migration", given)
            assert result.is_error
            assert isinstance(result.structured_content, dict)
            error = result.structured_content["error"]
            assert (error["kind"], "try again" in error["message"]) == ("StateBusy", True)
            assert (await call(client, "list_migrations"))["total"] == 0
            assert app.context.jobs.running == []
        with pytest.raises(CollectionNotFound):
            await world.count()
        assert (await call(client, "start_migration", **given))["state"] == "started"
        assert (await call(client, "wait_migration", migration_id="docs"))["status"] == "completed"


@requirement("jobs:busy-state")
async def test_others_are_answered_while_a_call_waits_for_the_lock(world: World) -> None:
    app = world.app(call_seconds=60.0)
    answers: list[str] = []
    async with app.run(), Client(app.mcp) as client:
        planned = await plan(client)

        async def begin() -> None:
            answers.append((await call(client, "start_migration", plan_id=planned["plan_id"]))["state"])

        async with anyio.create_task_group() as tasks, locked(state_of(world)):
            tasks.start_soon(begin)
            for _ in range(20):
                assert (await call(client, "list_migrations"))["total"] == 0
            assert answers == []
        assert answers == ["started"]


@requirement("jobs:busy-state")
async def test_a_lock_keeps_calls_from_a_run_and_not_the_run_from_going_on(world: World) -> None:
    await world.seed(MANY, "docs-many")
    app = world.app(call_seconds=0.1)
    async with app.run(), Client(app.mcp) as client:
        await start(client, source_collection="docs-many", **SLOW)
        await until_moving(client, "docs")
        async with locked(state_of(world)):
            for tool in ("stop_migration", "stop_migration"):
                assert "try again" in await refused(client, tool, migration_id="docs")
            assert (await call(client, "migration_status", migration_id="docs"))["runner_alive"]
        before = (await call(client, "migration_status", migration_id="docs"))["progress"]["migrated_records"]
        status = await until(client, "docs", status="in_progress")
        while status["progress"]["migrated_records"] <= before:
            status = await call(client, "migration_status", migration_id="docs")
        assert status["runner_alive"]
        await call(client, "stop_migration", migration_id="docs")


def test_a_call_waits_less_than_five_seconds() -> None:
    assert CALL_SECONDS < 5
