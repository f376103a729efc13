"""The application of the benchmark of live migrations: single-record writes and reads at a rate, with the vendors' own
clients. `python -m tests.benchmarks.live_traffic SETTINGS_JSON`; takes orders as the demo's application does."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import random
import sys
import time
from collections.abc import Awaitable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson

from vectormigrate.cli.demo.live.clients import Client, connect
from vectormigrate.cli.demo.live.records import row, vector_of

WRITERS = 16
READERS = 3
FOLLOW_SECONDS = 0.05
DELETES = 0.1
"""Share of the writes that delete a record."""


@dataclass(slots=True)
class Seen:
    """When calls succeeded, and how long each took, in seconds. `failed`: raised an error."""

    ends: list[float] = field(default_factory=list[float])
    took: list[float] = field(default_factory=list[float])
    failed: int = 0

    def figures(self, since: float) -> dict[str, float]:
        """Of the calls since then. Times in milliseconds."""
        took, points = sorted(self.took) or [0.0], [since, *sorted(self.ends), time.monotonic()]
        return {
            "calls": len(self.took),
            "failed": self.failed,
            "per_second": len(self.took) / (time.monotonic() - since),
            "p50": took[len(took) // 2] * 1e3,
            "p99": took[len(took) * 99 // 100] * 1e3,
            "longest": took[-1] * 1e3,
            "pause": max(after - before for before, after in pairwise(points)) * 1e3,
        }


@dataclass(slots=True)
class Load:
    """Writes and reads at the side that has the authority, through the gateway. `keys`: ids are below it."""

    folder: str
    keys: int
    dim: int
    writes: float
    reads: float
    addresses: dict[str, str]
    side: str = "source"
    clients: dict[str, Client] = field(default_factory=dict[str, Client])
    random: random.Random = field(default_factory=lambda: random.Random(1))
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(10_000_000))
    seen: dict[str, Seen] = field(default_factory=dict[str, Seen])
    since: float = 0.0

    async def writer(self) -> None:
        """Whole records, and deletes by id."""
        due = time.monotonic()
        while True:
            due = max(due + WRITERS / self.writes, time.monotonic())
            await asyncio.sleep(due - time.monotonic())
            key, number = self.random.randrange(self.keys), next(self.numbers)
            client = self.clients[self.side]
            if self.random.random() < DELETES:
                await self.call("writes", client.delete(key))
            else:
                await self.call("writes", client.put(row(key, number, number, self.dim)))

    async def reader(self) -> None:
        """Searches."""
        due = time.monotonic()
        while True:
            due = max(due + READERS / self.reads, time.monotonic())
            await asyncio.sleep(due - time.monotonic())
            await self.call("reads", self.clients[self.side].search(vector_of(next(self.numbers), self.dim)))

    async def call(self, kind: str, waiting: Awaitable[Any]) -> None:
        """Make a call and note it. One that began before the last `take` counts for the next."""
        began = time.monotonic()
        try:
            await waiting
        except Exception:
            self.seen[kind].failed += 1
            await asyncio.sleep(FOLLOW_SECONDS)
            return
        ended = time.monotonic()
        self.seen[kind].ends.append(ended)
        self.seen[kind].took.append(ended - began)

    async def follower(self) -> None:
        """Notices a switch."""
        while True:
            try:
                self.side = orjson.loads((Path(self.folder) / "authority.json").read_bytes())["side"]
            except (OSError, orjson.JSONDecodeError):
                continue
            finally:
                await asyncio.sleep(FOLLOW_SECONDS)

    # Orders

    async def rate(self, writes: float) -> dict[str, Any]:
        """From now on so many writes a second; begins a new span."""
        self.writes = writes
        return await self.take()

    async def take(self) -> dict[str, Any]:
        """Figures since the last time, of writes and of reads."""
        found = {kind: seen.figures(self.since) for kind, seen in self.seen.items()}
        self.seen, self.since = {"writes": Seen(), "reads": Seen()}, time.monotonic()
        return found


async def main(load: Load) -> None:
    """Until standard input ends."""
    # Made now, as an application does that knows of the switch to come: it takes seconds to load a vendor's client.
    load.clients = {side: connect(side, address) for side, address in load.addresses.items()}
    await load.take()
    orders = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(load.writer()) for _ in range(WRITERS)]
        tasks += [group.create_task(load.reader()) for _ in range(READERS)]
        tasks.append(group.create_task(load.follower()))
        os.write(1, b'{"started":true}\n')
        while line := await orders.readline():
            order: dict[str, Any] = orjson.loads(line)
            answer = await getattr(load, order.pop("do"))(**order)
            os.write(1, orjson.dumps(answer) + b"\n")
        for task in tasks:
            task.cancel()
    for client in load.clients.values():
        await client.close()


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    asyncio.run(main(Load(**orjson.loads(sys.argv[1]))))
