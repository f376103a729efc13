"""An event loop whose clock jumps to the next timer: hours pass in milliseconds, and a seed repeats them."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _NoWaiting(selectors.SelectSelector):
    """Never waits: what the loop would have slept is added to its clock."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        """The events that are there now."""
        if timeout is None:
            raise RuntimeError("everybody waits for somebody: a deadlock")
        if timeout > 0:
            self._loop.now += timeout
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time begins at 1,000 s."""

    def __init__(self) -> None:
        self.now = 1_000.0
        super().__init__(_NoWaiting(self))

    def time(self) -> float:
        """Seconds that passed, slept or not."""
        return self.now


def run(main: Coroutine[Any, Any, T]) -> T:
    """As asyncio.run, in no time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
