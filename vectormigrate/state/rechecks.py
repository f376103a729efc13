"""Records to be read back before a migration may end, kept so that no stop or crash forgets them."""

from __future__ import annotations

from collections.abc import Sequence

from vectormigrate.errors import StateError
from vectormigrate.model.ids import RecordId, id_key, parse_id_key
from vectormigrate.state.connection import Session
from vectormigrate.state.faults import corrupt
from vectormigrate.state.file import StateFile
from vectormigrate.state.pages import require_lease
from vectormigrate.state.records import Lease, Recheck


class Rechecks:
    """Read-backs that are still to be made."""

    def __init__(self, file: StateFile) -> None:
        self._file = file

    async def add_failed(self, lease: Lease, partition_id: str, ids: Sequence[RecordId]) -> None:
        """Enter source records whose copies were not as written: the migration may not end before they are."""

        async def write(session: Session) -> None:
            await require_lease(session, lease)
            number = await _number(session, lease, partition_id)
            rows = [
                {"migration_id": lease.migration_id, "number": number, "id": _stored(record_id), "failed": 1}
                for record_id in ids
            ]
            await session.execute_many("add_recheck", rows)

        await self._file.write(write)

    async def read(self, migration_id: str) -> list[Recheck]:
        """Records that must be read back before the migration may end, partition by partition. Raises StateCorrupt."""
        found = await self._file.reader.fetch("rechecks", id=migration_id)
        try:
            return [
                Recheck(
                    partition_id=row["partition_id"],
                    id=parse_id_key(row["id"].decode("utf-8", "surrogatepass")),
                    failed=bool(row["failed"]),
                )
                for row in found
            ]
        except ValueError as error:
            raise corrupt(self._file.path, str(error)) from error

    async def settle(self, lease: Lease, settled: Sequence[Recheck]) -> None:
        """These were read back and are as they should be, or are gone from the source."""

        async def write(session: Session) -> None:
            await require_lease(session, lease)
            numbers = {name: await _number(session, lease, name) for name in {item.partition_id for item in settled}}
            rows = [
                {"migration_id": lease.migration_id, "number": numbers[item.partition_id], "id": _stored(item.id)}
                for item in settled
            ]
            await session.execute_many("drop_recheck", rows)

        await self._file.write(write)


async def _number(session: Session, lease: Lease, partition_id: str) -> int:
    row = await session.fetch_one("partition_position", migration_id=lease.migration_id, id=partition_id)
    if row is None:
        raise StateError(f"migration {lease.migration_id!r} has no partition {partition_id!r}")
    return int(row["number"])


def _stored(record_id: RecordId) -> bytes:
    return id_key(record_id).encode("utf-8", "surrogatepass")
