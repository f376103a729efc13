"""Stopping a migration from elsewhere, at any moment of its run."""

from __future__ import annotations

from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from tests.state.support import make_plan
from vectormigrate.errors import InvalidTransition
from vectormigrate.model.plan import RunOptions
from vectormigrate.model.status import MigrationStatus, Phase, Status
from vectormigrate.service import open_service
from vectormigrate.state import Store, open_store
from vectormigrate.state.migrations import Migrations

pytestmark = pytest.mark.anyio


async def requested(store: Store) -> None:
    while not await store.migrations.stop_requested("orders"):
        await anyio.lowlevel.checkpoint()


async def test_a_runner_that_holds_the_lease_and_has_not_begun_is_stopped_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = anyio.Event()
    status = Migrations.status

    async def seen(self: Migrations, migration_id: str) -> MigrationStatus:
        found = await status(self, migration_id)
        looked.set()
        return found

    path = tmp_path / "state.db"
    async with (
        open_store(path) as store,
        open_service(state=path) as service,
        anyio.create_task_group() as tasks,
    ):
        await store.migrations.create(make_plan(), RunOptions())
        with pytest.raises(InvalidTransition, match="has not started"):
            await service.stop("orders")
        stopped = anyio.Event()

        async def stop() -> None:
            assert (await service.stop("orders")).status is Status.STOPPED
            stopped.set()

        async with store.leases.hold("orders") as lease:
            monkeypatch.setattr(Migrations, "status", seen)
            tasks.start_soon(stop)
            await looked.wait()
            await store.migrations.set_phase("orders", Phase.CREATING, Status.IN_PROGRESS, lease=lease)
            await requested(store)
            assert not stopped.is_set()
            await store.migrations.set_phase("orders", Phase.CREATING, Status.STOPPED, lease=lease)
        await stopped.wait()
