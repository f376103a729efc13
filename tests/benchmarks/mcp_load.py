"""Many agents at once on one server: what is answered, how fast, and that nothing is lost.

    python -m tests.benchmarks.mcp_load --clients 200 --seconds 60

Starts `vectormigrate serve` as a process of its own, with a real collection and one key per client, and connects the
SDK's clients: half over SSE, half over Streamable HTTP, of both eras of the protocol. Each calls tools one after the
other for the time given, while one of them runs migrations. Prints calls per second, latencies, the memory of the
server, and what was lost: a call without an answer, an answer to another's question, a call that the audit log does not
hold, a broken chain. Ends with 1 when anything was.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import httpx2
import psutil
from mcp import Client

from tests.server.toy import Era, Way, connected
from tests.server.world import CANARY, World, call
from vectormigrate.server.audit.verify import verify

WAYS: list[tuple[Way, Era]] = [("sse", "legacy"), ("http", "legacy"), ("sse", "auto"), ("http", "auto")]


@dataclass
class Tally:
    """What the clients saw."""

    answered: Counter[str] = field(default_factory=Counter[str])
    wrong: list[str] = field(default_factory=list[str])
    failed: Counter[str] = field(default_factory=Counter[str])
    seconds: list[float] = field(default_factory=list[float])
    migrations: int = 0
    connected: int = 0


def key_of(number: int) -> str:
    return f"load-client-{number:04d}-" + "k" * 24


def start(world: World, clients: int) -> tuple[subprocess.Popen[bytes], str]:
    """The server's process and its URL."""
    keys = " ".join(f"c{number}:admin={key_of(number)}" for number in range(clients))
    environment = {**world.environment, "VECTORMIGRATE_API_KEYS": keys, "CANARY": CANARY}
    command = world.command("--addr", "127.0.0.1:0", "--calls-per-minute", "0")
    log = world.folder / "server.log"
    with log.open("w") as stderr:
        child = subprocess.Popen(command, env=environment, cwd=world.folder, stderr=stderr)
    while child.poll() is None:
        if found := re.search(r"http://127\.0\.0\.1:\d+", log.read_text(encoding="utf-8")):
            return child, found[0]
        time.sleep(0.05)
    raise SystemExit(f"the server did not start: {log.read_text(encoding='utf-8')}")


@dataclass
class Turn:
    """When the agents begin and end: all at once, after the last one has connected, a few at a time."""

    clients: int
    seconds: float
    doors: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(10))
    begin: anyio.Event = field(default_factory=anyio.Event)
    until: float = 0.0

    @asynccontextmanager
    async def client(self, url: str, way: Way, era: Era, number: int, tally: Tally) -> AsyncGenerator[Client]:
        """A connected agent, once everybody is there."""
        async with AsyncExitStack() as held:
            async with self.doors:
                client = await held.enter_async_context(connected(url, way, era, key_of(number)))
            tally.connected += 1
            if tally.connected == self.clients:
                self.until = time.monotonic() + self.seconds
                self.begin.set()
            await self.begin.wait()
            yield client


async def one(url: str, number: int, turns: Turn, tally: Tally) -> None:
    """One agent: ask, check that the answer is to this question, ask again."""
    way, era = WAYS[number % len(WAYS)]
    async with turns.client(url, way, era, number, tally) as client:
        turn = 0
        while time.monotonic() < turns.until:
            began = time.perf_counter()
            try:
                await ask(client, f"none-{number}-{turn}", tally)
                tally.seconds.append(time.perf_counter() - began)
                tally.answered[f"{way} {era}"] += 1
            except Exception as error:
                tally.failed[f"{way} {era}: {type(error).__name__}: {str(error)[:80]}"] += 1
            turn += 1


