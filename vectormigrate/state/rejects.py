"""Records that could not be written: kept with their reason until they are written, or gone from the source."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from vectormigrate.adapter import Reject
from vectormigrate.errors import StateError
from vectormigrate.model.ids import parse_id_key
from vectormigrate.state.connection import Session
from vectormigrate.state.faults import corrupt
from vectormigrate.state.file import StateFile
from vectormigrate.state.id_blocks import pack_ids
from vectormigrate.state.pages import require_lease, storable
from vectormigrate.state.records import Lease, RetryOutcome, StoredReject, utc_text

NO_LIMIT = -1
"""SQLite's word for no limit."""


class Rejects:
    """The open rejects of each migration."""

    def __init__(self, file: StateFile) -> None:
        self._file = file

    async def read(
        self, migration_id: str, *, after: int = 0, limit: int | None = None, offset: int = 0
    ) -> list[StoredReject]:
        """Open rejects, oldest first, from the first whose number is above `after`. Raises StateCorrupt."""
        rows = await self._file.reader.fetch(
            "rejects", id=migration_id, after=after, limit=NO_LIMIT if limit is None else limit, offset=offset
        )
        try:
            return [_stored(row) for row in rows]
        except ValueError as error:
            raise corrupt(self._file.path, str(error)) from error

    async def counts(self, migration_id: str) -> dict[str, int]:
        """Open rejects by code."""
        rows = await self._file.reader.fetch("reject_counts", id=migration_id)
        return {row["code"]: row["records"] for row in rows}

    async def settle(self, lease: Lease, outcome: RetryOutcome) -> None:
        """Enter what trying rejects again came to, counters and written ids included. Raises LeaseLost, and StateError
        for a reject that is not open."""
        await self._file.write(lambda session: _settle(session, lease, outcome))


def _stored(row: sqlite3.Row) -> StoredReject:
    record_id = parse_id_key(row["id"].decode("utf-8", "surrogatepass"))
    return StoredReject(
        number=row["number"],
        reject=Reject(record_id, row["namespace"], row["code"], row["reason"]),
        partition_id=row["partition_id"],
        attempts=row["attempts"],
        rejected_at=row["rejected_at"],
    )


async def _settle(session: Session, lease: Lease, outcome: RetryOutcome) -> None:
    await require_lease(session, lease)
    partition = await _common_partition(session, lease, outcome)
    for number, written in _settled(outcome):
        await session.execute("settle_reject", number=partition, written=int(written), gone=int(not written))
        await session.execute("delete_reject", number=number)
    now = utc_text()
    for number, reject in outcome.refused.items():
        await session.execute("refuse_again", number=number, code=reject.code, reason=storable(reject.reason), now=now)
    for block in outcome.intents:
        await session.execute("drop_intent", block=block, migration_id=lease.migration_id, number=partition)
    namespace, ids = outcome.written_ids
    if ids:
        await session.execute(
            "add_block",
            migration_id=lease.migration_id,
            number=partition,
            namespace=namespace,
            settled=1,
            records=len(ids),
            ids=pack_ids(ids),
        )


async def _common_partition(session: Session, lease: Lease, outcome: RetryOutcome) -> int | None:
    """The row number of the partition of all these rejects, each of which must be open; None for no reject."""
    numbers = [*outcome.written, *outcome.gone, *outcome.refused]
    partitions = {await _partition_of(session, lease, number) for number in numbers}
    if len(partitions) > 1 or len(set(numbers)) < len(numbers):
        raise StateError("an outcome of retried rejects must name each of them once, all of one partition")
    if not partitions and outcome.written_ids[1]:
        raise StateError("an outcome of retried rejects names written ids but no reject")
    return partitions.pop() if partitions else None


def _settled(outcome: RetryOutcome) -> Iterator[tuple[int, bool]]:
    yield from ((number, True) for number in outcome.written)
    yield from ((number, False) for number in outcome.gone)


async def _partition_of(session: Session, lease: Lease, number: int) -> int:
    row = await session.fetch_one("reject_partition", number=number, migration_id=lease.migration_id)
    if row is None:
        raise StateError(f"migration {lease.migration_id!r} has no open reject {number}")
    return int(row["partition_number"])
