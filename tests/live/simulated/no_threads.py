"""Takes threads and the time of day out of the product: what it does in a thread happens where it is waited for."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import aiosqlite
import anyio.to_thread
import pytest

from tests.live.virtual import PROCESS, Process, VirtualLoop
from vectormigrate.model import clock
from vectormigrate.state import leases

SLOW = 0.02
"""Share of calls that take a while, in which others do something."""

OTHERS = 0.25
"""Share of calls before which others have a turn."""


class _NoHeartbeat:
    """Of a lease whose holder is looked at by `_is_alive`."""

    def __init__(self, *arguments: object) -> None:
        pass

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass


class _Start:
    """Of the aiosqlite connection: opening it needs no thread."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def __await__(self) -> Generator[Any, None, Any]:
        self._connection._connection = self._connection._connector()
        yield from asyncio.sleep(0).__await__()
        return self._connection


def _open(connection: Any) -> Generator[Any, None, Any]:
    return _Start(connection).__await__()


def _stop(connection: Any) -> None:
    connection._running = False
    connection._connection = None


def _nothing(connection: Any) -> None:
    """Whoever forgets a connection is a dead process."""


@contextmanager
def no_threads(chance: random.Random) -> Generator[None]:
    """Inside, one event loop does everything, in an order that `chance` decides."""
    living: dict[float, Process] = {}
    real_connect = sqlite3.connect

    async def meanwhile() -> None:
        draw = chance.random()
        if draw < OTHERS:
            await asyncio.sleep(chance.random() * 0.02 if draw < SLOW else 0)

    async def in_no_thread(call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        await meanwhile()
        return call(*arguments)

    async def execute(connection: Any, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        await meanwhile()
        while True:
            try:
                return call(*arguments, **options)
            except sqlite3.OperationalError as error:
                if "locked" not in str(error):
                    raise
            await asyncio.sleep(0.01)  # another process writes: SQLite itself would wait in the thread

    def connect(database: Any, *arguments: Any, **options: Any) -> sqlite3.Connection:
        made = real_connect(database, *arguments, **{**options, "timeout": 0})
        process = PROCESS.get()
        if process is not None:
            process.files.append(made)
        return made

    def own_start() -> float:
        process = PROCESS.get()
        if process is None:
            return 0
        living[process.number] = process
        return process.number

    def is_alive(pid: int, started: float) -> bool:
        return started in living and living[started].alive

    def now() -> int:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        return round(loop.now * 10**9)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(anyio.to_thread, "run_sync", in_no_thread)
        patch.setattr(sqlite3, "connect", connect)
        patch.setattr(aiosqlite.Connection, "__await__", _open)
        patch.setattr(aiosqlite.Connection, "__del__", _nothing)
        patch.setattr(aiosqlite.Connection, "_execute", execute)
        patch.setattr(aiosqlite.Connection, "stop", _stop)
        patch.setattr(leases, "Heartbeat", _NoHeartbeat)
        patch.setattr(leases, "own_start", own_start)
        patch.setattr(leases, "is_alive", is_alive)
        patch.setattr(clock, "monotonic_ns", now)
        random_state = random.getstate()
        random.seed(chance.random())
        try:
            yield
        finally:
            random.setstate(random_state)
