"""The tools that stop and go on with migrations. Work goes on in jobs; the tools return at once."""

from __future__ import annotations

from typing import Annotated, Any

import anyio
from pydantic import Field

from vectormigrate.errors import LeaseHeld
from vectormigrate.model.status import Status
from vectormigrate.server import views, wire
from vectormigrate.server.auth import caller
from vectormigrate.server.desk import Desk, settle
from vectormigrate.server.jobs import Job
from vectormigrate.server.keys import Scope
from vectormigrate.server.telling import telling
from vectormigrate.server.tooling import CheckedTool, MigrationId, make_tool

STOP_SECONDS = 10.0


class RunTools:
    """Tools of the scope migrations:write."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def tools(self) -> list[CheckedTool]:
        """All of them."""
        return [
            make_tool(self.stop_migration, "Stop a migration", Scope.WRITE, "stops"),
            make_tool(self.resume_migration, "Resume a migration", Scope.WRITE, "replaces"),
        ]

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
