"""The journal of target ids that a migration wrote or was about to write: what a rollback may delete."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterable, Sequence

import anyio
import anyio.to_thread

from vectormigrate.errors import StateError
from vectormigrate.model.ids import RecordId
from vectormigrate.state.connection import Session
from vectormigrate.state.faults import corrupt
from vectormigrate.state.id_blocks import pack_ids, unpack_ids
from vectormigrate.state.pages import require_lease
from vectormigrate.state.records import Lease
from vectormigrate.state.written_index import WrittenIndex

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
            yield row["namespace"], _unpacked(session, row)
        if len(rows) < BLOCKS_PER_READ:
            return


class WrittenIndexes:
    """The settled ids of each namespace that was asked for, in memory; brought up to date whenever they are used."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._indexes: dict[tuple[str, str], WrittenIndex] = {}
        self._lock = anyio.Lock()

    async def of(self, migration_id: str, namespace: str) -> WrittenIndex:
        """The index with everything that is settled now."""
        async with self._lock:
            index = self._indexes.setdefault((migration_id, namespace), WrittenIndex())
            while True:
                rows = await self._session.fetch(
                    "settled_blocks", id=migration_id, namespace=namespace, after=index.last, blocks=BLOCKS_PER_READ
                )
                await anyio.to_thread.run_sync(self._take_in, index, rows)
                if len(rows) < BLOCKS_PER_READ:
                    return index

    def forget(self, migration_id: str) -> None:
        """Read everything again when it is needed: blocks were changed."""
        for key in [key for key in self._indexes if key[0] == migration_id]:
            del self._indexes[key]

    def _take_in(self, index: WrittenIndex, rows: Sequence[sqlite3.Row]) -> None:
        for row in rows:
            index.add(_unpacked(self._session, row))
            index.last = row["number"]


async def which_intended(session: Session, migration_id: str, namespace: str, ids: Iterable[RecordId]) -> set[RecordId]:
    """Those of the ids that open intents hold."""
    wanted = set(ids)
    found: set[RecordId] = set()
    if wanted:
        async for _, block in read_blocks(session, migration_id, namespace, open_only=True):
            found.update(wanted.intersection(block))
    return found


async def remove(session: Session, lease: Lease, namespace: str, ids: Iterable[RecordId]) -> None:
    """Take ids out of every block of the namespace: they are no longer on the target."""
    await require_lease(session, lease)
    doomed = set(ids)
    after = 0
    while True:
        rows = await session.fetch(
            "journal_blocks", id=lease.migration_id, after=after, namespace=namespace, blocks=BLOCKS_PER_READ
        )
        for row in rows:
            after = row["number"]
            held = _unpacked(session, row)
            kept = [record_id for record_id in held if record_id not in doomed]
            if len(kept) < len(held):
                await session.execute("replace_block", block=after, records=len(kept), ids=pack_ids(kept))
        if len(rows) < BLOCKS_PER_READ:
            return


def _unpacked(session: Session, row: sqlite3.Row) -> list[RecordId]:
    try:
        return unpack_ids(row["ids"])
    except ValueError as error:
        raise corrupt(session.path, str(error)) from error
