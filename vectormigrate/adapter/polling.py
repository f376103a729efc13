"""Asking a database again and again until it got somewhere: often at first, then seldom, and not for ever."""

from __future__ import annotations

import time

import anyio

FIRST = 0.1
LONGEST = 3.0
"""Seconds between two questions: what takes minutes need not be asked for a thousand times."""
GROWTH = 1.3
"""From one pause to the next. At the end up to a quarter of the wait is in vain; doubling would make that half."""


class Poll:
    """The pauses between questions: `first` seconds, then each GROWTH times as long, up to LONGEST."""

    def __init__(self, seconds: float, *, first: float = FIRST) -> None:
        """From now on for so many seconds."""
        self._deadline = time.monotonic() + seconds
        self._pause = first

    async def again(self) -> bool:
        """Wait; whether there is still time to ask. The last question comes at the end of the time."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            return False
        pause, self._pause = self._pause, min(GROWTH * self._pause, LONGEST)
        await anyio.sleep(min(pause, left))
        return True
