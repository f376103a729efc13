"""Passes over a copied migration whose source is still written to."""

from __future__ import annotations

from vectormigrate.capture.folder import live_folder
from vectormigrate.capture.syncing import Sync
from vectormigrate.engine.connect import open_ends
from vectormigrate.engine.events import Listener, ignore
from vectormigrate.engine.lifecycle import Verb, next_state
from vectormigrate.engine.runner import require_same_source
from vectormigrate.errors import InvalidTransition, remedy
from vectormigrate.model.answers import SyncResult
from vectormigrate.model.plan import MigrationPlan
from vectormigrate.model.status import Phase, Status
from vectormigrate.service.base import Base, refuse_running


class SyncVerbs(Base):
    """The verb that brings a finished copy up to date."""

    async def sync(
        self,
        migration_id: str,
        *,
        listener: Listener = ignore,
        source_key: str | None = None,
        target_key: str | None = None,
    ) -> SyncResult:
        """Compare source and target and write, replace and remove on the target what differs; repeatable. What is
        written to the source meanwhile is found by the next pass, so the last one needs a maintenance window in which
        nobody writes: `window_seconds` is how long it is likely to be.

        Removes only what this migration wrote. Raises MigrationNotFound, LeaseHeld, InvalidTransition before the copy
        is complete, for a target that was there before, or when the source holds nothing any more::

            result = await service.sync("orders")
            print(result.added, result.changed, result.removed, result.window_seconds)
        """
        async with self._store() as store:
            stored = await store.migrations.load(migration_id)
            await refuse_running(store, migration_id)
            next_state(Verb.VALIDATE, migration_id, stored.status, stored.phase)
            _refuse(migration_id, stored.plan, stored.status, stored.phase)
            source, target = self._stored_endpoints(stored.plan.spec, store, source_key, target_key)
            async with (
                store.leases.hold(migration_id) as lease,
                open_ends(source, target, stored.options, listener, self._stopping) as ends,
            ):
                await require_same_source(ends.source, stored.plan)
                return await Sync(
                    store=store,
                    stored=stored,
                    ends=ends,
                    lease=lease,
                    folder=live_folder(self.settings.state, migration_id).path,
                    listener=listener,
                    stopping=self._stopping,
                ).run()


def _refuse(migration_id: str, plan: MigrationPlan, status: Status, phase: Phase) -> None:
    if status is not Status.COMPLETED or phase is not Phase.DONE:
        raise InvalidTransition(
            f"cannot sync migration {migration_id!r}: not everything is copied; continue with: "
            f"{remedy('resume', migration_id)}"
        )
    if plan.target_exists:
        raise InvalidTransition(
            f"cannot sync migration {migration_id!r}: its target was there before, so records of others may have the "
            f"ids of new ones; compare and fix it with: {remedy('validate', migration_id, full=True, repair=True)}"
        )
