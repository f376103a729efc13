"""The demo's application: a process of its own that reads and writes all the time with the vendors' own clients.

`python -m vectormigrate.cli.demo.live.traffic SETTINGS_JSON` prints a line when it has begun. Then it takes orders as
JSON lines on its standard input and answers each with a line on its standard output; it ends with its input. All it
does is in the history file.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import orjson

from vectormigrate.cli.demo.live.clients import Client, connect
from vectormigrate.cli.demo.live.history import Kind, Operation, Outcome, begun, ended
from vectormigrate.cli.demo.live.records import GROUPS, row, vector_of

WRITERS = 6
READERS = 3
HOT = 40
"""Ids that all writers use again and again."""

DIRECT_READ = 3
"""Of so many reads one is made past the gateway, to know what the gateway adds."""

PAUSE_AFTER_ERROR = 0.1
FOLLOW_SECONDS = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """`history`: the file to write. `source`, `target`: addresses of the servers. `initial`: records that are there.
    `writes`, `reads`: per second."""

    history: str
    source: str
    target: str
    initial: int
    writes: float = 40.0
    reads: float = 40.0
    seed: int = 1


@dataclass(slots=True)
class Application:
    """Reads and writes at the side that has the authority, and repeats no write by itself."""

    settings: Settings
    file: IO[bytes]
    clients: dict[tuple[str, str], Client] = field(default_factory=dict[tuple[str, str], Client])
    addresses: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])
    folder: Path | None = None
    side: str = "source"
    route: str = "direct"
    writing: bool = True
    reading: bool = True
    number: int = 0
    under_way: int = 0
    random: random.Random = field(default_factory=random.Random)

    def __post_init__(self) -> None:
        self.number = self.settings.initial
        self.addresses = {
            ("source", "direct"): self.settings.source,
            ("target", "direct"): self.settings.target,
        }
        self.random.seed(self.settings.seed)

    def client(self, side: str, route: str) -> Client:
        """Made when it is first needed."""
        if (side, route) not in self.clients:
            self.clients[side, route] = connect(side, self.addresses[side, route])
        return self.clients[side, route]

    def follow(self) -> None:
        """Read which side has the authority; a file that is just being replaced is read the next time."""
        if self.folder is not None:
            try:
                self.side = orjson.loads((self.folder / "authority.json").read_bytes())["side"]
            except (OSError, orjson.JSONDecodeError):
                return

    # Orders

    async def repoint(self, folder: str) -> dict[str, Any]:
        """Use the gateway from now on; returns when no call past it is under way any more."""
        found = orjson.loads((Path(folder) / "gateway.json").read_bytes())
        for port in found["ports"]:
            if (port["side"], port["interface"]) != ("target", "grpc"):
                self.addresses[port["side"], "gateway"] = port["address"]
        # Made now, as an application does that knows of the switch to come: it takes seconds to load a vendor's client.
        for side, route in self.addresses:
            self.client(side, route)
        self.writing = self.reading = False
        await self._idle()
        self.folder, self.route = Path(folder), "gateway"
        self.writing = self.reading = True
        self.follow()
        return {"addresses": {side: address for (side, route), address in self.addresses.items() if route == "gateway"}}

    async def stop(self) -> dict[str, Any]:
        """Returns when nothing is under way any more."""
        self.writing = self.reading = False
        await self._idle()
        return {"operations": self.number - self.settings.initial}

    async def stale(self) -> dict[str, Any]:
        """One write at the side that has not got the authority, as an instance makes it that missed the switch."""
        other = "target" if self.side == "source" else "source"
        outcome = await self.write(Kind.PUT, self.key(), side=other)
        return {"outcome": outcome}

    async def _idle(self) -> None:
        while self.under_way:  # noqa: ASYNC110  a handful of calls that end soon
            await asyncio.sleep(0.01)

    # Operations

    def key(self) -> int:
        """An id; a third of them from a few that everybody uses, some that are not there yet."""
        if self.random.random() < 0.35:
            return self.random.randrange(HOT) * 7
        return self.random.randrange(self.settings.initial * 5 // 4)

    async def run(self, operation: Operation, call: Callable[[], Awaitable[Any]], client: Client) -> Outcome:
        """Note the operation, do it, note its outcome."""
        self.file.write(begun(operation))
        error = ""
        try:
            await call()
            outcome = Outcome.OK
        except Exception as raised:
            outcome, error = client.outcome(raised), f"{type(raised).__name__}: {raised}"[:300]
        self.file.write(ended(operation.number, outcome, time.monotonic(), error))
        self.file.flush()
        return outcome

    def begin(self, kind: Kind, key: int, side: str, route: str, base: int = -1) -> Operation:
        """The next operation, which starts now."""
        self.number += 1
        if kind is Kind.PUT and base < 0:
            base = self.number
        start = time.monotonic()
        return Operation(number=self.number, kind=kind, key=key, side=side, route=route, start=start, base=base)

    async def write(self, kind: Kind, key: int, *, side: str | None = None) -> Outcome:
        """One write at the side that has the authority. A partial change of a database that knows none is made by
        reading the record and writing it back."""
        side, route = side or self.side, self.route
        client = self.client(side, route)
        base = -1
        if kind is Kind.NOTE and not client.partial:
            try:
                found = await client.get(key)
            except Exception:
                found = None
            kind, base = Kind.PUT, -1 if found is None else int(found["op"])
        operation = self.begin(kind, key, side, route, base)
        match kind:
            case Kind.PUT:
                written = row(key, operation.base, operation.number)
                return await self.run(operation, lambda: client.put(written), client)
            case Kind.NOTE:
                return await self.run(operation, lambda: client.note(key, operation.number), client)
            case Kind.DELETE:
                return await self.run(operation, lambda: client.delete(key), client)
            case _:
                return await self.run(operation, lambda: client.delete_group(key), client)

    async def read(self, turn: int) -> Outcome:
        """A search or a look at one record."""
        side = self.side
        route = "direct" if turn % DIRECT_READ == 0 else self.route
        client = self.client(side, route)
        if turn % 2:
            vector = vector_of(self.number)
            operation = self.begin(Kind.SEARCH, -1, side, route)
            return await self.run(operation, lambda: client.search(vector), client)
        operation = self.begin(Kind.GET, self.key(), side, route)
        return await self.run(operation, lambda: client.get(operation.key), client)

    # Workers

    async def writer(self) -> None:
        """Writes at its share of the rate."""
        pace = Pace(WRITERS / self.settings.writes)
        while True:
            await pace.next()
            if not self.writing:
                continue
            self.under_way += 1
            try:
                outcome = await self.write(*self._next_write())
            finally:
                self.under_way -= 1
            if outcome is Outcome.REFUSED:
                self.follow()
            if outcome in (Outcome.REFUSED, Outcome.UNKNOWN):
                await asyncio.sleep(PAUSE_AFTER_ERROR)

    def _next_write(self) -> tuple[Kind, int]:
        kinds = (Kind.PUT, Kind.NOTE, Kind.DELETE, Kind.DELETE_GROUP)
        # While the plan reads every record, none is to be missing at the end that was counted at the start.
        weights = (780, 220, 0, 0) if self.route == "direct" else (600, 220, 176, 4)
        (kind,) = self.random.choices(kinds, weights)
        return kind, self.random.randrange(GROUPS) if kind is Kind.DELETE_GROUP else self.key()

    async def reader(self, first: int) -> None:
        """Reads at its share of the rate."""
        pace = Pace(READERS / self.settings.reads)
        turn = first
        while True:
            await pace.next()
            if not self.reading:
                continue
            turn += 1
            self.under_way += 1
            try:
                await self.read(turn)
            finally:
                self.under_way -= 1

    async def follower(self) -> None:
        """Notices a switch."""
        while True:
            self.follow()
            await asyncio.sleep(FOLLOW_SECONDS)


@dataclass(slots=True)
class Pace:
    """Turns at equal intervals in seconds; missed ones are left out."""

    interval: float
    due: float = 0.0

    async def next(self) -> None:
        """Wait for the next turn."""
        now = time.monotonic()
        self.due = max(self.due + self.interval, now)
        await asyncio.sleep(self.due - now)


async def main(application: Application) -> None:
    """Until standard input ends."""
    orders = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(application.writer()) for _ in range(WRITERS)]
        tasks += [group.create_task(application.reader(number)) for number in range(READERS)]
        tasks.append(group.create_task(application.follower()))
        os.write(1, b'{"started":true}\n')
        while line := await orders.readline():
            order: dict[str, Any] = orjson.loads(line)
            answer = await getattr(application, order.pop("do"))(**order)
            os.write(1, orjson.dumps(answer) + b"\n")
        for task in tasks:
            task.cancel()
    for client in application.clients.values():
        await client.close()


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    chosen = Settings(**orjson.loads(sys.argv[1]))
    with open(chosen.history, "ab") as history:
        asyncio.run(main(Application(chosen, history)))
