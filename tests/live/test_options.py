"""What an operator may choose for a live migration: how the authority is followed, TLS, pace, rehearsal, one way."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import threading
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cli.process import Ended, Shell
from tests.emulators.qdrant import emulator
from tests.live.playing import QUICK, Play, gateway, playing, running
from tests.live.test_gateway_process import endpoint, fill
from tests.support.gateway import require_envoy
from tests.support.gateway_process import CAPTURING, FLIP, LiveMigration, eventually, live_migration, request
from tests.support.tls import authority
from vectormigrate.capture.phases import LivePhase
from vectormigrate.errors import InvalidTransition, NotSwitched, PlanError
from vectormigrate.model.clock import steady_milliseconds
from vectormigrate.model.live import LiveStatus, Pace

P = LivePhase
BACK = (P.SOAK, P.REVERSE_FREEZING, P.REVERSE_DRAINING, P.REVERSE_VERIFYING, P.REVERSE_FLIPPED)


@pytest.fixture
def live(tmp_path: Path) -> Generator[LiveMigration]:
    with emulator() as source, emulator() as target:
        fill(source.url, "docs")
        with live_migration(tmp_path / "state.db", endpoint(source), endpoint(target, "copy"), deadline=1.0) as found:
            yield found


def test_an_application_that_listens_or_asks_sees_every_switch_once_and_in_order(live: LiveMigration) -> None:
    live.go(*CAPTURING)
    heard: list[dict[str, Any]] = []
    asked: list[dict[str, Any]] = []

    def listen(url: str) -> None:
        with (
            contextlib.suppress(httpx.TransportError),
            httpx.stream("GET", url, headers={"accept": "text/event-stream"}, timeout=60) as events,
        ):
            assert events.headers["content-type"].startswith("text/event-stream")
            for line in events.iter_lines():
                if line.startswith("data: "):
                    heard.append(json.loads(line.removeprefix("data: ")))  # noqa: PERF401  while it is read

    def ask(url: str) -> None:
        epoch = -1
        while epoch < 2:
            found = request("GET", f"{url}?after={epoch}&wait=30", timeout=60).json()
            asked.append(found)
            epoch = found["epoch"]

    with live.gateway("--marks-only") as process:
        url = f"{process.http}/authority"
        threads = [threading.Thread(target=each, args=(url,)) for each in (listen, ask)]
        for each in threads:
            each.start()
        eventually(lambda: heard and asked)
        until = steady_milliseconds() + 60_000
        live.go(*FLIP, until=until)
        eventually(lambda: heard[-1]["epoch"] == asked[-1]["epoch"] == 1)
        live.go(*BACK, until=until)
        eventually(lambda: heard[-1]["epoch"] == asked[-1]["epoch"] == 2)
        assert process.end() == 0
    for each in threads:
        each.join(60)
    assert [(found["epoch"], found["side"]) for found in asked] == [(0, "source"), (1, "target"), (2, "source")]
    epochs = [found["epoch"] for found in heard]
    assert (epochs, {found["side"] for found in heard if found["epoch"] == 1}) == (sorted(epochs), {"target"})
    seen = [(found["epoch"], found["side"], found["writes"]) for found in heard]
    assert len(seen) == len(set(seen)), "nothing is said twice"


def test_the_ports_show_the_certificate_that_was_given_and_a_client_that_does_not_know_its_maker_refuses(
    live: LiveMigration, tmp_path: Path
) -> None:
    require_envoy()
    folders = [tmp_path / "ours", tmp_path / "others"]
    for each in folders:
        each.mkdir()
    ours, others = (authority(each, "localhost") for each in folders)
    live.go(*CAPTURING)
    with live.gateway("--tls-cert", str(ours.server), "--tls-key", str(ours.server)) as process:
        number = process.port("source-rest").rpartition(":")[2]
        url = f"https://localhost:{number}/collections/docs/points?wait=true"
        body = {"points": [{"id": 100, "vector": [1, 2, 2, 2]}]}
        with httpx.Client(verify=ssl.create_default_context(cafile=ours.ca)) as client:
            assert client.put(url, json=body).status_code == 200
        eventually(lambda: live.dirty() == {"100"})
        with (
            httpx.Client(verify=ssl.create_default_context(cafile=others.ca)) as stranger,
            pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"),
        ):
            stranger.put(url, json=body)
        with pytest.raises(httpx.TransportError):
            httpx.put(url.replace("https", "http"), json=body, timeout=10)
        assert live.dirty() == {"100"}
        assert all(port["tls"] for port in process.event("started")["ports"])


async def ready(play: Play) -> LiveStatus:
    return await play.until(lambda live: live.phase == "ready" and not live.dirty)


@pytest.mark.anyio
async def test_a_migration_that_goes_one_way_takes_what_has_no_way_back_and_ends_at_the_target(tmp_path: Path) -> None:
    async with playing(tmp_path, "one-way", [1, 2, 3]) as play:
        play.request = replace(play.request, excludes=("n",))
        with pytest.raises(PlanError, match=r"there would be no way back: .*excluded:n"):
            await play.service.migrate(play.request, live=QUICK)
        async with (
            running(play.service.migrate(play.request, live=replace(QUICK, one_way=True))) as run,
            gateway(play),
        ):
            await ready(play)
            assert (await play.service.cut_over("m")).switched
            await play.until(lambda live: live.phase == "soak")
            with pytest.raises((NotSwitched, InvalidTransition), match="begun as one that goes one way"):
                await play.service.reverse("m")
            assert (await play.live()).authority == "target"
            assert "completed" in await play.service.complete("m")
            await asyncio.wait_for(run, 10)
        assert (await play.live()).phase == "completed"
        assert await play.target.count() == 3


@pytest.mark.anyio
async def test_a_throttled_runner_applies_changes_and_lets_copy_and_comparison_wait(tmp_path: Path) -> None:
    async with (
        playing(tmp_path, "slow-pace", list(range(300))) as play,
        running(play.service.migrate(play.request, live=QUICK)),
    ):
        await play.until(lambda live: live.phase == "capturing")
        await play.service.set_pace("m", Pace.SLOW)
        async with gateway(play) as app:
            await play.until(lambda live: live.phase == "backfill")
            await app.write([1, 900])
            await play.until(lambda live: live.touched == 2 and not live.dirty)
            looks = set[str]()
            await play.until(lambda live: looks.add(live.figures.at) or len(looks) > 3)
            held = await play.live()
            assert await play.records(play.target) == app.history, "the applier's, and nothing of the copy"
            assert (held.phase, held.pace, held.figures.proof.verified) == ("backfill", Pace.SLOW, 0)
            await play.service.set_pace("m", Pace.FULL)
            await ready(play)
            assert await play.target.count() == 301


def cut_over(folder: Path, *flags: str) -> Ended:
    return Shell(folder).run("cutover", "m", "--json", *flags)


@pytest.mark.anyio
async def test_a_rehearsal_and_a_postponed_switch_end_well_and_a_refused_one_with_try_later(tmp_path: Path) -> None:
    async with (
        playing(tmp_path, "shell", list(range(50))) as play,
        running(play.service.migrate(play.request, live=QUICK)),
        gateway(play),
    ):
        await ready(play)
        rehearsed = await asyncio.to_thread(cut_over, tmp_path, "--rehearse", "--verify", "strict")
        assert (rehearsed.code, rehearsed.document["rehearsed"], rehearsed.document["switched"]) == (0, True, False)
        postponed = await asyncio.to_thread(cut_over, tmp_path, "--postpone")
        assert (postponed.code, postponed.document["postponed"], postponed.document["switched"]) == (0, True, False)
        assert (await play.live()).authority == "source"
        await play.service.set_pace("m", Pace.PAUSED)
        for flags in (("--rehearse",), ("--postpone",), ()):
            refused = await asyncio.to_thread(cut_over, tmp_path, "--budget", "0", *flags)
            assert (refused.code, "paused" in refused.out) == (75, True)
        await play.service.set_pace("m", Pace.FULL)
        done = await asyncio.to_thread(cut_over, tmp_path)
        assert (done.code, done.document["switched"]) == (0, True)
        assert (await play.live()).authority == "target"
