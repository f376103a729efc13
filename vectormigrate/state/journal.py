"""The journal of target ids that a migration wrote or was about to write: what a rollback may delete."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence

from vectormigrate.errors import StateError
from vectormigrate.model.ids import RecordId
from vectormigrate.state.connection import Session
from vectormigrate.state.faults import corrupt
from vectormigrate.state.idblocks import pack_ids, unpack_ids
from vectormigrate.state.pages import require_lease
from vectormigrate.state.records import Lease

BLOCKS_PER_READ = 64


async def add_block(
    session: Session, lease: Lease, partition_id: str, namespace: str, ids: Sequence[RecordId], *, settled: bool
) -> int:
    """Enter ids under the lease; returns the number of the block."""
    await require_lease(session, lease)
    row = await session.fetch_one("partition_position", migration_id=lease.migration_id, id=partition_id)
    if row is None:
        raise StateError(f"migration {lease.migration_id!r} has no partition {partition_id!r}")
    return await session.insert(
        "add_journal",
        migration_id=lease.migration_id,
        number=row["number"],
        namespace=namespace,
        settled=int(settled),
        records=len(ids),
        ids=pack_ids(ids),
    )


async def read_blocks(
    session: Session, migration_id: str, namespace: str | None = None, *, open_only: bool = False
) -> AsyncIterator[tuple[str, list[RecordId]]]:
    """(target namespace, ids) block by block, in order of writing; a few blocks are in memory at a time."""
    query = "open_blocks" if open_only else "journal_blocks"
    after = 0
    while True:
        rows = await session.fetch(query, id=migration_id, after=after, namespace=namespace, blocks=BLOCKS_PER_READ)
        for row in rows:
            after = row["number"]
            try:
                ids = unpack_ids(row["ids"])
            except ValueError as error:
                raise corrupt(session.path, str(error)) from error
            yield row["namespace"], ids
        if len(rows) < BLOCKS_PER_READ:
            return


async def which_written(
    session: Session, migration_id: str, namespace: str, ids: Iterable[RecordId], *, open_only: bool = False
) -> set[RecordId]:
    """Those of the ids that the journal, or only its open intents, holds."""
    wanted = set(ids)
    found: set[RecordId] = set()
    if not wanted:
        return found
    async for _, block in read_blocks(session, migration_id, namespace, open_only=open_only):
        found.update(wanted.intersection(block))
        if len(found) == len(wanted):
            break
    return found
