"""The journal as the runner uses it: never on the event loop, phases durable, the rest as fast as it goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread

from vectormigrate.capture.journal.connection import Connection, connect
from vectormigrate.capture.journal.derived import Derived
from vectormigrate.capture.journal.phase import move, position
from vectormigrate.capture.journal.records import Position
from vectormigrate.capture.journal.touched import TouchedKeys
from vectormigrate.capture.keys import Side
from vectormigrate.capture.phases import LivePhase
from vectormigrate.model.clock import steady_milliseconds

T = TypeVar("T")


class RunnerJournal:
    """The connections of a runner. `call` runs a function of the journal in a thread, one at a time."""

    def __init__(self, path: Path, migration_id: str) -> None:
        """Raises JournalError when it is not there, or another migration's."""
        self.path = path
        with ExitStack() as stack:
            self.fast = stack.enter_context(closing(connect(path, migration_id, durable=False)))
            self.durable = stack.enter_context(closing(connect(path, migration_id, durable=True)))
            # Of its own: mapping a batch asks it wherever it runs, in the middle of what a thread does with the others.
            self.derived = Derived(stack.enter_context(closing(connect(path, migration_id, durable=False))))
            self._opened = stack.pop_all()
        self._one = anyio.CapacityLimiter(1)

    def close(self) -> None:
        """Let go of the file."""
        self._opened.close()

    async def call(self, work: Callable[[], T]) -> T:
        """The result of `work`."""
        return await anyio.to_thread.run_sync(work, limiter=self._one)

    def keys(self, side: Side) -> TouchedKeys:
        """The touched keys of a side."""
        return TouchedKeys(self.fast, side, steady_milliseconds)

    async def position(self) -> Position:
        """Phase and epoch now."""
        return await self.call(partial(_position, self.fast))

    async def move(self, start: LivePhase, to: LivePhase, evidence: Mapping[str, Any] | None = None) -> Position:
        """Enter a phase, durably. Raises InvalidTransition when it is not in `start` any more."""
        return await self.call(partial(_move, self.durable, start, to, evidence or {}))

    async def last_number(self) -> int:
        """The highest number that was given so far."""
        return await self.call(partial(_last_number, self.fast))


def _position(connection: Connection) -> Position:
    with connection.snapshot():
        return position(connection)


def _move(connection: Connection, start: LivePhase, to: LivePhase, evidence: Mapping[str, Any]) -> Position:
    with connection.transaction():
        return move(connection, start, to, evidence)


def _last_number(connection: Connection) -> int:
    with connection.translated():
        (number,) = connection.row("last_number")
    return number
