"""Shows a plan that takes its time to other terminals, and hears them ask for a stop."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import anyio

from vectormigrate.engine.events import Event, Listener, Profiled
from vectormigrate.engine.task_group import task_group
from vectormigrate.errors import Interrupted
from vectormigrate.model.plan import MigrationSpec
from vectormigrate.state.leases import LEASE_SECONDS, new_lease
from vectormigrate.state.store import Store

SHOWN_AFTER = 1.0
"""Seconds: a plan that is made or refused sooner leaves no trace."""

EVERY = 0.5

OpenStore = Callable[[], AbstractAsyncContextManager[Store]]


@asynccontextmanager
async def planning_shown(spec: MigrationSpec, open_store: OpenStore, listener: Listener) -> AsyncGenerator[Listener]:
    """Inside the block the migration is a row of the state file, in the phase `planning`; yields the listener to plan
    with. Raises Interrupted when another process asks for a stop, LeaseHeld when another one plans the same."""
    progress = [0, 0]

    def listen(event: Event) -> None:
        if isinstance(event, Profiled):
            progress[:] = [event.records, event.total]
        listener(event)

    stopped = False

    async def show() -> None:
        nonlocal stopped
        await anyio.sleep(SHOWN_AFTER)
        first = new_lease(spec.id, LEASE_SECONDS)
        async with open_store() as store:
            try:
                while True:
                    lease = new_lease(spec.id, LEASE_SECONDS, owner=first.owner, since=first.since)
                    if await store.planning.save(lease, spec.source.location, spec.target.location, *progress):
                        stopped = True
                        tasks.cancel_scope.cancel()
                    await anyio.sleep(EVERY)
            finally:
                with anyio.CancelScope(shield=True):
                    await store.planning.end(spec.id, first.owner)

    async with task_group() as tasks:
        tasks.start_soon(show)
        yield listen
        tasks.cancel_scope.cancel()
    if stopped:
        raise Interrupted("stopped before the copy began; nothing was written")
