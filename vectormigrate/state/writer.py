"""The one task that writes: whatever is asked for while a transaction runs lands together in the next one.

A transaction costs one flush of the disk however much it holds, so concurrent commits share that cost (group commit).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from vectormigrate.errors import StateError
from vectormigrate.state.connection import Session
from vectormigrate.state.pages import PreparedPage, apply_pages

GAP_EVERY = 1.0
GAP_SECONDS = 0.01
"""Between transactions that follow one another without a pause: whoever else writes to the file, such as the heartbeat
of our own lease, would wait until the last one."""

T = TypeVar("T")
Operation = Callable[[Session], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class _Job:
    """Work for a transaction and who waits for it."""

    work: Operation | PreparedPage
    done: asyncio.Future[Any]


class Writer:
    """Runs operations in order of arrival, grouped into transactions. `transactions` counts those committed."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._waiting: list[_Job] = []
        self._wake = asyncio.Event()
        self._closing = False
        self._task = asyncio.create_task(self._serve(), name="state-writer")
        self.transactions = 0

    async def run(self, operation: Callable[[Session], Awaitable[T]]) -> T:
        """The operation's result, once it is durable. It runs inside a transaction that others may share; what it
        raises undoes only its own writes."""
        return await self._submit(operation)

    async def commit_page(self, page: PreparedPage) -> None:
        """Returns once the page is durable. Raises LeaseLost or StateError for this page alone."""
        await self._submit(page)

    async def close(self) -> None:
        """Finish what was asked for, then end the task."""
        self._closing = True
        self._wake.set()
        await asyncio.wait([self._task])

    async def _submit(self, work: Operation | PreparedPage) -> Any:
        if self._closing or self._task.done():
            raise StateError("the state file is closed")
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Job(work, done))
        self._wake.set()
        return await done

    async def _serve(self) -> None:
        group: list[_Job] = []
        gap = time.monotonic()
        try:
            while self._waiting or not self._closing:
                await self._wake.wait()
                self._wake.clear()
                group, self._waiting = self._waiting, []
                if group:
                    await self._transact(group)
                    if time.monotonic() - gap > GAP_EVERY:
                        await asyncio.sleep(GAP_SECONDS)
                        gap = time.monotonic()
        finally:
            for job in group + self._waiting:
                job.done.cancel()

    async def _transact(self, group: list[_Job]) -> None:
        """Apply and commit the group, then tell everyone what became of his part."""
        session = self._session
        try:
            await session.begin()
            outcomes = await self._apply(group)
            await session.control("COMMIT")
        except Exception as error:
            if session.connection.in_transaction:
                with contextlib.suppress(StateError):
                    await session.control("ROLLBACK")
            outcomes = [error] * len(group)
        else:
            self.transactions += 1
        for job, outcome in zip(group, outcomes, strict=True):
            if job.done.done():
                continue
            if isinstance(outcome, Exception):
                job.done.set_exception(outcome)
            else:
                job.done.set_result(outcome)

    async def _apply(self, group: list[_Job]) -> list[Any]:
        """Results, or the exceptions that concern one job only. Pages go first, all together."""
        outcomes: list[Any] = [None] * len(group)
        rows = [row for row, job in enumerate(group) if isinstance(job.work, PreparedPage)]
        pages = [job.work for job in group if isinstance(job.work, PreparedPage)]
        for row, refusal in zip(rows, await apply_pages(self._session, pages), strict=True):
            outcomes[row] = refusal
        for row, job in enumerate(group):
            if not isinstance(job.work, PreparedPage):
                outcomes[row] = await self._isolated(job.work)
        return outcomes

    async def _isolated(self, operation: Operation) -> Any:
        session = self._session
        await session.control("SAVEPOINT operation")
        try:
            outcome = await operation(session)
        except Exception as error:
            if not session.connection.in_transaction:
                raise
            await session.control("ROLLBACK TO operation")
            outcome = error
        await session.control("RELEASE operation")
        return outcome
