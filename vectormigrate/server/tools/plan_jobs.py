"""Plans that agents ask for and start later: made in the background, kept in the state file, started as they were."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from mcp.server.mcpserver import Context

from vectormigrate.errors import ConfigError, MigrationNotFound
from vectormigrate.figures import counted
from vectormigrate.model.live import LiveOptions
from vectormigrate.model.plan import CopyOptions, RunOptions
from vectormigrate.server.access.auth import caller
from vectormigrate.server.runtime.context import ServerContext, result_of, wait_for_job
from vectormigrate.server.runtime.jobs import Job
from vectormigrate.server.runtime.remedies import FOR_A_PERSON
from vectormigrate.server.tools import answers, presenters
from vectormigrate.server.tools.tool import report

if TYPE_CHECKING:
    from vectormigrate.config.request import MigrationRequest
    from vectormigrate.engine.events import Event
    from vectormigrate.state.proposals import Proposal
    from vectormigrate.state.store import Store

PLAN_PREFIX = "plan-"


class Planner:
    """Makes plans and starts them. `given` are the arguments of plan_migration that were given."""

    def __init__(self, context: ServerContext) -> None:
        self.context = context

    async def plan(self, given: Mapping[str, Any], ctx: Context, seconds: float) -> answers.PlanAnswer:
        """Plan in the background; a big source may take longer than a call may."""
        request, options = self._request(given)
        await self._require_free(request.id)
        owner = caller().name

        async def work(job: Job) -> Proposal:
            from vectormigrate.engine.events import Profiled
            from vectormigrate.state.proposals import Proposal
            from vectormigrate.state.records import utc_text

            def listen(event: Event) -> None:
                self.context.listen(event)
                if isinstance(event, Profiled):
                    job.stage, job.done, job.total = "reading the source", event.records, event.total

            job.stop = job.scope.cancel
            plan = await self.context.worker().plan(request, listen)
            made = Proposal(id=job.migration_id, owner=owner, plan=plan, options=options, made_at=utc_text())
            store: Store
            async with self.context.store(read_only=False) as store:
                await store.proposals.save(made)
            return made

        job = self.context.jobs.start("plan", f"{PLAN_PREFIX}{token_hex(8)}", owner, work)
        return await self._planned(job, ctx, seconds, request.id)

    async def _planned(self, job: Job, ctx: Context, seconds: float, migration_id: str = "") -> answers.PlanAnswer:
        """The plan, or word that it is still being made."""
        seen = -1

        async def tick() -> None:
            nonlocal seen
            if job.done is not None and job.total and job.done > seen:
                seen = job.done
                await report(
                    ctx, seen, job.total, f"planning: {counted(job.done)} of {counted(job.total)} records read"
                )

        await wait_for_job(job, seconds, tick)
        proposal: Proposal | None = result_of(job)
        if proposal is not None:
            return self._proposed(proposal)
        return answers.PlanAnswer(
            state="planning",
            migration_id=migration_id,
            plan_id=job.migration_id,
            plan=None,
            next_step=f"the source is still being read; plan_migration(plan_id={job.migration_id!r})",
        )

    def _request(self, given: Mapping[str, Any]) -> tuple[MigrationRequest, RunOptions]:
        """What the service is asked for. Raises ConfigError."""
        from vectormigrate.config.request import MigrationRequest

        missing = [name for name in ("source", "target") if name not in given]
        if missing:
            raise ConfigError(f"{' and '.join(missing)} missing: name connections, see list_connections")
        source = self.context.access.endpoint(given["source"], given.get("source_collection"), "source")
        target = self.context.access.endpoint(given["target"], given.get("target_collection"), "target")
        made_up = re.sub(r"[^A-Za-z0-9._-]", "-", source.collection)[:48]
        request = MigrationRequest(
            id=given.get("migration_id") or f"{made_up}-{token_hex(3)}", source=source, target=target, **_asked(given)
        )
        return request, _options(given)

    async def _require_free(self, migration_id: str) -> None:
        """Raise ConfigError for an id in use, also by a migration that the caller may not know of. No more is
        told of it then."""
        try:
            await self.context.service().status(migration_id)
        except MigrationNotFound:
            return
        try:
            status = await self.context.status(migration_id)
        except MigrationNotFound:
            raise ConfigError(f"the id {migration_id!r} is taken; choose another migration_id") from None
        raise ConfigError(
            f"migration {migration_id!r} exists already ({status.status}); choose another migration_id, or resume "
            f"it: resume_migration(migration_id={migration_id!r})"
        )

    async def _proposal(self, plan_id: str) -> Proposal:
        """The plan as it waits. Raises ConfigError: unknown, too old, or another caller's."""
        store: Store
        async with self.context.store() as store:
            found = await store.proposals.find(plan_id)
        if found is None or found.owner != caller().name:
            raise ConfigError(
                f"no plan {plan_id!r} of yours waits here (plans are kept for a day); make one with plan_migration"
            )
        return found

    async def show(self, plan_id: str, ctx: Context, seconds: float) -> answers.PlanAnswer:
        """A plan again, or what became of its making. Raises ConfigError."""
        job = self.context.jobs.find(plan_id)
        if job is None or job.kind != "plan" or job.owner != caller().name:
            return self._proposed(await self._proposal(plan_id))
        return await self._planned(job, ctx, seconds)

    def _proposed(self, proposal: Proposal) -> answers.PlanAnswer:
        summary = presenters.plan_summary(proposal.plan)
        if summary.unaccepted_losses:
            names = ", ".join(f'"{name}"' for name in summary.unaccepted_losses)
            step = f"this would lose data: ask the user, then plan again with accept_losses=[{names}]"
        elif self.context.read_only:
            step = "show it to the user; this server reads only, the operator starts it elsewhere"
        else:
            step = f"show it to the user, then start_migration(plan_id={proposal.id!r})"
        return answers.PlanAnswer(
            state="planned", migration_id=proposal.plan.spec.id, plan_id=proposal.id, plan=summary, next_step=step
        )

    async def startable(self, plan_id: str) -> Proposal:
        """The plan, whose ends agents may still touch. Raises ConfigError."""
        proposal = await self._proposal(plan_id)
        self.context.access.require(proposal.plan.spec.source, proposal.plan.spec.target)
        return proposal

    async def answered(self, plan_id: str, request_id: str | None) -> answers.StartAnswer | None:
        """The answer to a start that is repeated, also when its plan is long gone. None: it is none, or what it would
        start has to be looked at."""
        if request_id is None:
            return None
        store: Store
        async with self.context.store() as store:
            found = await store.proposals.requested(caller().name, request_id)
            if found is None:
                return None
            name, planned = found
            # An earlier version did not write down which plan it was.
            if planned != plan_id and (planned is not None or await store.proposals.find(plan_id) is not None):
                return None
        return _started(name, new=False)

    async def start(
        self, proposal: Proposal, request_id: str | None, live: LiveOptions | None = None
    ) -> answers.StartAnswer:
        """Start it, once. Raises InvalidTransition for a request that started another migration, and with `live`
        PlanError with what is in the way of following the source."""
        from vectormigrate.state.proposals import Starter

        owner = caller().name
        by = Starter(owner=owner, request_id=request_id, plan_id=proposal.id, apart=self.context.only() is not None)
        name, new = await self.context.service().begin(proposal.plan, proposal.options, by, live=live)
        if new:
            self.context.run(name, owner)
        return _started(name, new=new, live=live is not None)


def _asked(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of the copy and of its planning, by the names that the request has for them."""
    names = {*CopyOptions().copy_options(), "profile_limit", "fresh"}
    named = {"accepted_losses" if name == "accept_losses" else name: value for name, value in given.items()}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in named.items() if name in names}


def _options(given: Mapping[str, Any]) -> RunOptions:
    names = {item.name for item in fields(RunOptions)}
    return RunOptions(**{name: value for name, value in given.items() if name in names})


def _started(migration_id: str, *, new: bool, live: bool = False) -> answers.StartAnswer:
    step = f"wait_migration(migration_id={migration_id!r})"
    if live:
        gateway = f"vectormigrate gateway {migration_id}"
        step = f"migration_status(migration_id={migration_id!r}); it waits for its gateway, {FOR_A_PERSON}{gateway}"
    return answers.StartAnswer(
        state="started" if new else "already_started",
        migration_id=migration_id,
        next_step=step,
    )
