"""Puts together what `status` and `list` show. Every number is a sum over partition rows."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime

from vectormigrate.model.schema import Json
from vectormigrate.model.status import MigrationStatus, NamespaceProgress, Phase, Status
from vectormigrate.state.connection import Session
from vectormigrate.state.faults import corrupt
from vectormigrate.state.leases import current_lease, is_live
from vectormigrate.state.pages import RECENT_SECONDS
from vectormigrate.state.records import Counters, Lease, utc_text


async def read_statuses(
    session: Session,
    *,
    migration_id: str | None = None,
    status: Status | None = None,
    owner: str | None = None,
) -> list[MigrationStatus]:
    """Oldest first; all of them, or one, or those in a status, or those that this owner began."""
    rows = await session.fetch("list_migrations", id=migration_id, status=status and status.value, owner=owner)
    try:
        return [await _status(session, row) for row in rows]
    except (ValueError, TypeError, KeyError) as error:
        raise corrupt(session.path, f"a stored migration cannot be read: {error}") from error


async def read_counters(session: Session, migration_id: str) -> Counters:
    """Sums over all partitions."""
    return _total(await session.fetch("sums_by_namespace", id=migration_id))


async def _status(session: Session, row: sqlite3.Row) -> MigrationStatus:
    sums = await session.fetch("sums_by_namespace", id=row["id"])
    total = _total(sums)
    by_namespace = {item["namespace"]: item for item in sums}
    expected: dict[str, int] = json.loads(row["namespaces"])
    lease = await current_lease(session, row["id"])
    now = datetime.now(UTC)
    live = lease is not None and is_live(lease, utc_text(now))
    rate = await _rate(session, row["id"], lease, now) if live and lease is not None else None
    left = max(0, row["total_records"] - total.written - total.rejected)
    return MigrationStatus(
        id=row["id"],
        status=Status(row["status"]),
        phase=Phase(row["phase"]),
        source=_location(json.loads(row["source"])),
        target=_location(json.loads(row["target"])),
        total_records=row["total_records"],
        migrated_records=total.written,
        rejected_records=total.rejected,
        batches=total.batches,
        retries=total.retries,
        created_at=row["created_at"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        runner_alive=live,
        stop_requested=bool(row["stop_requested"]),
        error=row["error"],
        rate=rate,
        eta_seconds=round(left / rate, 1) if rate else None,
        checked_records=total.checked,
        notices=tuple(json.loads(row["notices"])),
        namespaces=tuple(
            NamespaceProgress(
                namespace=name,
                total=expected.get(name, 0),
                migrated=by_namespace[name]["written"] if name in by_namespace else 0,
                rejected=by_namespace[name]["rejected"] if name in by_namespace else 0,
            )
            for name in sorted(expected.keys() | by_namespace.keys())
        ),
    )


def _total(sums: list[sqlite3.Row]) -> Counters:
    names = ("read", "written", "rejected", "batches", "retries", "checked")
    return Counters(**{name: sum(row[name] for row in sums) for name in names})


def _location(endpoint: dict[str, Json]) -> str:
    return str(endpoint["location"] or f"{endpoint['type']}:{endpoint['collection']}")


async def _rate(session: Session, migration_id: str, lease: Lease, now: datetime) -> float:
    """Records settled per second over the window, or since the runner began if that is less."""
    running = (now - datetime.fromisoformat(lease.since)).total_seconds()
    seconds = min(float(RECENT_SECONDS), max(1.0, running))
    since = int(now.timestamp() - RECENT_SECONDS)
    row = await session.fetch_one("recent_records", id=migration_id, since=since)
    return round(row["records"] / seconds, 2) if row is not None else 0.0
