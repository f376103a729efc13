"""How long the event loop keeps others waiting: the processor time of its longest step, which other load on the machine
does not change."""

from __future__ import annotations

import time
from asyncio import Handle
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(slots=True)
class Longest:
    """The longest step so far, in seconds of the processor."""

    seconds: float = 0.0
    what: str = ""


@contextmanager
def longest_step() -> Generator[Longest]:
    """Measure every step of the loops of this thread inside."""
    found = Longest()
    run = Handle._run

    def timed(self: Handle) -> None:
        began = time.thread_time()
        try:
            run(self)
        finally:
            taken = time.thread_time() - began
            if taken > found.seconds:
                found.seconds, found.what = taken, repr(self)

    Handle._run = timed
    try:
        yield found
    finally:
        Handle._run = run
