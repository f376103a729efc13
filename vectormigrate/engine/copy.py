"""The hot path: one partition from its cursor to its end.

Pages are read ahead, mapped, cut and written concurrently, but settled strictly in order: a page is committed when the
target has acknowledged all of it and every page before it is committed. Whatever a crash leaves half-done lies behind
the cursor and is written again; upserts by id make that harmless.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace

import anyio
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from vectormigrate.adapter import Reject
from vectormigrate.engine.batching import split
from vectormigrate.engine.claims import Claim, Claims
from vectormigrate.engine.failpoints import failpoint
from vectormigrate.engine.instrumentation import span
from vectormigrate.engine.progress import Progress
from vectormigrate.engine.retry import RetryingSource, RetryingTarget
from vectormigrate.engine.task_group import task_group
from vectormigrate.engine.throttle import Pacer
from vectormigrate.engine.writing import BatchWriter, WriteResult
from vectormigrate.errors import TransientError
from vectormigrate.mapping.convert.mapper import Mapped, Mapper
from vectormigrate.model.batch import RecordBatch
from vectormigrate.model.ids import RecordId
from vectormigrate.model.position import Cursor, Page, Partition
from vectormigrate.state.records import PageCommit

PREFETCH = 2
"""Pages read ahead of the oldest uncommitted one, per partition."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionTask:
    """A unit of copy work as plain data: where to read on, and the number of the next page."""

    partition: Partition
    after: Cursor | None
    next_seq: int


@dataclass(slots=True)
class _PendingPage:
    """A page whose writes are under way."""

    page: Page
    rejects: list[Reject]
    losses: Counter[str]
    open_writes: int
    settled: anyio.Event = field(default_factory=anyio.Event)
    result: WriteResult = field(default_factory=WriteResult)


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyContext:
    """What all partitions of a run share."""

    source: RetryingSource
    target: RetryingTarget
    mapper: Mapper
    writer: BatchWriter
    progress: Progress
    pacer: Pacer
    page_rows: int
    batch_rows: int
    batch_bytes: int
    stopping: Callable[[], bool]
    take_retries: Callable[[], int]
    """Retries since the last call."""
    claims: Claims | None = None
    """None: every record is the copy's."""


async def copy_partition(context: CopyContext, task: PartitionTask) -> None:
    """Copy the rest of the partition. Returns early, with everything in flight committed, once `stopping` is true."""
    send, receive = anyio.create_memory_object_stream[_PendingPage](PREFETCH)
    async with task_group() as tasks:
        tasks.start_soon(_read, context, task, tasks, send)
        next_seq = await _commit_in_order(context, task, receive)
    if not context.stopping():
        await _commit_end(context, task, next_seq)


async def _read(
    context: CopyContext, task: PartitionTask, tasks: TaskGroup, send: MemoryObjectSendStream[_PendingPage]
) -> None:
    """Read page after page, map it, begin its writes, and send it on to be committed."""
    pages = context.source.scan(task.partition, task.after, page_rows=context.page_rows)
    async with send, aclosing(pages):
        while not context.stopping() and (page := await _next(pages)) is not None:
            failpoint("page_read")
            if not await context.pacer.wait(len(page.batch), context.stopping):
                return
            # Records of one page may go to several target namespaces, when an earlier migration merged them.
            with span("map", records=len(page.batch)):
                parts = context.mapper.convert(page.batch)
            pieces = _cut(context, parts)
            pending = _pending(page, parts, len(pieces))
            if not context.writer.guard_existing:
                announced = await _announce(context, task, parts)
                pending.result.intents += announced
            if not pieces:
                pending.settled.set()
            for part, rows in pieces:
                tasks.start_soon(_write, context, task, pending, part, rows)
            await send.send(pending)


def _cut(context: CopyContext, parts: list[Mapped]) -> list[tuple[Mapped, list[int]]]:
    """Pieces that the target takes in one write, as rows of a part."""
    return [(part, rows) for part in parts for rows in split(part.batch, context.batch_rows, context.batch_bytes)]


