"""One reading connection for many readers."""

from __future__ import annotations

import threading
from pathlib import Path

import anyio
import pytest

from tests.state.support import make_plan, sql
from vectormigrate.errors import MigrationNotFound, StateError
from vectormigrate.model.plan import RunOptions
from vectormigrate.model.status import Status
from vectormigrate.state import open_store
from vectormigrate.state.shared_reader import SharedReader

pytestmark = pytest.mark.anyio


async def make(path: Path, *names: str) -> None:
    async with open_store(path) as store:
        for name in names:
            await store.migrations.create(make_plan(name), RunOptions())


async def names(reader: SharedReader) -> list[str]:
    async with reader.store() as store:
        return [status.id for status in await store.migrations.list()]


async def test_many_readers_at_once_use_one_connection_and_see_what_is_durable(path: Path) -> None:
    await make(path, "a")
    seen: list[list[str]] = []
    async with SharedReader(path) as reader:
        await names(reader)
        threads = threading.active_count()

        async def read() -> None:
            seen.append(await names(reader))

        async with anyio.create_task_group() as tasks:
            for _ in range(200):
                tasks.start_soon(read)
        assert threading.active_count() <= threads + 1
        await make(path, "b")
        assert await names(reader) == ["a", "b"]
    assert seen == [["a"]] * 200


async def test_a_file_that_is_made_later_or_replaced_is_read(path: Path) -> None:
    async with SharedReader(path) as reader:
        assert await names(reader) == []
        await make(path, "a")
        assert await names(reader) == ["a"]
        for leftover in path.parent.glob("state.db*"):
            leftover.unlink()
        assert await names(reader) == []
        await make(path, "b")
        assert await names(reader) == ["b"]
    await make(path, "c")
    assert await names(reader) == ["b", "c"]


async def test_a_cancelled_reader_disturbs_no_other(path: Path) -> None:
    await make(path, "a")
    async with SharedReader(path) as reader:
        for _ in range(20):
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(names, reader)
                    await anyio.lowlevel.checkpoint()
                    scope.cancel()
        assert await names(reader) == ["a"]


async def test_after_an_error_of_the_file_it_is_opened_anew(path: Path) -> None:
    await make(path, "a")
    async with SharedReader(path) as reader:
        async with reader.store() as first:
            with pytest.raises(MigrationNotFound):
                await first.migrations.load("none")
        sql(path, "ALTER TABLE migration RENAME TO elsewhere")
        with pytest.raises(StateError):
            await names(reader)
        sql(path, "ALTER TABLE elsewhere RENAME TO migration")
        async with reader.store() as second:
            assert second is not first
            assert [status.status for status in await second.migrations.list()] == [Status.NOT_STARTED]
