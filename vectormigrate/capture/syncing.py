"""Passes without capture, for writers that nothing can be put between: compare everything, apply what differs.

What is written during a pass is found by the next one. The last pass needs a maintenance window, in which
nobody writes, as long as reading both sides takes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread

from vectormigrate.capture.applying.applier import Applied, Applier
from vectormigrate.capture.applying.applier import Ends as Applying
from vectormigrate.capture.applying.fuse import Fuse
from vectormigrate.capture.applying.locks import KeyLocks
from vectormigrate.capture.applying.quarantine import Quarantine
from vectormigrate.capture.journal.connection import Connection, connect, make
from vectormigrate.capture.journal.intents import Intents
from vectormigrate.capture.journal.records import Admitted, Intent, Outcome, Scope
from vectormigrate.capture.journal.touched import TouchedKeys
from vectormigrate.capture.keys import Key, Side
from vectormigrate.capture.proving.sides import Sides
from vectormigrate.capture.reconcile import Reconciled, Reconciler
from vectormigrate.engine.connect import Ends
from vectormigrate.engine.events import Listener, ignore
from vectormigrate.errors import Interrupted, InvalidTransition
from vectormigrate.mapping.convert.mapper import Mapper
from vectormigrate.model.answers import SyncResult
from vectormigrate.model.clock import steady_milliseconds, steady_seconds
from vectormigrate.model.ids import RecordId, id_key
from vectormigrate.state.records import Lease, StoredMigration
from vectormigrate.state.store import Store

QUARANTINE_SECONDS = 60.0
"""How long a write without an answer may take effect."""

PAUSE_SECONDS = 0.2

EXAMPLES = 20


@dataclass(slots=True)
class _Totals:
    """What the applier did. `gone`: ids that were deleted, by namespace of the target."""

    written: int = 0
    deleted: int = 0
    gone: dict[str, list[RecordId]] = field(default_factory=dict[str, list[RecordId]])


@dataclass(kw_only=True)
class Sync:
    """One pass over a copied migration, under its lease. `folder`: where the journal of its passes is, which only holds
    what a pass that was interrupted has left to apply."""

    store: Store
    stored: StoredMigration
    ends: Ends
    lease: Lease
    folder: Path
    listener: Listener = ignore
    stopping: Callable[[], bool] = lambda: False

    async def run(self) -> SyncResult:
        """Compare both sides, and write and delete on the target what differs. Repeatable. Raises InvalidTransition for
        a source that holds nothing any more, Interrupted when stopped, and errors of the databases; what is not
        applied by then is found again."""
        await self._refuse_empty()
        path = self.folder / "sync.db"
        await anyio.to_thread.run_sync(_prepare, path, self.stored.id)
        connection = await anyio.to_thread.run_sync(partial(connect, path, self.stored.id, durable=False))
        try:
            return await self._pass(connection)
        finally:
            await anyio.to_thread.run_sync(connection.close)

    async def _pass(self, connection: Connection) -> SyncResult:
        touched = TouchedKeys(connection, Side.SOURCE, steady_milliseconds)
        sides = await self._sides()
        await anyio.to_thread.run_sync(_everything, connection)
        reconciler = Reconciler(
            sides,
            touched,
            journalled=anyio.to_thread.run_sync,
            clock=steady_milliseconds,
            settle=0,
            ours_only=True,
            listener=self.listener,
        )
        found = await reconciler.round()
        started, totals = steady_seconds(), _Totals()
        problems = [*found.problems, *await self._apply(touched, totals)]
        for namespace, ids in totals.gone.items():
            await self.store.written_ids.forget(self.lease, namespace, ids)
        if totals.written or totals.deleted:
            await self.ends.target.finalize()
            # What an interrupted validation has read is not true any more.
            await self.store.reports.clear_diff_progress(self.stored.id)
        figures = await anyio.to_thread.run_sync(touched.figures)
        parked: list[tuple[Key, str]] = await anyio.to_thread.run_sync(touched.parked, figures.parked)
        # The rejects of the copy are known already.
        known = [key for key, _ in parked if (key.namespace or "", id_key(key.id)) in sides.rejected]
        refused = [f"{id_key(key.id)}: {reason}" for key, reason in parked if key not in known]
        left = figures.dirty - len(known)
        return self._result(found, totals, problems, tuple(refused[:EXAMPLES]), left, steady_seconds() - started)

    def _result(
        self,
        found: Reconciled,
        totals: _Totals,
        problems: Sequence[str],
        refused: tuple[str, ...],
        left: int,
        seconds: float,
    ) -> SyncResult:
        return SyncResult(
            migration_id=self.stored.id,
            read=found.read,
            added=found.missing,
            changed=found.different,
            removed=found.extra,
            written=totals.written,
            deleted=totals.deleted,
            foreign=found.foreign,
            left=left,
            refused=refused,
            problems=tuple(problems),
            compare_seconds=found.seconds,
            apply_seconds=seconds,
        )

    async def _refuse_empty(self) -> None:
        """An outage that answers so must not empty the target."""
        if await self.ends.source.count() == 0 and await self.ends.target.count() > 0:
            raise InvalidTransition(
                f"the source of migration {self.stored.id!r} holds no record any more, and its target does; nothing "
                "was removed. If that is so, delete the target's records with the database's own tools"
            )

    async def _sides(self) -> Sides:
        plan, mapper = self.stored.plan, Mapper(self.stored.plan.rules)
        rows = await self.store.rejects.read(self.stored.id)
        return Sides(
            source=self.ends.source,
            target=self.ends.target,
            mapper=mapper,
            plan=plan,
            keys=mapper,
            created=True,
            which_written=lambda place, ids: self.store.written_ids.which_written(self.stored.id, place, ids),
            rejected=frozenset((row.reject.namespace, id_key(row.reject.id)) for row in rows),
        )

    async def _apply(self, touched: TouchedKeys, totals: _Totals) -> list[str]:
        """Until nothing is dirty that can be applied. Returns what stands in the way."""
        fuse = Fuse()
        applier = self._applier(touched, fuse, totals)
        while True:
            applied: Applied = await applier.round()
            totals.written += applied.written
            totals.deleted += applied.deleted
            if fuse.blown:
                return ["the source lacks many records that it was not known to have deleted; nothing more was removed"]
            if not (applied.cleared or applied.parked or applied.waiting or applied.unknown):
                return []
            if self.stopping():
                raise Interrupted("stopped while changes were applied; the next pass finds what is left")
            await anyio.sleep(0 if applied.cleared or applied.parked else PAUSE_SECONDS)

    def _applier(self, touched: TouchedKeys, fuse: Fuse, totals: _Totals) -> Applier:
        plan, options, target = self.stored.plan, self.stored.options, self.ends.target
        target.resend = False
        writes = target.capabilities.writes
        ends = Applying(
            source=self.ends.source,
            target=target,
            conversion=Mapper(plan.rules),
            batch_rows=min(options.batch_size, writes.rows),
            batch_bytes=writes.bytes,
            namespaces=tuple(plan.namespaces),
        )

        async def after_delete(namespace: str, ids: Sequence[RecordId]) -> None:
            totals.gone.setdefault(namespace, []).extend(ids)

        return Applier(
            touched,
            ends,
            locks=KeyLocks(),
            quarantine=Quarantine(QUARANTINE_SECONDS, steady_milliseconds, everything=False),
            fuse=fuse,
            journalled=anyio.to_thread.run_sync,
            before_write=self._announce(),
            after_delete=after_delete,
        )

    def _announce(self) -> Callable[[str, Sequence[RecordId]], Awaitable[None]]:
        """Enters new ids among those that the migration wrote, which a rollback removes."""
        partition, store = self.stored.plan.partitions[0].id, self.store

        async def before_write(namespace: str, ids: Sequence[RecordId]) -> None:
            known = await store.written_ids.which_written(self.stored.id, namespace, ids)
            new = [record_id for record_id in ids if record_id not in known]
            if new:
                await store.written_ids.announce(self.lease, partition, namespace, new)

        return before_write


def _prepare(path: Path, migration_id: str) -> None:
    if not path.exists():
        make(path, migration_id)


def _everything(connection: Connection) -> None:
    """Note that everything may have changed; what an interrupted pass parked is tried again."""
    intents = Intents(connection, steady_milliseconds)
    (admission,) = intents.admit([Intent(side=Side.SOURCE, scopes=[Scope(None, "a pass over everything")])])
    assert isinstance(admission, Admitted)
    intents.admit([], [Outcome(seq=admission.seq, side=Side.SOURCE, definite=True)])
    TouchedKeys(connection, Side.SOURCE, steady_milliseconds).unpark()
