"""One runner per migration, several migrations per state file, stops from elsewhere: with real processes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.crash.support import Cli, fill, kill, migrate_args
from tests.edge_reader import read_shard
from vectormigrate.config.settings import Endpoint

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]

RECORDS = 2000
SLOW = ("--batch-size", "5", "--rate-limit", "10")
"""Would take minutes: nobody waits for its end, and no machine is so slow that it comes first."""
"""Long enough for every command that is tried meanwhile; the run never comes to its end at this speed."""


class World:
    """A filled source; targets and a command line beside it."""

    def __init__(self, folder: Path) -> None:
        self.source = Endpoint(type="qdrant_edge", url=str(folder / "edge"), collection="source")
        self.target = replace(self.source, collection="target")
        self.cli = Cli(folder / "state.db")
        self.migrate = migrate_args("job", self.source, self.target)

    def wait_for(self, condition: Callable[[dict[str, object]], bool]) -> None:
        """Until the status of the migration is so; fails after a minute."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            done = self.cli.run("list", "--json")
            if '"job"' in done.stdout and condition(self.cli.json("status", "job")):
                return
        raise AssertionError("the migration did not get there")

    def assert_equal(self) -> None:
        source = read_shard(self.source)
        assert len(source) == RECORDS
        assert read_shard(self.target) == source


@pytest.fixture
async def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    await fill(world.source, RECORDS, namespaces=("",))
    return world


def copying(status: dict[str, object]) -> bool:
    """Some pages are settled and the runner lives."""
    return bool(status["migrated_records"]) and bool(status["runner_alive"])


async def test_a_second_run_is_refused_while_the_first_lives_and_takes_over_when_it_died(world: World) -> None:
    first = world.cli.start(*world.migrate, *SLOW)
    try:
        world.wait_for(copying)
        for words, code in ((world.migrate, 75), (["resume", "job"], 4), (["rollback", "job", "--force"], 4)):
            second = world.cli.run(*words)
            assert second.returncode == code, second.stderr
            assert "is being run by another process" in second.stderr
        assert first.poll() is None
    finally:
        kill(first)
    over = world.cli.run(*world.migrate, "--rate-limit", "1000000")
    assert over.returncode == 0, over.stderr
    world.assert_equal()


async def test_stop_from_elsewhere_ends_the_run_with_a_checkpoint_and_exit_code_0(world: World) -> None:
    runner = world.cli.start(*world.migrate, *SLOW)
    try:
        world.wait_for(copying)
        stopped = world.cli.run("stop", "job")
        out, err = runner.communicate(timeout=60)
    finally:
        kill(runner)
    assert stopped.returncode == 0, stopped.stderr
    assert runner.returncode == 0, out + err
    status = world.cli.json("status", "job")
    assert status["status"] == "stopped"
    assert not status["runner_alive"]
    held = len(read_shard(world.target))
    assert held == status["migrated_records"] < RECORDS
    assert world.cli.run("resume", "job", "--rate-limit", "1000000").returncode == 0
    world.assert_equal()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_the_run_cleanly_and_names_the_way_to_go_on(world: World, number: int) -> None:
    runner = world.cli.start(*world.migrate, *SLOW)
    try:
        world.wait_for(copying)
        os.kill(runner.pid, number)
        out, err = runner.communicate(timeout=60)
    finally:
        kill(runner)
    assert runner.returncode == 130, out + err
    assert "vectormigrate resume job" in err + out
    status = world.cli.json("status", "job")
    assert status["status"] == "stopped"
    assert len(read_shard(world.target)) == status["migrated_records"]
    assert world.cli.run("resume", "job", "--rate-limit", "1000000").returncode == 0
    world.assert_equal()


async def test_two_migrations_share_a_state_file_and_run_at_once(world: World, tmp_path: Path) -> None:
    other = Endpoint(type="qdrant_edge", url=str(tmp_path / "other"), collection="source")
    await fill(other, RECORDS, namespaces=("",))
    other_target = replace(other, collection="target")
    pace = ("--batch-size", "20", "--rate-limit", "200")
    one = world.cli.start(*world.migrate, *pace)
    two = world.cli.start(*migrate_args("job2", other, other_target), *pace)
    try:
        ends = [process.communicate(timeout=100) for process in (one, two)]
    finally:
        kill(one)
        kill(two)
    assert (one.returncode, two.returncode) == (0, 0), ends
    world.assert_equal()
    assert read_shard(other_target) == read_shard(other)
    done = {item["id"]: item for item in world.cli.json("list")["migrations"]}
    assert {name: item["status"] for name, item in done.items()} == {"job": "completed", "job2": "completed"}
    # Each takes ten seconds at this pace, so that they ran at once however slowly a process starts.
    assert max(item["started_at"] for item in done.values()) < min(item["ended_at"] for item in done.values())
