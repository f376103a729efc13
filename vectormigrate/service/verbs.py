"""The verbs that the command line, the library and (later) the MCP server share.

A verb takes and returns plain data and raises errors of `vectormigrate.errors`; long verbs report through a listener.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread

from vectormigrate import registry
from vectormigrate.advice.fidelity import known, outcome_table
from vectormigrate.advice.offline import recommend_fields
from vectormigrate.advice.recommend import column_rules, decide_for, declared_fields, recommendation, sample_source
from vectormigrate.config.request import MigrationRequest
from vectormigrate.config.settings import (
    Endpoint,
    Settings,
    complete_endpoint,
    endpoint_from_ref,
    endpoint_ref,
    load_settings,
)
from vectormigrate.engine.connect import Ends, configure, end_of, open_endpoint, open_ends, open_target
from vectormigrate.engine.events import Listener, PhaseChanged, Planned, ignore
from vectormigrate.engine.failpoints import failpoint
from vectormigrate.engine.lifecycle import Verb, next_state
from vectormigrate.engine.planning import make_plan
from vectormigrate.engine.planning_progress import OpenStore, planning_shown
from vectormigrate.engine.profile_cache import Memory
from vectormigrate.engine.retry import RetryingSource, RetryPolicy
from vectormigrate.engine.rollback import plan_removal
from vectormigrate.engine.runner import require_same_source, run_migration, undo
from vectormigrate.errors import (
    ConfigError,
    Interrupted,
    LeaseHeld,
    LossNotAccepted,
    MigrationNotFound,
    PlanError,
    TargetNotEmpty,
)
from vectormigrate.figures import counted
from vectormigrate.model.answers import (
    CollectionReport,
    DoctorCheck,
    Holdings,
    Observation,
    OptionLine,
    OutcomeTable,
    Recommendation,
    RejectRow,
    RollbackResult,
)
from vectormigrate.model.ids import MIGRATION_ID, MIGRATION_ID_RULE, id_key
from vectormigrate.model.plan import MigrationPlan, MigrationSpec, RunOptions
from vectormigrate.model.schema import Json
from vectormigrate.model.status import MigrationStatus, Phase, Status, ValidationReport
from vectormigrate.service.collections import holdings
from vectormigrate.service.doctor import examine
from vectormigrate.service.options import option_lines
from vectormigrate.state.proposals import Starter
from vectormigrate.state.records import StoredMigration
from vectormigrate.state.shared_reader import SharedReader
from vectormigrate.state.store import Store, open_store
from vectormigrate.validation.report import report_from_json, report_to_json
from vectormigrate.validation.run import Validation, Wanted, read_back_check

STOP_POLL_SECONDS = 0.25

START_SECONDS = 5.0
"""How long a runner may hold the lease before its migration is said to be in progress."""


class Service:
    """Bound to one set of settings, hence to one state file and one connections file. Open with `open_service`."""

    def __init__(
        self, settings: Settings, reader: SharedReader | None = None, *, patience: float | None = None
    ) -> None:
        """`reader`: read the state file through it, instead of opening the file for each verb. `patience`: seconds to
        wait for the lock of another process on it, default a minute; then StateBusy."""
        self.settings = settings
        self._patience = patience
        self._reader = reader
        self._stop_now = False

    # -- copying

    async def plan(self, request: MigrationRequest, listener: Listener = ignore) -> MigrationPlan:
        """Decide everything and write nothing to either database. What the source's metadata told is kept in the state
        file, if that can be written, for the plan that follows."""
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
        self, request: MigrationRequest, options: RunOptions | None = None, listener: Listener = ignore
    ) -> MigrationStatus:
        """Plan, store the plan, copy, finalize. A migration of this id that was interrupted goes on where it stood,
        provided that the request is the same.

        Returns the status, STOPPED when another process asked for that. Raises Interrupted after `stop_now`,
        LossNotAccepted, LeaseHeld, InvalidTransition, MigrationFailed, or what the databases say.
        """
        options = options or RunOptions()
        self._stop_now = False
        spec, source, target = self._spec(request)
        # Read only until there is a plan: a refusal leaves nothing behind, not even an empty state file.
        async with self._store(read_only=True) as store:
            stored = await _load_or_none(store, spec.id)
            if stored is None:
                await _refuse_planning(store, spec.id)
            notes = [await store.origin(end.location) for end in (spec.source, spec.target)]
            if stored is not None:
                _same_request(stored, spec)
                await _refuse_running(store, spec.id)
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
            async with self._store(source, target) as store:
                await store.create_migration(plan, options)
                failpoint("planned")
                listener(Planned(plan=plan))
                return await self._go_on(store, ends, plan, options, listener)

    async def begin(
        self, plan: MigrationPlan, options: RunOptions | None = None, by: Starter | None = None
    ) -> tuple[str, bool]:
        """Store a plan that `plan` made, so that `resume` runs exactly it: the migration's id, and whether it is new.

        It is not when the migration exists with this very plan. Raises LossNotAccepted, TargetNotEmpty, and
        InvalidTransition when it exists with another one or this owner's `request_id` began another migration.
        """
        options = options or RunOptions()
        if plan.unaccepted:
            raise LossNotAccepted(plan.refused)
        _refuse_collisions(plan, options)
        source = endpoint_from_ref(self.settings, plan.spec.source, "source")
        target = endpoint_from_ref(self.settings, plan.spec.target, "target")
        async with self._store(source, target) as store:
            return await store.begin(plan, options, by or Starter())

    async def resume(
        self,
        migration_id: str,
        options: RunOptions | None = None,
        listener: Listener = ignore,
        *,
        source_key: str | None = None,
        target_key: str | None = None,
    ) -> MigrationStatus:
        """Go on where the checkpoints stand, with the stored plan. Options None = as stored. Raises as `migrate`."""
        self._stop_now = False
        async with self._store() as store:
            stored = await store.load(migration_id)
            await _refuse_running(store, migration_id)
            options = options or stored.options
            verb = Verb.RETRY if options.retry_rejects else Verb.RESUME
            next_state(verb, migration_id, stored.status, stored.phase)
            source, target = self._stored_endpoints(stored.plan.spec, store, source_key, target_key)
            async with open_ends(source, target, options, listener, self._stopping) as ends:
                await require_same_source(ends.source, stored.plan)
                return await self._go_on(store, ends, stored.plan, options, listener)

    def _stopping(self) -> bool:
        return self._stop_now

    def stop_now(self) -> None:
        """Ask the run of this service to end after the batches in flight. Safe to call from a signal handler."""
        self._stop_now = True

    async def stop(self, migration_id: str, timeout: float = 60.0) -> MigrationStatus:
        """Ask the runner, in whatever process it is, to stop after the batches in flight, and wait until it has.
        After `timeout` seconds the status is returned as it is; the request stays. Raises InvalidTransition when it is
        not in progress."""
        async with self._store() as store:
            status = await store.status(migration_id)
            with anyio.move_on_after(min(timeout, START_SECONDS)):
                while status.runner_alive and status.status is not Status.IN_PROGRESS:
                    await anyio.sleep(STOP_POLL_SECONDS)
                    status = await store.status(migration_id)
            next_state(Verb.STOP, migration_id, status.status, status.phase)
            if status.phase is Phase.PLANNING:
                return await _stop_planning(store, status, timeout)
            await store.request_stop(migration_id)
            with anyio.move_on_after(timeout):
                while status.runner_alive:
                    await anyio.sleep(STOP_POLL_SECONDS)
                    status = await store.status(migration_id)
            if not status.runner_alive and status.status is Status.IN_PROGRESS:
                # Its process died; nothing but the word for it is left to change.
                await store.set_phase(migration_id, status.phase, Status.STOPPED, lease=None)
            return await store.status(migration_id)

    async def validate(
        self,
        migration_id: str,
        *,
        sample_size: int | None = None,
        full: bool = False,
        queries: int = 50,
        repair: bool = False,
        min_similarity: float | None = None,
        listener: Listener = ignore,
        source_key: str | None = None,
        target_key: str | None = None,
    ) -> ValidationReport:
        """Compare source and target: exact counts, contents (all with `full`, else `sample_size` records, by default
        1,000), and `queries` searches per vector field. With `repair`, put right what differs and judge again.

        The report is stored; one that did not pass is an answer, not an error.
        """
        async with self._store() as store:
            stored = await store.load(migration_id)
            plan = stored.plan
            await _refuse_running(store, migration_id)
            next_state(Verb.VALIDATE, migration_id, stored.status, stored.phase)
            source, target = self._stored_endpoints(plan.spec, store, source_key, target_key)
            floor = plan.spec.min_similarity if min_similarity is None else min_similarity
            wanted = Wanted(sample_size=sample_size, full=full, queries=queries, min_similarity=floor, repair=repair)
            # Under the lease, so that nobody removes or adds what is being compared.
            async with (
                store.hold(migration_id) as lease,
                open_ends(source, target, stored.options, listener, self._stopping) as ends,
            ):
                await require_same_source(ends.source, plan)
                check = Validation(store, stored, ends, wanted, listener)
                report = await check.run()
                if repair and not report.passed:
                    report = await check.repair(lease, report)
            await store.save_report(migration_id, report_to_json(report))
            return report

    async def rollback(
        self, migration_id: str, *, listener: Listener = ignore, target_key: str | None = None
    ) -> RollbackResult:
        """Remove exactly what this migration wrote: the collection if it made it and everything in it is its own, else
        the records that it added. Raises InvalidTransition, with the migration as it was, for what cannot be told
        apart; an error while removing leaves it failed, to be rolled back again."""
        async with self._store() as store:
            stored = await store.load(migration_id)
            await _refuse_running(store, migration_id)
            next_state(Verb.ROLLBACK, migration_id, stored.status, stored.phase)
            target = endpoint_from_ref(self.settings, stored.plan.spec.target, "target", target_key)
            _forbid(store, target)
            async with (
                store.hold(migration_id) as lease,
                open_target(target, listener, self._stopping) as collection,
            ):
                stored = await store.load(migration_id)
                next_state(Verb.ROLLBACK, migration_id, stored.status, stored.phase)
                removal = await plan_removal(stored, collection, store)
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

    # -- looking

    async def status(self, migration_id: str, owner: str | None = None) -> MigrationStatus:
        """One migration. Raises MigrationNotFound; with `owner`, a caller of a server, also for what others began."""
        async with self._store(read_only=True) as store:
            return await store.status(migration_id, owner)

    async def list(self, status: Status | None = None, owner: str | None = None) -> list[MigrationStatus]:
        """All migrations of the state file, or those of one status, or those that this caller of a server began,
        oldest first."""
        async with self._store(read_only=True) as store:
            return await store.list(status, owner)

    async def observe(self, most: int = 200) -> list[Observation]:
        """What a monitor wants to know, in one look at the state file: of the migrations in progress and the newest
        others, `most` in all."""
        async with self._store(read_only=True) as store:
            known = await store.list()
            known.sort(key=lambda found: (found.status is Status.IN_PROGRESS, found.created_at), reverse=True)
            figures = await store.observations()
            seen: list[Observation] = []
            for found in known[:most]:
                report = await store.last_report(found.id)
                size, last_commit = figures.get(found.id, (0, None))
                seen.append(
                    Observation(
                        status=found,
                        bytes_per_record=size,
                        last_commit=last_commit,
                        validation=None if report is None else report_from_json(report),
                    )
                )
            return seen

    async def rejects(self, migration_id: str, limit: int = 20, offset: int = 0) -> list[RejectRow]:
        """Records that were refused, oldest first. Raises MigrationNotFound."""
        async with self._store(read_only=True) as store:
            await store.status(migration_id)
            rows = await store.rejects(migration_id, limit=limit, offset=offset)
            return [
                RejectRow(
                    id=id_key(row.reject.id),
                    namespace=row.reject.namespace,
                    code=row.reject.code,
                    reason=row.reject.reason,
                    attempts=row.attempts,
                )
                for row in rows
            ]

    async def reject_counts(self, migration_id: str) -> dict[str, int]:
        """Open rejects by code. Raises MigrationNotFound."""
        async with self._store(read_only=True) as store:
            await store.status(migration_id)
            return await store.reject_counts(migration_id)

    async def last_validation(self, migration_id: str) -> ValidationReport | None:
        """The newest stored report. Raises MigrationNotFound."""
        async with self._store(read_only=True) as store:
            await store.status(migration_id)
            found = await store.last_report(migration_id)
            return None if found is None else report_from_json(found)

    async def stored_options(self, migration_id: str) -> RunOptions:
        """How the migration was last told to run. Raises MigrationNotFound."""
        async with self._store(read_only=True) as store:
            return (await store.load(migration_id)).options

    async def stored_plan(self, migration_id: str) -> MigrationPlan:
        """The plan as it was fixed at the start. Raises MigrationNotFound."""
        async with self._store(read_only=True) as store:
            return (await store.load(migration_id)).plan

    async def _go_on(
        self, store: Store, ends: Ends, plan: MigrationPlan, options: RunOptions, listener: Listener
    ) -> MigrationStatus:
        read_back = read_back_check(ends, plan.rules, plan.spec.min_similarity)
        complete = await run_migration(store, ends, plan, options, listener, read_back, lambda: self._stop_now)
        if complete and not ends.target.capabilities.keeps_note:
            await store.remember_origin(plan.spec.target.location, plan.target_schema.note)
        if not complete and self._stop_now:
            raise Interrupted(f"stopped; go on with: vectormigrate resume {plan.spec.id}")
        return await store.status(plan.spec.id)

    def options(self, types: Sequence[str] = ()) -> Sequence[OptionLine]:
        """The settings of these database types, which go into `options` of an Endpoint or a connection (none: of all).
        Raises UnknownAdapter."""
        return [line for name in types or registry.offered() for line in option_lines(name)]

    async def collections(self, endpoint: Endpoint, wanted: Callable[[str], bool] = lambda _: True) -> Holdings:
        """What the server of this endpoint holds, of the names that are `wanted`; its collection is not looked at.
        Raises ConfigError where the adapter cannot list, and what the database says."""
        return await holdings(complete_endpoint(self.settings, endpoint), wanted)

    async def describe(self, endpoint: Endpoint, sample: int = 10_000) -> CollectionReport:
        """Shape, counts, and what `sample` records say about the fields. Raises CollectionNotFound."""
        endpoint = complete_endpoint(self.settings, endpoint)
        async with open_endpoint(endpoint) as opened:
            source = RetryingSource(opened, RetryPolicy(), end_of(endpoint))
            schema = await source.describe()
            namespaces = await source.counts(await source.namespaces())
            found = await sample_source(source, sample)
            # Seen through its own database: nothing needs converting, so the mappings say what the fields are.
            seen = await anyio.to_thread.run_sync(decide_for, endpoint.type, endpoint.type, schema, namespaces, found)
            return CollectionReport(
                location=configure(endpoint)[1].location(),
                server=await source.server(),
                collection=schema,
                namespaces=namespaces,
                sampled=found.profile.records,
                fields=seen.field_mappings,
            )

    async def recommend(self, source: Endpoint, target_type: str, sample: int = 10_000) -> Recommendation:
        """The target schema for a real collection, from `sample` records, with every loss. Reads only. Confidence: see
        engine/advice.py."""
        source = complete_endpoint(self.settings, source, "source")
        registry.load(target_type)
        async with open_endpoint(source) as opened:
            reading = RetryingSource(opened, RetryPolicy(), end_of(source))
            schema = await reading.describe()
            namespaces = await reading.counts(await reading.namespaces())
            rules = decide_for(source.type, target_type, schema, namespaces, None).rules
            found = await sample_source(reading, sample, rules)
            columns = await anyio.to_thread.run_sync(column_rules, source.type, target_type, schema, namespaces, found)
            if columns is not None:
                found.losses = (await sample_source(reading, sample, columns)).losses
        return await anyio.to_thread.run_sync(
            recommendation, source.type, target_type, schema, namespaces, found, declared_fields(schema)
        )

    def recommend_offline(
        self, source_type: str, target_type: str, fields: Mapping[str, str] | None = None
    ) -> Recommendation:
        """A recommendation from field names and types alone (`source_schema` of the original tool). Raises
        UnknownAdapter, and ConfigError for a type that is not known, with the known ones."""
        return recommend_fields(source_type, target_type, fields or {})

    def outcomes(self, types: Sequence[str] = (), also: Sequence[str] = ()) -> OutcomeTable:
        """What becomes of each kind of thing between each pair of these databases (none: all that need a package).
        Raises UnknownAdapter."""
        return outcome_table(tuple(types) or tuple(known()), tuple(also))

    async def doctor(self, endpoints: Sequence[Endpoint] = ()) -> Sequence[DoctorCheck]:
        """Check the state file, the packages, and these connections (none given: all of the connections file)."""
        return await examine(self.settings, endpoints)

    # -- inside

    def _spec(self, request: MigrationRequest) -> tuple[MigrationSpec, Endpoint, Endpoint]:
        if not MIGRATION_ID.fullmatch(request.id):
            raise ConfigError(f"{request.id!r} cannot be the id of a migration: {MIGRATION_ID_RULE}")
        source = complete_endpoint(self.settings, request.source, "source")
        target = complete_endpoint(self.settings, request.target, "target")
        source_location, target_location = (configure(end)[1].location() for end in (source, target))
        if source_location == target_location:
            raise ConfigError(f"source and target are the same collection: {source_location}")
        spec = MigrationSpec(
            id=request.id,
            source=endpoint_ref(source, source_location),
            target=endpoint_ref(target, target_location),
            namespaces=request.namespaces,
            partitions=request.partitions,
            plain=request.plain,
            into_existing=request.into_existing,
            overwrite=request.overwrite,
            renames=dict(request.renames),
            excludes=request.excludes,
            vectors=request.vectors,
            accepted_losses=request.accepted_losses,
            min_similarity=request.min_similarity,
        )
        return spec, source, target

    def _store(self, *endpoints: Endpoint, read_only: bool = False) -> AbstractAsyncContextManager[Store]:
        if read_only and self._reader is not None:
            return self._reader.store()
        secrets = [end.api_key.get_secret_value() for end in endpoints if end.api_key is not None]
        return open_store(self.settings.state, read_only=read_only, secrets=secrets, patience=self._patience)

    def _memory(self, request: MigrationRequest, writer: OpenStore | None = None) -> Memory:
        return Memory(reader=None if request.fresh else partial(self._store, read_only=True), writer=writer)

    def _stored_endpoints(
        self, spec: MigrationSpec, store: Store, source_key: str | None, target_key: str | None
    ) -> tuple[Endpoint, Endpoint]:
        source = endpoint_from_ref(self.settings, spec.source, "source", source_key)
        target = endpoint_from_ref(self.settings, spec.target, "target", target_key)
        _forbid(store, source, target)
        return source, target

    async def _remembered_note(self, location: str) -> Json | None:
        async with self._store(read_only=True) as store:
            return await store.origin(location)


def _forbid(store: Store, *endpoints: Endpoint) -> None:
    for endpoint in endpoints:
        if endpoint.api_key is not None:
            store.forbid(endpoint.api_key.get_secret_value())


async def _load_or_none(store: Store, migration_id: str) -> StoredMigration | None:
    """The migration, None when there is none with a plan."""
    try:
        status = await store.status(migration_id)
    except MigrationNotFound:
        return None
    return None if status.phase is Phase.PLANNING else await store.load(migration_id)


async def _refuse_planning(store: Store, migration_id: str) -> None:
    with suppress(MigrationNotFound):
        await _refuse_running(store, migration_id)


async def _stop_planning(store: Store, status: MigrationStatus, timeout: float) -> MigrationStatus:
    """Have the planning given up; its row goes with it, and nothing else was written."""
    await store.request_stop(status.id)
    with anyio.move_on_after(timeout), suppress(MigrationNotFound):
        while status.runner_alive and status.phase is Phase.PLANNING:
            await anyio.sleep(STOP_POLL_SECONDS)
            status = await store.status(status.id)
        if status.phase is not Phase.PLANNING:
            return status  # it was planned just before; nothing is copied yet, and the next stop ends that
        await store.end_planning(status.id)
    return replace(status, status=Status.STOPPED, runner_alive=False)


async def _refuse_running(store: Store, migration_id: str) -> None:
    """Say so before the databases are opened, which an embedded one's runner holds; the lease decides in the end."""
    if (await store.status(migration_id)).runner_alive:
        raise LeaseHeld(
            f"migration {migration_id!r} is being run by another process; watch it with: vectormigrate status "
            f"{migration_id}, or end it with: vectormigrate stop {migration_id}"
        )


