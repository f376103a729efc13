"""What a run reports, as progress bars on a terminal, as plain lines in the log of a detached run, else not at all."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Protocol, assert_never

from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from vectormigrate.cli.console import clean, err, warn
from vectormigrate.engine.events import (
    Checking,
    Event,
    Indexing,
    PageCommitted,
    PhaseChanged,
    Planned,
    Profiled,
    Retrying,
    Warned,
)
from vectormigrate.figures import counted, duration, percent, plural, rate
from vectormigrate.model.plan import MigrationPlan
from vectormigrate.model.status import Phase

PHASES = {
    Phase.PLANNING: "planning",
    Phase.PLANNED: "planned",
    Phase.CREATING: "creating the target",
    Phase.COPYING: "copying",
    Phase.FINALIZING: "building indexes",
    Phase.DONE: "done",
    Phase.ROLLING_BACK: "removing",
    Phase.ROLLED_BACK: "removed",
}
STAGES = {
    "counts": "counting",
    "diff": "comparing records",
    "sample": "comparing a sample",
    "search": "comparing searches",
    "repair": "repairing",
}


class Display(Protocol):
    """A listener that can be closed for a moment, so that something else can be printed."""

    def listen(self, event: Event) -> None:
        """Take an event of the run."""
        ...

    def close(self) -> None:
        """Take the bars off the screen; a later event brings them back."""
        ...

    def say(self, message: str) -> None:
        """One line beside the bars."""
        ...


class Bars:
    """Rich progress bars on stderr. `on_plan` prints the plan once it is made."""

    def __init__(self, on_plan: Callable[[MigrationPlan], None], *, total: int | None = None, settled: int = 0) -> None:
        self._on_plan = on_plan
        self._total = total
        self._settled = settled
        self._rejected = 0
        self._checked = 0
        self._unindexed = 0
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._stage = ""

    def _bar(self, stage: str, total: int | None, done: int = 0) -> tuple[Progress, TaskID]:
        """The bar of this stage; a new stage ends the old bar."""
        if self._progress is None or self._task is None or self._stage != stage:
            self.close()
            self._stage = stage
            self._progress = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(bar_width=None),
                TextColumn("{task.fields[amount]}", style="green"),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(compact=True),
                TextColumn("{task.fields[extra]}"),
                console=err(),
                expand=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._task = self._progress.add_task(stage, total=total, completed=done, amount="", rate="", extra="")
            self._progress.start()
        return self._progress, self._task

    def _set(self, stage: str, total: int | None, done: int, extra: str = "") -> None:
        progress, task = self._bar(stage, total, done)
        progress.update(task, completed=done, total=total, extra=extra)
        speed = progress.tasks[0].speed
        amount = f"{counted(done)}/{counted(total)}" if total is not None else ""
        progress.update(task, amount=amount, rate=rate(speed) if speed else "")

    def listen(self, event: Event) -> None:
        """Move the bar."""
        match event:
            case Profiled():
                self._set("reading for the plan", event.total, event.records)
            case Planned():
                self.close()
                self._total = event.plan.total_records
                self._on_plan(event.plan)
            case PhaseChanged():
                self._enter(event.phase)
            case PageCommitted():
                self._settled += event.written + event.rejected
                self._rejected += event.rejected
                self._checked += event.checked
                extra = ", ".join(
                    f"{counted(number)} {word}"
                    for number, word in ((self._rejected, "rejected"), (self._checked, "checked"))
                    if number
                )
                self._set(PHASES[Phase.COPYING], self._total, self._settled, extra)
            case Indexing():
                self._unindexed = max(self._unindexed, event.left)
                built = self._unindexed - event.left
                self._set(PHASES[Phase.FINALIZING], self._unindexed or None, built, "all records are written")
            case Retrying():
                self.say(f"{event.operation}: {event.reason}; try {event.attempt + 1} in {duration(event.delay)}")
            case Checking():
                self._set(STAGES.get(event.stage, event.stage), event.total or None, event.done)
            case Warned():
                self.say(f"warning: {event.message}")
            case _:
                assert_never(event)

    def _enter(self, phase: Phase) -> None:
        if phase is Phase.COPYING:
            self._set(PHASES[phase], self._total, self._settled)
        elif phase in (Phase.DONE, Phase.ROLLED_BACK):
            self.close()
        elif phase is not Phase.PLANNED:
            self._set(PHASES[phase], None, 0)

    def say(self, message: str) -> None:
        """A line above the bar."""
        err().print(Text(clean(message), style="yellow"), soft_wrap=True)

    def close(self) -> None:
        """Stop drawing."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


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
            case Profiled() | Checking():
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
        sys.stderr.write(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {clean(message)}\n")
        sys.stderr.flush()

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
    finally:
        shown.close()
