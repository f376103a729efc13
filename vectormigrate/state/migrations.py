"""Migrations: made once from a plan, with a checkpoint per partition, then moved from phase to phase."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from vectormigrate.errors import InvalidTransition, MigrationNotFound, remedy
from vectormigrate.model.plan import MigrationPlan, RunOptions
from vectormigrate.model.status import MigrationStatus, Phase, Status
from vectormigrate.state.connection import Session
from vectormigrate.state.faults import corrupt
from vectormigrate.state.file import StateFile
from vectormigrate.state.leases import require_no_runner
from vectormigrate.state.pages import checkpoint_key, require_lease, storable
from vectormigrate.state.planning import refuse_planned, statuses
from vectormigrate.state.records import Lease, StoredMigration, json_text, utc_text
from vectormigrate.state.status import read_counters, read_statuses

Statuses = list[MigrationStatus]


class Migrations:
    """Plan, options, phase and status of each migration of the file."""

    def __init__(self, file: StateFile) -> None:
        self._file = file

    async def create(self, plan: MigrationPlan, options: RunOptions) -> None:
        """Store a new migration with its partitions. Raises InvalidTransition when the id is in use."""
        await self._file.write(lambda session: create(session, plan, options))

    async def load(self, migration_id: str) -> StoredMigration:
        """Plan, options, state and counters. Raises MigrationNotFound; StateCorrupt when the plan was tampered with."""
        try:
            return await load(self._file.reader, migration_id)
        except MigrationNotFound:
            raise await self._unknown(migration_id) from None

    async def list(self, status: Status | None = None, owner: str | None = None) -> Statuses:
        """All migrations, or those in this status, oldest first. `owner`: none but those that this caller of a server
        began; what is still being planned belongs to nobody."""
        planned = [] if owner is not None else await statuses(self._file.reader, None)
        found = await read_statuses(self._file.reader, status=status, owner=owner)
        return [*found, *(item for item in planned if status in (None, item.status))]

    async def status(self, migration_id: str, owner: str | None = None) -> MigrationStatus:
        """One migration. Raises MigrationNotFound, with `owner` also for what this caller of a server did not begin:
        nothing distinguishes the two."""
        found = await read_statuses(self._file.reader, migration_id=migration_id, owner=owner)
        if not found and owner is None:
            found = await statuses(self._file.reader, migration_id)
        if not found:
            raise await self._unknown(migration_id, owner)
        return found[0]

    async def set_phase(
        self, migration_id: str, phase: Phase, status: Status, *, error: str | None = None, lease: Lease | None
    ) -> None:
        """Move the migration; engine/lifecycle.py has what is legal. Without a lease only while nobody runs it."""
        await self._file.write(lambda session: set_phase(session, migration_id, phase, status, error, lease))

    async def set_options(self, lease: Lease, options: RunOptions) -> None:
        """Replace the run options, as a resume may."""
        await self._file.execute("set_options", lease, id=lease.migration_id, options=json_text(asdict(options)))

    async def set_notices(self, lease: Lease, notices: Sequence[str]) -> None:
        """Replace what the operator should know about the last run."""
        await self._file.execute("set_notices", lease, id=lease.migration_id, notices=json_text([*notices]))

    async def request_stop(self, migration_id: str) -> None:
        """Ask the runner to stop at the next page; the next lease ends the request. Raises MigrationNotFound."""

        async def write(session: Session) -> int:
            planned = await session.execute("stop_planning", id=migration_id)
            return planned or await session.execute("request_stop", id=migration_id, now=utc_text())

        if not await self._file.write(write):
            raise MigrationNotFound(migration_id)

    async def stop_requested(self, migration_id: str) -> bool:
        """Whether a stop is asked for. Raises MigrationNotFound."""
        row = await self._file.reader.fetch_one("stop_requested", id=migration_id)
        if row is None:
            raise MigrationNotFound(migration_id)
        return bool(row["stop_requested"])

    async def others_there(self, migration_id: str, location: str) -> dict[str, tuple[Status, bool]]:
        """Other migrations that wrote to this target collection and were not rolled back, oldest first: their status,
        and whether they may overwrite, by id."""
        rows = await self._file.reader.fetch("others_there", id=migration_id, location=location)
        return {row["id"]: (Status(row["status"]), bool(row["overwrites"])) for row in rows}

    async def observations(self) -> dict[str, tuple[int, float | None]]:
        """By migration: the planned bytes per record, and when its run last committed, in seconds of the epoch."""
        rows = await self._file.reader.fetch("observations")
        return {row["id"]: (row["bytes_per_record"] or 0, row["last_commit"]) for row in rows}

    async def _unknown(self, migration_id: str, owner: str | None = None) -> MigrationNotFound:
        known = [item.id for item in await self.list(owner=owner)]
        return MigrationNotFound(migration_id, known, str(self._file.path))


async def create(session: Session, plan: MigrationPlan, options: RunOptions, owner: str | None = None) -> None:
    """Store the plan and an untouched checkpoint per partition. `owner`: the name of the key that began it through a
    server. Raises InvalidTransition for an id in use."""
    migration_id = plan.spec.id
    existing = await session.fetch_one("migration_state", id=migration_id)
    if existing is not None:
        raise InvalidTransition(
            f"migration {migration_id!r} exists already ({existing['status']}); "
            f"resume it with: {remedy('resume', migration_id)}, or choose another id"
        )
    await session.execute("end_planning", id=migration_id, owner=None)
    fingerprint = plan.fingerprint()
    await session.execute(
        "insert_migration",
        id=migration_id,
        fingerprint=fingerprint,
        plan=json_text(plan.to_json()),
        options=json_text(asdict(options)),
        now=utc_text(),
        owner=owner,
    )
    await session.execute_many(
        "insert_partition",
        [
            {
                "migration_id": migration_id,
                "id": partition.id,
                "namespace": partition.namespace,
                "checkpoint_key": checkpoint_key(plan, fingerprint, partition),
            }
            for partition in plan.partitions
        ],
    )


async def load(session: Session, migration_id: str) -> StoredMigration:
    """The migration with its plan. Raises MigrationNotFound, and StateCorrupt when the plan is not the one that was
    stored."""
    row = await session.fetch_one("load_migration", id=migration_id)
    if row is None:
        await refuse_planned(session, migration_id)
        raise MigrationNotFound(migration_id)
    try:
        plan = MigrationPlan.from_json(json.loads(row["plan"]))
        if plan.fingerprint() != row["fingerprint"]:
            raise corrupt(session.path, f"the plan of migration {migration_id!r} is not the one that was stored")
        return StoredMigration(
            id=row["id"],
            plan=plan,
            fingerprint=row["fingerprint"],
            options=RunOptions(**json.loads(row["options"])),
            status=Status(row["status"]),
            phase=Phase(row["phase"]),
            created_at=row["created_at"],
            started_at=row["started_at"],
            ended_at=row["ended_at"],
            completed_at=row["completed_at"],
            error=row["error"],
            stop_requested=bool(row["stop_requested"]),
            counters=await read_counters(session, migration_id),
        )
    except (ValueError, TypeError, KeyError) as error:
        raise corrupt(session.path, f"migration {migration_id!r} cannot be read: {error}") from error


async def set_phase(
    session: Session, migration_id: str, phase: Phase, status: Status, error: str | None, lease: Lease | None
) -> None:
    """Move the migration. Without a lease only while nobody runs it. Raises MigrationNotFound, LeaseLost, LeaseHeld."""
    if lease is not None:
        await require_lease(session, lease)
    else:
        await require_no_runner(session, migration_id)
    changed = await session.execute(
        "set_phase",
        id=migration_id,
        phase=phase.value,
        status=status.value,
        error=None if error is None else storable(error),
        now=utc_text(),
    )
    if not changed:
        raise MigrationNotFound(migration_id)
