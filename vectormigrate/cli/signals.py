"""Ctrl-C and SIGTERM: the first asks the run to stop after the batch in flight, the second leaves at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = 130


@contextmanager
def stop_on_signal(stop: Callable[[], None], leave: Callable[[], None]) -> Generator[None]:
    """While inside, the first SIGINT or SIGTERM calls `stop`, the second calls `leave` and ends the process with 130.

    Handlers of `signal`, not of the event loop: they also run when a loop is kept busy. Ending without clean-up is
    safe: whatever was acknowledged is in the state file, and child processes end with their parent.
    """
    seen = 0

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal seen
        seen += 1
        if seen == 1:
            stop()
        else:
            leave()
            os._exit(INTERRUPTED)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
