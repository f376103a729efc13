"""The tool that destroys: rollback, after the user's word for it.

Without `from __future__ import annotations`: the SDK reads the annotations of functions that are made inside others.
"""

from typing import Annotated

from mcp.server.mcpserver import Context, Elicit, ElicitationResult, Resolve

from vectormigrate.engine.lifecycle import Verb, next_state
from vectormigrate.model.plan import MigrationPlan
from vectormigrate.server.access.auth import caller
from vectormigrate.server.access.keys import Scope
from vectormigrate.server.runtime.context import ServerContext, result_of, wait_for_job
from vectormigrate.server.runtime.tool_errors import as_tool_errors
from vectormigrate.server.tools import answers
from vectormigrate.server.tools.consent import Confirmation, Typed, asked, require_consent
from vectormigrate.server.tools.tool import CheckedTool, MigrationId, Wait, make_tool


def admin_tools(context: ServerContext) -> list[CheckedTool]:
    """Tools of the scope migrations:admin."""

    async def confirm(
        migration_id: MigrationId, ctx: Context, confirm_target: Typed = None
    ) -> Confirmation | Elicit[Confirmation]:
        """The typed name: from the argument, or from a form where the host can show one."""
        with as_tool_errors():
            plan = await context.require_access(migration_id)
            status = await context.status(migration_id)
            context.jobs.require_idle(migration_id)
            next_state(Verb.ROLLBACK, migration_id, status.status, status.phase)
        return asked(
            ctx,
            "rollback",
            _question(plan),
            confirm_target,
            context.unattended,
            otherwise=f"vectormigrate rollback {migration_id}",
        )

    async def rollback_migration(
        migration_id: MigrationId,
        confirmed: Annotated[ElicitationResult[Confirmation], Resolve(confirm)],
        confirm_target: Typed = None,
        max_wait_seconds: Wait = 30.0,
    ) -> answers.RollbackAnswer:
        """Remove what a migration wrote and nothing else: the collection if it made it, else the records that it added.
        Needs the user's confirmation."""
        with as_tool_errors():
            plan = await context.require_access(migration_id)
            require_consent(confirmed, plan.spec.target.collection, "nothing was removed")
            job = context.rollback(migration_id, caller().name)
            await wait_for_job(job, max_wait_seconds)
            result = result_of(job)
        if result is None:
            return answers.RollbackAnswer.of(
                migration_id=migration_id, state="running", next_step=f"wait_migration(migration_id={migration_id!r})"
            )
        return answers.RollbackAnswer.of(
            result, migration_id=migration_id, state="finished", next_step="nothing is left to do"
        )

    return [make_tool(rollback_migration, "Roll back a migration", Scope.ADMIN, destructive=True)]


def _question(plan: MigrationPlan) -> str:
    """Of nothing that changes while the user thinks: the question is asked again and must be the same."""
    name, where = plan.spec.target.collection, plan.spec.target.location
    what = "deletes the records that it added to" if plan.target_exists else "deletes the whole collection"
    return f"Rolling back migration {plan.spec.id!r} {what} {name!r} ({where}). To confirm, type the name {name}."
