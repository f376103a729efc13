"""Processes that are killed, run side by side, or run out of room."""

import random
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.state.processes import child, finish, output
from tests.state.support import READ, WRITTEN, content, make_plan, page_ids, put, size, sql, written_records
from vectormigrate.model.ids import id_key
from vectormigrate.model.plan import RunOptions
from vectormigrate.state import Store, open_store

pytestmark = pytest.mark.anyio

ROUNDS = 20


async def create(path: Path, *names: str, partitions: int = 4) -> None:
    async with open_store(path) as store:
        for name in names:
            await store.migrations.create(make_plan(name, partitions), RunOptions())


async def check_prefix(store: Store, migration_id: str, acknowledged: Counter[str]) -> int:
    """Every partition holds exactly pages 1…seq, and everything that was acknowledged. Returns the pages in all."""
    journal: dict[str, list[str]] = {}
    async for namespace, ids in store.written_ids.blocks(migration_id):
        journal.setdefault(namespace, []).extend(map(id_key, ids))
    rejected = {id_key(item.reject.id) for item in await store.rejects.read(migration_id)}
    pages = 0
    for progress in await store.progress.partitions(migration_id):
        name = progress.partition.id
        numbers = range(1, progress.seq + 1)
        assert progress.seq >= acknowledged[name]
        assert progress.cursor == ({"page": progress.seq} if progress.seq else None)
        assert (progress.read, progress.written) == (progress.seq * READ, progress.seq * WRITTEN)
        assert progress.rejected == progress.seq
        expected = [id_key(record_id) for number in numbers for record_id in page_ids(name, number)]
        assert sorted(journal.get(f"to-{name}", [])) == sorted(expected)
        assert {f"s:{name}/{number}/bad" for number in numbers} <= rejected
        pages += progress.seq
    assert len(rejected) == pages
    return pages


async def test_a_kill_between_any_two_commits_leaves_a_contiguous_prefix(path: Path) -> None:
    await create(path, "orders")
    rng = random.Random(7)
    acknowledged: Counter[str] = Counter()
    before = 0
    for _ in range(ROUNDS):
        with child("commit", path, "orders", "1000000") as process:
            lines = output(process)
            for _ in range(rng.randint(1, 40)):
                name, seq = lines.readline().split()
                acknowledged[name] = int(seq)
            process.kill()
            for line in lines:
                if match := re.fullmatch(r"(\S+) (\d+)\n", line):
                    acknowledged[match[1]] = int(match[2])
        async with open_store(path) as store:
            pages = await check_prefix(store, "orders", acknowledged)
        assert pages > before
        before = pages
    assert sql(path, "PRAGMA integrity_check") == [("ok",)]


async def test_two_migrations_run_at_once_from_two_processes_on_one_file(path: Path) -> None:
    await create(path, "orders", "returns")
    with child("commit", path, "orders", "50") as first, child("commit", path, "returns", "50") as second:
        said = [len(finish(first)), len(finish(second))]
    assert said == [200, 200]
    async with open_store(path) as store:
        for name in ("orders", "returns"):
            assert await check_prefix(store, name, Counter()) == 200


async def test_status_list_and_stop_work_beside_a_running_process(path: Path) -> None:
    await create(path, "orders")
    with child("commit", path, "orders", "1000000") as process:
        output(process).readline()
        async with open_store(path) as store:
            running = await store.migrations.status("orders")
            assert running.runner_alive
            assert running.migrated_records >= WRITTEN
            await store.migrations.request_stop("orders")
            assert [m.stop_requested for m in await store.migrations.list()] == [True]
        process.kill()
        process.wait()
        async with open_store(path, read_only=True) as store:
            assert not (await store.migrations.status("orders")).runner_alive


async def test_any_cut_of_the_write_ahead_log_leaves_a_contiguous_prefix(path: Path, tmp_path: Path) -> None:
    await create(path, "orders")
    with child("commit", path, "orders", "1000000") as process:
        for _ in range(40):
            output(process).readline()
        process.kill()
        process.wait()
    main, log = content(path), content(path.with_name("state.db-wal"))
    reached: set[int] = set()
    for eighth in range(9):
        copy = tmp_path / f"cut-{eighth}" / "state.db"
        put(copy, main)
        put(copy.with_name("state.db-wal"), log[: len(log) * eighth // 8])
        async with open_store(copy) as store:
            reached.add(await check_prefix(store, "orders", Counter()))
    assert len(reached) > 2


async def test_a_full_disk_stops_the_run_and_more_room_lets_it_go_on(path: Path) -> None:
    await create(path, "orders")
    with child("fill", path, "orders", str(size(path) + 400_000)) as process:
        failed, went_on = finish(process)
    assert re.match(r"StateUnwritable the state file '.*state\.db': its disk ", failed)
    seq = int(went_on.removeprefix("committed "))
    assert seq > 1
    async with open_store(path) as store:
        progress = (await store.progress.partitions("orders"))[0]
        assert (progress.seq, progress.cursor, progress.written) == (seq, seq, (seq - 1) * 500 + 1)
        assert await written_records(store, "orders") == (seq - 1) * 500
