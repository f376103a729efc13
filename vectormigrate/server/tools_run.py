"""The tools that start, stop and go on with migrations. Work goes on in jobs; the tools return at once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from secrets import token_hex
from typing import TYPE_CHECKING, Annotated, Any

from mcp.server.mcpserver import Context
from pydantic import Field

from vectormigrate.errors import ConfigError, LeaseHeld, MigrationNotFound
from vectormigrate.model.plan import MigrationPlan, RunOptions
from vectormigrate.server import views, wire
from vectormigrate.server.auth import caller
from vectormigrate.server.desk import Desk, result_of, settle
from vectormigrate.server.jobs import Job
from vectormigrate.server.keys import Scope
from vectormigrate.server.telling import telling
from vectormigrate.server.tooling import CheckedTool, Collection, MigrationId, Wait, make_tool, report

if TYPE_CHECKING:
    from vectormigrate.engine.events import Event
    from vectormigrate.requests import MigrationRequest
    from vectormigrate.state.proposals import Proposal
    from vectormigrate.state.store import Store

Place = Annotated[str | None, Field(max_length=200, description="Name of a connection, as list_connections shows it.")]
Names = Annotated[list[str] | None, Field(max_length=1000)]

PLAN_PREFIX = "plan-"
STOP_SECONDS = 10.0


class RunTools:
    """Tools of the scope migrations:write."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def tools(self) -> list[CheckedTool]:
        """All of them."""
        return [
            make_tool(self.start_migration, "Plan and start a migration", Scope.WRITE, "adds"),
            make_tool(self.stop_migration, "Stop a migration", Scope.WRITE, "stops"),
            make_tool(self.resume_migration, "Resume a migration", Scope.WRITE, "stops"),
        ]

    async def start_migration(
        self,
        ctx: Context,
        source: Place = None,
        source_collection: Collection = None,
        target: Place = None,
        target_collection: Collection = None,
        dry_run: Annotated[bool, Field(description="True plans only and writes nothing to the databases.")] = True,
        plan_id: Annotated[str | None, Field(max_length=40, description="The plan to start, from a dry run.")] = None,
        request_id: Annotated[
            str | None,
            Field(max_length=128, description="Any text of yours; repeating a start with it starts nothing twice."),
        ] = None,
        migration_id: Annotated[
            str | None, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$", description="Name for it; default: made up.")
        ] = None,
        accept_losses: Annotated[
            list[str] | None, Field(max_length=100, description="Names of losses that the user agreed to.")
        ] = None,
        namespaces: Annotated[
            list[str] | None, Field(max_length=1000, description="Only these source namespaces.")
        ] = None,
        renames: Annotated[
            dict[str, str] | None, Field(max_length=1000, description="Metadata fields to rename: {old: new}.")
        ] = None,
        excludes: Annotated[
            list[str] | None, Field(max_length=1000, description="Metadata fields to leave out.")
        ] = None,
        vectors: Annotated[
            list[str] | None, Field(max_length=100, description="Carry only these vector fields.")
        ] = None,
        plain: Annotated[bool | None, Field(description="No origin sidecar: its effects become losses.")] = None,
        into_existing: Annotated[
            bool | None, Field(description="Allow a target collection that holds records.")
        ] = None,
        overwrite: Annotated[
            bool | None, Field(description="Replace records of the same id; a rollback cannot bring them back.")
        ] = None,
        min_similarity: Annotated[
            float | None, Field(ge=0, le=1, description="Floor of the cosine per vector; default 0.98.")
        ] = None,
        batch_size: Annotated[int | None, Field(ge=1, le=100_000, description="Records per write; 100.")] = None,
        max_retries: Annotated[int | None, Field(ge=0, le=100, description="Tries after the first; 3.")] = None,
        concurrency: Annotated[int | None, Field(ge=1, le=64, description="Most writes in flight.")] = None,
        rate_limit: Annotated[float | None, Field(gt=0, description="Most records per second.")] = None,
        max_rejects: Annotated[
            int | None, Field(ge=0, description="Fail beyond so many refused records; default 0.")
        ] = None,
        max_wait_seconds: Wait = 40.0,
    ) -> wire.StartAnswer:
        """Copy a collection to another database, in two steps. First call (dry_run=true): name source and target; the
        answer is a plan with every loss and a plan_id. Show it to the user. Second call: plan_id and dry_run=false; it
        starts in the background and returns at once. Then wait_migration."""
        given: dict[str, Any] = {
            "source": source,
            "source_collection": source_collection,
            "target": target,
            "target_collection": target_collection,
            "migration_id": migration_id,
            "accept_losses": accept_losses,
            "namespaces": namespaces,
            "renames": renames,
            "excludes": excludes,
            "vectors": vectors,
            "plain": plain,
            "into_existing": into_existing,
            "overwrite": overwrite,
            "min_similarity": min_similarity,
            "batch_size": batch_size,
            "max_retries": max_retries,
            "concurrency": concurrency,
            "rate_limit": rate_limit,
            "max_rejects": max_rejects,
        }
        given = {name: value for name, value in given.items() if value is not None}
        with telling():
            if not dry_run:
                return await self._start(plan_id, request_id, given)
            if plan_id is None:
                return await self._plan(given, ctx, max_wait_seconds)
            job = self.desk.jobs.find(plan_id)
            if job is not None and job.running:
                return await self._planned(job, ctx, max_wait_seconds)
            if job is not None:
                result_of(job)
            return _proposed(await self._proposal(plan_id))

    # -- planning

    async def _plan(self, given: Mapping[str, Any], ctx: Context, seconds: float) -> wire.StartAnswer:
        """Plan in the background; a big source may take longer than a call may."""
        request, options = self._request(given)
        await self._require_free(request.id)
        owner = caller().name

        async def work(job: Job) -> Proposal:
            from vectormigrate.engine.events import Profiled
            from vectormigrate.state.proposals import Proposal
            from vectormigrate.state.records import utc_text

            def listen(event: Event) -> None:
                self.desk.listen(event)
                if isinstance(event, Profiled):
                    job.stage, job.done, job.total = "reading the source", event.records, event.total

            job.stop = job.scope.cancel
            plan = await self.desk.service().plan(request, listen)
            made = Proposal(id=job.migration_id, owner=owner, plan=plan, options=options, made_at=utc_text())
            store: Store
            async with self.desk.store(read_only=False) as store:
                await store.save_proposal(made)
            return made

        job = self.desk.jobs.start("plan", f"{PLAN_PREFIX}{token_hex(8)}", owner, work)
        return await self._planned(job, ctx, seconds, request.id)

    async def _planned(self, job: Job, ctx: Context, seconds: float, migration_id: str = "") -> wire.StartAnswer:
        """The plan, or word that it is still being made."""
        seen = -1

        async def tick() -> None:
            nonlocal seen
            if job.done is not None and job.total and job.done > seen:
                seen = job.done
                await report(ctx, seen, job.total, f"planning: {job.done} of {job.total} records read")

        await settle(job, seconds, tick)
        proposal: Proposal | None = result_of(job)
        if proposal is not None:
            return _proposed(proposal)
        return wire.StartAnswer(
            state="planning",
            migration_id=migration_id,
            plan_id=job.migration_id,
            plan=None,
            next_step=f"the source is still being read; start_migration(plan_id={job.migration_id!r}, dry_run=true)",
        )

    def _request(self, given: Mapping[str, Any]) -> tuple[MigrationRequest, RunOptions]:
        """What the service is asked for. Raises ConfigError."""
        from vectormigrate.requests import MigrationRequest

        missing = [name for name in ("source", "target") if name not in given]
        if missing:
            raise ConfigError(f"{' and '.join(missing)} missing: name connections, see list_connections")
        source = self.desk.access.endpoint(given["source"], given.get("source_collection"), "source")
        target = self.desk.access.endpoint(given["target"], given.get("target_collection"), "target")
        made_up = re.sub(r"[^A-Za-z0-9._-]", "-", source.collection)[:48]
        request = MigrationRequest(
            id=given.get("migration_id") or f"{made_up}-{token_hex(3)}",
            source=source,
            target=target,
            namespaces=tuple(given["namespaces"]) if "namespaces" in given else None,
            plain=given.get("plain", False),
            into_existing=given.get("into_existing", False),
            overwrite=given.get("overwrite", False),
            renames=tuple(given.get("renames", {}).items()),
            excludes=tuple(given.get("excludes", ())),
            vectors=tuple(given.get("vectors", ())),
            accepted_losses=tuple(given.get("accept_losses", ())),
            min_similarity=given.get("min_similarity", 0.98),
        )
        return request, _options(given)

    async def _require_free(self, migration_id: str) -> None:
        try:
            status = await self.desk.status(migration_id)
        except MigrationNotFound:
            return
        raise ConfigError(
            f"migration {migration_id!r} exists already ({status.status}); choose another migration_id, or go on with "
            f"it: resume_migration(migration_id={migration_id!r})"
        )

    async def _proposal(self, plan_id: str) -> Proposal:
        """The plan as it waits. Raises ConfigError: unknown, too old, or another caller's."""
        store: Store
        async with self.desk.store() as store:
            found = await store.proposal(plan_id)
        if found is None or found.owner != caller().name:
            raise ConfigError(
                f"no plan {plan_id!r} of yours waits here (plans are kept for a day); make one: start_migration with "
                "dry_run=true"
            )
        return found

    # -- starting

    async def _start(self, plan_id: str | None, request_id: str | None, given: Mapping[str, Any]) -> wire.StartAnswer:
        owner = caller().name
        if request_id is not None:
            store: Store
            async with self.desk.store() as store:
                before = await store.answered(owner, request_id)
            if before is not None:
                return _started(before, new=False)
        if plan_id is None:
            raise ConfigError(
                "plan first: call start_migration with dry_run=true, show the plan to the user, then call it with "
                "plan_id and dry_run=false"
            )
        proposal = await self._proposal(plan_id)
        other = _contradictions(given, proposal.plan, proposal.options)
        if other:
            raise ConfigError(
                f"plan {plan_id!r} was made with another {', '.join(other)}; leave it out, or make a new plan with "
                "dry_run=true"
            )
        self.desk.access.require(proposal.plan.spec.source, proposal.plan.spec.target)
        name, new = await self.desk.service().begin(proposal.plan, proposal.options, owner=owner, request_id=request_id)
        if new:
            self.desk.run(name, owner)
        return _started(name, new=new)

    # -- stopping and going on

    async def stop_migration(self, migration_id: MigrationId) -> wire.StatusAnswer:
        """Stop a migration after the batches in flight, wherever it runs. What was copied is kept; resume_migration
        goes on exactly there. Also ends a validation that this server runs."""
        with telling():
            await self.desk.require_access(migration_id)
            job = self.desk.jobs.find(migration_id)
            if job is not None and job.running and job.kind == "validate":
                job.stop()
                await settle(job, STOP_SECONDS)
                status = await self.desk.status(migration_id)
            else:
                status = await self.desk.service().stop(migration_id, STOP_SECONDS)
                if job is not None and job.running:
                    await settle(job, 1.0)
        return views.status_answer(status, self.desk.jobs.find(migration_id))

    async def resume_migration(
        self,
        migration_id: MigrationId,
        retry_rejects: Annotated[bool, Field(description="Also try the refused records again.")] = False,
    ) -> wire.StatusAnswer:
        """Go on in the background with a migration that was stopped, failed or whose process died, exactly where it
        stands. Then wait_migration."""
        with telling():
            await self.desk.require_access(migration_id)
            status = await self.desk.status(migration_id)
            if status.runner_alive:
                raise LeaseHeld(
                    f"migration {migration_id!r} is running; wait for it: wait_migration(migration_id={migration_id!r})"
                )
            self._require_resumable(status.id, status.status, status.phase, retry_rejects=retry_rejects)
            job = self.desk.run(migration_id, caller().name, retry_rejects=retry_rejects)
        return views.status_answer(status, job)

    @staticmethod
    def _require_resumable(migration_id: str, status: Any, phase: Any, *, retry_rejects: bool) -> None:
        """Say now, not in the background, that there is nothing to go on with. Raises InvalidTransition."""
        from vectormigrate.engine.lifecycle import Verb, next_state

        next_state(Verb.RETRY if retry_rejects else Verb.RESUME, migration_id, status, phase)


