"""What all tools, resources and prompts work on: the service, the jobs of this process, and the gate to collections."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import anyio
import anyio.to_thread

from vectormigrate.config.settings import Settings
from vectormigrate.errors import ConfigError, Interrupted, JournalError, MigrationNotFound, VectorMigrateError
from vectormigrate.model.live import LiveStatus
from vectormigrate.model.status import MigrationStatus, Status
from vectormigrate.server.access.allow_list import Access
from vectormigrate.server.access.auth import caller
from vectormigrate.server.access.keys import Scope
from vectormigrate.server.runtime.jobs import Job, Jobs
from vectormigrate.server.runtime.tool_errors import error_text

if TYPE_CHECKING:
    from vectormigrate.engine.events import Event
    from vectormigrate.model.plan import MigrationPlan
    from vectormigrate.service import Service
    from vectormigrate.state.shared_reader import SharedReader
    from vectormigrate.state.store import Store

READY_SECONDS = 2.0
"""How long an answer to "are you usable?" is given again: anybody may ask."""

CALCULATIONS = 2
"""Calculations for callers that run at once, each on a thread: the loop answers others meanwhile."""

CALL_SECONDS = 4.0
"""How long a call waits for the state file while another process keeps it locked; work in the background waits as long
as a run of the command line."""

HIDDEN = "not open to agents"

Destructive = Literal["rollback", "overwrite", "cutover", "reverse", "complete"]
"""What takes data, the way back or the authority over it away: each needs a person's consent."""

T = TypeVar("T")

log = logging.getLogger(__name__)


def ignore(event: Event) -> None:
    """The listener for engine events where nobody counts them."""


