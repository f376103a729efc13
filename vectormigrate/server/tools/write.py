"""The tools that stop and resume migrations. Work is done in jobs; the tools return at once."""

from __future__ import annotations

from typing import Annotated, Any

import anyio
from pydantic import Field

from vectormigrate.errors import LeaseHeld
from vectormigrate.model.status import Status
from vectormigrate.server.access.auth import caller
from vectormigrate.server.access.keys import Scope
from vectormigrate.server.runtime.context import ServerContext, wait_for_job
from vectormigrate.server.runtime.jobs import Job
from vectormigrate.server.runtime.tool_errors import as_tool_errors
from vectormigrate.server.tools import answers, presenters
from vectormigrate.server.tools.tool import CheckedTool, MigrationId, make_tool

STOP_SECONDS = 10.0


class WriteTools:
    """Tools of the scope migrations:write."""

    def __init__(self, context: ServerContext) -> None:
        self.context = context

    def tools(self) -> list[CheckedTool]:
        """All of them."""
        return [
            make_tool(self.stop_migration, "Stop a migration", Scope.WRITE, idempotent=True),
            make_tool(self.resume_migration, "Resume a migration", Scope.WRITE, destructive=True, idempotent=True),
        ]

    async def stop_migration(self, migration_id: MigrationId) -> answers.StatusAnswer:
        """Stop a migration after the batches in flight, wherever it runs. What was copied is kept; resume_migration
        continues exactly there. Also ends a validation that this server runs."""
        with as_tool_errors():
            await self.context.require_access(migration_id)
            job = self.context.jobs.find(migration_id)
            if job is not None and job.running and job.kind == "validate":
                job.stop()
                await wait_for_job(job, STOP_SECONDS)
                status = await self.context.status(migration_id)
            else:
                if job is not None and job.kind == "run":
                    await self._until_stoppable(job)
                status = await self.context.service().stop(migration_id, STOP_SECONDS)
                if job is not None and job.running:
                    await wait_for_job(job, STOP_SECONDS)
            seen = await self.context.seen(status)
        return presenters.status_answer(*seen)

    async def _until_stoppable(self, job: Job) -> None:
        """A run that was just begun connects first; only after that its status says that it runs."""
        with anyio.move_on_after(STOP_SECONDS):
            while job.running and (await self.context.status(job.migration_id)).status is not Status.IN_PROGRESS:
                with anyio.move_on_after(0.1):
                    await job.ended.wait()

    async def resume_migration(
        self,
        migration_id: MigrationId,
        retry_rejects: Annotated[bool, Field(description="Also try the refused records again.")] = False,
    ) -> answers.StatusAnswer:
        """Resume a migration that was stopped, failed or whose process died, in the background and exactly where it
        ended. Then wait_migration."""
        with as_tool_errors():
            await self.context.require_access(migration_id)
            status = await self.context.status(migration_id)
            if status.runner_alive:
                raise LeaseHeld(
                    f"migration {migration_id!r} is running; wait for it: wait_migration(migration_id={migration_id!r})"
                )
            self._require_resumable(status.id, status.status, status.phase, retry_rejects=retry_rejects)
            self.context.run(migration_id, caller().name, retry_rejects=retry_rejects)
            seen = await self.context.seen(status)
        return presenters.status_answer(*seen)

    @staticmethod
    def _require_resumable(migration_id: str, status: Any, phase: Any, *, retry_rejects: bool) -> None:
        """Say now, not in the background, that there is nothing to go on with. Raises InvalidTransition."""
        from vectormigrate.engine.lifecycle import Verb, next_state

        next_state(Verb.RETRY if retry_rejects else Verb.RESUME, migration_id, status, phase)