def _options(given: Mapping[str, Any]) -> RunOptions:
    names = ("batch_size", "max_retries", "concurrency", "rate_limit", "max_rejects")
    return RunOptions(**{name: given[name] for name in names if name in given})


def _contradictions(given: Mapping[str, Any], plan: MigrationPlan, options: RunOptions) -> list[str]:
    """Arguments that say something else than the plan; repeating what it says is fine."""
    spec = plan.spec
    said: dict[str, Any] = {
        **asdict(options),
        "source": spec.source.connection or f"{spec.source.type}={spec.source.url}",
        "source_collection": spec.source.collection,
        "target": spec.target.connection or f"{spec.target.type}={spec.target.url}",
        "target_collection": spec.target.collection,
        "migration_id": spec.id,
        "accept_losses": list(spec.accepted_losses),
        "namespaces": None if spec.namespaces is None else list(spec.namespaces),
        "renames": dict(spec.renames),
        "excludes": list(spec.excludes),
        "vectors": list(spec.vectors),
        "plain": spec.plain,
        "into_existing": spec.into_existing,
        "overwrite": spec.overwrite,
        "min_similarity": spec.min_similarity,
    }
    return [name for name, value in given.items() if value != said[name]]


def _proposed(proposal: Proposal) -> wire.StartAnswer:
    summary = views.plan_summary(proposal.plan)
    if summary.unaccepted_losses:
        names = ", ".join(f'"{name}"' for name in summary.unaccepted_losses)
        step = f"this would lose data: ask the user, then plan again with accept_losses=[{names}]"
    else:
        step = f"show it to the user, then start_migration(plan_id={proposal.id!r}, dry_run=false)"
    return wire.StartAnswer(
        state="planned", migration_id=proposal.plan.spec.id, plan_id=proposal.id, plan=summary, next_step=step
    )


def _started(migration_id: str, *, new: bool) -> wire.StartAnswer:
    return wire.StartAnswer(
        state="started" if new else "already_started",
        migration_id=migration_id,
        plan_id=None,
        plan=None,
        next_step=f"wait_migration(migration_id={migration_id!r})",
    )
