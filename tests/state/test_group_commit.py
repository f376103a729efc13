"""Concurrent commits share transactions, and only what is wrong in a group is refused."""

import asyncio
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from tests.state.support import WRITTEN, make_plan, page, sql, written_records
from vectormigrate.errors import LeaseLost, StateError, VectorMigrateError
from vectormigrate.model.plan import RunOptions
from vectormigrate.state import PageCommit, Store, open_store
from vectormigrate.state.records import Lease

pytestmark = pytest.mark.anyio

PARTITIONS = 16


@pytest.fixture
async def wide(path: Path, store: Store) -> Store:
    """Also holds the migration `wide` with 16 partitions."""
    await store.migrations.create(make_plan("wide", PARTITIONS), RunOptions())
    return store


async def test_commits_that_wait_together_land_in_one_transaction(wide: Store) -> None:
    async with wide.leases.hold("wide") as lease:
        await wide.progress.commit(lease, page("eu-0", 1))
        before = wide.transactions
        async with anyio.create_task_group() as tasks:
            for n in range(1, PARTITIONS):
                tasks.start_soon(wide.progress.commit, lease, page(f"eu-{n}", 1))
        assert wide.transactions - before == 1
    assert (await wide.migrations.status("wide")).migrated_records == PARTITIONS * WRITTEN


async def test_runners_in_lockstep_need_about_one_transaction_per_round(wide: Store) -> None:
    rounds = 20

    async def run(lease: Lease, partition_id: str) -> None:
        for seq in range(1, rounds + 1):
            await wide.progress.commit(lease, page(partition_id, seq))

    async with wide.leases.hold("wide") as lease:
        before = wide.transactions
        async with anyio.create_task_group() as tasks:
            for n in range(PARTITIONS):
                tasks.start_soon(run, lease, f"eu-{n}")
        used = wide.transactions - before
    assert used <= PARTITIONS * rounds / 4
    assert (await wide.migrations.status("wide")).batches == PARTITIONS * rounds


async def test_a_commit_is_durable_for_others_when_it_returns(wide: Store, path: Path) -> None:
    async with wide.leases.hold("wide") as lease:
        for seq in range(1, 4):
            await wide.progress.commit(lease, page("eu-3", seq))
            assert sql(path, "SELECT seq FROM partition WHERE migration_id = 'wide' AND id = 'eu-3'") == [(seq,)]


async def test_a_wrong_page_in_a_group_is_refused_alone(wide: Store) -> None:
    refused: list[str] = []

    async def attempt(lease: Lease, commit: PageCommit) -> None:
        try:
            await wide.progress.commit(lease, commit)
        except StateError as error:
            refused.append(str(error))

    async with wide.leases.hold("wide") as lease:
        await wide.progress.commit(lease, page("eu-3", 1))
        before = wide.transactions
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(attempt, lease, page("eu-0", 1))
            tasks.start_soon(attempt, lease, page("eu-1", 7))
            tasks.start_soon(attempt, lease, page("eu-2", 1))
        assert wide.transactions - before == 1
    assert len(refused) == 1
    assert "page 7" in refused[0]
    assert [p.seq for p in await wide.progress.partitions("wide")][:4] == [1, 0, 1, 1]
    assert await written_records(wide, "wide") == 3 * WRITTEN


async def test_a_lost_lease_in_a_group_does_not_touch_the_other_migration(wide: Store, path: Path) -> None:
    outcomes: dict[str, Exception | None] = {}

    async def attempt(name: str, lease: Lease) -> None:
        try:
            await wide.progress.commit(lease, page("eu-0", 1))
            outcomes[name] = None
        except VectorMigrateError as error:
            outcomes[name] = error

    async with wide.leases.hold("wide") as good, wide.leases.hold("orders") as bad:
        sql(path, "UPDATE lease SET owner = 'other' WHERE migration_id = 'orders'")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(attempt, "wide", good)
            tasks.start_soon(attempt, "orders", bad)
    assert outcomes["wide"] is None
    assert isinstance(outcomes["orders"], LeaseLost)
    assert (await wide.progress.partitions("orders"))[0].seq == 0
    assert (await wide.progress.partitions("wide"))[0].seq == 1


async def test_a_failing_operation_undoes_only_its_own_writes(wide: Store) -> None:
    async with wide.leases.hold("wide") as lease:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wide.migrations.request_stop, "orders")
            tasks.start_soon(_expect_refusal, wide, lease)
            tasks.start_soon(wide.progress.commit, lease, page("eu-0", 1))
        assert await wide.migrations.stop_requested("orders")
        assert (await wide.progress.partitions("wide"))[0].seq == 1
        assert await wide.progress.losses("wide") == {"float64": 3}


async def _expect_refusal(store: Store, lease: Lease) -> None:
    with pytest.raises(StateError, match="no partition"):
        await store.written_ids.announce(lease, "asia-0", "n", [1])


async def test_a_cancelled_caller_does_not_harm_the_others(wide: Store) -> None:
    async with wide.leases.hold("wide") as lease:
        waiting = [asyncio.create_task(wide.progress.commit(lease, page(f"eu-{n}", 1))) for n in range(4)]
        await wide.migrations.status("wide")
        waiting[2].cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await wide.progress.commit(lease, page("eu-5", 1))
    done = [p.seq for p in await wide.progress.partitions("wide")]
    assert [done[n] for n in (0, 1, 3, 5)] == [1, 1, 1, 1]


async def test_what_is_under_way_is_finished_when_the_store_closes(path: Path) -> None:
    async with open_store(path) as store:
        await store.migrations.create(make_plan(), RunOptions())
        running = asyncio.create_task(store.migrations.request_stop("orders"))
        for _ in range(2):
            await anyio.lowlevel.checkpoint()
        waiting = asyncio.create_task(store.reports.save("orders", {"passed": True}))
        await anyio.lowlevel.checkpoint()
    await asyncio.gather(running, waiting)
    async with open_store(path) as store:
        assert await store.migrations.stop_requested("orders")
        assert await store.reports.last("orders") == {"passed": True}
    with pytest.raises(StateError, match="closed"):
        await store.migrations.request_stop("orders")
