"""Closing, cancelling, concurrency, other processes and errors."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager

import anyio
import psutil
import pytest
from anyio.abc import Process

from tests.conformance.data import batch, ids_of, read_all, rows_of, scan, write
from tests.conformance.requirements import requirement
from tests.harness.base import Harness
from tests.support.connected import connected
from vectormigrate.errors import Unavailable
from vectormigrate.model.batch import RecordBatch
from vectormigrate.model.schema import CollectionSchema

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def released(harness: Harness) -> Generator[None, None, None]:
    """Closing and other processes are the subject here."""
    with harness.released():
        yield


@asynccontextmanager
async def holder(harness: Harness, name: str, first: int, count: int) -> AsyncGenerator[tuple[Process, str], None]:
    """Another process that opened the collection, wrote these records and says how that went."""
    arguments = [harness.adapter, harness.config_json(name), str(first), str(count)]
    command = [sys.executable, "-m", "tests.conformance.holder", *arguments]
    async with await anyio.open_process(command, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        try:
            with anyio.fail_after(60):
                yield process, (await process.stdout.receive()).decode().strip()
        finally:
            if process.returncode is None:
                process.kill()


@requirement("finalize:repeatable")
async def test_finalize_can_be_repeated_between_writes(harness: Harness) -> None:
    schema = harness.schema()
    async with harness.fresh(schema) as target:
        await target.finalize()
        for number in range(3):
            await write(target, batch(schema, ids_of(schema, range(number * 10, number * 10 + 10)), seed=number))
            await target.finalize()
            await target.finalize()
            assert len(await read_all(target)) == await target.count() == number * 10 + 10


@requirement("finalize:readable")
async def test_all_can_be_read_and_found_when_nobody_waits_for_the_index(harness: Harness) -> None:
    schema = harness.schema()
    async with harness.fresh(schema) as target:
        records = batch(schema, ids_of(schema, range(200)))
        await write(target, records)
        left = await target.finalize(wait=False)
        assert left >= 0
        assert await target.count() == 200
        assert sorted(map(str, (await target.fetch(records.ids, "")).ids)) == sorted(map(str, records.ids))
        assert await target.finalize() == 0
        assert len(await read_all(target)) == 200


@requirement("concurrency:writers-and-readers")
async def test_concurrent_writers_and_readers_lose_nothing(harness: Harness) -> None:
    name = harness.new_name()
    schema = harness.schema(name=name)
    parts = [batch(schema, ids_of(schema, range(k * 40, k * 40 + 40)), seed=k) for k in range(8)]
    expected = {key: row for part in parts for key, row in rows_of(part).items()}
    async with harness.fresh(schema) as target, harness.open(name) as other:
        await write(target, parts[0])

        async def put(part: RecordBatch) -> None:
            assert await (target if part.ids[0] < part.ids[1] else other).upsert(part) == []  # pyright: ignore[reportOperatorIssue]

        async def look() -> None:
            found = await read_all(other, 2)
            assert all(expected[key] == row for key, row in found.items())
            assert set(rows_of(parts[0])) <= set(found)

        async with anyio.create_task_group() as group:
            for part in parts[1:]:
                group.start_soon(put, part)
                group.start_soon(put, part.take(range(len(part))[::-1]))
                if target.capabilities.writes.readable_before_finalize:
                    group.start_soon(look)
        await write(target)
        assert await read_all(target, 3) == expected
        assert await other.count() == len(expected)


@requirement("cancel:leaves-nothing-behind")
async def test_cancelled_calls_leave_no_task_and_a_usable_collection(harness: Harness) -> None:
    schema = harness.schema()
    async with harness.fresh(schema) as target:
        records = batch(schema, ids_of(schema, range(500)))
        await write(target, records)
        (partition,) = await target.partitions(1)
        before = asyncio.all_tasks()

        async def work() -> None:
            while True:
                await target.upsert(records)
                await scan(target, partition, page_rows=50)
                await target.fetch(records.ids, "")

        for turns in range(1, 8):
            async with anyio.create_task_group() as group:
                group.start_soon(work)
                group.start_soon(work)
                for _ in range(turns * 5):
                    await anyio.lowlevel.checkpoint()
                await target.count()
                group.cancel_scope.cancel()
        pages = target.scan(partition, page_rows=50)
        assert len((await anext(pages)).batch) == 50
        await pages.aclose()  # pyright: ignore[reportAttributeAccessIssue]
        assert asyncio.all_tasks() == before
        await write(target, records)
        assert await read_all(target) == rows_of(records)


@requirement("close:leaves-no-child", "errors:closed")
async def test_a_closed_collection_is_unavailable_and_leaves_no_process(harness: Harness) -> None:
    before = set(psutil.Process().children(recursive=True))
    schema = harness.schema()
    records = batch(schema, ids_of(schema, range(3)))
    async with harness.fresh(schema) as target:
        await write(target, records)
    assert set(psutil.Process().children(recursive=True)) <= before
    for call in (target.describe, target.count, target.finalize, lambda: target.upsert(records)):
        with pytest.raises(Unavailable):
            await call()


@requirement("errors:unreachable")
async def test_an_unreachable_server_is_unavailable(harness: Harness) -> None:
    config = harness.unreachable()
    if config is None:
        pytest.skip("there is no server to be unreachable")
    with pytest.raises(Unavailable), anyio.fail_after(60):
        async with connected(harness.spec, config) as target:
            await target.describe()


@requirement("errors:classify-own-only")
async def test_classify_leaves_other_errors_alone(harness: Harness) -> None:
    for error in (ValueError("x"), KeyError("x"), TypeError("x"), asyncio.CancelledError(), KeyboardInterrupt()):
        assert harness.spec.classify(error, "upsert") is None


async def _create(harness: Harness, name: str) -> CollectionSchema:
    schema = harness.schema(name=name)
    async with harness.open(name) as target:
        await target.create(schema)
        await write(target, batch(schema, ids_of(schema, range(10))))
    return schema


async def _check(harness: Harness, name: str, schema: CollectionSchema) -> None:
    """The ten records of `_create` and the fifty of the holder are all there."""
    first, second = batch(schema, ids_of(schema, range(10))), batch(schema, ids_of(schema, range(100, 150)), seed=100)
    async with harness.open(name) as target:
        await write(target)
        assert await read_all(target) == {**rows_of(first), **rows_of(second)}
        await target.drop()


@requirement("errors:locked-by-another-process")
async def test_a_collection_that_another_process_holds_is_unavailable(harness: Harness) -> None:
    if not harness.exclusive:
        pytest.skip("several processes may open one collection")
    name = harness.new_name()
    schema = await _create(harness, name)
    async with holder(harness, name, 100, 50) as (process, said):
        assert said == "ready"
        with pytest.raises(Unavailable, match="another process"):
            async with harness.open(name) as target:
                await target.count()
        assert process.stdin is not None
        await process.stdin.aclose()
        await process.wait()
    await _check(harness, name, schema)


@requirement("durability:close-releases")
async def test_after_closing_another_process_can_write(harness: Harness) -> None:
    name = harness.new_name()
    schema = await _create(harness, name)
    async with holder(harness, name, 100, 50) as (process, said):
        assert said == "ready"
        assert process.stdin is not None
        await process.stdin.aclose()
        await process.wait()
    await _check(harness, name, schema)


@requirement("durability:survives-a-killed-writer")
async def test_acknowledged_writes_survive_a_killed_process(harness: Harness) -> None:
    name = harness.new_name()
    schema = await _create(harness, name)
    async with holder(harness, name, 100, 50) as (process, said):
        assert said == "ready"
        process.kill()
        await process.wait()
        await _check(harness, name, schema)
