"""How far each partition of a migration is: checkpoints that only move forward, page by page."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping

from vectormigrate.errors import StateError
from vectormigrate.model.position import Partition
from vectormigrate.state.connection import Session
from vectormigrate.state.faults import corrupt
from vectormigrate.state.file import StateFile
from vectormigrate.state.migrations import load
from vectormigrate.state.pages import checkpoint_key, prepare_page, require_lease
from vectormigrate.state.records import Lease, PageCommit, PartitionProgress, StoredMigration


class Progress:
    """The checkpoints of a migration and what was counted on the way. Every write takes the lease and raises LeaseLost
    when it is no longer held."""

    def __init__(self, file: StateFile) -> None:
        self._file = file
        self._keys: dict[str, Mapping[str, str]] = {}

    async def partitions(self, migration_id: str) -> list[PartitionProgress]:
        """The checkpoint of each partition, in the order of the plan. Raises MigrationNotFound, and StateCorrupt for
        checkpoints that do not belong to this plan."""
        reader = self._file.reader
        stored = await load(reader, migration_id)
        rows = {row["id"]: row for row in await reader.fetch("partitions", id=migration_id)}
        if {name: row["checkpoint_key"] for name, row in rows.items()} != _checkpoint_keys(stored):
            raise corrupt(reader.path, f"the checkpoints of migration {migration_id!r} belong to another plan")
        try:
            return [_progress(partition, rows[partition.id]) for partition in stored.plan.partitions]
        except ValueError as error:
            raise corrupt(reader.path, f"a checkpoint of migration {migration_id!r} cannot be read: {error}") from error

    async def commit(self, lease: Lease, commit: PageCommit) -> None:
        """Settle a page: cursor, counters, rejects, written ids. Raises StateError for a page that is not the next of
        its partition. Concurrent calls share a transaction."""
        keys = await self._keys_of(lease.migration_id)
        if commit.partition_id not in keys:
            raise StateError(f"migration {lease.migration_id!r} has no partition {commit.partition_id!r}")
        page = prepare_page(lease, commit, keys[commit.partition_id], self._file.guard)
        await self._file.writer.commit_page(page)

    async def add_checked(self, lease: Lease, checked: int) -> None:
        """Count records that were read back after their pages were settled."""
        await self._file.execute("add_checked", lease, id=lease.migration_id, checked=checked)

    async def losses(self, migration_id: str) -> dict[str, int]:
        """Records touched so far by each loss, by name."""
        return {row["name"]: row["records"] for row in await self._file.reader.fetch("losses", id=migration_id)}

    async def set_held(self, lease: Lease, held: Mapping[str, int]) -> None:
        """Enter how many records the existing target held per namespace before the first write."""

        async def write(session: Session) -> None:
            await require_lease(session, lease)
            await session.execute("forget_held", id=lease.migration_id)
            rows = [{"id": lease.migration_id, "namespace": name, "records": n} for name, n in held.items()]
            await session.execute_many("add_held", rows)

        await self._file.write(write)

    async def held(self, migration_id: str) -> dict[str, int]:
        """What `set_held` entered."""
        return {row["namespace"]: row["records"] for row in await self._file.reader.fetch("held", id=migration_id)}

    async def _keys_of(self, migration_id: str) -> Mapping[str, str]:
        keys = self._keys.get(migration_id)
        if keys is None:
            keys = self._keys[migration_id] = _checkpoint_keys(await load(self._file.reader, migration_id))
        return keys


def _checkpoint_keys(stored: StoredMigration) -> Mapping[str, str]:
    """What the checkpoint of each partition must be marked with, by partition id."""
    return {part.id: checkpoint_key(stored.plan, stored.fingerprint, part) for part in stored.plan.partitions}


def _progress(partition: Partition, row: sqlite3.Row) -> PartitionProgress:
    return PartitionProgress(
        partition=partition,
        cursor=None if row["cursor"] is None else json.loads(row["cursor"]),
        seq=row["seq"],
        read=row["read"],
        written=row["written"],
        rejected=row["rejected"],
        done=bool(row["done"]),
    )
