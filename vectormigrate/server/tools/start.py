"""The tool that starts a plan, after the user's word for it where the plan replaces records.

Without `from __future__ import annotations`: the SDK reads the annotations of functions that are made inside others.
"""

from collections.abc import Mapping
from typing import Annotated, TypeAlias

from mcp.server.mcpserver import Context, Elicit, ElicitationResult, Resolve
from pydantic import Field

from vectormigrate.errors import ConfigError
from vectormigrate.model.live import LiveOptions, with_changes
from vectormigrate.model.plan import MigrationPlan
from vectormigrate.server.access.keys import Scope
from vectormigrate.server.runtime.context import ServerContext
from vectormigrate.server.runtime.tool_errors import as_tool_errors
from vectormigrate.server.tools import answers
from vectormigrate.server.tools.consent import Confirmation, Typed, asked, require_consent
from vectormigrate.server.tools.plan_jobs import Planner
from vectormigrate.server.tools.tool import CheckedTool, PlanId, make_tool

HINT = "plan first, with plan_migration(source=..., target=...); start_migration takes the plan_id of its answer"
"""For callers of the earlier tool, which planned and started by one name."""

RequestId: TypeAlias = Annotated[
    str | None,
    Field(max_length=128, description="Any text of yours; repeating a start with it starts nothing twice."),
]
Live: TypeAlias = Annotated[
    bool,
    Field(
        description="Follow the source while the application writes to it through the gateway, until it is completed."
    ),
]
Fenced: TypeAlias = Annotated[
    bool | None, Field(description="The user has confirmed that every writer goes through the gateway already.")
]
OneWay: TypeAlias = Annotated[
    bool | None, Field(description="The user accepts that there is no way back after the cut-over.")
]
SourceDeadline: TypeAlias = Annotated[
    float | None,
    Field(gt=0, le=86_400, description="A request to the source takes effect in so many seconds or never; 60."),
]
TargetDeadline: TypeAlias = Annotated[
    float | None, Field(gt=0, le=86_400, description="The same of the target, in seconds; 60.")
]


def start_tools(context: ServerContext) -> list[CheckedTool]:
    """Tools of the scope migrations:write."""
    planner = Planner(context)

    async def confirm(
        plan_id: PlanId, ctx: Context, request_id: RequestId = None, confirm_target: Typed = None
    ) -> Confirmation | Elicit[Confirmation]:
        """The typed name, of a plan that replaces records; any other needs none, nor does a start that is repeated."""
        with as_tool_errors():
            if await planner.answered(plan_id, request_id) is not None:
                return Confirmation(target_collection="")
            plan = (await planner.startable(plan_id)).plan
        collection = plan.spec.target.collection
        if not plan.spec.overwrite or not plan.target_exists:
            return Confirmation(target_collection=collection)
        return asked(
            ctx,
            "overwrite",
            _question(plan),
            confirm_target,
            context.unattended,
            otherwise="vectormigrate migrate, with the same ends and --overwrite",
        )

    async def start_migration(
        plan_id: PlanId,
        confirmed: Annotated[ElicitationResult[Confirmation], Resolve(confirm)],
        request_id: RequestId = None,
        confirm_target: Typed = None,
        live: Live = False,
        fenced: Fenced = None,
        one_way: OneWay = None,
        source_deadline: SourceDeadline = None,
        target_deadline: TargetDeadline = None,
    ) -> answers.StartAnswer:
        """Start a plan that the user agreed to. It runs in the background and this returns at once; then
        wait_migration. A plan that replaces existing records (overwrite) needs the user's confirmation."""
        changes = {
            "fenced": fenced,
            "one_way": one_way,
            "source_deadline": source_deadline,
            "target_deadline": target_deadline,
        }
        with as_tool_errors():
            followed = _live(live, changes)
            if (before := await planner.answered(plan_id, request_id)) is not None:
                return before
            proposal = await planner.startable(plan_id)
            require_consent(confirmed, proposal.plan.spec.target.collection, "nothing was started")
            return await planner.start(proposal, request_id, followed)

    tool = make_tool(start_migration, "Start a migration", Scope.WRITE, destructive=True, idempotent=True)
    tool.hint = HINT
    return [tool]


def _live(live: bool, changes: Mapping[str, object]) -> LiveOptions | None:
    """How it is to be live. Raises ConfigError for options of a migration that is not."""
    given = sorted(name for name, value in changes.items() if value is not None)
    if given and not live:
        raise ConfigError(f"{', '.join(given)}: only with live=true")
    return with_changes(LiveOptions(), changes) if live else None


def _question(plan: MigrationPlan) -> str:
    name, where = plan.spec.target.collection, plan.spec.target.location
    return (
        f"Migration {plan.spec.id!r} replaces records of the same id in the collection {name!r} ({where}), which no "
        f"rollback can bring back. To confirm, type the name {name}."
    )
