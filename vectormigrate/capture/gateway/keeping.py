"""What the journal needs while requests pass: signs of life, ends of quarantines, thaws, checkpoints, the phase.

Each loop has a connection of its own and works in a thread, so that no request waits for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import anyio
import anyio.to_thread
import psutil

from vectormigrate.capture.journal.connection import Connection
from vectormigrate.capture.journal.intents import BEAT_SECONDS, Clock, Intents, Session
from vectormigrate.capture.journal.phase import last_transition, move, position
from vectormigrate.capture.journal.records import Position, Transition
from vectormigrate.capture.keys import Side
from vectormigrate.capture.phases import FROZEN, LivePhase, thawed
from vectormigrate.errors import JournalError
from vectormigrate.model.live import LiveOptions

LOOK_SECONDS = 0.1
CHECKPOINT_SECONDS = 5.0

THAW_MARGIN = 2000
"""Milliseconds after its deadline in which a runner may still end its freeze itself."""


@dataclass(slots=True)
class Keeper:
    """One turn of each loop; raises JournalError."""

    keeping: Connection
    looking: Connection
    moving: Connection
    intents: Intents
    session: Session
    options: LiveOptions
    clock: Clock

    def beat(self) -> LivePhase | None:
        """A sign of life, the doubts that are over, and the end of a freeze that its runner left; returns the phase
        that was thawed."""
        self.intents.beat(self.session)
        self.intents.end_doubts(round(self.options.source_deadline * 1000), Side.SOURCE)
        self.intents.end_doubts(round(self.options.target_deadline * 1000), Side.TARGET)
        return self._thaw()

    def _thaw(self) -> LivePhase | None:
        connection = self.keeping
        with connection.snapshot():
            last = last_transition(connection)
        if last is None or not overdue(last, self.clock(), psutil.boot_time()):
            return None
        with connection.transaction():
            now = position(connection)
            if now.phase is not last.phase:
                return None
            move(connection, now.phase, thawed(now.phase), {"reason": "the freeze lasted longer than it may"})
        return now.phase

    def look(self) -> Position:
        """Phase and epoch."""
        with self.looking.snapshot():
            return position(self.looking)

    def checkpoint(self) -> None:
        """Move what is settled into the journal's file."""
        self.moving.checkpoint()


def overdue(last: Transition, now: int, booted: float) -> bool:
    """Whether this phase holds writes for longer than its evidence allows (`until`, in milliseconds of the steady
    clock), or since before the machine was started, when that clock began again."""
    until = last.evidence.get("until")
    if last.phase not in FROZEN or not isinstance(until, int | float):
        return False
    return now > until + THAW_MARGIN or datetime.fromisoformat(last.at).timestamp() < booted


async def repeated(work: Callable[[], None], seconds: float, failed: Callable[[JournalError], None]) -> None:
    """Do it in a thread again and again; the first JournalError ends it."""
    while True:
        try:
            await anyio.to_thread.run_sync(work)
        except JournalError as error:
            failed(error)
            return
        await anyio.sleep(seconds)


async def keep(
    keeper: Keeper,
    failed: Callable[[JournalError], None],
    seen: Callable[[Position], None],
    thawed_from: Callable[[LivePhase], None],
) -> None:
    """All loops, until cancelled. `seen` hears of the phase again and again, `thawed_from` of a freeze that was ended;
    both in the event loop."""

    def look() -> None:
        anyio.from_thread.run_sync(seen, keeper.look())

    def beat() -> None:
        phase = keeper.beat()
        if phase is not None:
            anyio.from_thread.run_sync(thawed_from, phase)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(repeated, look, LOOK_SECONDS, failed))
        tasks.start_soon(partial(repeated, beat, BEAT_SECONDS, failed))
        tasks.start_soon(partial(repeated, keeper.checkpoint, CHECKPOINT_SECONDS, failed))
