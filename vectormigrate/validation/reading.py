"""Reads both sides of a comparison at once, keeps the positions, and saves the progress every few seconds."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

import anyio
import anyio.to_thread

from vectormigrate.adapter import Source
from vectormigrate.engine.events import Checking, Listener
from vectormigrate.engine.task_group import task_group
from vectormigrate.model.position import Page
from vectormigrate.validation.common import each_page, readers_of
from vectormigrate.validation.progress import DiffProgress, Position

Save = Callable[[bytes], Awaitable[None]]
Handle = Callable[[Page], Awaitable[None]]


@dataclass(slots=True, kw_only=True)
class Reading:
    """Both collections and the shared progress. A handler must change the progress only after its last await: then
    what it changed and the position that is set when it returns are saved together or not at all."""

    sides: tuple[Source, Source]
    progress: DiffProgress
    listener: Listener
    save: Save | None
    save_every: float
    page_rows: int
    _started: float = field(default_factory=time.monotonic)
    _saved: float = field(default_factory=time.monotonic)
    _saving: anyio.Lock = field(default_factory=anyio.Lock)
    _total: int = 0

    async def read(self, handlers: dict[int, Handle], *, vectors: bool = True) -> None:
        """Every page of these sides that this stage has not handled yet, each to the handler of its side."""
        self._total = sum(max(part.rows, 0) for side in handlers for part in self.progress.partitions[side])
        async with task_group() as tasks:
            for side, handle in handlers.items():
                waiting = list(range(len(self.progress.partitions[side])))
                for _ in range(min(readers_of(self.sides[side]), len(waiting))):
                    tasks.start_soon(self._read_some, side, waiting, handle, vectors)

    async def _read_some(self, side: int, waiting: list[int], handle: Handle, vectors: bool) -> None:
        while waiting:
            index = waiting.pop(0)
            position = self.progress.position(side, index)
            if position.done:
                continue
            partition = self.progress.partitions[side][index]
            step = partial(self._step, position, handle)
            await each_page(
                self.sides[side], partition, position.cursor, step, vectors=vectors, page_rows=self.page_rows
            )
            position.done = True

    async def _step(self, position: Position, handle: Handle, page: Page) -> None:
        await handle(page)
        position.cursor = page.cursor
        position.rows += len(page.batch)
        self._report()
        await self._save_sometimes()

    def _report(self) -> None:
        done = sum(position.rows for position in self.progress.positions.values())
        self.listener(Checking(stage="diff", done=done, total=max(self._total, done)))

    async def _save_sometimes(self) -> None:
        if self.save is None or time.monotonic() - self._saved < self.save_every or self._saving.locked():
            return
        async with self._saving:
            await self._save_now(self.save)

    async def _save_now(self, save: Save) -> None:
        now = time.monotonic()
        self.progress.seconds += now - self._started
        self._started = now
        snapshot = self.progress.snapshot()
        await save(await anyio.to_thread.run_sync(snapshot.to_bytes))
        self._saved = time.monotonic()

    async def save_last(self) -> None:
        """Save once more when the comparison ends early, even while it is being cancelled."""
        if self.save is None:
            return
        with anyio.move_on_after(10, shield=True):
            async with self._saving:
                await self._save_now(self.save)

    def seconds(self) -> float:
        """Time spent on the comparison so far, in all runs."""
        return self.progress.seconds + time.monotonic() - self._started