def _refuse_collisions(plan: MigrationPlan, options: RunOptions) -> None:
    """Do not begin what is bound to fail half-way."""
    if plan.collisions > options.max_rejects and not plan.spec.overwrite:
        raise TargetNotEmpty(
            f"{counted(plan.collisions)} of the source's ids are on the target {plan.spec.target.collection!r} "
            f"already; replace them with --overwrite (no rollback for them), or leave them as they are with "
            f"--max-rejects {plan.collisions}"
        )


def _same_request(stored: StoredMigration, spec: MigrationSpec) -> None:
    """A second `migrate` of an id may only take up what the first one was asked for."""
    if stored.status in (Status.COMPLETED, Status.ROLLED_BACK):
        next_state(Verb.MIGRATE, stored.id, stored.status, stored.phase)
    before, now = stored.plan.spec.to_json(), spec.to_json()
    changed = sorted(name for name in before if before[name] != now[name])
    if changed:
        raise PlanError(
            f"migration {stored.id!r} exists with another {', '.join(changed)}; go on with it as it was planned "
            f"(vectormigrate resume {stored.id}) or choose another id"
        )


@asynccontextmanager
async def open_service(settings: Settings | None = None, *, state: Path | None = None) -> AsyncGenerator[Service]:
    """A service over these settings (default: environment and file), or over the state file `state`."""
    yield Service(settings or load_settings(state=state))
