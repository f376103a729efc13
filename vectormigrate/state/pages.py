"""Writes page commits: every check and every row of a whole group in a handful of statements."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vectormigrate.errors import LeaseLost, StateError, remedy
from vectormigrate.model.ids import id_key
from vectormigrate.model.plan import MigrationPlan
from vectormigrate.model.position import Partition
from vectormigrate.state.connection import Session
from vectormigrate.state.faults import corrupt
from vectormigrate.state.id_blocks import pack_ids
from vectormigrate.state.records import Lease, PageCommit, json_text, utc_text
from vectormigrate.state.secrets import SecretGuard

RECENT_SECONDS = 30
"""The window over which the rate of a running migration is taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedPage:
    """A page commit with everything encoded, so that nothing in it can fail inside a shared transaction."""

    lease: Lease
    page: PageCommit
    checkpoint_key: str
    cursor: str | None
    written_ids: Sequence[dict[str, Any]]
    rejects: Sequence[dict[str, object]]
    rechecks: Sequence[dict[str, object]]


def checkpoint_key(plan: MigrationPlan, fingerprint: str, partition: Partition) -> str:
    """What a checkpoint belongs to: source, target, namespace, plan and partition, as one digest."""
    spec = plan.spec
    parts = [spec.source.location, spec.target.location, partition.namespace, fingerprint, partition.id]
    return hashlib.blake2b(json_text(parts).encode(), digest_size=16).hexdigest()


def prepare_page(lease: Lease, page: PageCommit, key: str, guard: SecretGuard) -> PreparedPage:
    """Encode a page. Raises StateError for one that must not be stored."""
    counts = (page.read, page.written, page.batches, page.retries, page.checked)
    if min(counts) < 0:
        raise StateError(f"the counts of page {page.seq} of partition {page.partition_id!r} are negative")
    cursor = None if page.cursor is None else json_text(page.cursor)
    now = utc_text()
    rejects: list[dict[str, object]] = [
        {
            "migration_id": lease.migration_id,
            "namespace": reject.namespace,
            "id": id_key(reject.id).encode("utf-8", "surrogatepass"),
            "code": reject.code,
            "reason": storable(reject.reason),
            "now": now,
        }
        for reject in page.rejects
    ]
    guard.check("a cursor", [cursor])
    for row in rejects:
        guard.check("a reject", row.values())
    written_ids = [
        {
            "migration_id": lease.migration_id,
            "namespace": namespace,
            "settled": 1,
            "records": len(ids),
            "ids": pack_ids(ids),
        }
        for namespace, ids in page.written_ids
    ]
    rechecks: list[dict[str, object]] = [
        {"migration_id": lease.migration_id, "id": id_key(record_id).encode("utf-8", "surrogatepass"), "failed": 0}
        for record_id in page.rechecks
    ]
    return PreparedPage(
        lease=lease,
        page=page,
        checkpoint_key=key,
        cursor=cursor,
        written_ids=written_ids,
        rejects=rejects,
        rechecks=rechecks,
    )


def storable(text: str) -> str:
    """The text without lone surrogates, which SQLite cannot hold."""
    return text.encode("utf-8", "backslashreplace").decode()


async def require_lease(session: Session, lease: Lease) -> None:
    """Raise LeaseLost unless this lease is the current one. Call it inside the transaction that it protects."""
    if await session.fetch_one("owns_lease", id=lease.migration_id, owner=lease.owner) is None:
        raise lease_lost(lease)


def lease_lost(lease: Lease) -> LeaseLost:
    """The error for a runner that is no longer the runner."""
    return LeaseLost(
        f"migration {lease.migration_id!r} was taken over by another process; this one (pid {lease.pid} on "
        f"{lease.host}) wrote nothing more. See: {remedy('status', lease.migration_id)}"
    )


