"""Migrations and their checkpoints: made once from a plan, then only moved forward."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict

from vectormigrate.errors import InvalidTransition, MigrationNotFound
from vectormigrate.model.plan import MigrationPlan, RunOptions
from vectormigrate.model.position import Partition
from vectormigrate.model.status import Phase, Status
from vectormigrate.state.connection import Session
from vectormigrate.state.faults import corrupt
from vectormigrate.state.leases import require_no_runner
from vectormigrate.state.pages import checkpoint_key, require_lease, storable
from vectormigrate.state.planning import refuse_planned
from vectormigrate.state.records import Lease, PartitionProgress, StoredMigration, json_text, utc_text
from vectormigrate.state.status import read_counters


async def create(session: Session, plan: MigrationPlan, options: RunOptions, owner: str | None = None) -> None:
    """Store the plan and an untouched checkpoint per partition. `owner`: the name of the key that began it through a
    server. Raises InvalidTransition for an id in use."""
    migration_id = plan.spec.id
    existing = await session.fetch_one("migration_state", id=migration_id)
    if existing is not None:
        raise InvalidTransition(
            f"migration {migration_id!r} exists already ({existing['status']}); "
            f"go on with it by: vectormigrate resume {migration_id}, or choose another id"
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


async def partitions(session: Session, migration_id: str) -> list[PartitionProgress]:
    """The checkpoint of each partition of the plan, in the order of the plan. Raises MigrationNotFound, and
    StateCorrupt for checkpoints that do not belong to this plan."""
    stored = await load(session, migration_id)
    rows = {row["id"]: row for row in await session.fetch("partitions", id=migration_id)}
    keys = checkpoint_keys(stored)
    if {name: row["checkpoint_key"] for name, row in rows.items()} != keys:
        raise corrupt(session.path, f"the checkpoints of migration {migration_id!r} belong to another plan")
    try:
        return [_progress(partition, rows[partition.id]) for partition in stored.plan.partitions]
    except ValueError as error:
        raise corrupt(session.path, f"a checkpoint of migration {migration_id!r} cannot be read: {error}") from error


def checkpoint_keys(stored: StoredMigration) -> Mapping[str, str]:
    """What the checkpoint of each partition must be marked with, by partition id."""
    return {part.id: checkpoint_key(stored.plan, stored.fingerprint, part) for part in stored.plan.partitions}


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
