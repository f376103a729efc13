"""Migrations whose plan is being made: a row that shows how far the reading is, while nothing is written anywhere."""

from __future__ import annotations

import sqlite3

from vectormigrate.errors import InvalidTransition, LeaseHeld, remedy
from vectormigrate.model.status import MigrationStatus, Phase, Status
from vectormigrate.state.connection import Session
from vectormigrate.state.file import StateFile
from vectormigrate.state.leases import is_live
from vectormigrate.state.records import Lease, utc_text

_LEASE = ("migration_id", "owner", "pid", "process_started", "host", "host_id", "since", "expires_at", "steady_until")


class Planning:
    """How far plans are that are being made."""

    def __init__(self, file: StateFile) -> None:
        self._file = file

    async def save(self, lease: Lease, source: str, target: str, read: int, total: int) -> bool:
        """Enter how far a plan is; returns whether a stop is asked for. Raises LeaseHeld when another live process
        makes it."""
        return await self._file.write(lambda session: _save(session, lease, source, target, read, total))

    async def end(self, migration_id: str, owner: str | None = None) -> None:
        """Forget the row: the plan is stored, or there will be none."""
        await self._file.execute("end_planning", id=migration_id, owner=owner)


async def _save(session: Session, lease: Lease, source: str, target: str, read: int, total: int) -> bool:
    row = await session.fetch_one("planning", id=lease.migration_id)
    if row is not None and row["owner"] != lease.owner and is_live(_lease(row), utc_text()):
        raise LeaseHeld(
            f"migration {lease.migration_id!r} is being planned by process {row['pid']} on host {row['host']!r}; watch "
            f"it with: {remedy('status', lease.migration_id)}, or end it with: {remedy('stop', lease.migration_id)}"
        )
    values = {name: getattr(lease, name) for name in _LEASE}
    await session.execute("save_planning", **values, source=source, target=target, read=read, total=total)
    return row is not None and row["owner"] == lease.owner and bool(row["stop_requested"])


async def statuses(session: Session, migration_id: str | None) -> list[MigrationStatus]:
    """All that are being planned, or one, as statuses."""
    return [_status(row) for row in await session.fetch("planning", id=migration_id)]


async def refuse_planned(session: Session, migration_id: str) -> None:
    """Raise InvalidTransition when the migration has no plan yet."""
    if await session.fetch_one("planning", id=migration_id) is not None:
        raise InvalidTransition(
            f"migration {migration_id!r} is still being planned, and nothing of it is written; wait for it, or, if its "
            f"process died, ask for it again with: {remedy('migrate')}"
        )


def _lease(row: sqlite3.Row) -> Lease:
    return Lease(**{name: row[name] for name in _LEASE})


def _status(row: sqlite3.Row) -> MigrationStatus:
    return MigrationStatus(
        id=row["migration_id"],
        status=Status.IN_PROGRESS,
        phase=Phase.PLANNING,
        source=row["source"],
        target=row["target"],
        total_records=row["total"],
        migrated_records=0,
        rejected_records=0,
        batches=0,
        created_at=row["since"],
        started_at=row["since"],
        runner_alive=is_live(_lease(row), utc_text()),
        stop_requested=bool(row["stop_requested"]),
        planned_records=row["read"],
    )
