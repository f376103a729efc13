"""Plans that agents ask for and start later: made in the background, kept in the state file, started as they were."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from mcp.server.mcpserver import Context

from vectormigrate.errors import ConfigError, MigrationNotFound
from vectormigrate.model.plan import MigrationPlan, RunOptions
from vectormigrate.server import views, wire
from vectormigrate.server.auth import caller
from vectormigrate.server.desk import Desk, result_of, settle
from vectormigrate.server.jobs import Job
from vectormigrate.server.tooling import report

if TYPE_CHECKING:
    from vectormigrate.engine.events import Event
    from vectormigrate.requests import MigrationRequest
    from vectormigrate.state.proposals import Proposal
    from vectormigrate.state.store import Store

PLAN_PREFIX = "plan-"


class Planner:
    """Makes plans and starts them. `given` are the arguments of start_migration that were given."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    async def plan(self, given: Mapping[str, Any], ctx: Context, seconds: float) -> wire.StartAnswer:
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

    async def show(self, plan_id: str, ctx: Context, seconds: float) -> wire.StartAnswer:
        """A plan again, or what became of its making. Raises ConfigError."""
        job = self.desk.jobs.find(plan_id)
        if job is None or job.owner != caller().name:
            return _proposed(await self._proposal(plan_id))
        return await self._planned(job, ctx, seconds)

    async def start(self, plan_id: str | None, request_id: str | None, given: Mapping[str, Any]) -> wire.StartAnswer:
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
