"""How much one caller may do: calls per minute over all transports together, and streams that are open at once."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter

from vectormigrate.errors import VectorMigrateError
from vectormigrate.figures import counted, duration

CALLS_PER_MINUTE = 100
OPEN_STREAMS = 32

REFUSALS_PER_MINUTE = 100
"""Of one caller or address where calls have no limit: what is refused always has one."""

GARBAGE_PER_MINUTE = 100
"""Requests of one caller that are none, or as many as it has calls: nobody comes near it by asking once too often."""

CHATTER = 10
"""Messages that are no calls (handshakes, lists of tools, pings) have a limit of their own, this many times as high: a
client sends several of them per connection, and they cost next to nothing."""


class LimitReached(VectorMigrateError):
    """The caller has used up what he may do; `retry_after` is in whole seconds, None where only ending something
    helps."""

    def __init__(self, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Limiter:
    """Counts by owner, in this process. A limit of 0 means none. Needs a running asyncio loop."""

    def __init__(self, *, calls_per_minute: int = CALLS_PER_MINUTE, open_streams: int = OPEN_STREAMS) -> None:
        self.calls_per_minute = calls_per_minute
        self.open_streams = open_streams
        self._window = MovingWindowRateLimiter(MemoryStorage())
        self._streams: Counter[str] = Counter()

    async def charge(self, owner: str, *, kind: str = "call", factor: int = 1) -> None:
        """Count one of `kind` to the owner. Raises LimitReached, and then counts nothing."""
        if not self.calls_per_minute:
            return
        limit = RateLimitItemPerMinute(self.calls_per_minute * factor)
        if await self._window.hit(limit, kind, owner):
            return
        stats = await self._window.get_window_stats(limit, kind, owner)
        wait = max(1, math.ceil(stats.reset_time - time.time()))
        raise LimitReached(
            f"rate limit of {counted(limit.amount)} {kind}s per minute reached; retry in {duration(wait)}", wait
        )

    async def refusable(self, owner: str) -> bool:
        """Count a refusal; whether the owner, a caller or an address, had fewer than his limit in the last minute."""
        limit = RateLimitItemPerMinute(self.calls_per_minute or REFUSALS_PER_MINUTE)
        return await self._window.hit(limit, "refusal", owner)

    async def count_garbage(self, owner: str) -> None:
        """Count a request that was not understood."""
        await self._window.hit(self._garbage(), "garbage", owner)

    async def may_send_garbage(self, owner: str) -> bool:
        """Whether the owner may still send something; if not, he has sent too much that is not understood."""
        return await self._window.test(self._garbage(), "garbage", owner)

    def _garbage(self) -> RateLimitItemPerMinute:
        return RateLimitItemPerMinute(max(self.calls_per_minute, GARBAGE_PER_MINUTE))

    @contextmanager
    def stream(self, owner: str) -> Generator[None]:
        """Hold one stream open. Raises LimitReached."""
        if self.open_streams and self._streams[owner] >= self.open_streams:
            raise LimitReached(
                f"{self._streams[owner]} streams are open for {owner!r}, no more are allowed; close one of them"
            )
        self._streams[owner] += 1
        try:
            yield
        finally:
            self._streams[owner] -= 1
            if not self._streams[owner]:
                del self._streams[owner]
