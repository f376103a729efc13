"""Copying: plan, migrate, begin, resume, stop."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import anyio

from vectormigrate.capture.running.begin import begin_live, make_place
from vectormigrate.capture.running.live_run import LiveRun
from vectormigrate.capture.running.preflight import duties, preflight
from vectormigrate.capture.running.proving import make_prover
from vectormigrate.config.request import MigrationRequest
from vectormigrate.config.settings import (
    endpoint_from_ref,
)
from vectormigrate.engine.connect import Ends, open_ends
from vectormigrate.engine.events import Event, Listener, Noted, Planned, Warned, ignore
from vectormigrate.engine.failpoints import failpoint
from vectormigrate.engine.lifecycle import Verb, next_state
from vectormigrate.engine.planning import make_plan
from vectormigrate.engine.planning_progress import OpenStore, planning_shown
from vectormigrate.engine.profile_cache import Memory
from vectormigrate.engine.run import Run
from vectormigrate.engine.runner import require_same_source, run_migration
from vectormigrate.errors import (
    Interrupted,
    LeaseHeld,
    LossNotAccepted,
    MigrationNotFound,
    PlanError,
    StillRunning,
    TargetNotEmpty,
    VectorMigrateError,
    option,
    remedy,
)
from vectormigrate.figures import counted
from vectormigrate.model.live import LiveOptions
from vectormigrate.model.plan import MigrationPlan, MigrationSpec, RunOptions
from vectormigrate.model.schema import Json
from vectormigrate.model.status import MigrationStatus, Phase, Status
from vectormigrate.service.base import Base, refuse_running
from vectormigrate.state.live import LivePlace
from vectormigrate.state.proposals import Starter
from vectormigrate.state.records import StoredMigration
from vectormigrate.state.store import Store
from vectormigrate.validation.validate import read_back_check

STOP_POLL_SECONDS = 0.25

START_SECONDS = 5.0
"""How long a runner may hold the lease before its migration is said to be in progress."""


class CopyVerbs(Base):
    """The verbs that plan and run a copy."""

    async def plan(self, request: MigrationRequest, listener: Listener = ignore) -> MigrationPlan:
        """Decide everything and write nothing to either database. What the source's metadata showed is kept in the
        state file, if that can be written, for the plan that follows.

        Raises ConfigError, PlanError (IncompatibleSchema, TargetNotEmpty) and errors of the databases; losses that
        nobody accepted are in the plan, not an error::

            plan = await service.plan(request)
            accepted = replace(request, accepted_losses=(*request.accepted_losses, *plan.unaccepted))
        """
        spec, source, target = self._spec(request)
        memory = self._memory(request, partial(self._store, source, target))
        notes = [await self._remembered_note(end.location) for end in (spec.source, spec.target)]
        async with open_ends(source, target, RunOptions(), listener, self._stopping) as ends:
            return await make_plan(
                spec,
                ends,
                listener,
                source_note=notes[0],
                target_note=notes[1],
                profile_limit=request.profile_limit,
                memory=memory,
            )

    async def migrate(
        self,
        request: MigrationRequest,
        options: RunOptions | None = None,
        listener: Listener = ignore,
        *,
        live: LiveOptions | None = None,
        folder: Path | None = None,
        wait: float = 0.0,
    ) -> MigrationStatus:
        """Plan, store the plan, copy, finalize. The same request can be made again and again: a migration of this id
        that was interrupted continues from its checkpoints, one that is completed is returned as it is, and one that
        another process runs is waited for, for up to `wait` seconds.

        With `live`, the source may be written to meanwhile through the gateway: changes are followed until the
        migration is completed, aborted or stopped. `folder`: where its journal is kept, default next to the state file.

        Returns the status, STOPPED when another process asked for that. Raises Interrupted after `stop_now`,
        LossNotAccepted, StillRunning, PlanError for another request than the first, InvalidTransition,
        MigrationFailed, or an error of the databases::

            status = await service.migrate(request, RunOptions(batch_size=200, max_rejects=10))
            assert status.status is Status.COMPLETED
        """
        self._stop_now = False
        until = anyio.current_time() + wait
        ours = False

        def listen(event: Event) -> None:
            nonlocal ours
            ours = ours or isinstance(event, Planned)
            listener(event)

        while True:
            known = await self._is_stored(request.id)
            try:
                return await self._migrate(request, options or RunOptions(), listen, live, folder)
            except VectorMigrateError as error:
                # Another process that was asked the same had its plan first: what it has made is in the way.
                overtaken = not known and not ours and await self._is_stored(request.id)
                if not isinstance(error, LeaseHeld) and not overtaken:
                    raise
                if self._stop_now or anyio.current_time() >= until:
                    began = f"another process has begun migration {request.id!r} meanwhile"
                    raise StillRunning(began if overtaken else str(error)) from None
            await anyio.sleep(STOP_POLL_SECONDS)

    async def _is_stored(self, migration_id: str) -> bool:
        async with self._store(read_only=True) as store:
            return await _load_or_none(store, migration_id) is not None

    async def _migrate(
        self,
        request: MigrationRequest,
        options: RunOptions,
        listener: Listener,
        live: LiveOptions | None,
        folder: Path | None,
    ) -> MigrationStatus:
        """Raises LeaseHeld while another process plans or runs it."""
        spec, source, target = self._spec(request)
        # Read only until there is a plan: a refusal leaves nothing behind, not even an empty state file.
        async with self._store(read_only=True) as store:
            stored = await _load_or_none(store, spec.id)
            if stored is not None:
                _same_request(stored, spec)
                await _same_kind(store, spec.id, live)
            with suppress(MigrationNotFound):
                await refuse_running(store, spec.id)
            if stored is not None and stored.status is Status.COMPLETED:
                listener(Noted(message="it is completed already; nothing is copied"))
                return await store.migrations.status(spec.id)
            notes = [await store.origin.find(end.location) for end in (spec.source, spec.target)]
        async with open_ends(source, target, options, listener, self._stopping) as ends:
            if stored is not None:
                await require_same_source(ends.source, stored.plan)
                async with self._store(source, target) as store:
                    return await self._go_on(store, ends, stored.plan, options, listener)
            async with planning_shown(spec, partial(self._store, source, target), listener) as listen:
                plan = await make_plan(
                    spec,
                    ends,
                    listen,
                    source_note=notes[0],
                    target_note=notes[1],
                    profile_limit=request.profile_limit,
                    memory=self._memory(request),
                )
            if plan.unaccepted:
                raise LossNotAccepted(plan.refused)
            _refuse_collisions(plan, options)
            if live is not None:
                preflight(plan, ends, live)
            async with self._store(source, target) as store:
                if live is None:
                    await store.migrations.create(plan, options)
                else:
                    await begin_live(store, plan, options, live, folder)
                    for duty in duties(plan, live):
                        listener(Warned(message=duty))
                failpoint("planned")
                listener(Planned(plan=plan))
                return await self._go_on(store, ends, plan, options, listener)

    async def begin(
        self,
        plan: MigrationPlan,
        options: RunOptions | None = None,
        by: Starter | None = None,
        *,
        live: LiveOptions | None = None,
        folder: Path | None = None,
    ) -> tuple[str, bool]:
        """Store a plan that `plan` made, so that `resume` runs exactly it: the migration's id, and whether it is new.
        `live` and `folder` as of `migrate`.

        It is not when the migration exists with this very plan. Raises LossNotAccepted, TargetNotEmpty, and
        InvalidTransition when it exists with another one or this owner's `request_id` began another migration. With
        `live` also PlanError with everything that is in the way of following the source, and errors of the databases.
        """
        options = options or RunOptions()
        if plan.unaccepted:
            raise LossNotAccepted(plan.refused)
        _refuse_collisions(plan, options)
        source = endpoint_from_ref(self.settings, plan.spec.source, "source")
        target = endpoint_from_ref(self.settings, plan.spec.target, "target")
        async with self._store(read_only=True) as store:
            new = await _load_or_none(store, plan.spec.id) is None
        if live is not None and new:
            async with open_ends(source, target, options, ignore, lambda: False) as ends:
                preflight(plan, ends, live)
        async with self._store(source, target) as store:
            place = None
            if live is not None and new:
                place = await make_place(store, plan.spec.id, live, folder)
            elif live is not None:
                place = LivePlace(options=live, folder=Path(), journal="")
            return await store.proposals.begin(plan, options, by or Starter(), place)

    async def resume(
        self,
        migration_id: str,
        options: RunOptions | None = None,
        listener: Listener = ignore,
        *,
        source_key: str | None = None,
        target_key: str | None = None,
    ) -> MigrationStatus:
        """Continue from the checkpoints, with the stored plan. Options None = as stored. A key that was typed at the
        start is stored nowhere and is given again. Raises MigrationNotFound, and as `migrate`::

            status = await service.resume(
                "orders", RunOptions(retry_rejects=True), source_key="env:SOURCE_KEY"
            )
        """
        self._stop_now = False
        async with self._store() as store:
            stored = await store.migrations.load(migration_id)
            await refuse_running(store, migration_id)
            options = options or stored.options
            verb = Verb.RETRY if options.retry_rejects else Verb.RESUME
            next_state(verb, migration_id, stored.status, stored.phase)
            source, target = self._stored_endpoints(stored.plan.spec, store, source_key, target_key)
            async with open_ends(source, target, options, listener, self._stopping) as ends:
                await require_same_source(ends.source, stored.plan)
                return await self._go_on(store, ends, stored.plan, options, listener)

    async def stop(self, migration_id: str, timeout: float = 60.0) -> MigrationStatus:
        """Ask the runner, in whatever process it is, to stop after the batches in flight, and wait until it has.
        After `timeout` seconds the status is returned as it is; the request stays. Raises MigrationNotFound, and
        InvalidTransition when it is not in progress::

            status = await service.stop("orders", timeout=10)
        """
        async with self._store() as store:
            status = await store.migrations.status(migration_id)
            with anyio.move_on_after(min(timeout, START_SECONDS)):
                while status.runner_alive and status.status is not Status.IN_PROGRESS:
                    await anyio.sleep(STOP_POLL_SECONDS)
                    status = await store.migrations.status(migration_id)
            next_state(Verb.STOP, migration_id, status.status, status.phase)
            if status.phase is Phase.PLANNING:
                return await _stop_planning(store, status, timeout)
            await store.migrations.request_stop(migration_id)
            with anyio.move_on_after(timeout):
                while status.runner_alive:
                    await anyio.sleep(STOP_POLL_SECONDS)
                    status = await store.migrations.status(migration_id)
            if not status.runner_alive and status.status is Status.IN_PROGRESS:
                # Its process died; nothing but the word for it is left to change.
                await store.migrations.set_phase(migration_id, status.phase, Status.STOPPED, lease=None)
            return await store.migrations.status(migration_id)

    async def _go_on(
        self, store: Store, ends: Ends, plan: MigrationPlan, options: RunOptions, listener: Listener
    ) -> MigrationStatus:
        read_back = read_back_check(ends, plan.rules, plan.spec.min_similarity)
        row = await store.live.find(plan.spec.id)
        work = Run.execute if row is None else LiveRun(ends, row, make_prover).work
        complete = await run_migration(store, ends, plan, options, listener, read_back, lambda: self._stop_now, work)
        if complete and not ends.target.capabilities.collection.keeps_note:
            await store.origin.remember(plan.spec.target.location, plan.target_schema.note)
        if not complete and self._stop_now:
            raise Interrupted(f"stopped; resume with: {remedy('resume', plan.spec.id)}")
        return await store.migrations.status(plan.spec.id)

    def _memory(self, request: MigrationRequest, writer: OpenStore | None = None) -> Memory:
        return Memory(reader=None if request.fresh else partial(self._store, read_only=True), writer=writer)

    async def _remembered_note(self, location: str) -> Json | None:
        async with self._store(read_only=True) as store:
            return await store.origin.find(location)


async def _load_or_none(store: Store, migration_id: str) -> StoredMigration | None:
    """The migration, None when there is none with a plan."""
    try:
        status = await store.migrations.status(migration_id)
    except MigrationNotFound:
        return None
    return None if status.phase is Phase.PLANNING else await store.migrations.load(migration_id)


async def _stop_planning(store: Store, status: MigrationStatus, timeout: float) -> MigrationStatus:
    """Have the planning given up; its row goes with it, and nothing else was written."""
    await store.migrations.request_stop(status.id)
    with anyio.move_on_after(timeout), suppress(MigrationNotFound):
        while status.runner_alive and status.phase is Phase.PLANNING:
            await anyio.sleep(STOP_POLL_SECONDS)
            status = await store.migrations.status(status.id)
        if status.phase is not Phase.PLANNING:
            return status  # it was planned just before; nothing is copied yet, and the next stop ends that
        await store.planning.end(status.id)
    return replace(status, status=Status.STOPPED, runner_alive=False)


def _refuse_collisions(plan: MigrationPlan, options: RunOptions) -> None:
    """Do not begin what is bound to fail half-way."""
    if plan.collisions > options.max_rejects and not plan.spec.overwrite:
        raise TargetNotEmpty(
            f"{counted(plan.collisions)} of the source's ids are on the target {plan.spec.target.collection!r} "
            f"already; replace them with {option('request.overwrite', True)} (no rollback for them), or leave them as "
            f"they are with {option('options.max_rejects', plan.collisions)}"
        )


async def _same_kind(store: Store, migration_id: str, live: LiveOptions | None) -> None:
    """A copy cannot become live half-way: what was written before there was a journal would be missed. Raises PlanError
    also for other options of a live one, which the first start has fixed."""
    row = await store.live.find(migration_id)
    kept = row is not None and live is not None and replace(live, fenced=True) == replace(row.options, fenced=True)
    if live is None or kept:
        return
    what = "was begun without following its source" if row is None else "was begun with other options"
    raise PlanError(
        f"migration {migration_id!r} {what}; resume it as it was planned ({remedy('resume', migration_id)}) or choose "
        "another id"
    )


def _same_request(stored: StoredMigration, spec: MigrationSpec) -> None:
    """A second `migrate` of an id may only take up what the first one was asked for."""
    if stored.status is Status.ROLLED_BACK:
        next_state(Verb.MIGRATE, stored.id, stored.status, stored.phase)
    before, now = stored.plan.spec.to_json(), spec.to_json()
    changed = sorted(name for name in before if before[name] != now[name])
    if changed:
        raise PlanError(
            f"migration {stored.id!r} exists with another {', '.join(changed)}; resume it as it was planned "
            f"({remedy('resume', stored.id)}) or choose another id"
        )
