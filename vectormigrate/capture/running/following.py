"""One direction of a live migration: applies what was touched, without end, and counts how fast."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio

from vectormigrate.capture.applying.applier import Applied, Applier
from vectormigrate.errors import AdapterError
from vectormigrate.model.clock import steady_seconds
from vectormigrate.model.live import Pace

IDLE_SECONDS = 0.1
TROUBLE_SECONDS = 2.0
RATE_SECONDS = 5.0


@dataclass(slots=True)
class Rate:
    """Events per second over the last seconds."""

    _events: deque[tuple[float, int]] = field(default_factory=deque[tuple[float, int]])

    def add(self, n: int) -> None:
        """So many now."""
        if n:
            self._events.append((steady_seconds(), n))

    def per_second(self) -> float:
        """Of the last RATE_SECONDS."""
        since = steady_seconds() - RATE_SECONDS
        while self._events and self._events[0][0] < since:
            self._events.popleft()
        return sum(n for _, n in self._events) / RATE_SECONDS


class Following:
    """Rounds of the applier, one at a time whoever asks for one. `trouble`: why the last round failed, empty when it
    did not; the changes stay noted, so a database that is away costs nothing but time. `behind`: there is more to apply
    than one round takes, so that what can wait should leave the databases to it."""

    def __init__(self, applier: Applier, pace: Callable[[], Pace]) -> None:
        self._applier = applier
        self._pace = pace
        self._one = anyio.Lock()
        self.applied = Rate()
        self.reread = Rate()
        self.trouble = ""
        self.behind = False

    async def round(self) -> Applied:
        """One round. Raises errors of the databases."""
        async with self._one:
            applied = await self._applier.round()
        # Keys that all have to wait are no reason for others to do so.
        self.behind = applied.full and applied.cleared > 0
        self.applied.add(applied.cleared)
        self.reread.add(applied.written + applied.deleted + applied.parked)
        return applied

    async def turn(self) -> None:
        """One round and the pause after it. An error of a database is kept in `trouble`."""
        if self._pace() is Pace.PAUSED:
            await anyio.sleep(IDLE_SECONDS)
            return
        try:
            applied = await self.round()
        except AdapterError as error:
            self.trouble = str(error)
            await anyio.sleep(TROUBLE_SECONDS)
            return
        self.trouble = ""
        await anyio.sleep(0 if applied.cleared else IDLE_SECONDS)
