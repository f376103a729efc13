"""Removes exactly what a migration wrote."""

from __future__ import annotations

from dataclasses import dataclass

from vectormigrate.engine.retry import RetryingTarget
from vectormigrate.errors import CollectionNotFound, InvalidTransition
from vectormigrate.state.records import StoredMigration
from vectormigrate.state.store import Store

DELETE_ROWS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """What was taken away."""

    dropped: bool
    deleted: int
    journaled: int
    """Different ids that the journal holds."""


async def remove_written(stored: StoredMigration, target: RetryingTarget, store: Store) -> Removal:
    """Drop the collection if this migration created it, else delete the ids in its journal. Repeatable."""
    plan, migration_id = stored.plan, stored.id
    try:
        found = await target.describe()
    except CollectionNotFound:
        return Removal(dropped=False, deleted=0, journaled=0)
    if not plan.target_exists:
        owner = (found.note or {}).get("migration_id")
        # Without a note of ours (--plain, or a target that cannot keep one) our own progress is the evidence.
        noted = plan.target_schema.note is not None and target.capabilities.keeps_note
        ours = owner == migration_id or (not noted and owner is None and stored.counters.read > 0)
        if not ours and await target.count():
            made_by = f"migration {owner!r}" if owner else "someone else"
            raise InvalidTransition(
                f"the target collection {plan.target_schema.name!r} was made by {made_by}, not by migration "
                f"{migration_id!r}; nothing was removed"
            )
        if not ours:
            return Removal(dropped=False, deleted=0, journaled=0)
        await target.drop()
        return Removal(dropped=True, deleted=0, journaled=0)
    deleted = 0
    journaled = 0
    async for namespace, ids in store.written(migration_id):
        journaled += len(ids)
        for start in range(0, len(ids), DELETE_ROWS):
            block = ids[start : start + DELETE_ROWS]
            deleted += len(await target.fetch(block, namespace, vectors=False))
            await target.delete(block, namespace)
    await target.finalize()
    return Removal(dropped=False, deleted=deleted, journaled=journaled)
