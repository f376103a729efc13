"""Undoing: rollback."""

from __future__ import annotations

from vectormigrate.capture.running.begin import refuse_followed
from vectormigrate.config.settings import (
    endpoint_from_ref,
)
from vectormigrate.engine.connect import open_target
from vectormigrate.engine.events import Listener, PhaseChanged, ignore
from vectormigrate.engine.lifecycle import Verb, next_state
from vectormigrate.engine.rollback import find_removal
from vectormigrate.engine.runner import undo
from vectormigrate.model.answers import (
    RollbackResult,
)
from vectormigrate.model.status import Phase
from vectormigrate.service.base import Base, forbid_keys, refuse_running


class UndoVerbs(Base):
    """The verb that removes what a migration wrote."""

    async def rollback(
        self, migration_id: str, *, listener: Listener = ignore, target_key: str | None = None
    ) -> RollbackResult:
        """Remove exactly what this migration wrote: the collection if it made it and everything in it is its own, else
        the records that it added. Raises InvalidTransition, with the migration as it was, for what cannot be
        distinguished from what others wrote; an error while removing leaves it failed, to be rolled back again::

            result = await service.rollback("orders")
            print(result.dropped_collection, result.deleted_records, result.kept_records)
        """
        async with self._store() as store:
            stored = await store.migrations.load(migration_id)
            await refuse_running(store, migration_id)
            next_state(Verb.ROLLBACK, migration_id, stored.status, stored.phase)
            await refuse_followed(store, migration_id)
            target = endpoint_from_ref(self.settings, stored.plan.spec.target, "target", target_key)
            forbid_keys(store, target)
            async with (
                store.leases.hold(migration_id) as lease,
                open_target(target, listener, self._stopping) as collection,
            ):
                stored = await store.migrations.load(migration_id)
                next_state(Verb.ROLLBACK, migration_id, stored.status, stored.phase)
                removal = await find_removal(stored, collection, store)
                listener(PhaseChanged(migration_id=migration_id, phase=Phase.ROLLING_BACK))
                removed = await undo(stored, removal, collection, store, lease)
                listener(PhaseChanged(migration_id=migration_id, phase=Phase.ROLLED_BACK))
            overwritten = stored.counters.written - removed.written if stored.plan.spec.overwrite else 0
            return RollbackResult(
                migration_id=migration_id,
                dropped_collection=removed.dropped,
                deleted_records=removed.deleted,
                kept_records=max(0, overwritten),
                foreign_records=removal.foreign,
            )
