"""A run from outside: under the lease, ended by a stop request, its outcome written down whatever happens."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import replace

import anyio

from vectormigrate.engine.connect import Ends
from vectormigrate.engine.events import Listener, PhaseChanged
from vectormigrate.engine.lifecycle import Verb, next_state
from vectormigrate.engine.ownership import is_ours
from vectormigrate.engine.retry import RetryingSource, RetryingTarget
from vectormigrate.engine.rollback import Removal, Removed, remove
from vectormigrate.engine.run import Run
from vectormigrate.engine.task_group import task_group
from vectormigrate.engine.writing import ReadBack
from vectormigrate.errors import IncompatibleSchema, VectorMigrateError, remedy
from vectormigrate.model.plan import MigrationPlan, RunOptions
from vectormigrate.model.schema import CollectionSchema
from vectormigrate.model.status import Phase, Status
from vectormigrate.state.records import Lease, StoredMigration
from vectormigrate.state.store import Store

STOP_POLL_SECONDS = 0.25

Work = Callable[[Run, Phase], Awaitable[bool]]
"""Takes a run and its phase; True when the migration is complete with it, False when it was stopped."""


async def require_same_source(source: RetryingSource, plan: MigrationPlan) -> None:
    """Raise IncompatibleSchema when the source no longer has the shape that the plan was made for."""
    found = await source.describe()
    # Vendor settings (aliases, index parameters) and notices may change: they have no part in what is copied.
    if _copied(found) != _copied(plan.source_schema):
        raise IncompatibleSchema(
            f"the schema of the source {plan.spec.source.collection!r} changed since migration {plan.spec.id!r} was "
            f"planned; roll it back ({remedy('rollback', plan.spec.id)}) and start a new one"
        )


def _copied(schema: CollectionSchema) -> CollectionSchema:
    """The part of a schema on which a plan rests."""
    vectors = tuple(replace(item, index={}) for item in schema.vectors)
    return replace(schema, vectors=vectors, note=None, extras={}, settings=(), warnings=())


async def run_migration(
    store: Store,
    ends: Ends,
    plan: MigrationPlan,
    options: RunOptions,
    listener: Listener,
    read_back: ReadBack,
    stop_now: Callable[[], bool],
    work: Work = Run.execute,
) -> bool:
    """Run the migration from its phase and checkpoints. True: complete. False: stopped, by `stop_now` or by another
    process. `work`: what a run does, by default a copy.

    Raises LeaseHeld, InvalidTransition, and after storing it as the failure of the run, what ended it.
    """
    migration_id = plan.spec.id
    async with store.leases.hold(migration_id) as lease:
        # Read under the lease: an earlier holder may have moved the migration since anyone looked.
        stored = await store.migrations.load(migration_id)
        verb = Verb.RETRY if options.retry_rejects else Verb.RESUME
        state = next_state(verb, migration_id, stored.status, stored.phase)
        await store.migrations.set_options(lease, replace(options, retry_rejects=False))
        asked = anyio.Event()

        def stopping() -> bool:
            return stop_now() or asked.is_set()

        ends.source.policy.stopping = ends.target.policy.stopping = stopping
        run = Run(
            plan=plan,
            options=options,
            source=ends.source,
            target=ends.target,
            store=store,
            lease=lease,
            listener=listener,
            read_back=read_back,
            stopping=stopping,
            rejected_before=stored.counters.rejected,
            begun_before=stored.started_at is not None,
            completed_before=stored.completed_at is not None,
        )
        try:
            async with task_group() as tasks:
                tasks.start_soon(_watch_stop, store, migration_id, asked)
                complete = await work(run, state.phase)
                tasks.cancel_scope.cancel()
        except (VectorMigrateError, OSError) as error:
            await _record_failure(store, lease, error)
            raise
        if complete:
            await store.migrations.set_phase(migration_id, Phase.DONE, Status.COMPLETED, lease=lease)
            listener(PhaseChanged(migration_id=migration_id, phase=Phase.DONE))
        else:
            phase = (await store.migrations.load(migration_id)).phase
            await store.migrations.set_phase(migration_id, phase, Status.STOPPED, lease=lease)
    return complete


async def undo(
    stored: StoredMigration, removal: Removal, target: RetryingTarget, store: Store, lease: Lease
) -> Removed:
    """Remove what a rollback is to remove. An error is written down as its failure, and a rollback tries again."""
    plan = stored.plan
    state = next_state(Verb.ROLLBACK, stored.id, stored.status, stored.phase)
    await store.migrations.set_phase(stored.id, state.phase, state.status, lease=lease)
    try:
        removed = await remove(stored, removal, target, store)
    except (VectorMigrateError, OSError) as error:
        await _record_failure(store, lease, error)
        raise
    # A note that an earlier migration left on an existing collection stays.
    kept = await store.origin.find(plan.spec.target.location)
    if removed.dropped or ((removal.gone or plan.target_exists) and is_ours(kept, plan)):
        await store.origin.remember(plan.spec.target.location, None)
    await store.migrations.set_phase(stored.id, Phase.ROLLED_BACK, Status.ROLLED_BACK, lease=lease)
    return removed


async def _watch_stop(store: Store, migration_id: str, asked: anyio.Event) -> None:
    # The request comes from another process, through the file: there is nothing to wait on but its state.
    while not await store.migrations.stop_requested(migration_id):  # noqa: ASYNC110
        await anyio.sleep(STOP_POLL_SECONDS)
    asked.set()


async def _record_failure(store: Store, lease: Lease, error: Exception) -> None:
    """Store the failure if the state can still be written; the caller raises what went wrong either way."""
    with contextlib.suppress(VectorMigrateError):
        phase = (await store.migrations.load(lease.migration_id)).phase
        await store.migrations.set_phase(lease.migration_id, phase, Status.FAILED, error=str(error), lease=lease)
