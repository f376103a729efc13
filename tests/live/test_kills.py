"""Real processes are killed at every place that a live run passes, and at random: nothing is lost on either side."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import anyio
import anyio.to_thread
import orjson
import pytest

from tests.live.faults import fault
from tests.support.gateway import require_envoy
from vectormigrate.capture.journal.connection import connect
from vectormigrate.capture.journal.phase import position
from vectormigrate.capture.keys import Side
from vectormigrate.capture.phases import FROZEN, LivePhase, authority
from vectormigrate.cli.demo.live.checker import check
from vectormigrate.cli.demo.live.collection import COLLECTION, read_milvus, read_qdrant
from vectormigrate.cli.demo.live.history import read_history
from vectormigrate.cli.demo.live.processes import Child, Stage
from vectormigrate.config.settings import load_settings
from vectormigrate.model.live import LiveStatus
from vectormigrate.service import open_service

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.timeout(300)]

RECORDS = 400
COPYING = ("planned", "created", "before_write", "after_write", "before_commit", "copied", "finalized")
"""Of a copy; the others are passed in tests of the copy itself, too."""
SECONDS = 60


class Killing:
    """A live migration whose processes are killed."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.gateway = stage.start("gateway", "gateway", "shop")

    def run(self, *words: str, dies: str = "") -> Child:
        """A runner that dies when it comes to this place."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("VECTORMIGRATE_FAILPOINT", dies)
            return self.stage.start("runner", *words)

    async def dies(self, place: str, *words: str) -> None:
        """A runner, until it has died there."""
        child = self.run(*(words or ("resume", "shop")), dies=place)
        await self.until(place, lambda: child.ended is not None)
        assert child.ended == -signal.SIGKILL, (place, child.last_words())

    def phase(self) -> LivePhase:
        connection = connect(self.stage.live / "journal.db", "shop", durable=False)
        try:
            return position(connection).phase
        finally:
            connection.close()

    async def until(self, what: str, true: Callable[[], bool]) -> None:
        began = time.monotonic()
        while not true():
            assert time.monotonic() - began < SECONDS, what
            await anyio.sleep(0.05)

    def answering(self) -> bool:
        """Whether this gateway, and none before it, has written its file."""
        try:
            return orjson.loads((self.stage.live / "gateway.json").read_bytes())["pid"] == self.gateway.pid
        except (OSError, orjson.JSONDecodeError):
            return False

    async def kill_gateway(self) -> None:
        await self.gateway.kill()
        self.gateway = self.stage.start("gateway", "gateway", "shop")
        await self.until("the gateway", self.answering)

    async def until_status(self, what: str, enough: Callable[[LiveStatus], bool], runner: Child) -> None:
        """Until the figures of the migration are so."""
        began = time.monotonic()
        async with open_service(load_settings(state=self.stage.state)) as service:
            while True:
                found = await service.live_status("shop")
                assert found is not None
                if enough(found):
                    return
                runner.check()
                unmet = [item.reason for item in found.gate if not item.met]
                assert time.monotonic() - began < SECONDS, (what, unmet)
                await anyio.sleep(0.05)

    async def ready(self, runner: Child) -> None:
        await self.until_status("ready", lambda found: found.runner_alive and found.ready, runner)

    async def order(self, verb: str, *flags: str) -> None:
        code, answer = await self.stage.command(verb, "shop", *flags)
        assert code == 0, (verb, answer)

    async def dies_switching(self, verb: str, place: str) -> None:
        """A runner that is asked to switch, and dies at this place of it."""
        runner = self.run("resume", "shop", dies=place)
        await self.ready(runner)
        code, _ = await self.stage.command(verb, "shop", "--pause", "3", "--budget", "60")
        assert code, verb
        await self.until(place, lambda: runner.ended is not None)
        assert runner.ended == -signal.SIGKILL, (place, runner.last_words())

    async def switch(self, verb: str, *held: str) -> Child:
        """Switch, but for runners that die while writes are held, and one right after. Returns the one that lives."""
        for place in held:
            await self.dies_switching(verb, place)
            # Nobody but the gateway runs: the application is not to wait for somebody to come.
            await self.until("the gateway to thaw", lambda: self.phase() not in FROZEN)
            assert authority(self.phase()) is (Side.SOURCE if verb == "cutover" else Side.TARGET)
        await self.dies_switching(verb, "flipped")
        assert authority(self.phase()) is (Side.TARGET if verb == "cutover" else Side.SOURCE)
        return self.run("resume", "shop")

    async def compare(self) -> None:
        """Both sides with what the application did, read past everything of ours."""
        with self.stage.history.open("rb") as file:
            operations = read_history(file)
        for read, url in ((read_milvus, self.stage.source), (read_qdrant, self.stage.target)):
            verdict = check(RECORDS, operations, await anyio.to_thread.run_sync(read, url))
            assert verdict.clean, verdict
            assert verdict.compared >= RECORDS


def migrate_words(stage: Stage) -> list[str]:
    words = ["migrate", "shop", "--live", "--fenced", "--source-deadline", "2", "--target-deadline", "2"]
    for side, kind, url in (("source", "milvus", stage.source), ("target", "qdrant", stage.target)):
        words += [f"--{side}-type", kind, f"--{side}-url", url, f"--{side}-collection", COLLECTION]
    return [*words, "--target-option", "prefer_grpc=false", "--batch-size", "100"]


async def play(folder: Path) -> None:
    async with Stage(folder, "shop") as stage:
        await stage.open_servers(RECORDS)
        await stage.start_traffic(RECORDS, 40, 10)
        killing = Killing(stage)
        await killing.dies(COPYING[0], *migrate_words(stage))
        await killing.until("the gateway", killing.answering)
        await stage.traffic.ask("repoint", folder=str(stage.live))
        for place in COPYING[1:]:
            await killing.dies(place)
        runner = killing.run("resume", "shop")
        chance = random.Random(7)
        for _ in range(3):
            await anyio.sleep(chance.random())  # under load, at any moment
            await killing.kill_gateway()
        await killing.order("fenced")
        await killing.ready(runner)
        await runner.kill()
        for verb, held in (("cutover", ("frozen", "verified")), ("reverse", ("drained",))):
            runner = await killing.switch(verb, *held)
            await killing.ready(runner)
            if verb == "cutover":
                await runner.kill()
        await stage.traffic.ask("stop")
        await killing.until_status(
            "drained", lambda found: not (found.dirty or found.under_way or found.scopes), runner
        )
        await killing.order("abort", "--force")
        await runner.wait(SECONDS)
        await killing.compare()


@fault(1, 2, 33)
def test_nothing_is_lost_when_the_runner_dies_at_each_place_of_a_run_and_the_gateway_at_random(tmp_path: Path) -> None:
    require_envoy()
    anyio.run(play, tmp_path)