class _Positions:
    """The place of each partition as it moves forward within one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._rows: dict[tuple[str, str], tuple[int, int, bool, str]] = {}
        self._owned: dict[tuple[str, str], bool] = {}

    async def advance(self, item: PreparedPage) -> int:
        """The partition's row number, after checking that this page is its next one and the lease is held."""
        lease, page = item.lease, item.page
        token = (lease.migration_id, lease.owner)
        if token not in self._owned:
            row = await self._session.fetch_one("owns_lease", id=lease.migration_id, owner=lease.owner)
            self._owned[token] = row is not None
        if not self._owned[token]:
            raise lease_lost(lease)
        place = (lease.migration_id, page.partition_id)
        number, seq, done, key = self._rows.get(place) or await self._look_up(*place)
        name = f"partition {page.partition_id!r} of migration {lease.migration_id!r}"
        if key != item.checkpoint_key:
            raise corrupt(self._session.path, f"the checkpoint of {name} belongs to another plan")
        if done:
            raise StateError(f"{name} is done; page {page.seq} came after its end")
        if page.seq != seq + 1:
            raise StateError(f"{name} stands at page {seq}, so page {page.seq} cannot be the next")
        self._rows[place] = (number, page.seq, page.done, key)
        return number

    async def _look_up(self, migration_id: str, partition_id: str) -> tuple[int, int, bool, str]:
        row = await self._session.fetch_one("partition_position", migration_id=migration_id, id=partition_id)
        if row is None:
            raise StateError(f"migration {migration_id!r} has no partition {partition_id!r}")
        return row["number"], row["seq"], bool(row["done"]), row["checkpoint_key"]


async def apply_pages(session: Session, items: Sequence[PreparedPage]) -> list[StateError | None]:
    """Write the pages inside the open transaction. For each of them None, or why it alone was refused."""
    if not items:
        return []
    positions = _Positions(session)
    outcomes: list[StateError | None] = []
    accepted: list[tuple[int, PreparedPage]] = []
    for item in items:
        try:
            accepted.append((await positions.advance(item), item))
            outcomes.append(None)
        except StateError as error:
            if not session.connection.in_transaction:
                raise  # SQLite itself undid the transaction, so nothing of the group can go on
            outcomes.append(error)
    await _write(session, accepted)
    return outcomes


async def _write(session: Session, accepted: Sequence[tuple[int, PreparedPage]]) -> None:
    steps = [_partition_row(number, item) for number, item in accepted]
    rejects = [{**row, "number": number} for number, item in accepted for row in item.rejects]
    losses = [
        {"number": number, "name": name, "records": records}
        for number, item in accepted
        for name, records in item.page.losses.items()
    ]
    intents = [
        {"block": block, "migration_id": item.lease.migration_id, "number": number}
        for number, item in accepted
        for block in item.page.intents
    ]
    blocks = [{**row, "number": number} for number, item in accepted for row in item.written_ids]
    rechecks = [{**row, "number": number} for number, item in accepted for row in item.rechecks]
    await session.execute_many("advance_partition", steps)
    await session.execute_many("add_reject", rejects)
    await session.execute_many("add_loss", losses)
    await session.execute_many("drop_intent", intents)
    await session.execute_many("add_block", blocks)
    await session.execute_many("add_recheck", rechecks)
    await _count_recent(session, [item for _, item in accepted])


def _partition_row(number: int, item: PreparedPage) -> dict[str, object]:
    page = item.page
    return {
        "number": number,
        "cursor": item.cursor,
        "seq": page.seq,
        "read": page.read,
        "written": page.written,
        "rejected": len(item.rejects),
        "batches": page.batches,
        "retries": page.retries,
        "checked": page.checked,
        "done": int(page.done),
    }


async def _count_recent(session: Session, items: Sequence[PreparedPage]) -> None:
    second = int(time.time())
    settled: Counter[str] = Counter()
    for item in items:
        settled[item.lease.migration_id] += item.page.written + len(item.rejects)
    rows = [{"id": migration_id, "second": second, "records": n} for migration_id, n in settled.items() if n]
    await session.execute_many("add_recent", rows)
    await session.execute_many("trim_recent", [{"id": row["id"], "before": second - RECENT_SECONDS} for row in rows])
