"""What a run reports, on a terminal: a bar for the step at work, and a line for each that has ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import assert_never

from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column
from rich.text import Text

from vectormigrate.cli.render.console import NARROW, clean, err, worded
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
from vectormigrate.figures import counted, duration, plural, rate
from vectormigrate.model.plan import MigrationPlan
from vectormigrate.model.status import Phase

PLANNING = "reading for the plan", "planned"
PHASES = {
    Phase.PLANNING: PLANNING,
    Phase.CREATING: ("creating the target", "created the target"),
    Phase.COPYING: ("copying", "copied"),
    Phase.FINALIZING: ("building indexes", "indexed"),
    Phase.LIVE: ("following the source", "followed"),
    Phase.ROLLING_BACK: ("removing", "removed"),
}
STAGES = {
    "counts": ("counting", "counted"),
    "diff": ("comparing records", "compared records"),
    "search": ("comparing searches", "compared searches"),
    "repair": ("repairing", "repaired"),
}
RECORDS = (PLANNING, PHASES[Phase.COPYING])
"""Steps that count each record once."""


@dataclass(slots=True)
class _Step:
    """A step on the screen: what it is called while it goes on, and after."""

    words: tuple[str, str]
    progress: Progress
    task: TaskID
    total: int | None
    done: int = 0
    began: float = field(default_factory=time.monotonic)


class Bars:
    """Rich progress bars on stderr. `on_plan` prints the plan once it is made."""

    def __init__(self, on_plan: Callable[[MigrationPlan], None], *, total: int | None = None, settled: int = 0) -> None:
        self._on_plan = on_plan
        self._total = total
        self._settled = settled
        self._rejected = 0
        self._checked = 0
        self._unindexed = 0
        self._left = 0
        self._running = False
        self._step: _Step | None = None

    def listen(self, event: Event) -> None:
        """Move the bar."""
        match event:
            case Connecting():
                self._set((f"connecting to {event.end}", f"connected to {event.end}"), None, 0)
                if event.ready:
                    self._end()
            case Profiled():
                self._set(PLANNING, event.total, event.records)
            case Planned():
                self._end()
                self._total = event.plan.total_records
                self._on_plan(event.plan)
            case PhaseChanged():
                self._enter(event.phase)
            case PageCommitted():
                self._copied(event)
            case Indexing():
                self._unindexed, self._left = max(self._unindexed, event.left), event.left
                built = self._unindexed - event.left
                self._set(PHASES[Phase.FINALIZING], self._unindexed or None, built, "all records are written")
            case Retrying():
                self.say(f"{event.operation}: {event.reason}; try {event.attempt + 1} in {duration(event.delay)}")
            case Checking():
                self._set(STAGES.get(event.stage, (event.stage, event.stage)), event.total or None, event.done)
            case Warned():
                self.say(f"warning: {event.message}")
            case Noted():
                self.say(event.message)
            case _:
                assert_never(event)

    def say(self, message: str) -> None:
        """A line above the bar."""
        err().print(Text(worded(message), style="yellow"), soft_wrap=True)

    def finish(self) -> None:
        """The command did what it should. A run that has not reported its end was stopped."""
        self._end() if not self._running else self.close()

    def close(self) -> None:
        """Take the bar off the screen and print where it was: the step did not come to its end."""
        if step := self._take():
            self._line("✗", "red", step.words[0], step)

    def _enter(self, phase: Phase) -> None:
        self._running = phase not in (Phase.DONE, Phase.ROLLED_BACK)
        if not self._running:
            self._end()
        elif phase is Phase.COPYING:
            self._set(PHASES[phase], self._total, self._settled)
        elif phase in PHASES:
            self._set(PHASES[phase], None, 0)

    def _copied(self, event: PageCommitted) -> None:
        self._settled += event.written + event.rejected
        self._rejected += event.rejected
        self._checked += event.checked
        figures = ((self._rejected, "rejected"), (self._checked, "checked"))
        extra = ", ".join(f"{counted(number)} {word}" for number, word in figures if number)
        self._set(PHASES[Phase.COPYING], self._total, self._settled, extra)

    def _set(self, words: tuple[str, str], total: int | None, done: int, extra: str = "") -> None:
        step = self._step
        if step is not None and step.words != words:
            self._end()
            step = None
        if step is None or (step.total is None) != (total is None):
            self._take()
            step = self._step = _begin(words, total, done, step)
        step.done, step.total = done, total
        step.progress.update(step.task, completed=done, total=total, extra=extra)
        speed = step.progress.tasks[0].speed
        amount = "" if total is None else f"{counted(done)}/{counted(total)}"
        step.progress.update(step.task, amount=amount, rate=rate(speed) if speed else "")

    def _end(self) -> None:
        """The step came to its end."""
        step = self._take()
        if step is None:
            return
        if step.words == PHASES[Phase.FINALIZING] and self._left:
            self._line("…", "yellow", "the target continues to build its index", step)
        else:
            self._line("✓", "green", step.words[1], step)

    def _take(self) -> _Step | None:
        """The step, no longer drawn."""
        step, self._step = self._step, None
        if step is not None:
            step.progress.stop()
        return step

    def _line(self, mark: str, style: str, words: str, step: _Step) -> None:
        line = Text.assemble((mark, style), f" {clean(words)}")
        if step.total and step.words in RECORDS:
            part = "" if step.done == step.total else f"{counted(step.done)} of "
            line.append(f"  {part}{plural(step.total, 'record')}")
        err().print(line.append(f"  {duration(time.monotonic() - step.began)}", style="dim"), highlight=False)


def _begin(words: tuple[str, str], total: int | None, done: int, before: _Step | None) -> _Step:
    """Draw it. `before`: the same step, when it was not known yet how much there is to do."""
    progress = Progress(
        *_columns(total), console=err(), expand=total is not None, transient=True, redirect_stdout=False
    )
    task = progress.add_task(clean(words[0]), total=total, completed=done, amount="", rate="", extra="")
    progress.start()
    step = _Step(words, progress, task, total, done)
    if before is not None:
        step.began = before.began
    return step


def _columns(total: int | None) -> list[ProgressColumn]:
    """No bar where nobody knows how much there is to do; on a narrow terminal only what fits there."""
    if total is None:
        return [SpinnerColumn(), TextColumn("{task.description}", markup=False, table_column=Column(overflow="fold"))]
    amount = TextColumn("{task.fields[amount]}", style="green")
    columns: list[ProgressColumn] = [
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        amount,
    ]
    if err().width < NARROW:
        return columns
    return [
        *columns,
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[extra]}", markup=False),
    ]
