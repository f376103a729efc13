"""The tools that start, stop and go on with migrations. Work goes on in jobs; the tools return at once."""

from __future__ import annotations

from typing import Annotated, Any

import anyio
from mcp.server.mcpserver import Context
from pydantic import Field

from vectormigrate.errors import LeaseHeld
from vectormigrate.model.status import Status
from vectormigrate.server import views, wire
from vectormigrate.server.auth import caller
from vectormigrate.server.desk import Desk, settle
from vectormigrate.server.jobs import Job
from vectormigrate.server.keys import Scope
from vectormigrate.server.planner import Planner
from vectormigrate.server.telling import telling
from vectormigrate.server.tooling import CheckedTool, Collection, MigrationId, Wait, make_tool

Place = Annotated[str | None, Field(max_length=200, description="Name of a connection, as list_connections shows it.")]

STOP_SECONDS = 10.0


class RunTools:
    """Tools of the scope migrations:write."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.planner = Planner(desk)

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
                return await self.planner.start(plan_id, request_id, given)
            if plan_id is None:
                return await self.planner.plan(given, ctx, max_wait_seconds)
            return await self.planner.show(plan_id, ctx, max_wait_seconds)

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
                if job is not None and job.kind == "run":
                    await self._until_stoppable(job)
                status = await self.desk.service().stop(migration_id, STOP_SECONDS)
                if job is not None and job.running:
                    await settle(job, STOP_SECONDS)
        return views.status_answer(status, self.desk.jobs.find(migration_id))

    async def _until_stoppable(self, job: Job) -> None:
        """A run that was just begun connects first; only after that its status says that it runs."""
        with anyio.move_on_after(STOP_SECONDS):
            while job.running and (await self.desk.status(job.migration_id)).status is not Status.IN_PROGRESS:
                with anyio.move_on_after(0.1):
                    await job.ended.wait()

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
