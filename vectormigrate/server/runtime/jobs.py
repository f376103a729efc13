"""Work that outlives the call which began it: one task group, owned by the process, never by a connection.

A connection that goes away takes nothing with it. When the process is to end, runs are asked to stop after the batches
in flight; what does not stop in time is cut off, which costs nothing but the page in hand: everything that the target
acknowledged is in the state file, and a later run continues from there.
"""

from __future__ import annotations

import contextvars
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import anyio
from anyio.abc import TaskGroup

from vectormigrate.errors import Interrupted, LeaseHeld, VectorMigrateError
from vectormigrate.server.runtime.tool_errors import error_text, one_error
from vectormigrate.server.telemetry.tracing import current_call, job_span

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext

Kind = Literal["plan", "run", "validate", "rollback"]
State = Literal["running", "finished", "stopped", "failed"]

KEPT_ENDED = 500
"""Ended jobs that are remembered, for their errors and results."""

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Job:
    """One piece of work on one migration. `stop` asks it to end early and cleanly; `result` is what it returned."""

    kind: Kind
    migration_id: str
    owner: str
    state: State = "running"
    stage: str | None = None
    done: int | None = None
    total: int | None = None
    error: str | None = None
    result: Any = None
    stop: Callable[[], None] = lambda: None
    ended: anyio.Event = field(default_factory=anyio.Event)
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.state == "running"


Work = Callable[[Job], Awaitable[Any]]


class Jobs:
    """All jobs of this process, at most one running per migration."""

    def __init__(self) -> None:
        self._tasks: TaskGroup | None = None
        self._jobs: dict[str, Job] = {}
        self._closing = False

    @asynccontextmanager
    async def run(self, grace: float = 2.0) -> AsyncGenerator[Jobs]:
        """Jobs can be started inside. Leaving stops them all: `grace` seconds to come to a clean end, then by force."""
        self._closing = False
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            try:
                yield self
            finally:
                with anyio.CancelScope(shield=True):
                    await self.stop_all(grace)
                self._tasks = None
                tasks.cancel_scope.cancel()

    @property
    def running(self) -> list[Job]:
        """Those that have not ended."""
        return [job for job in self._jobs.values() if job.running]

    def find(self, migration_id: str) -> Job | None:
        """What this process does for the migration, or did last."""
        return self._jobs.get(migration_id)

    def require_idle(self, migration_id: str) -> None:
        """Raise LeaseHeld when this process works on the migration."""
        job = self.find(migration_id)
        if job is not None and job.running:
            raise LeaseHeld(
                f"this server is busy with migration {migration_id!r} ({job.kind}); wait with "
                f"wait_migration(migration_id={migration_id!r})"
            )

    def start(self, kind: Kind, migration_id: str, owner: str, work: Work) -> Job:
        """Begin, in a context of its own: the caller's identity and tracing end with his call. Raises LeaseHeld."""
        self.require_idle(migration_id)
        if self._tasks is None or self._closing:
            raise Interrupted("the server is shutting down; try again when it is back")
        job = Job(kind=kind, migration_id=migration_id, owner=owner)
        self._remember(job)
        contextvars.Context().run(self._tasks.start_soon, self._do, job, work, current_call())
        return job

    async def stop_all(self, grace: float) -> None:
        """Ask all jobs to end, and end those that have not after `grace` seconds."""
        self._closing = True
        waiting = self.running
        for job in waiting:
            job.stop()
        with anyio.move_on_after(grace):
            for job in waiting:
                await job.ended.wait()
        cut = self.running
        for job in cut:
            job.scope.cancel()
        with anyio.move_on_after(grace):
            for job in cut:
                await job.ended.wait()

    async def _do(self, job: Job, work: Work, call: SpanContext | None) -> None:
        try:
            with job.scope, job_span(job.kind, job.migration_id, call):
                job.result = await work(job)
                job.state = "finished"
            if job.scope.cancelled_caught:
                job.state = "stopped"
        except Interrupted:
            job.state = "stopped"
        except Exception as caught:
            job.state = "failed"
            error = one_error(caught)
            if isinstance(error, VectorMigrateError | OSError):
                job.error = error_text(error)
                log.warning("%s of migration %r failed: %s", job.kind, job.migration_id, job.error)
            else:
                job.error = "an unexpected error; the server's log has it"
                log.exception("%s of migration %r failed unexpectedly", job.kind, job.migration_id)
        finally:
            if job.state == "running":
                job.state = "stopped"
            job.ended.set()

    def _remember(self, job: Job) -> None:
        self._jobs.pop(job.migration_id, None)
        self._jobs[job.migration_id] = job
        ended = [name for name, item in self._jobs.items() if not item.running]
        for name in ended[: max(0, len(ended) - KEPT_ENDED)]:
            del self._jobs[name]
