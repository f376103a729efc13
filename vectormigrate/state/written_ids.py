"""The target ids that a migration wrote or was about to write, in blocks: what a rollback may delete."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterable, Sequence

import anyio
import anyio.to_thread
import numpy as np

from vectormigrate.errors import StateError
from vectormigrate.model.ids import RecordId
from vectormigrate.state.connection import Session
from vectormigrate.state.faults import corrupt
from vectormigrate.state.file import StateFile
from vectormigrate.state.id_blocks import pack_ids, unpack_ids
from vectormigrate.state.pages import require_lease
from vectormigrate.state.records import Lease
from vectormigrate.state.written_index import WrittenIndex

BLOCKS_PER_READ = 64


class WrittenIds:
    """What each migration put on its target. A block of ids is an intent until the page that wrote them is settled."""

    def __init__(self, file: StateFile) -> None:
        self._file = file
        self._indexes = WrittenIndexes(file.reader)

    async def announce(self, lease: Lease, partition_id: str, namespace: str, ids: Sequence[RecordId]) -> int:
        """Enter target ids that are about to be written; returns the block's number for `PageCommit.intents`. Raises
        LeaseLost."""
        return await self._file.write(lambda session: _add_intents(session, lease, partition_id, namespace, ids))

    def blocks(self, migration_id: str, namespace: str | None = None) -> AsyncIterator[tuple[str, Sequence[RecordId]]]:
        """(target namespace, ids) of what this migration wrote or was about to write. An id may occur in several
        blocks."""
        return read_blocks(self._file.reader, migration_id, namespace)

    async def which_written(self, migration_id: str, namespace: str, ids: Iterable[RecordId]) -> set[RecordId]:
        """Those of these target ids that are in any block, intents included. The namespace's settled ids are kept in
        memory from the first call on, 16 bytes each."""
        wanted = [*ids]
        found = await self.which_settled(migration_id, namespace, wanted)
        return found | await self.which_intended(migration_id, namespace, wanted)

    async def which_settled(self, migration_id: str, namespace: str, ids: Sequence[RecordId]) -> set[RecordId]:
        """Those of these target ids whose writing was acknowledged and committed."""
        index = await self._indexes.of(migration_id, namespace)
        return {ids[int(row)] for row in np.flatnonzero(index.holds(ids))}

    async def which_intended(self, migration_id: str, namespace: str, ids: Iterable[RecordId]) -> set[RecordId]:
        """Those of these target ids that are in intents which no committed page settled: what a crash may have left
        half-written. Quick, because only pages that were in flight have such intents."""
        wanted = set(ids)
        found: set[RecordId] = set()
        if wanted:
            async for _, block in read_blocks(self._file.reader, migration_id, namespace, open_only=True):
                found.update(wanted.intersection(block))
        return found

    async def counts(self, migration_id: str) -> dict[str, int]:
        """Settled writes by target namespace: two source records that went to one id count as two."""
        rows = await self._file.reader.fetch("written_counts", id=migration_id)
        return {row["namespace"]: row["records"] for row in rows}

    async def distinct(self, migration_id: str, namespace: str) -> int:
        """How many different target ids of the namespace are settled."""
        return (await self._indexes.of(migration_id, namespace)).distinct()

    async def open_namespaces(self, migration_id: str) -> set[str]:
        """Target namespaces with intents that no committed page settled."""
        return {row["namespace"] for row in await self._file.reader.fetch("open_namespaces", id=migration_id)}

    async def forget(self, lease: Lease, namespace: str, ids: Sequence[RecordId]) -> None:
        """Take target ids out of every block, because they were deleted from the target. Raises LeaseLost."""
        await self._file.write(lambda session: _remove(session, lease, namespace, ids))
        self._indexes.forget(lease.migration_id)


async def _add_intents(
    session: Session, lease: Lease, partition_id: str, namespace: str, ids: Sequence[RecordId]
) -> int:
    await require_lease(session, lease)
    row = await session.fetch_one("partition_position", migration_id=lease.migration_id, id=partition_id)
    if row is None:
        raise StateError(f"migration {lease.migration_id!r} has no partition {partition_id!r}")
    return await session.insert(
        "add_block",
        migration_id=lease.migration_id,
        number=row["number"],
        namespace=namespace,
        settled=0,
        records=len(ids),
        ids=pack_ids(ids),
    )


async def read_blocks(
    session: Session, migration_id: str, namespace: str | None = None, *, open_only: bool = False
) -> AsyncIterator[tuple[str, list[RecordId]]]:
    """(target namespace, ids) block by block, in order of writing; a few blocks are in memory at a time."""
    query = "open_blocks" if open_only else "blocks"
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


async def _remove(session: Session, lease: Lease, namespace: str, ids: Iterable[RecordId]) -> None:
    await require_lease(session, lease)
    doomed = set(ids)
    after = 0
    while True:
        rows = await session.fetch(
            "blocks", id=lease.migration_id, after=after, namespace=namespace, blocks=BLOCKS_PER_READ
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
