"""SIGKILL at every hop and at random moments: after the last resume the target holds the source, no more, no less.

The hop before a write to an existing target is in tests/engine/test_existing.py.
"""

from __future__ import annotations

import random
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.crash.support import NAMESPACES, Cli, fill, kill, migrate_args
from tests.edge_reader import read_shard
from vectormigrate.config.settings import Endpoint
from vectormigrate.engine.failpoints import PLACES

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(1200)]

PER_NAMESPACE = 3000
ROUNDS_BY_PLACE = 30
ROUNDS_BY_TIME = 30
FLAGS = ("--batch-size", "10", "--partitions", "5", "--validate-every", "7")


class Pair:
    """A filled source and a target that does not exist yet, both in one Edge folder."""

    def __init__(self, folder: Path) -> None:
        self.source = Endpoint(type="qdrant_edge", url=str(folder / "edge"), collection="source")
        self.cli = Cli(folder / "state.db")
        self.number = 0
        self.renew()

    def renew(self) -> None:
        """The next migration, to a target of its own."""
        self.number += 1
        self.job = f"job{self.number}"
        self.target = replace(self.source, collection=f"target{self.number}")
        self.migrate = migrate_args(self.job, self.source, self.target, *FLAGS)

    def finish(self) -> None:
        """Let it come to its end, if it has not; then both sides are equal."""
        if self.cli.json("status", self.job)["status"] != "completed":
            done = self.cli.run("resume", self.job)
            assert done.returncode == 0, done.stderr
        self.assert_equal()

    def go_on(self, env: dict[str, str]) -> int:
        """Start or resume the migration and let the failpoint kill it; the exit code."""
        return self.cli.run(*self.migrate, env=env).returncode

    def assert_equal(self) -> None:
        """Compare what the vendor's package reads from both shards."""
        source, target = read_shard(self.source), read_shard(self.target)
        assert len(source) == PER_NAMESPACE * len(NAMESPACES)
        assert target == source


@pytest.fixture
async def pair(tmp_path: Path) -> Pair:
    pair = Pair(tmp_path)
    await fill(pair.source, PER_NAMESPACE)
    return pair


@pytest.mark.parametrize(
    "place", [place for place in PLACES if place not in ("intents", "frozen", "drained", "verified", "flipped")]
)
async def test_a_kill_at_this_hop_loses_and_doubles_nothing(pair: Pair, place: str) -> None:
    first = pair.cli.run(*pair.migrate, env={"VECTORMIGRATE_FAILPOINT": f"{place}:1"})
    assert first.returncode == -9, first.stderr
    pair.finish()
    status = pair.cli.json("status", pair.job)
    assert status["status"] == "completed"
    assert status["migrated_records"] == status["total_records"] == PER_NAMESPACE * len(NAMESPACES)


async def test_many_kills_at_random_hops_lose_and_double_nothing(pair: Pair) -> None:
    rng = random.Random(20)
    copying = ("page_read", "before_write", "after_write", "before_commit", "after_commit")
    killed = 0
    while killed < ROUNDS_BY_PLACE:
        place = rng.choice(copying)
        code = pair.go_on({"VECTORMIGRATE_FAILPOINT": f"{place}:{rng.randint(1, 3)}"})
        assert code in (0, -9)
        killed += code == -9
        if code == 0:
            pair.assert_equal()
            pair.renew()
    pair.finish()


async def test_many_kills_at_random_moments_lose_and_double_nothing(pair: Pair) -> None:
    rng = random.Random(21)
    killed = 0
    while killed < ROUNDS_BY_TIME:
        process = pair.cli.start(*pair.migrate, "--rate-limit", "400")
        try:
            out, err = process.communicate(timeout=0.4 + 1.2 * rng.random())
        except subprocess.TimeoutExpired:
            kill(process)
            killed += 1
            continue
        assert process.returncode == 0, out + err
        pair.assert_equal()
        pair.renew()
    assert pair.cli.run(*pair.migrate, "--rate-limit", "1000000").returncode in (0, 4)
    pair.assert_equal()
