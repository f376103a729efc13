"""Removes exactly what a migration wrote: what is there is looked at first, and only then something is removed."""

from __future__ import annotations

from dataclasses import dataclass

from vectormigrate.engine.counting import Foreign, foreign_records
from vectormigrate.engine.ownership import is_ours
from vectormigrate.engine.retry import RetryingTarget
from vectormigrate.errors import CollectionNotFound, InvalidTransition, TerminalError, remedy
from vectormigrate.model.status import Status
from vectormigrate.state.records import StoredMigration
from vectormigrate.state.store import Store

DELETE_ROWS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """What is to be taken away. `gone`: nothing of ours is there. `drop`: the collection, in which everything is ours;
    else the written ids. `foreign` records are not ours and stay."""

    gone: bool = False
    drop: bool = False
    foreign: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """What was taken away; `written` counts the written ids of the migration."""

    dropped: bool
    deleted: int
    written: int


async def find_removal(stored: StoredMigration, target: RetryingTarget, store: Store) -> Removal:
    """Decide what a rollback removes; changes nothing. Raises InvalidTransition, naming what is in the way, when that
    cannot be distinguished from what others wrote."""
    plan, migration_id = stored.plan, stored.id
    try:
        found = await target.describe()
    except CollectionNotFound:
        return Removal(gone=True)
    others = await store.migrations.others_there(migration_id, plan.spec.target.location)
    _refuse_entangled(migration_id, others)
    if plan.target_exists:
        return Removal()
    owner = (found.note or {}).get("migration_id")
    # Without a note of ours (--no-sidecar, or a target that cannot keep one) our own progress is the evidence.
    noted = plan.target_schema.note is not None and target.capabilities.collection.keeps_note
    ours = is_ours(found.note, plan) if noted else owner is None and stored.counters.read > 0
    if not ours:
        held = await target.count()
        if not held:
            return Removal(gone=True)
        made_by = "someone else" if owner is None else f"migration {owner!r}"
        made_by = f"a migration {owner!r} of another state file" if owner == migration_id else made_by
        raise InvalidTransition(
            f"the target collection {plan.target_schema.name!r} was made by {made_by}, not by migration "
            f"{migration_id!r}; nothing was removed"
        )
    foreign = await _foreign(stored, target, store)
    return Removal(drop=not foreign.records and not others, foreign=foreign.records)


async def _foreign(stored: StoredMigration, target: RetryingTarget, store: Store) -> Foreign:
    try:
        if not target.capabilities.writes.readable_before_finalize and stored.status is not Status.COMPLETED:
            await target.finalize()
        return await foreign_records(store, stored.id, target)
    except TerminalError as error:
        raise InvalidTransition(
            f"what the target collection {stored.plan.target_schema.name!r} holds cannot be read, so it is not known "
            f"whether all of it is from migration {stored.id!r}; nothing was removed. If it is, drop the collection "
            f"with the database's own tools and roll back again ({error})"
        ) from error


def _refuse_entangled(migration_id: str, others: dict[str, tuple[Status, bool]]) -> None:
    """Others may have written to records that this migration wrote first: their ids do not tell any more."""
    for name, (status, overwrites) in others.items():
        if status is Status.IN_PROGRESS:
            raise InvalidTransition(
                f"migration {name!r} is writing to the same collection, so {migration_id!r} cannot be rolled back now; "
                f"nothing was removed. Stop it first: {remedy('stop', name)}"
            )
        if overwrites:
            raise InvalidTransition(
                f"migration {name!r} overwrote records of the same collection, so what {migration_id!r} wrote cannot "
                f"be told from it; nothing was removed. Roll that one back first: {remedy('rollback', name)}"
            )


async def remove(stored: StoredMigration, removal: Removal, target: RetryingTarget, store: Store) -> Removed:
    """Carry out what `find_removal` decided. Repeatable."""
    if removal.gone:
        return Removed(dropped=False, deleted=0, written=0)
    if removal.drop:
        await target.drop()
        return Removed(dropped=True, deleted=0, written=0)
    deleted = 0
    written = 0
    async for namespace, ids in store.written_ids.blocks(stored.id):
        written += len(ids)
        for start in range(0, len(ids), DELETE_ROWS):
            block = ids[start : start + DELETE_ROWS]
            there = await target.fetch(block, namespace, vectors=False)
            deleted += len(there)
            await target.delete(block, namespace)
    await target.finalize()
    return Removed(dropped=False, deleted=deleted, written=written)
