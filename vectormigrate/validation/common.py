"""What all checks share: the expected target records of a source page, which namespaces count, and reading."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from collections.abc import Set as AbstractSet
from contextlib import aclosing
from dataclasses import dataclass, replace

import anyio
import numpy as np

from vectormigrate.adapter import Source
from vectormigrate.engine.task_group import task_group
from vectormigrate.errors import AdapterError, AuthFailed, CollectionNotFound, QuotaExceeded, TransientError
from vectormigrate.mapping.convert.mapper import Mapped, Mapper
from vectormigrate.model.batch import RecordBatch
from vectormigrate.model.ids import RecordId, id_key
from vectormigrate.model.plan import MigrationPlan
from vectormigrate.model.position import Cursor, Page, Partition

Rejected = AbstractSet[tuple[str, str]]
"""Known rejects as (source namespace, `id_key` of the source id)."""

WhichWritten = Callable[[str, Sequence[RecordId]], Awaitable[Collection[RecordId]]]
"""Which of these ids, in this target namespace, the migration wrote."""

PAGE_ROWS = 1000
READERS = 4
"""Most partitions read at once per side."""
PREFETCH = 1
"""Pages read ahead per reader."""


@dataclass(frozen=True, slots=True)
class Expected:
    """Source records as the target should hold them, one part per target namespace, and the source records that cannot
    be mapped although no reject is known for them (namespace, id, reason code)."""

    parts: list[Mapped]
    unmappable: list[tuple[str, RecordId, str]]


def expect(mapper: Mapper, batch: RecordBatch, rejected: Rejected) -> Expected:
    """What should be on the target for a batch of one source namespace. Known rejects are left out."""
    namespace = batch.namespace
    mapped = mapper.convert(batch)
    unmappable = [
        (namespace, reject.id, reject.code)
        for part in mapped
        for reject in part.rejects
        if (namespace, id_key(reject.id)) not in rejected
    ]
    if rejected:
        mapped = [_without(part, namespace, rejected) for part in mapped]
    return Expected(mapped, unmappable)


def _without(part: Mapped, namespace: str, rejected: Rejected) -> Mapped:
    keep = [row for row, item in enumerate(part.source_ids) if (namespace, id_key(item)) not in rejected]
    return part if len(keep) == len(part.source_ids) else take(part, keep)


def take(part: Mapped, rows: Sequence[int]) -> Mapped:
    """The chosen rows of a mapped batch."""
    return replace(
        part,
        batch=part.batch.take(rows),
        rows=part.rows[np.asarray(rows, np.int64)],
        source_ids=[part.source_ids[row] for row in rows],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Which namespaces are compared (None: all), and whether a record on the target is of interest only when this
    migration wrote it, because others may have put records there as well."""

    source: tuple[str, ...] | None
    target: tuple[str, ...] | None
    ours_only: bool


def scope_of(plan: MigrationPlan, mapper: Mapper, *, created: bool) -> Scope:
    """The scope of a plan. `created`: the migration made the target collection, so everything in it should be ours."""
    wanted = plan.spec.namespaces
    may_split = plan.source_schema.note is not None
    if wanted is None and created:
        return Scope(source=None, target=None, ours_only=False)
    names = wanted if wanted is not None else tuple(plan.namespaces)
    if may_split:  # sidecars may name any namespace, so all are looked through, for our own records only
        return Scope(source=wanted, target=None, ours_only=True)
    return Scope(source=wanted, target=tuple(sorted({*map(mapper.target_namespace, names)})), ours_only=not created)


async def partitions(source: Source, wanted: tuple[str, ...] | None, readers: int) -> list[Partition]:
    """Partitions of the wanted namespaces that exist, about two per reader."""
    existing = await source.namespaces()
    names = [name for name in existing if wanted is None or name in wanted]
    return await source.partitions(2 * readers, names) if names else []


async def each_page(
    source: Source,
    partition: Partition,
    after: Cursor | None,
    handle: Callable[[Page], Awaitable[None]],
    *,
    vectors: bool = True,
    page_rows: int,
) -> None:
    """Call `handle` with every page in order while the next one is being read."""
    send, receive = anyio.create_memory_object_stream[Page](PREFETCH)

    async def produce() -> None:
        async with send, aclosing(source.scan(partition, after, vectors=vectors, page_rows=page_rows)) as found:
            async for page in found:
                await send.send(page)

    async with anyio.create_task_group() as tasks, receive:
        tasks.start_soon(produce)
        async for page in receive:
            await handle(page)


def readers_of(source: Source) -> int:
    """How many partitions of this collection to read at once."""
    return max(1, min(READERS, source.capabilities.collection.readers))


async def read_all(
    source: Source,
    wanted: tuple[str, ...] | None,
    handle: Callable[[Page], Awaitable[None]],
    *,
    vectors: bool = True,
    page_rows: int,
) -> None:
    """Call `handle` with every page of the wanted namespaces (None: all); several partitions are read at once."""
    waiting = await partitions(source, wanted, readers_of(source))

    async def reader() -> None:
        while waiting:
            await each_page(source, waiting.pop(0), None, handle, vectors=vectors, page_rows=page_rows)

    async with task_group() as tasks:
        for _ in range(min(readers_of(source), len(waiting))):
            tasks.start_soon(reader)


async def fetch_readable(
    source: Source, ids: Sequence[RecordId], namespace: str, *, page_rows: int
) -> tuple[list[RecordBatch], list[RecordId]]:
    """The records that exist, in batches, and the ids that cannot be read: a failing request is halved until the
    unreadable records are alone. What concerns the whole collection or the connection is raised."""
    found: list[RecordBatch] = []
    unreadable: list[RecordId] = []
    todo = [list(ids[start : start + page_rows]) for start in range(0, len(ids), page_rows)]
    while todo:
        chunk = todo.pop()
        try:
            batch = await source.fetch(chunk, namespace)
        except (TransientError, AuthFailed, CollectionNotFound, QuotaExceeded):
            raise
        except AdapterError:
            if len(chunk) == 1:
                unreadable.append(chunk[0])
            else:
                todo += [chunk[: len(chunk) // 2], chunk[len(chunk) // 2 :]]
            continue
        if len(batch):
            found.append(batch)
    return found, unreadable
