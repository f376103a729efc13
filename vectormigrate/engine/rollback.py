"""Removes exactly what a migration wrote."""

from __future__ import annotations

from dataclasses import dataclass

from vectormigrate.engine.retry import RetryingTarget
from vectormigrate.errors import CollectionNotFound, InvalidTransition
from vectormigrate.model.plan import MigrationPlan
from vectormigrate.model.status import Phase
from vectormigrate.state.store import Store

DELETE_ROWS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """What was taken away."""

    dropped: bool
    deleted: int


async def remove_written(plan: MigrationPlan, reached: Phase, target: RetryingTarget, store: Store) -> Removal:
    """Drop the collection if this migration created it, else delete the ids in its journal. Repeatable after a crash.

    `reached` is the phase in which the migration stood: before CREATING nothing can be ours.
    """
    migration_id = plan.spec.id
    if reached is Phase.PLANNED:
        return Removal(dropped=False, deleted=0)
    try:
        found = await target.describe()
    except CollectionNotFound:
        return Removal(dropped=False, deleted=0)
    if not plan.target_exists:
        owner = (found.note or {}).get("migration_id")
        if owner is not None and owner != migration_id:
            raise InvalidTransition(
                f"the target collection {plan.target_schema.name!r} was made by migration {owner!r}, not by "
                f"{migration_id!r}; nothing was removed"
            )
        await target.drop()
        return Removal(dropped=True, deleted=0)
    deleted = 0
    async for namespace, ids in store.written(migration_id):
        for start in range(0, len(ids), DELETE_ROWS):
            block = ids[start : start + DELETE_ROWS]
            present = await target.fetch(block, namespace, vectors=False)
            await target.delete(block, namespace)
            deleted += len(present)
    await target.finalize()
    return Removal(dropped=False, deleted=deleted)
