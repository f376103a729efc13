"""The tools that give the authority of a live migration to the other side, or end it, after the user's word for it.

Without `from __future__ import annotations`: the SDK reads the annotations of functions that are made inside others.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated, Literal, TypeAlias

import anyio
from mcp.server.mcpserver import Context, Elicit, ElicitationResult, Resolve
from pydantic import Field

from vectormigrate.errors import InvalidTransition
from vectormigrate.model.live import LiveStatus, SwitchOptions, SwitchResult
from vectormigrate.model.plan import MigrationPlan
from vectormigrate.server.access.keys import Scope
from vectormigrate.server.runtime.context import Destructive, ServerContext
from vectormigrate.server.runtime.tool_errors import as_tool_errors
from vectormigrate.server.tools import answers_live as answers
from vectormigrate.server.tools.consent import Confirmation, Typed, asked, require_consent
from vectormigrate.server.tools.presenters_live import blocking, live_answer, next_live
from vectormigrate.server.tools.tool import LONGEST_WAIT, CheckedTool, MigrationId, make_tool

DryRun: TypeAlias = Annotated[
    bool, Field(description="Only show the gate and the figures; nothing is done and nobody is asked.")
]
Rehearse: TypeAlias = Annotated[bool, Field(description="Hold writes and compare, but do not switch.")]
Verify: TypeAlias = Annotated[
    Literal["fast", "strict"],
    Field(description="Compare while writes are held: what was touched and a sample, or every record."),
]
Pause: TypeAlias = Annotated[
    float, Field(gt=0, le=15, description="Give an attempt up when writes are held for so many seconds.")
]
Budget: TypeAlias = Annotated[float, Field(ge=0, le=30, description="Try for so many seconds.")]

Action = Literal["cutover", "reverse", "complete"]

QUESTIONS: dict[Action, str] = {
    "cutover": "Cutting over migration {id!r} holds writes for seconds and makes {name!r} ({where}) the collection "
    "that the application reads and writes.",
    "reverse": "Reversing migration {id!r} holds writes for seconds and gives the application back to the source; "
    "{name!r} ({where}) follows it again.",
    "complete": "Completing migration {id!r} leaves {name!r} ({where}) as the collection and ends the way back: the "
    "source is not kept up to date any more.",
}
SIDES: dict[Action, str] = {"cutover": "source", "reverse": "target", "complete": "target"}
"""Which side must have the authority."""


class LiveTools:
    """What the tools of the scope migrations:admin for live migrations share."""

    def __init__(self, context: ServerContext) -> None:
        self.context = context

    async def look(self, migration_id: str, *, strict: bool = False) -> LiveStatus:
        """The live migration. Raises InvalidTransition for one that is not live."""
        live = await self.context.service().live_status(migration_id, strict=strict)
        if live is None:
            raise InvalidTransition(f"migration {migration_id!r} is not live: its source was copied as it was")
        return live

    async def confirm(
        self, action: Action, migration_id: str, ctx: Context, typed: str | None, *, dry_run: bool
    ) -> Confirmation | Elicit[Confirmation]:
        """The typed name: from the argument, or from a form where the host can show one."""
        with as_tool_errors():
            plan = await self.context.require_access(migration_id)
            live = await self.look(migration_id)
            if not dry_run and live.authority != SIDES[action]:
                raise InvalidTransition(
                    f"migration {migration_id!r} is in phase {live.phase}, in which the {live.authority} has the "
                    f"authority: it cannot be asked for {action}"
                )
        if dry_run:
            return Confirmation(target_collection="")
        allowed: frozenset[Destructive] = self.context.unattended
        otherwise = f"vectormigrate {action} {migration_id}"
        return asked(ctx, action, _question(action, plan), typed, allowed, otherwise=otherwise)

    async def shown(self, migration_id: str, *, strict: bool = False) -> answers.SwitchAnswer:
        """The gate and the figures."""
        await self.context.require_access(migration_id)
        live = await self.look(migration_id, strict=strict)
        text = "every condition is met" if live.ready else f"{len(blocking(live))} conditions are not met"
        return _answer(migration_id, "dry_run", live, text=text)

    async def switch(
        self,
        migration_id: str,
        confirmed: object,
        options: SwitchOptions,
        verb: Callable[[str, SwitchOptions], Awaitable[SwitchResult]],
    ) -> answers.SwitchAnswer:
        """Ask the runner, and wait for it as long as a call may take."""
        await self._require(migration_id, confirmed)
        result: SwitchResult | None = None
        with anyio.move_on_after(LONGEST_WAIT):
            result = await verb(migration_id, options)
        live = await self.look(migration_id)
        if result is None:
            return _answer(migration_id, "running", live, text="the runner has not answered yet")
        state = "switched" if result.switched else "rehearsed"
        return answers.SwitchAnswer.of(
            result,
            migration_id=migration_id,
            state=state,
            live=live_answer(live),
            next_step=next_live(migration_id, live) or "nothing is left to do",
        )

    async def complete(self, migration_id: str, confirmed: object) -> answers.SwitchAnswer:
        """End it, as long as a call may take."""
        await self._require(migration_id, confirmed)
        text = None
        with anyio.move_on_after(LONGEST_WAIT):
            text = await self.context.service().complete(migration_id)
        live = await self.look(migration_id)
        if text is None:
            return _answer(migration_id, "running", live, text="the runner has not answered yet")
        return _answer(migration_id, "completed", live, text=text)

    async def _require(self, migration_id: str, confirmed: object) -> None:
        plan = await self.context.require_access(migration_id)
        require_consent(confirmed, plan.spec.target.collection, "nothing was changed")


def live_tools(context: ServerContext) -> list[CheckedTool]:
    """Tools of the scope migrations:admin for live migrations."""
    shared = LiveTools(context)

    async def confirm_cutover(
        migration_id: MigrationId, ctx: Context, dry_run: DryRun = False, confirm_target: Typed = None
    ) -> Confirmation | Elicit[Confirmation]:
        return await shared.confirm("cutover", migration_id, ctx, confirm_target, dry_run=dry_run)

    async def confirm_reverse(
        migration_id: MigrationId, ctx: Context, dry_run: DryRun = False, confirm_target: Typed = None
    ) -> Confirmation | Elicit[Confirmation]:
        return await shared.confirm("reverse", migration_id, ctx, confirm_target, dry_run=dry_run)

    async def confirm_complete(
        migration_id: MigrationId, ctx: Context, dry_run: DryRun = False, confirm_target: Typed = None
    ) -> Confirmation | Elicit[Confirmation]:
        return await shared.confirm("complete", migration_id, ctx, confirm_target, dry_run=dry_run)

    async def cutover_migration(
        migration_id: MigrationId,
        confirmed: Annotated[ElicitationResult[Confirmation], Resolve(confirm_cutover)],
        verify: Verify = "fast",
        pause: Pause = 4.0,
        budget: Budget = 30.0,
        rehearse: Rehearse = False,
        dry_run: DryRun = False,
        confirm_target: Typed = None,
    ) -> answers.SwitchAnswer:
        """Make the target of a live migration the collection that the application reads and writes. Writes are held
        for seconds, reads never; reverse_migration leads back. Needs the user's confirmation; dry_run: the gate."""
        with as_tool_errors():
            if dry_run:
                return await shared.shown(migration_id, strict=verify == "strict")
            options = SwitchOptions(strict=verify == "strict", pause=pause, budget=budget, rehearse=rehearse)
            return await shared.switch(migration_id, confirmed, options, context.service().cut_over)

    async def reverse_migration(
        migration_id: MigrationId,
        confirmed: Annotated[ElicitationResult[Confirmation], Resolve(confirm_reverse)],
        verify: Verify = "fast",
        pause: Pause = 4.0,
        budget: Budget = 30.0,
        rehearse: Rehearse = False,
        dry_run: DryRun = False,
        confirm_target: Typed = None,
    ) -> answers.SwitchAnswer:
        """Give the application of a live migration back to the source, with every write since the cut-over. Needs the
        user's confirmation; dry_run shows the gate."""
        with as_tool_errors():
            if dry_run:
                return await shared.shown(migration_id, strict=verify == "strict")
            options = SwitchOptions(strict=verify == "strict", pause=pause, budget=budget, rehearse=rehearse)
            return await shared.switch(migration_id, confirmed, options, context.service().reverse)

    async def complete_migration(
        migration_id: MigrationId,
        confirmed: Annotated[ElicitationResult[Confirmation], Resolve(confirm_complete)],
        dry_run: DryRun = False,
        confirm_target: Typed = None,
    ) -> answers.SwitchAnswer:
        """End a live migration after the cut-over: the source is not kept up to date any more, and nothing leads back.
        Needs the user's confirmation; dry_run shows the figures."""
        with as_tool_errors():
            if dry_run:
                return await shared.shown(migration_id)
            return await shared.complete(migration_id, confirmed)

    return [
        make_tool(cutover_migration, "Cut a live migration over", Scope.ADMIN, destructive=True),
        make_tool(reverse_migration, "Reverse a live migration", Scope.ADMIN, destructive=True),
        make_tool(complete_migration, "Complete a live migration", Scope.ADMIN, destructive=True),
    ]


def _answer(migration_id: str, state: str, live: LiveStatus, *, text: str) -> answers.SwitchAnswer:
    return answers.SwitchAnswer.of(
        migration_id=migration_id,
        state=state,
        text=text,
        live=live_answer(live),
        next_step=next_live(migration_id, live) or "nothing is left to do",
    )


def _question(action: Action, plan: MigrationPlan) -> str:
    """Of nothing that changes while the user thinks: the question is asked again and must be the same."""
    name = plan.spec.target.collection
    what = QUESTIONS[action].format(id=plan.spec.id, name=name, where=plan.spec.target.location)
    return f"{what} To confirm, type the name {name}."
