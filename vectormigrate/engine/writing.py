"""Writes one piece of a page: guards existing records, isolates bad ones, and now and then reads back what it wrote."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

import anyio

from vectormigrate.adapter import Reject
from vectormigrate.engine.existing_ids import TakenIds
from vectormigrate.engine.failpoints import failpoint
from vectormigrate.engine.progress import Progress
from vectormigrate.engine.retry import RetryingTarget
from vectormigrate.errors import InvalidRequest, RecordsRejected, ValidationFailed, remedy
from vectormigrate.figures import counted
from vectormigrate.model.batch import RecordBatch
from vectormigrate.model.ids import RecordId, id_key
from vectormigrate.model.position import Partition

ReadBack = Callable[[RecordBatch], Awaitable[list[RecordId]]]
"""Reads records back and returns the ids of those that are not as they were written."""

SAMPLE_ROWS = 8
"""Records read back per checked batch."""

DEFERRED_LIMIT = 64
"""Checked batches kept for later when the target cannot be read before it is finalized."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deferred:
    """Records that were written and not yet read back; `source_ids` row by row."""

    partition_id: str
    batch: RecordBatch
    source_ids: list[RecordId]


@dataclass(slots=True)
class WriteResult:
    """What became of some rows. `written_ids` are, per target namespace, the ids that this migration put there,
    `intents` the blocks that announced them, `rechecks` the source ids of records whose read-back was put off.
    Rejects name source ids and the source namespace."""

    written: int = 0
    batches: int = 0
    checked: int = 0
    rejects: list[Reject] = field(default_factory=list[Reject])
    written_ids: dict[str, list[RecordId]] = field(default_factory=dict[str, list[RecordId]])
    intents: list[int] = field(default_factory=list[int])
    rechecks: list[RecordId] = field(default_factory=list[RecordId])

    def add(self, other: WriteResult) -> None:
        """Count the other one in."""
        self.written += other.written
        self.batches += other.batches
        self.checked += other.checked
        self.rejects += other.rejects
        for namespace, ids in other.written_ids.items():
            self.written_ids.setdefault(namespace, []).extend(ids)
        self.intents += other.intents
        self.rechecks += other.rechecks


@dataclass(frozen=True, slots=True, kw_only=True)
class _Allowed:
    """What of a batch may be written. `foreign`: keys of those records in it that the target held before us; `refused`
    names target ids; `intents` are the blocks that announce the others."""

    batch: RecordBatch
    foreign: frozenset[str] | set[str] = frozenset()
    refused: list[Reject] = field(default_factory=list[Reject])
    intents: list[int] = field(default_factory=list[int])


def _account(
    allowed: _Allowed, refused: list[Reject], origin: dict[str, RecordId], partition: Partition
) -> WriteResult:
    """What became of the rows: an id that somebody else had there before is written, but not ours."""
    batch = allowed.batch
    keys = {id_key(reject.id) for reject in refused}
    written = [record_id for record_id in batch.ids if id_key(record_id) not in keys]
    ours = [record_id for record_id in written if id_key(record_id) not in allowed.foreign]
    return WriteResult(
        written=len(written),
        batches=1,
        rejects=[
            Reject(origin.get(id_key(reject.id), reject.id), partition.namespace, reject.code, reject.reason)
            for reject in refused
        ],
        written_ids={batch.namespace: ours} if ours else {},
        intents=allowed.intents,
    )


