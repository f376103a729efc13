"""A state file that another process keeps locked."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from tests.state.support import make_plan
from vectormigrate.errors import StateBusy
from vectormigrate.model.plan import RunOptions
from vectormigrate.state import connection as state_connection
from vectormigrate.state import open_store

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def locked(path: Path) -> AsyncGenerator[sqlite3.Connection]:
    """While this lasts nobody else can write. Whoever writes at the moment may need this loop to come to an end."""
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as holder:
        await anyio.to_thread.run_sync(holder.execute, "BEGIN IMMEDIATE")
        yield holder


async def test_who_is_in_a_hurry_is_told_to_try_again_and_nothing_is_written(path: Path) -> None:
    async with open_store(path, patience=0.1) as store:
        async with locked(path):
            with pytest.raises(StateBusy, match=r"busy.*try again"):
                await store.migrations.create(make_plan("m"), RunOptions())
            assert await store.migrations.list() == []
        await store.migrations.create(make_plan("m"), RunOptions())
        assert [item.id for item in await store.migrations.list()] == ["m"]
    assert StateBusy.exit_code == 75


async def test_a_run_waits_much_longer(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as it takes many who are in a hurry to give up, one after the other."""
    monkeypatch.setattr(state_connection, "BUSY_SECONDS", 0.05)
    async with open_store(path) as patient, open_store(path, patience=0.05) as hurried:
        async with locked(path) as holder, anyio.create_task_group() as tasks:
            tasks.start_soon(patient.migrations.create, make_plan("patient"), RunOptions())
            for _ in range(20):
                with pytest.raises(StateBusy):
                    await hurried.migrations.create(make_plan("hurried"), RunOptions())
            holder.execute("ROLLBACK")
        assert [item.id for item in await hurried.migrations.list()] == ["patient"]


def test_a_command_waits_a_minute() -> None:
    assert state_connection.PATIENCE >= 60
