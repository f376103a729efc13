"""How much load we put on a database: concurrency that adapts to its answers, and an upper rate set by the operator."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import anyio

STOP_CHECK_SECONDS = 0.1


class AdaptiveLimiter:
    """At most `limit` writes in flight; the limit grows by one per `limit` successes and halves on overload (AIMD).

    Answers to requests that were sent before the last decrease do not decrease it again: they speak of the old load.
    """

    def __init__(self, ceiling: int) -> None:
        self.ceiling = max(1, ceiling)
        self._limit = float(min(self.ceiling, 4))
        self._in_flight = 0
        self._generation = 0
        self._changed = anyio.Condition()

    @property
    def limit(self) -> int:
        """Writes allowed in flight now."""
        return int(self._limit)

    @asynccontextmanager
    async def slot(self) -> AsyncGenerator[int]:
        """Wait for a free place; yields the generation to hand to `overloaded`."""
        async with self._changed:
            while self._in_flight >= self.limit:
                await self._changed.wait()
            self._in_flight += 1
        try:
            yield self._generation
        finally:
            with anyio.CancelScope(shield=True):
                async with self._changed:
                    self._in_flight -= 1
                    self._changed.notify_all()

    def succeeded(self) -> None:
        """A request was answered well."""
        self._limit = min(float(self.ceiling), self._limit + 1 / self._limit)

    def overloaded(self, generation: int) -> None:
        """A request of this generation was turned away for load."""
        if generation == self._generation:
            self._generation += 1
            self._limit = max(1.0, self._limit / 2)


class Pacer:
    """Keeps the average below `rate` records per second, with bursts of at most one second's worth."""

    def __init__(self, rate: float | None) -> None:
        self._rate = rate
        self._free_at = 0.0

    async def wait(self, records: int, stopping: Callable[[], bool]) -> bool:
        """Return True when `records` more may be sent, False as soon as the run is to stop."""
        if not self._rate:
            return True
        start = max(anyio.current_time() - 1.0, self._free_at)
        self._free_at = start + records / self._rate
        while (left := self._free_at - anyio.current_time()) > 0:
            if stopping():
                return False
            await anyio.sleep(min(left, STOP_CHECK_SECONDS))
        return True
