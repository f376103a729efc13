"""One run of a migration: create, copy, finalize, from the phase in the state."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import anyio

from vectormigrate.engine.claims import Claims
from vectormigrate.engine.copy import CopyContext, PartitionTask, copy_partition
from vectormigrate.engine.counting import count_source, count_target
from vectormigrate.engine.events import Checking, Indexing, Listener, PhaseChanged, Warned
from vectormigrate.engine.executor import run_local
from vectormigrate.engine.failpoints import failpoint
from vectormigrate.engine.ownership import is_ours
from vectormigrate.engine.progress import LeasedProgress
from vectormigrate.engine.rechecks import settle_rechecks, write_failed_again
from vectormigrate.engine.retry import RetryingSource, RetryingTarget
from vectormigrate.engine.retry_rejects import retry_rejects
from vectormigrate.engine.task_group import task_group
from vectormigrate.engine.throttle import STOP_CHECK_SECONDS, Pacer
from vectormigrate.engine.writing import BatchWriter, ReadBack
from vectormigrate.errors import (
    AlreadyExists,
    CollectionNotFound,
    IncompatibleSchema,
    Interrupted,
    MigrationFailed,
    TargetNotEmpty,
    option,
    remedy,
)
from vectormigrate.figures import counted
from vectormigrate.mapping.convert.mapper import Mapper
from vectormigrate.model.plan import MigrationPlan, RunOptions
from vectormigrate.model.status import Phase, Status
from vectormigrate.state.records import Lease
from vectormigrate.state.store import Store

MANY_PARTITIONS = 32

PAGE_BYTES = 4 * 1024 * 1024
"""Aim for the size of a page in memory."""


@dataclass(slots=True, kw_only=True)
class Run:
    """Everything one run needs. `stopping` is asked before each page; once true, the run ends early and cleanly."""

    plan: MigrationPlan
    options: RunOptions
    source: RetryingSource
    target: RetryingTarget
    store: Store
    lease: Lease
    listener: Listener
    read_back: ReadBack
    stopping: Callable[[], bool]
    rejected_before: int
    begun_before: bool
    """An earlier run of this migration may have made the target."""
    completed_before: bool
    """The migration was complete once, so that others may use the target by now."""
    claims: Claims | None = None
    """Decides which records the copy owns, while the source is written to."""
    _rejected: int = field(default=0, init=False)
    _unindexed: int = field(default=0, init=False)
    _progress: LeasedProgress = field(init=False)
    _writer: BatchWriter = field(init=False)

    def __post_init__(self) -> None:
        self._rejected = self.rejected_before
        self._progress = LeasedProgress(
            store=self.store, lease=self.lease, listener=self.listener, count_rejects=self._count_rejects
        )
        self._writer = BatchWriter(
            target=self.target,
            progress=self._progress,
            migration_id=self.migration_id,
            guard_existing=self.plan.target_exists,
            overwrite=self.plan.spec.overwrite,
            read_back=self.read_back,
            check_every=self.options.validate_every,
        )

    @property
    def migration_id(self) -> str:
        """The id that the operator gave."""
        return self.plan.spec.id

    async def execute(self, phase: Phase) -> bool:
        """Continue from this phase. True: all is copied, readable and counted. False: stopped, with all in flight
        committed."""
        if not self.options.retry_rejects:
            self._require_few_rejects(self.rejected_before)
        try:
            return await self._execute(phase)
        except Interrupted:
            if self.stopping():
                return False
            raise

    async def _execute(self, phase: Phase) -> bool:
        await self.make_target(phase)
        if not await self._fill(phase) or not await self._finalize():
            return False
        failpoint("finalized")
        return True

    async def make_target(self, phase: Phase) -> None:
        """Make the target collection unless that was done before."""
        if phase in (Phase.PLANNED, Phase.CREATING):
            await self.enter(Phase.CREATING)
            failpoint("creating")
            await self._create()
            failpoint("created")

    async def _fill(self, phase: Phase) -> bool:
        if phase in (Phase.PLANNED, Phase.CREATING, Phase.COPYING):
            await self.enter(Phase.COPYING)
            if not await self._copy():
                return False
            failpoint("copied")
        await self.enter(Phase.FINALIZING)
        return True

    async def copy_moving(self, phase: Phase) -> bool:
        """Copy a source that is written to: as `execute`, with the target made before, and without counting what may be
        another number by now. False: stopped."""
        try:
            if not await self._fill(phase) or not await self._until_stopped(self._index):
                return False
            failpoint("finalized")
            return True
        except Interrupted:
            if self.stopping():
                return False
            raise

    async def enter(self, phase: Phase) -> None:
        """Go to the phase, and report it."""
        await self.store.migrations.set_phase(self.migration_id, phase, Status.IN_PROGRESS, lease=self.lease)
        self.listener(PhaseChanged(migration_id=self.migration_id, phase=phase))

    async def _create(self) -> None:
        """Make the target collection, or recognise the one that an interrupted run of this migration made. Of an
        existing collection note how much it holds."""
        if self.plan.target_exists:
            counts = await self.target.counts(await self.target.namespaces())
            await self.store.progress.set_held(self.lease, counts)
            return
        schema = self.plan.target_schema
        try:
            await self.target.create(schema)
        except AlreadyExists:
            found = await self.target.describe()
            if is_ours(found.note, self.plan):
                return
            # Where no note can tell who made it (--no-sidecar), an empty one is taken for that of our interrupted run.
            noted = schema.note is not None and self.target.capabilities.collection.keeps_note
            if noted or not self.begun_before or await self.target.count():
                raise TargetNotEmpty(
                    f"the target collection {schema.name!r} appeared since the plan was made; choose another "
                    f"{option('request.target.collection')}, or roll back {self.migration_id!r} and start a new "
                    "migration into it"
                ) from None

    async def _copy(self) -> bool:
        await self._check_target()
        partitions = await self.store.progress.partitions(self.migration_id)
        tasks = [
            PartitionTask(
                partition=item.partition,
                after=item.cursor,
                next_seq=item.next_seq,
            )
            for item in partitions
            if not item.done
        ]
        context = self._context()

        async def work(task: PartitionTask) -> None:
            if not self.stopping():
                await copy_partition(context, task)

        if tasks:
            names = {context.mapper.target_namespace(task.partition.namespace) for task in tasks}
            await self.target.make_namespaces(sorted(names))
            await run_local(tasks, work, self._partitions_at_once(tasks))
        if not all(item.done for item in await self.store.progress.partitions(self.migration_id)):
            return False
        if self.options.retry_rejects:
            await retry_rejects(context, self.store, self.lease)
            await write_failed_again(context, self.store, self.lease)
        self._require_few_rejects((await self.store.migrations.load(self.migration_id)).counters.rejected)
        return True

    def _partitions_at_once(self, tasks: Sequence[PartitionTask]) -> int:
        """As many as the operator asked for, else one per two processors: a copy is limited by its writes, and more
        readers than that only take time and memory from them (measured on 2 cores: 10.3k/s with four, 13.8k/s with
        one, at half the memory). With many partitions of less than one batch the time goes into waiting for answers,
        so there as many as the source takes."""
        rows = sum(task.partition.rows for task in tasks)
        small = len(tasks) > MANY_PARTITIONS and rows < len(tasks) * self.options.batch_size
        few = self.source.capabilities.collection.readers if small else max(1, (os.cpu_count() or 1) // 2)
        wanted = self.plan.spec.partitions or few
        return min(self.source.capabilities.collection.readers, wanted)

    async def _check_target(self) -> None:
        """The target must still have the vector fields that the plan writes to."""
        try:
            found = await self.target.describe()
        except CollectionNotFound as error:
            raise IncompatibleSchema(
                f"the target collection {self.plan.target_schema.name!r} is gone; what was copied is lost with it. "
                "Start a new migration under another id"
            ) from error
        for vector in self.plan.target_schema.vectors:
            there = found.vector(vector.name)
            # Without a dimension the collection was empty, and the first record set it.
            if there is None or there.kind is not vector.kind or vector.dim not in (None, there.dim):
                raise IncompatibleSchema(
                    f"the target's vector field {vector.name!r} is no longer what the plan wrote down; "
                    "start a new migration under another id"
                )

    def _context(self) -> CopyContext:
        capabilities = self.target.capabilities
        batch_rows = min(self.options.batch_size, capabilities.writes.rows)
        page_rows = min(10 * batch_rows, 2000, PAGE_BYTES // max(1, self.plan.bytes_per_record))
        if self.options.rate_limit:
            page_rows = min(page_rows, int(self.options.rate_limit))
        page_rows = max(batch_rows, page_rows)
        return CopyContext(
            source=self.source,
            target=self.target,
            mapper=Mapper(self.plan.rules),
            writer=self._writer,
            progress=self._progress,
            pacer=Pacer(self.options.rate_limit),
            page_rows=page_rows,
            batch_rows=batch_rows,
            batch_bytes=capabilities.writes.bytes,
            stopping=self.stopping,
            take_retries=self.source.policy.take,
            claims=self.claims,
        )

    def _count_rejects(self, rejects: int) -> None:
        self._rejected += rejects
        if rejects:
            self._require_few_rejects(self._rejected)

    def _require_few_rejects(self, rejects: int) -> None:
        if rejects > self.options.max_rejects:
            raise MigrationFailed(
                f"{counted(rejects)} records rejected, more than "
                f"{option('options.max_rejects', self.options.max_rejects)} allows; see them with: "
                f"{remedy('rejects', self.migration_id, limit=20)}, try them again with: "
                f"{remedy('resume', self.migration_id, retry_rejects=True)}"
            )

    async def _finalize(self) -> bool:
        """Make everything readable, read back what is due, and count. False when a stop came first."""
        if not await self._until_stopped(self._index):
            return False
        checked = await settle_rechecks(self._context(), self.store, self.lease)
        if checked:
            await self.store.progress.add_checked(self.lease, checked)
        self.listener(Checking(stage="counts", done=0, total=0))
        shared = self.plan.target_exists or self.completed_before
        notices = [self._still_indexing()] if self._unindexed else []
        notices += await count_target(self.store, self.plan, self.target, shared=shared)
        notices += await count_source(self.store, self.plan, self.source)
        await self.store.migrations.set_notices(self.lease, notices)
        for notice in notices:
            self.listener(Warned(message=notice))
        return True

    async def _index(self) -> None:
        wait = self.options.wait_for_index
        self._unindexed = await self.target.finalize(wait=wait, report=self._report_index)
        self.listener(Indexing(left=self._unindexed))

    def _report_index(self, left: int) -> None:
        self._unindexed = left
        self.listener(Indexing(left=left))

    def _still_indexing(self) -> str:
        return (
            f"all records are written; the target is still building its index: {counted(self._unindexed)} vectors to go"
        )

    async def _until_stopped(self, work: Callable[[], Awaitable[None]]) -> bool:
        """Do work that can be repeated; False when a stop came first. An index may take hours."""
        done = False
        async with task_group() as tasks:
            tasks.start_soon(self._watch, tasks.cancel_scope)
            await work()
            done = True
            tasks.cancel_scope.cancel()
        return done

    async def _watch(self, scope: anyio.CancelScope) -> None:
        shown = 0
        # The wish to stop is a flag that another thread or process sets.
        while not self.stopping():
            await anyio.sleep(STOP_CHECK_SECONDS)
            if self._unindexed != shown:
                shown = self._unindexed
                await self.store.migrations.set_notices(self.lease, [self._still_indexing()] if shown else [])
        scope.cancel()