@dataclass(slots=True, kw_only=True)
class BatchWriter:
    """Writes batches in three steps: guard what was there before, send, account for every row.

    `guard_existing`: the collection was there before us, so what it held is not ours. Its records are refused, or
    with `overwrite` replaced but never entered among the written ids, which a rollback deletes."""

    target: RetryingTarget
    progress: Progress
    migration_id: str
    guard_existing: bool
    overwrite: bool
    read_back: ReadBack
    check_every: int
    deferred: list[Deferred] = field(default_factory=list[Deferred])
    _batches: int = 0
    _taken: TakenIds | None = None

    async def write(self, partition: Partition, batch: RecordBatch, source_ids: list[RecordId]) -> WriteResult:
        """Write the rows; every one of them ends as written or as a reject that names its source id."""
        origin = dict(zip(map(id_key, batch.ids), source_ids, strict=True))
        allowed = await self._guard(partition, batch) if self.guard_existing else _Allowed(batch=batch)
        refused = [*allowed.refused, *await self._send(allowed.batch)]
        result = _account(allowed, refused, origin, partition)
        await self._check(partition, allowed.batch, origin, {id_key(reject.id) for reject in refused}, result)
        return result

    async def _guard(self, partition: Partition, batch: RecordBatch) -> _Allowed:
        """What of the batch may be written into an existing collection, announced."""
        foreign = await self._foreign(batch)
        refused: list[RecordId] = []
        if foreign and not self.overwrite:
            batch, refused = _partition_rows(batch, foreign)
        ours = [record_id for record_id in batch.ids if id_key(record_id) not in foreign]
        intents = [await self.progress.announce(partition, batch.namespace, ours)] if ours else []
        failpoint("intents")
        reason = "the target held this id before the migration"
        return _Allowed(
            batch=batch,
            foreign=foreign,
            refused=[Reject(record_id, batch.namespace, "exists", reason) for record_id in refused],
            intents=intents,
        )

    async def _send(self, batch: RecordBatch) -> list[Reject]:
        """Upsert; returns what the target refused."""
        if not len(batch):
            return []
        failpoint("before_write")
        refused = await self._upsert(batch)
        failpoint("after_write")
        return refused

    async def differing(self, batch: RecordBatch) -> list[RecordId]:
        """Target ids of those records that are not on the target as they are here."""
        wrong = await self.read_back(batch)
        if wrong:
            # An application may have just replaced the record; a second look after a moment tells noise from damage.
            await anyio.sleep(0.2)
            wrong = await self.read_back(batch)
        return wrong

    async def _foreign(self, batch: RecordBatch) -> set[str]:
        """Keys of the ids that the target holds and that this migration did not put there."""
        if self._taken is None:
            self._taken = TakenIds(self.target)
        found = await self._taken.among(batch.ids, batch.namespace)
        if not found:
            return set()
        # What is sent again after a crash is among the open intents, which are few. The written ids are many: they are
        # only asked before a record is refused.
        ours = await self.progress.which_intended(batch.namespace, found)
        rest = [record_id for record_id in found if record_id not in ours]
        if rest and not self.overwrite:
            ours |= await self.progress.which_written(batch.namespace, rest)
        return {id_key(record_id) for record_id in found if record_id not in ours}

    async def _upsert(self, batch: RecordBatch) -> list[Reject]:
        """Upsert; when the target refuses the batch as a whole, halve it until the bad records stand alone."""
        try:
            return await self.target.upsert(batch)
        except (RecordsRejected, InvalidRequest) as error:
            if len(batch) == 1:
                return [Reject(batch.ids[0], batch.namespace, "refused", str(error))]
        middle = len(batch) // 2
        halves = (range(middle), range(middle, len(batch)))
        return [reject for half in halves for reject in await self._upsert(batch.take(list(half)))]

    async def _check(
        self,
        partition: Partition,
        batch: RecordBatch,
        origin: dict[str, RecordId],
        refused: set[str],
        result: WriteResult,
    ) -> None:
        """Now and then read a sample of the batch back, or put that off where the target cannot be read yet. Raises
        ValidationFailed, after storing which records were not as written: no later run may forget them."""
        self._batches += 1
        if not self.check_every or self._batches % self.check_every:
            return
        rows = [row for row, record_id in enumerate(batch.ids) if id_key(record_id) not in refused]
        sample = batch.take(_spread(rows, SAMPLE_ROWS))
        if not len(sample):
            return
        source_ids = [origin[id_key(record_id)] for record_id in sample.ids]
        if not self.target.capabilities.writes.readable_before_finalize:
            if len(self.deferred) < DEFERRED_LIMIT:
                self.deferred.append(Deferred(partition_id=partition.id, batch=sample, source_ids=source_ids))
                result.rechecks += source_ids
            return
        wrong = await self.differing(sample)
        if wrong:
            failed = [origin[id_key(record_id)] for record_id in wrong]
            await self.progress.add_failed_check(partition, failed)
            raise not_as_written(wrong, len(sample), self.migration_id)
        result.checked = len(sample)


def not_as_written(wrong: list[RecordId], checked: int, migration_id: str) -> ValidationFailed:
    """The error for records that read back other than they were written."""
    names = ", ".join(repr(record_id) for record_id in wrong[:5])
    return ValidationFailed(
        f"{counted(len(wrong))} of {counted(checked)} records read back from the target are not as they were "
        f"written: {names}; a resume checks them again, and writes them again with: "
        f"{remedy('resume', migration_id, retry_rejects=True)}"
    )


def _spread(rows: list[int], n: int) -> list[int]:
    """At most `n` of the rows, evenly spread, first and last included."""
    if len(rows) <= n:
        return rows
    return [rows[round(i * (len(rows) - 1) / (n - 1))] for i in range(n)]


def _partition_rows(batch: RecordBatch, keys: Iterable[str]) -> tuple[RecordBatch, list[RecordId]]:
    """The batch without the records of these keys, and the ids taken out."""
    unwanted = set(keys)
    kept = [row for row, record_id in enumerate(batch.ids) if id_key(record_id) not in unwanted]
    out = [record_id for record_id in batch.ids if id_key(record_id) in unwanted]
    return batch.take(kept), out
