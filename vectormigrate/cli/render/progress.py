"""What a run reports, as progress bars on a terminal, as plain lines in the log of a detached run, else not at all."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Protocol, assert_never

from vectormigrate.cli.render.bars import Bars
from vectormigrate.cli.render.console import clean, err, warn, worded
from vectormigrate.engine.events import (
    Checking,
    Connecting,
    Event,
    Indexing,
    Noted,
    PageCommitted,
    PhaseChanged,
    Planned,
    Profiled,
    Retrying,
    Warned,
)
from vectormigrate.figures import counted, duration, percent, plural
from vectormigrate.model.plan import MigrationPlan
from vectormigrate.model.status import Phase

PHASES = {
    Phase.PLANNING: "planning",
    Phase.PLANNED: "planned",
    Phase.CREATING: "creating the target",
    Phase.COPYING: "copying",
    Phase.FINALIZING: "building indexes",
    Phase.LIVE: "following the source",
    Phase.DONE: "done",
    Phase.ROLLING_BACK: "removing",
    Phase.ROLLED_BACK: "removed",
}


class Display(Protocol):
    """A listener that shows what it hears until it is ended."""

    def listen(self, event: Event) -> None:
        """Take an event of the run."""
        ...

    def finish(self) -> None:
        """The command did what it should."""
        ...

    def close(self) -> None:
        """It did not, or leaves at once."""
        ...

    def say(self, message: str) -> None:
        """One line next to the bars."""
        ...


class Lines:
    """Plain lines with times, for a log file or a pipe: phases, warnings, retries, and every tenth of the copy."""

    def __init__(self, on_plan: Callable[[MigrationPlan], None], *, total: int | None = None, settled: int = 0) -> None:
        self._on_plan = on_plan
        self._total = total
        self._settled = settled
        self._tenth = -1
        self._unindexed = 0
        self._began = time.monotonic()

    def listen(self, event: Event) -> None:
        """Write what is worth a line."""
        match event:
            case Planned():
                self._total = event.plan.total_records
                self.say(f"planned: {plural(event.plan.total_records, 'record')}")
                self._on_plan(event.plan)
            case PhaseChanged():
                if event.phase is not Phase.DONE:
                    self.say(PHASES[event.phase])
            case PageCommitted():
                self._settled += event.written + event.rejected
                tenth = 10 * self._settled // self._total if self._total else 0
                if tenth != self._tenth:
                    self._tenth = tenth
                    self.say(f"{percent(tenth, 10)}: {counted(self._settled)} of {plural(self._total or 0, 'record')}")
            case Indexing():
                self._index(event.left)
            case Retrying():
                self.say(f"{event.operation}: {event.reason}; try {event.attempt + 1} in {duration(event.delay)}")
            case Warned():
                self.say(f"warning: {event.message}")
            case Noted():
                self.say(event.message)
            case Connecting() | Profiled() | Checking():
                pass
            case _:
                assert_never(event)

    def _index(self, left: int) -> None:
        """A line at the first and at every further tenth of what is to be indexed."""
        if left > self._unindexed:
            self._unindexed, self._tenth = left, -1
        tenth = 10 * (self._unindexed - left) // self._unindexed if self._unindexed else 10
        if self._unindexed and tenth != self._tenth:
            self._tenth = tenth
            self.say(f"all records are written; index {percent(tenth, 10)}")

    def say(self, message: str) -> None:
        """One line, written at once."""
        sys.stderr.write(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {worded(message)}\n")
        sys.stderr.flush()

    def finish(self) -> None:
        """Nothing is drawn."""

    def close(self) -> None:
        """Nothing is drawn."""


class Quiet:
    """For programs, which read one document: warnings only."""

    def listen(self, event: Event) -> None:
        """Pass warnings on."""
        if isinstance(event, Warned):
            warn(event.message)

    def say(self, message: str) -> None:
        """One line on stderr."""
        err().print(clean(message), soft_wrap=True)

    def finish(self) -> None:
        """Nothing is drawn."""

    def close(self) -> None:
        """Nothing is drawn."""


def no_plan(plan: MigrationPlan) -> None:
    """For runs that do not print their plan."""


@contextmanager
def display(
    *,
    log: bool = False,
    as_json: bool = False,
    on_plan: Callable[[MigrationPlan], None] = no_plan,
    total: int | None = None,
    settled: int = 0,
) -> Generator[Display]:
    """The display that fits stderr, closed at the end: bars on a terminal, lines elsewhere and in a `log`."""
    shown: Display
    if sys.stderr.isatty() and not log:
        shown = Bars(on_plan, total=total, settled=settled)
    elif as_json and not log:
        shown = Quiet()
    else:
        shown = Lines(no_plan if log else on_plan, total=total, settled=settled)
    try:
        yield shown
    except BaseException:
        shown.close()
        raise
    shown.finish()