def _pending(page: Page, parts: list[Mapped], writes: int) -> _PendingPage:
    """The page as mapped, of which nothing is written yet."""
    rejects = [reject for part in parts for reject in part.rejects]
    losses = sum((part.losses for part in parts), Counter[str]())
    return _PendingPage(page, rejects, losses, writes)


async def _announce(context: CopyContext, task: PartitionTask, parts: list[Mapped]) -> list[int]:
    """Enter the ids of a page before they are written: what a crash or a lost answer leaves on the target is then known
    for ours, and no rollback takes it for somebody else's. (Of an existing target the writer enters them itself.)"""
    return [
        await context.progress.announce(task.partition, part.batch.namespace, part.batch.ids)
        for part in parts
        if len(part.batch)
    ]


async def _next(pages: AsyncGenerator[Page]) -> Page | None:
    with span("read"):
        return await anext(pages, None)


async def _write(
    context: CopyContext, task: PartitionTask, pending: _PendingPage, part: Mapped, rows: list[int]
) -> None:
    """Write a piece of the page; the last one settles it."""
    piece = part.batch if len(rows) == len(part.batch) else part.batch.take(rows)
    source_ids = [part.source_ids[row] for row in rows]
    with span("write", records=len(piece)):
        if context.claims is None:
            pending.result.add(await context.writer.write(task.partition, piece, source_ids))
        else:
            pending.result.add(await _write_claimed(context, context.claims, task, piece, source_ids))
    pending.open_writes -= 1
    if pending.open_writes == 0:
        pending.settled.set()


async def _write_claimed(
    context: CopyContext, claims: Claims, task: PartitionTask, piece: RecordBatch, source_ids: list[RecordId]
) -> WriteResult:
    """Write those rows that are the copy's. One that was written with an unknown outcome is not sent again, because the
    first may yet come after it: it is handed over."""
    wanted = Claim(
        namespace=task.partition.namespace,
        source_ids=source_ids,
        target_namespace=piece.namespace,
        target_ids=piece.ids,
    )
    async with claims.claim(wanted) as rows:
        if not rows:
            return WriteResult()
        if len(rows) < len(piece):
            piece, source_ids = piece.take(rows), [source_ids[row] for row in rows]
        try:
            return await context.writer.write(task.partition, piece, source_ids)
        except TransientError:
            await claims.doubt(replace(wanted, source_ids=source_ids, target_ids=piece.ids))
            return WriteResult()


async def _commit_in_order(
    context: CopyContext, task: PartitionTask, receive: MemoryObjectReceiveStream[_PendingPage]
) -> int:
    """Commit page after page; returns the number of the next one."""
    seq = task.next_seq
    async with receive:
        async for pending in receive:
            await pending.settled.wait()
            await _commit(context, task, seq, pending)
            seq += 1
    return seq


async def _commit(context: CopyContext, task: PartitionTask, seq: int, pending: _PendingPage) -> None:
    result = pending.result
    rejects = [*pending.rejects, *result.rejects]
    failpoint("before_commit")
    commit = PageCommit(
        partition_id=task.partition.id,
        seq=seq,
        cursor=pending.page.cursor,
        read=len(pending.page.batch),
        written=result.written,
        rejects=rejects,
        written_ids=list(result.written_ids.items()),
        intents=result.intents,
        retries=context.take_retries(),
        batches=result.batches,
        checked=result.checked,
        losses=pending.losses,
        rechecks=result.rechecks,
    )
    with span("commit", records=len(pending.page.batch)):
        await context.progress.commit(task.partition, commit)


async def _commit_end(context: CopyContext, task: PartitionTask, seq: int) -> None:
    """Mark the partition as done: its scan ended and everything it returned is settled."""
    end = PageCommit(partition_id=task.partition.id, seq=seq, done=True)
    await context.progress.commit(task.partition, end)
