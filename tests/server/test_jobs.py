"""Work outlives its caller: disconnects, kills, restarts, several agents, the command line beside the server."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from mcp import Client

from tests.cli.process import Shell
from tests.server.requirements import requirement
from tests.server.toy import Way, connected
from tests.server.world import (
    ADMIN_KEY,
    MANY,
    OTHER_KEY,
    SLOW,
    Era,
    World,
    call,
    on_http,
    plan,
    refused,
    start,
    until,
    until_moving,
)
from vectormigrate import registry
from vectormigrate.server.access import auth
from vectormigrate.server.app import App
from vectormigrate.server.runtime.jobs import Job

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def talking(world: World, *, resume_on_start: bool = False) -> AsyncGenerator[tuple[App, Client]]:
    app = world.app(resume_on_start=resume_on_start)
    async with app.run(), Client(app.mcp) as client:
        yield app, client


def edge(folder: Path) -> World:
    """A world whose collections are files, so that several processes can work on them."""
    world = World(folder, "qdrant_edge")
    world.write()
    return world


@requirement("jobs:disconnect")
@pytest.mark.parametrize(("way", "era"), [("sse", "auto"), ("sse", "legacy"), ("http", "auto"), ("http", "legacy")])
async def test_a_migration_goes_on_when_its_client_is_gone(world: World, way: Way, era: Era) -> None:
    async with on_http(world) as (app, url):
        async with connected(url, way, era, ADMIN_KEY) as first:
            await start(first, rate_limit=200.0, batch_size=10)
            await until_moving(first, "docs")
            seen = await call(first, "migration_status", migration_id="docs")
        async with connected(url, "http", "auto", ADMIN_KEY) as second:
            ended = await call(second, "wait_migration", migration_id="docs")
            assert (ended["status"], ended["progress"]["migrated_records"]) == ("completed", 60)
            assert seen["started_at"] == ended["started_at"]
            assert app.context.jobs.find("docs") is not None


@requirement("jobs:stop")
async def test_a_migration_is_stopped_and_goes_on_where_it_stood(world: World) -> None:
    await world.seed(MANY, "docs-many")
    async with talking(world) as (_, client):
        await start(client, source_collection="docs-many", **SLOW)
        await until_moving(client, "docs")
        stopped = await call(client, "stop_migration", migration_id="docs")
        assert (stopped["status"], stopped["job"]["state"]) == ("stopped", "stopped")
        migrated = stopped["progress"]["migrated_records"]
        assert 0 < migrated < MANY
        assert await world.count() == migrated
        assert "resume_migration" in await refused(client, "stop_migration", migration_id="docs")
        await call(client, "resume_migration", migration_id="docs")
        at_once = await call(client, "stop_migration", migration_id="docs")
        assert (at_once["status"], at_once["job"]["state"]) == ("stopped", "stopped")
        await call(client, "resume_migration", migration_id="docs")
        await until(client, "docs", runner_alive=True)
        assert "wait_migration" in await refused(client, "resume_migration", migration_id="docs")
        again = await call(client, "stop_migration", migration_id="docs")
        assert again["progress"]["migrated_records"] >= migrated


@requirement("jobs:kill")
async def test_a_server_that_ended_is_followed_by_one_that_goes_on(world: World) -> None:
    await world.seed(MANY, "docs-many")
    async with talking(world) as (_, client):
        await start(client, source_collection="docs-many", **SLOW)
        await until_moving(client, "docs")
    async with talking(world) as (app, client):
        left = await call(client, "migration_status", migration_id="docs")
        assert (left["status"], left["job"]) == ("stopped", None)
        assert app.context.jobs.running == []
    async with talking(world, resume_on_start=True) as (app, client):
        await until(client, "docs", runner_alive=True)
        assert [job.migration_id for job in app.context.jobs.running] == ["docs"]
        await call(client, "stop_migration", migration_id="docs")
    async with talking(world, resume_on_start=True) as (app, client):
        assert (await call(client, "migration_status", migration_id="docs"))["status"] == "stopped"
        assert app.context.jobs.running == [], "a migration that somebody stopped stays stopped"
        await call(client, "resume_migration", migration_id="docs")
        await until(client, "docs", runner_alive=True)
    async with talking(world, resume_on_start=True) as (app, _):
        assert [job.migration_id for job in app.context.jobs.running] == ["docs"]


async def test_a_job_has_no_rights_of_the_caller_who_started_it(world: World) -> None:
    async def who(job: Job) -> str:
        return auth.caller().name

    app = world.app()
    async with app.run():
        with auth.as_caller(auth.LOCAL):
            job = app.context.jobs.start("run", "docs", "local", who)
        await job.ended.wait()
        assert (job.state, job.result) == ("finished", "nobody")


@requirement("jobs:kill")
async def test_a_first_server_has_nothing_to_go_on_with(world: World) -> None:
    async with talking(world, resume_on_start=True) as (app, client):
        assert (await call(client, "list_migrations"))["total"] == 0
        assert app.context.jobs.running == []


@requirement("jobs:kill", "serve:end")
async def test_a_killed_process_is_followed_by_one_that_goes_on(tmp_path: Path) -> None:
    world = edge(tmp_path)
    await world.seed(400)
    async with Client(world.stdio()) as client:
        await start(client, rate_limit=100.0, batch_size=10)
        await until_moving(client, "docs")
        pid = await _runner(world)
        os.kill(pid, signal.SIGKILL)
    shell = Shell(world.folder, {"VECTORMIGRATE_STATE": str(world.settings.state)})
    dead = shell.run("status", "docs", "--json").document
    assert (dead["status"], dead["runner_alive"]) == ("in_progress", False)
    async with Client(world.stdio("--resume-on-start")) as client:
        ended = await call(client, "wait_migration", migration_id="docs")
        assert (ended["status"], ended["progress"]["migrated_records"]) == ("completed", 400)
        proved = await call(client, "validate_migration", migration_id="docs", full=True)
        assert proved["passed"]


async def _runner(world: World) -> int:
    """The process that holds the lease."""
    with sqlite3.connect(world.settings.state) as file:
        return file.execute("SELECT pid FROM lease WHERE migration_id = 'docs'").fetchone()[0]


@requirement("jobs:two-agents")
async def test_two_agents_work_at_once_and_one_migration_has_one_runner(world: World) -> None:
    async with (
        on_http(world) as (_, url),
        connected(url, "sse", "legacy", ADMIN_KEY) as ada,
        connected(url, "http", "auto", OTHER_KEY) as bob,
    ):
        mine = await plan(ada, migration_id="ada", target_collection="docs-a")
        his = await plan(bob, migration_id="bob", target_collection="docs-b")
        async with anyio.create_task_group() as tasks:
            for who, planned in ((ada, mine), (bob, his)):
                for _ in range(3):
                    tasks.start_soon(_start, who, planned["plan_id"])
        for who in (ada, bob):
            for name in ("ada", "bob"):
                ended = await call(who, "wait_migration", migration_id=name)
                assert (ended["status"], ended["progress"]["migrated_records"]) == ("completed", 60)
        answers: list[dict[str, object]] = []
        async with anyio.create_task_group() as tasks:
            for who in (ada, bob):
                tasks.start_soon(_collect, answers, who)
        assert [answer["passed"] for answer in answers] == [True, True]
    assert (await world.count("docs-a"), await world.count("docs-b")) == (60, 60)


async def _start(client: Client, plan_id: str) -> None:
    answer = await call(client, "start_migration", plan_id=plan_id)
    assert answer["state"] in ("started", "already_started")


async def _collect(answers: list[dict[str, object]], client: Client) -> None:
    answers.append(await call(client, "validate_migration", migration_id="ada", full=True))


@requirement("jobs:shared-with-cli")
async def test_the_command_line_and_the_server_see_each_others_migrations(tmp_path: Path) -> None:
    world = edge(tmp_path)
    await world.seed(400)
    shell = Shell(world.folder, {"VECTORMIGRATE_STATE": str(world.settings.state), "CANARY": "canary-value"})
    ends = ["--source", "here", "--target", "there", "--target-collection", "docs-cli"]
    async with talking(world) as (_, client):
        started = await anyio.to_thread.run_sync(
            lambda: shell.run("migrate", "cli", *ends, "--rate-limit", "4", "--batch-size", "10", "--detach")
        )
        assert started.code == 0, started.err
        await until_moving(client, "cli")
        typed = {"migration_id": "cli", "confirm_target": "docs-cli"}
        assert "being run by" in await refused(client, "rollback_migration", **typed)
        stopped = await call(client, "stop_migration", migration_id="cli")
        assert stopped["status"] == "stopped"
        await call(client, "resume_migration", migration_id="cli")
        await until(client, "cli", runner_alive=True)
        halted = await anyio.to_thread.run_sync(lambda: shell.run("stop", "cli", "--json"))
        assert (halted.code, halted.document["status"]) == (0, "stopped")
        seen = await call(client, "wait_migration", migration_id="cli")
        assert (seen["finished"], seen["status"], seen["job"]["state"]) == (True, "stopped", "stopped")


@requirement("wait:bounded")
async def test_waiting_ends_in_time_and_reports_progress(world: World) -> None:
    await world.seed(MANY, "docs-many")
    heard: list[float] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append(progress)
        assert total == 100.0
        assert message

    async with talking(world) as (_, client):
        await start(client, source_collection="docs-many", **SLOW)
        result = await client.call_tool(
            "wait_migration", {"migration_id": "docs", "max_wait_seconds": 1.2}, progress_callback=hear
        )
        answer = result.structured_content
        assert answer is not None
        assert (answer["finished"], answer["status"]) == (False, "in_progress")
        assert "wait_migration" in answer["next_step"]
        assert heard
        assert heard == sorted(set(heard))
        assert "50" in await refused(client, "wait_migration", migration_id="docs", max_wait_seconds=51)


@requirement("validate:background")
async def test_a_validation_goes_on_in_the_background_and_can_be_joined(world: World) -> None:
    async with talking(world) as (app, client):
        await start(client)
        await call(client, "wait_migration", migration_id="docs")
        first = await call(client, "validate_migration", migration_id="docs", full=True, max_wait_seconds=0)
        assert (first["state"], first["passed"]) == ("running", None)
        job = app.context.jobs.find("docs")
        second = await call(client, "validate_migration", migration_id="docs", full=True)
        assert (second["state"], second["passed"]) == ("finished", True)
        assert app.context.jobs.find("docs") is job
        report = await call(client, "migration_report", migration_id="docs")
        assert report["validation"]["passed"]


@requirement("validate:background")
async def test_a_validation_that_fails_says_what_differs(world: World) -> None:
    async with talking(world) as (_, client):
        await start(client)
        await call(client, "wait_migration", migration_id="docs")
        spec = registry.load("memory")
        async with spec.open(spec.config(url=world.url("there"), collection="docs")) as collection:
            await collection.delete([3], "")
        found = await call(client, "validate_migration", migration_id="docs", full=True)
        assert (found["passed"], found["report"]["missing"]) == (False, 1)
        assert found["report"]["differences"][0]["source_id"] == "i:3"
        assert "--repair" in found["next_step"]


async def test_a_run_that_fails_in_the_background_tells_whoever_asks_next(world: World) -> None:
    async with talking(world) as (_, client):
        planned = await plan(client)
        spec = registry.load("memory")
        async with spec.open(spec.config(url=world.url("here"), collection="docs")) as collection:
            await collection.drop()
        await call(client, "start_migration", plan_id=planned["plan_id"])
        ended = await call(client, "wait_migration", migration_id="docs")
        assert (ended["finished"], ended["job"]["state"]) == (True, "failed")
        assert "no collection 'docs'" in ended["job"]["error"]
        assert "resume_migration" in ended["next_step"]
