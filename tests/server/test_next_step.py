"""Every state has a way out, and next_step names it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from mcp import Client

from tests.server.requirements import requirement
from tests.server.world import World, call, start
from vectormigrate.engine.lifecycle import NEW, PLANNING, STATES, State
from vectormigrate.model.status import Phase, Status
from vectormigrate.server.app import App

pytestmark = pytest.mark.anyio

MOST_STEPS = 5

VERBS: dict[str, dict[str, Any]] = {
    "none": {},
    "stop_migration": {},
    "resume_migration": {},
    "resume_migration ": {"retry_rejects": True},
    "validate_migration": {"full": True},
    "rollback_migration": {"confirm_target": "docs"},
}

_CALL = re.compile(r"(\w+)\(migration_id='docs'(?:, (\w+)=true)?\)")


async def put(app: App, state: State) -> None:
    """The migration as a process that died, stopped or failed there would leave it."""
    async with app.context.store(read_only=False) as store:
        await store.migrations.set_phase("docs", state.phase, state.status, lease=None)


async def take(client: Client, step: str) -> str:
    """Call what a next step names; the tool."""
    found = _CALL.search(step)
    assert found is not None, step
    arguments = {found[2]: True} if found[2] else {}
    if found[1] == "rollback_migration":
        arguments = {"confirm_target": "docs"}
    await call(client, found[1], migration_id="docs", **arguments)
    return found[1]


async def to_the_end(client: Client) -> list[str]:
    """Follow next_step; the tools that were called."""
    taken: list[str] = []
    for _ in range(MOST_STEPS):
        waited = await call(client, "wait_migration", migration_id="docs")
        assert waited["finished"]
        if waited["status"] == "rolled_back" or taken[-1:] == ["validate_migration"]:
            return taken
        taken.append(await take(client, waited["next_step"]))
    raise AssertionError(taken)


@requirement("jobs:next-step")
@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("state", sorted(STATES - {PLANNING}, key=str), ids=str)
async def test_from_every_state_and_after_every_verb_the_next_steps_lead_to_an_end(
    world: World, state: State, verb: str
) -> None:
    app = world.app()
    async with app.run(), Client(app.mcp) as client:
        if state == NEW:
            planned = await call(
                client, "plan_migration", source="here", target="there", target_collection="docs", migration_id="docs"
            )
            async with app.context.store() as store:
                proposal = await store.proposals.find(planned["plan_id"])
            assert proposal is not None
            await app.context.service().begin(proposal.plan)
        else:
            await start(client)
            await call(client, "wait_migration", migration_id="docs")
            await put(app, state)
        if verb != "none":
            result = await client.call_tool(verb.strip(), {"migration_id": "docs", **VERBS[verb]})
            if result.is_error and state.phase is not Phase.ROLLED_BACK:
                # What is refused names something that is not.
                text = " ".join(getattr(block, "text", "") for block in result.content)
                assert _CALL.search(text) is not None, text
        taken = await to_the_end(client)
        ended = await call(client, "migration_status", migration_id="docs")
        begun = state.status is not Status.NOT_STARTED
        if state.phase is Phase.ROLLING_BACK or (verb == "rollback_migration" and begun):
            assert ended["status"] == "rolled_back", taken
