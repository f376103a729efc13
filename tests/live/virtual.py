"""An event loop whose clock jumps to the next timer: hours pass in milliseconds, and a seed repeats them.

Processes are tasks that die together, as those of a process that is killed do: at whatever they wait for, without a
`finally` of theirs.
"""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import selectors
import sqlite3
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

PROCESS: contextvars.ContextVar[Process | None] = contextvars.ContextVar("process", default=None)
"""Whose code runs; None for what is never killed."""


class Killed(Exception):
    """The process does not exist any more."""


class Process:
    """`number` is its own for ever."""

    _numbers = itertools.count(1)

    def __init__(self) -> None:
        self.number = next(self._numbers)
        self.alive = True
        self.over = False
        """Its tasks are being cleared away: nothing that they do counts."""
        self.tasks: list[_Task] = []
        self.files: list[sqlite3.Connection] = []
        self.missed: list[tuple[contextvars.Context, Callable[..., object], tuple[object, ...]]] = []

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Its main task."""
        context = contextvars.copy_context()
        context.run(PROCESS.set, self)
        return asyncio.get_running_loop().create_task(work, context=context)

    def call(self, callback: Callable[..., object], *arguments: object) -> None:
        """Run a callback of the loop, which a dead process has none of."""
        if self.alive or self.over:
            callback(*arguments)
        else:
            self.missed.append((contextvars.copy_context(), callback, arguments))

    def kill(self) -> None:
        """Let nothing of it run any more; what it had not committed is gone."""
        self.alive = False
        for file in self.files:
            file.close()

    async def clear_away(self) -> None:
        """Let go of the tasks that it left behind."""
        self.over = True
        left = [task for task in self.tasks if not task.done()]
        for task in left:
            task.cancel()
        for context, callback, arguments in self.missed:
            asyncio.get_running_loop().call_soon(callback, *arguments, context=context)
        if left:
            await asyncio.wait(left, timeout=1000)


class _Task(asyncio.Task[Any]):
    """Sets of tasks are in an order that a seed repeats."""

    _numbers = itertools.count(1)

    def __init__(self, coro: Any, **options: Any) -> None:
        self._number = next(self._numbers)
        super().__init__(coro, **options)

    def __hash__(self) -> int:
        return self._number


class _NoWaiting(selectors.SelectSelector):
    """Never waits: what the loop would have slept is added to its clock."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        """Nothing: there are no files and no threads."""
        if timeout is None:
            raise RuntimeError("everybody waits for somebody: a deadlock")
        if timeout > 0:
            self._loop.now += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time begins at 1,000 s."""

    def __init__(self) -> None:
        self.now = 1_000.0
        super().__init__(_NoWaiting(self))
        self.set_task_factory(_make_task)  # pyright: ignore[reportArgumentType]

    def time(self) -> float:
        """Seconds that passed, slept or not."""
        return self.now

    def call_soon(self, callback: Any, *args: Any, context: contextvars.Context | None = None) -> asyncio.Handle:
        """As of every loop, if the process of the caller lives by then."""
        process = PROCESS.get() if context is None else context.get(PROCESS)
        if process is None:
            return super().call_soon(callback, *args, context=context)
        return super().call_soon(process.call, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Any, *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        """As `call_soon`."""
        process = PROCESS.get() if context is None else context.get(PROCESS)
        if process is None:
            return super().call_at(when, callback, *args, context=context)
        return super().call_at(when, process.call, callback, *args, context=context)


def _make_task(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], **options: Any) -> asyncio.Task[Any]:
    task = _Task(work, loop=loop, **options)
    context: contextvars.Context | None = options.get("context")
    process = PROCESS.get() if context is None else context.get(PROCESS)
    if process is not None:
        process.tasks.append(task)
    return task


def run(main: Coroutine[Any, Any, T]) -> T:
    """As asyncio.run, in no time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