@dataclass(eq=False, kw_only=True)
class ServerContext:
    """One per process. `listen` hears the events of every run, for the metrics."""

    access: Access
    jobs: Jobs = field(default_factory=Jobs)
    listen: Callable[[Event], None] = ignore
    read_only: bool = False
    unattended: frozenset[Destructive] = frozenset()
    own_only: bool = False
    """Callers without the scope of an admin know of no migration but those that they began."""
    call_seconds: float = CALL_SECONDS
    _reader: SharedReader | None = None
    _calculating: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(CALCULATIONS))
    _asking: anyio.Lock = field(default_factory=anyio.Lock)
    _problems: Sequence[str] = ()
    _asked: float = float("-inf")

    @property
    def settings(self) -> Settings:
        """Where the state file is, and the connections as the file has them now."""
        return self.access.settings

    async def calculate(self, work: Callable[[], T]) -> T:
        """The result of work that takes the processor for long."""
        return await anyio.to_thread.run_sync(work, limiter=self._calculating)

    def service(self) -> Service:
        """What answers a call. Raises StateBusy, in time for the caller to hear of it."""
        return self._service(self.call_seconds)

    def worker(self) -> Service:
        """A service of its own for each piece of work in the background: asking one to stop stops no other."""
        return self._service(None)

    def _service(self, patience: float | None) -> Service:
        # It loads numpy and the whole engine, which the first answer to a client need not wait for.
        from vectormigrate.service import Service

        return Service(self.settings, self.reader(), patience=patience)

    def reader(self) -> SharedReader:
        """What all reading of the state file in this process goes through."""
        if self._reader is None:
            from vectormigrate.state.shared_reader import SharedReader

            self._reader = SharedReader(self.settings.state)
        return self._reader

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[None]:
        """While this lasts the state file stays open for reading."""
        async with self.reader():
            yield

    def store(self, *, read_only: bool = True) -> AbstractAsyncContextManager[Store]:
        """The state file as an async context manager of a Store."""
        from vectormigrate.state.store import open_store

        return self.reader().store() if read_only else open_store(self.settings.state)

    # -- looking

    def only(self) -> str | None:
        """Whose migrations alone the caller may know of; None: of all."""
        found = caller()
        return found.name if self.own_only and not found.has(Scope.ADMIN) else None

    async def migrations(self, status: Status | None = None) -> list[MigrationStatus]:
        """All migrations that the caller may know of, oldest first."""
        return await self.service().list(status, self.only())

    async def status(self, migration_id: str) -> MigrationStatus:
        """One migration. Raises MigrationNotFound, and for one that the caller may not know of nothing else."""
        return await self.service().status(migration_id, self.only())

    async def seen(self, status: MigrationStatus) -> tuple[MigrationStatus, Job | None, LiveStatus | None]:
        """What agents may see of a migration, of its job and of its being live: of one between collections that they
        may not touch, or whose plan is still being made, the progress and no more. A journal that cannot be read is
        among the notices."""
        job = self.jobs.find(status.id)
        try:
            await self.require_access(status.id)
        except (ConfigError, MigrationNotFound):
            bare = replace(status, source=HIDDEN, target=HIDDEN, error=None, notices=(), namespaces=())
            return bare, job if job is not None and job.running else None, None
        try:
            return status, job, await self.service().live_status(status.id)
        except JournalError as error:
            return replace(status, notices=(*status.notices, str(error))), job, None

    async def plan(self, name: str) -> MigrationPlan:
        """The plan of a migration, or of a proposal that was not started yet, if agents may touch both ends. Raises
        MigrationNotFound, ConfigError."""
        store: Store
        async with self.store() as store:
            waiting = await store.proposals.find(name)
        if waiting is None or waiting.owner != caller().name:
            return await self.require_access(name)
        self.access.require(waiting.plan.spec.source, waiting.plan.spec.target)
        return waiting.plan

    async def require_access(self, migration_id: str) -> MigrationPlan:
        """The plan, if the caller may know of the migration and agents may touch both ends. Raises MigrationNotFound,
        ConfigError."""
        if self.only() is not None:
            await self.status(migration_id)
        return await self._open_to_agents(migration_id)

    async def _open_to_agents(self, migration_id: str) -> MigrationPlan:
        plan = await self.service().stored_plan(migration_id)
        self.access.require(plan.spec.source, plan.spec.target)
        return plan

    # -- jobs

    def run(self, migration_id: str, owner: str, *, retry_rejects: bool = False) -> Job:
        """Start or resume a stored migration in the background. Raises LeaseHeld."""
        return self.jobs.start("run", migration_id, owner, lambda job: self._run(job, retry_rejects))

    async def _run(self, job: Job, retry_rejects: bool) -> MigrationStatus:
        service = self.worker()
        job.stop = service.stop_now
        await self._note(job, running=True)
        try:
            options = await service.stored_options(job.migration_id) if retry_rejects else None
            changed = options and replace(options, retry_rejects=True)
            status = await service.resume(job.migration_id, changed, self.listen)
        except Interrupted:
            # This process ends: the next one may take it up again.
            raise
        except Exception:
            await self._note(job, running=False)
            raise
        await self._note(job, running=False)
        if status.status is Status.STOPPED:
            raise Interrupted("stopped on request")
        return status

    async def _note(self, job: Job, *, running: bool) -> None:
        """Keep in the state file whether a server is responsible for the migration."""
        store: Store
        async with self.store(read_only=False) as store:
            if running:
                await store.served.add(job.migration_id, job.owner)
            else:
                await store.served.remove(job.migration_id)

    def validate(self, migration_id: str, owner: str, **wanted: Any) -> Job:
        """Compare source and target in the background; a validation that runs already is joined."""
        found = self.jobs.find(migration_id)
        if found is not None and found.running and found.kind == "validate":
            return found

        async def work(job: Job) -> Any:
            from vectormigrate.engine.events import Checking

            def listen(event: Event) -> None:
                self.listen(event)
                if isinstance(event, Checking):
                    job.stage, job.done, job.total = event.stage, event.done, event.total

            job.stop = job.scope.cancel
            return await self.worker().validate(migration_id, listener=listen, **wanted)

        return self.jobs.start("validate", migration_id, owner, work)

    def rollback(self, migration_id: str, owner: str) -> Job:
        """Remove what a migration wrote, in the background. Raises LeaseHeld."""

        async def work(job: Job) -> Any:
            job.stop = job.scope.cancel
            result = await self.worker().rollback(migration_id, listener=self.listen)
            await self._note(job, running=False)
            return result

        return self.jobs.start("rollback", migration_id, owner, work)

    async def resume_served(self) -> list[str]:
        """Take up what servers were running when they ended; the ids. What cannot be taken up is logged and left."""
        store: Store
        async with self.store() as store:
            served = await store.served.all()
        taken: list[str] = []
        for migration_id, owner in served:
            try:
                if await self._resumable(migration_id):
                    await self._open_to_agents(migration_id)
                    self.run(migration_id, owner)
                    taken.append(migration_id)
            except VectorMigrateError as error:
                log.warning("migration %r is not resumed: %s", migration_id, error_text(error))
        return taken

    async def _resumable(self, migration_id: str) -> bool:
        status = await self.service().status(migration_id)
        if status.status in (Status.COMPLETED, Status.ROLLED_BACK):
            store: Store
            async with self.store(read_only=False) as store:
                await store.served.remove(migration_id)
            return False
        return not status.runner_alive

    async def usable(self) -> Sequence[str]:
        """What keeps this server from working: the state file, and connections that are not complete (a variable, an
        adapter, a setting). Nothing is connected to, for an embedded database has room for one only. Empty: fine.
        Answers of the last two seconds are given again."""
        async with self._asking:
            if time.monotonic() - self._asked > READY_SECONDS:
                found = await self.calculate(self._incomplete)
                try:
                    await self.service().list()
                except VectorMigrateError as error:
                    found.append(error_text(error))
                if found != self._problems:
                    for problem in found:
                        log.warning("not ready: %s", problem)
                self._problems, self._asked = found, time.monotonic()
            return self._problems

    def _incomplete(self) -> list[str]:
        from vectormigrate.engine.connect import configure

        problems: list[str] = []
        for item in self.access.connections():
            try:
                configure(self.access.probe(item.name))
            except VectorMigrateError as error:
                problems.append(f"connection {item.name!r}: {error_text(error)}")
        return problems


async def wait_for_job(job: Job, seconds: float, tick: Callable[[], Any] | None = None) -> None:
    """Wait until the job has ended, at most this long; `tick` is awaited about once a second meanwhile."""
    with anyio.move_on_after(seconds):
        while job.running:
            with anyio.move_on_after(1.0):
                await job.ended.wait()
            if tick is not None and job.running:
                await tick()


def result_of(job: Job) -> Any:
    """What the job returned, None while it runs. Raises ConfigError with its error when it failed."""
    if job.state == "failed":
        raise ConfigError(job.error or "it failed")
    if job.state == "stopped":
        raise Interrupted("it was stopped before its end; call again to continue")
    return job.result