async def ask(client: Client, name: str, tally: Tally) -> None:
    """Ask for a migration that does not exist; the answer must name it."""
    result = await client.call_tool("migration_status", {"migration_id": name})
    text = " ".join(getattr(block, "text", "") for block in result.content)
    if name not in text:
        tally.wrong.append(f"{name}: {text[:100]}")


async def migrate(url: str, number: int, turns: Turn, tally: Tally) -> None:
    """One agent that works: plan, start, wait."""
    async with turns.client(url, "http", "auto", number, tally) as client:
        while time.monotonic() < turns.until:
            name = f"load-{tally.migrations}"
            ends = {"source": "here", "target": "there", "target_collection": f"docs-{tally.migrations}"}
            planned = await call(client, "plan_migration", migration_id=name, **ends)
            await call(client, "start_migration", plan_id=planned["plan_id"])
            await call(client, "wait_migration", migration_id=name)
            status = await call(client, "migration_status", migration_id=name)
            if status["status"] != "completed":
                tally.wrong.append(f"{name}: {status}")
            tally.migrations += 1


async def load(url: str, clients: int, seconds: float, tally: Tally) -> None:
    """All agents at once."""
    turns = Turn(clients, seconds)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(migrate, url, 0, turns, tally)
        for number in range(1, clients):
            tasks.start_soon(one, url, number, turns, tally)


def audited(folder: Path) -> tuple[int, str]:
    """Calls of `migration_status` by the asking agents in the audit log, and what is wrong with the log."""
    verdict = verify(folder / "audit.jsonl")
    asked = 0
    for file in verdict.files:
        for text in file.read_text(encoding="utf-8").splitlines():
            line: dict[str, Any] = json.loads(text)
            asked += line["tool"] == "migration_status" and str(line["migration"]).startswith("none-")
    return asked, verdict.problem


def print_result(tally: Tally, seconds: float, server: psutil.Process, folder: Path, metrics: str) -> bool:
    """The figures; whether anything was lost."""
    answers = sum(tally.answered.values())
    asked, problem = audited(folder)
    quantiles = statistics.quantiles(tally.seconds or [0.0, 0.0], n=100)
    counted = sum(
        float(line.rpartition(" ")[2])
        for line in metrics.splitlines()
        if line.startswith("vectormigrate_tool_seconds_count") and 'tool="migration_status"' in line
    )
    print(f"clients connected    {tally.connected}")
    print(f"answers              {answers:,} ({answers / seconds:,.0f}/s)")
    for name, number in sorted(tally.answered.items()):
        print(f"  {name:<18} {number:,}")
    print(
        f"latency p50/p95/p99  {quantiles[49] * 1000:.0f} / {quantiles[94] * 1000:.0f} / {quantiles[98] * 1000:.0f} ms"
    )
    print(f"migrations completed {tally.migrations}")
    spent = server.cpu_times().user + server.cpu_times().system
    print(f"server               {server.memory_info().rss / 2**20:.0f} MiB, {spent:.1f} s of processor time")
    print(f"audit lines          {asked:,} of {answers:,}; {problem or 'chain intact'}; counted {counted:,.0f}")
    print(f"failed               {dict(tally.failed) or 0}")
    print(f"wrong answers        {len(tally.wrong)} {tally.wrong[:3] or ''}")
    return bool(tally.failed or tally.wrong or problem or asked != answers)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0)
    asked = parser.parse_args()
    files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, files[1]), files[1]))
    os.environ["CANARY"] = CANARY
    tally = Tally()
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), "qdrant_edge")
        world.write()
        anyio.run(world.seed)
        child, url = start(world, asked.clients)
        try:
            server = psutil.Process(child.pid)
            anyio.run(load, url, asked.clients, asked.seconds, tally)
            headers = {"Authorization": f"Bearer {key_of(0)}"}
            metrics = httpx2.get(f"{url}/metrics", headers=headers).text
            lost = print_result(tally, asked.seconds, server, Path(folder), metrics)
        finally:
            child.terminate()
            child.wait(15)
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
