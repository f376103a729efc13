"""Plans, phases, progress and notes: what goes in comes out."""

from dataclasses import replace
from operator import attrgetter
from pathlib import Path

import pytest

from tests.state.support import READ, WRITTEN, make_plan, page, sql, written_records
from vectormigrate.errors import (
    InvalidTransition,
    LeaseHeld,
    MigrationNotFound,
    StateCorrupt,
    StateError,
)
from vectormigrate.model.plan import RunOptions
from vectormigrate.model.status import Phase, Status
from vectormigrate.state import Lease, PageCommit, Store, open_store

pytestmark = pytest.mark.anyio


async def test_a_plan_and_its_options_come_back_equal(path: Path) -> None:
    plan = make_plan(namespaces=("eu", "us", ""))
    options = RunOptions(batch_size=7, rate_limit=12.5)
    async with open_store(path) as store:
        await store.migrations.create(plan, options)
    async with open_store(path) as store:
        stored = await store.migrations.load("orders")
    assert stored.plan == plan
    assert stored.options == options
    assert stored.fingerprint == plan.fingerprint()
    assert (stored.status, stored.phase) == (Status.NOT_STARTED, Phase.PLANNED)
    assert stored.started_at is None
    assert stored.created_at.endswith("Z")


def test_a_plan_of_an_older_version_keeps_its_fingerprint() -> None:
    # Otherwise a migration that an older version began could not be resumed.
    assert make_plan().fingerprint() == "99f015a465aa815ed3680243b98834f1"


async def test_an_id_in_use_is_refused_with_both_ways_out(store: Store) -> None:
    with pytest.raises(InvalidTransition, match=r"'orders' exists already .*service\.resume\('orders'\).*another id"):
        await store.migrations.create(make_plan(partitions=5), RunOptions())
    assert len(await store.progress.partitions("orders")) == 2


async def test_a_plan_with_a_repeated_partition_id_leaves_nothing_behind(path: Path) -> None:
    plan = make_plan()
    twice = replace(plan, partitions=(plan.partitions[0], plan.partitions[0]))
    async with open_store(path) as store:
        with pytest.raises(StateError):
            await store.migrations.create(twice, RunOptions())
        assert await store.migrations.list() == []
        assert sql(path, "SELECT count(*) FROM partition") == [(0,)]


@pytest.mark.parametrize(
    "verb",
    [
        "migrations.load",
        "migrations.status",
        "progress.partitions",
        "migrations.request_stop",
        "migrations.stop_requested",
    ],
)
async def test_an_unknown_id_is_not_found(store: Store, verb: str) -> None:
    with pytest.raises(MigrationNotFound, match="'nope'"):
        await attrgetter(verb)(store)("nope")


async def test_phases_set_the_times_of_start_and_end(store: Store, lease: Lease) -> None:
    await store.migrations.set_phase("orders", Phase.COPYING, Status.IN_PROGRESS, lease=lease)
    first = await store.migrations.load("orders")
    assert first.started_at is not None
    assert first.ended_at is None
    await store.migrations.set_phase("orders", Phase.COPYING, Status.FAILED, error="no space: \ud800", lease=lease)
    failed = await store.migrations.status("orders")
    assert failed.ended_at is not None
    assert failed.error == "no space: \\ud800"
    await store.migrations.set_phase("orders", Phase.COPYING, Status.IN_PROGRESS, lease=lease)
    again = await store.migrations.load("orders")
    assert (again.started_at, again.ended_at, again.error) == (first.started_at, None, None)


async def test_without_a_lease_a_phase_is_set_only_while_nobody_runs_the_migration(store: Store) -> None:
    await store.migrations.set_phase("orders", Phase.CREATING, Status.STOPPED, lease=None)
    async with store.leases.hold("orders"):
        with pytest.raises(LeaseHeld):
            await store.migrations.set_phase("orders", Phase.CREATING, Status.FAILED, lease=None)
    assert (await store.migrations.load("orders")).status is Status.STOPPED


async def test_options_can_be_replaced_by_the_runner(store: Store, lease: Lease) -> None:
    await store.migrations.set_options(lease, RunOptions(batch_size=3))
    assert (await store.migrations.load("orders")).options.batch_size == 3


async def test_a_changed_plan_in_the_file_is_refused(store: Store, path: Path) -> None:
    sql(path, "UPDATE migration SET plan = replace(plan, 'memory://there/b', 'memory://there/c')")
    with pytest.raises(StateCorrupt, match="plan of migration 'orders' is not the one that was stored"):
        await store.migrations.load("orders")


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE migration SET plan = '{}'",
        "UPDATE migration SET plan = 'no json'",
        "UPDATE migration SET status = 'lost'",
        "UPDATE migration SET options = '{\"unknown\": 1}'",
    ],
)
async def test_content_that_makes_no_sense_is_corrupt(store: Store, path: Path, damage: str) -> None:
    sql(path, damage)
    with pytest.raises(StateCorrupt, match=r"state\.db"):
        await store.migrations.load("orders")


async def test_pages_add_up_in_partition_counters_and_status(store: Store, lease: Lease) -> None:
    for seq in range(1, 4):
        await store.progress.commit(lease, page("eu-0", seq))
    await store.progress.commit(lease, page("eu-1", 1, done=True))
    first, second = await store.progress.partitions("orders")
    assert (first.cursor, first.seq, first.next_seq, first.done) == ({"page": 3}, 3, 4, False)
    assert (first.read, first.written, first.rejected) == (3 * READ, 3 * WRITTEN, 3)
    assert (second.seq, second.done) == (1, True)
    status = await store.migrations.status("orders")
    assert (status.migrated_records, status.rejected_records, status.total_records) == (4 * WRITTEN, 4, 200)
    assert (status.batches, status.retries, status.checked_records) == (4, 3, 8)
    assert [(n.namespace, n.total, n.migrated, n.rejected) for n in status.namespaces] == [("eu", 200, 16, 4)]
    assert await store.progress.losses("orders") == {"float64": 12}
    assert (await store.migrations.load("orders")).counters.written == 16


async def test_the_end_of_a_partition_keeps_the_cursor_and_admits_no_page(store: Store, lease: Lease) -> None:
    await store.progress.commit(lease, page("eu-0", 1))
    await store.progress.commit(lease, PageCommit(partition_id="eu-0", seq=2, done=True))
    progress = (await store.progress.partitions("orders"))[0]
    assert (progress.cursor, progress.done, progress.seq) == ({"page": 1}, True, 2)
    with pytest.raises(StateError, match="is done"):
        await store.progress.commit(lease, page("eu-0", 3))


@pytest.mark.parametrize("seq", [0, 1, 3, 9])
async def test_only_the_next_page_of_a_partition_is_taken(store: Store, lease: Lease, seq: int) -> None:
    await store.progress.commit(lease, page("eu-0", 1))
    with pytest.raises(StateError, match=f"stands at page 1, so page {seq} cannot be the next"):
        await store.progress.commit(lease, page("eu-0", seq))
    assert (await store.progress.partitions("orders"))[0].written == WRITTEN
    await store.progress.commit(lease, page("eu-0", 2))


async def test_a_page_of_an_unknown_partition_is_refused(store: Store, lease: Lease) -> None:
    with pytest.raises(StateError, match="no partition 'asia-0'"):
        await store.progress.commit(lease, page("asia-0", 1))


async def test_negative_counts_are_refused(store: Store, lease: Lease) -> None:
    with pytest.raises(StateError, match="negative"):
        await store.progress.commit(lease, replace(page("eu-0", 1), written=-1))


async def test_a_checkpoint_of_another_plan_is_refused_on_reading_and_on_writing(
    store: Store, lease: Lease, path: Path
) -> None:
    sql(path, "UPDATE partition SET checkpoint_key = 'x' WHERE id = 'eu-1'")
    with pytest.raises(StateCorrupt, match="belong to another plan"):
        await store.progress.partitions("orders")
    with pytest.raises(StateCorrupt, match="belongs to another plan"):
        await store.progress.commit(lease, page("eu-1", 1))


async def test_a_missing_partition_row_is_noticed(store: Store, path: Path) -> None:
    sql(path, "DELETE FROM partition WHERE id = 'eu-1'")
    with pytest.raises(StateCorrupt):
        await store.progress.partitions("orders")


async def test_equal_partition_ids_of_two_migrations_do_not_share_progress(store: Store, lease: Lease) -> None:
    await store.migrations.create(make_plan("returns"), RunOptions())
    await store.progress.commit(lease, page("eu-0", 1))
    assert (await store.progress.partitions("returns"))[0].seq == 0
    assert (await store.migrations.status("returns")).migrated_records == 0
    assert await store.rejects.read("returns") == []
    assert await written_records(store, "returns") == 0


async def test_the_list_is_in_order_of_creation_and_can_be_narrowed(store: Store) -> None:
    for name in ("b", "a"):
        await store.migrations.create(make_plan(name), RunOptions())
    await store.migrations.set_phase("b", Phase.COPYING, Status.STOPPED, lease=None)
    assert [m.id for m in await store.migrations.list()] == ["orders", "b", "a"]
    assert [m.id for m in await store.migrations.list(Status.STOPPED)] == ["b"]
    listed = (await store.migrations.list())[0]
    assert (listed.source, listed.target) == ("memory://here/a", "memory://there/b")
    assert listed == await store.migrations.status("orders")


async def test_rate_and_eta_are_shown_only_while_a_runner_lives(store: Store) -> None:
    async with store.leases.hold("orders") as lease:
        await store.progress.commit(lease, page("eu-0", 1))
        running = await store.migrations.status("orders")
        assert running.runner_alive
        assert running.rate is not None
        assert 0 < running.rate <= READ
        assert running.eta_seconds is not None
        assert running.eta_seconds >= (200 - READ) / READ
    ended = await store.migrations.status("orders")
    assert (ended.runner_alive, ended.rate, ended.eta_seconds) == (False, None, None)


async def test_old_commits_do_not_count_for_the_rate_and_are_forgotten(store: Store, lease: Lease, path: Path) -> None:
    sql(path, "INSERT INTO recent VALUES ('orders', 1000, 1000000)")
    assert (await store.migrations.status("orders")).rate == 0.0
    await store.progress.commit(lease, page("eu-0", 1))
    assert [n for (n,) in sql(path, "SELECT records FROM recent")] == [READ]


async def test_a_stop_request_is_seen_from_another_store_until_the_next_run(
    store: Store, lease: Lease, path: Path
) -> None:
    async with open_store(path) as other:
        await other.migrations.request_stop("orders")
        assert await store.migrations.stop_requested("orders")
        assert (await other.migrations.status("orders")).stop_requested
        await store.leases.release(lease)
        assert await other.migrations.stop_requested("orders")
        async with other.leases.hold("orders"):
            assert not await store.migrations.stop_requested("orders")


async def test_the_newest_report_is_the_last(store: Store) -> None:
    assert await store.reports.last("orders") is None
    await store.reports.save("orders", {"passed": False, "note": "ü"})
    await store.reports.save("orders", {"passed": True})
    assert await store.reports.last("orders") == {"passed": True}
    with pytest.raises(MigrationNotFound):
        await store.reports.save("nope", {})


async def test_checkpoints_of_comparisons_are_kept_apart_by_run_key(store: Store) -> None:
    await store.reports.save_diff_progress("orders", "full", b"\x00one")
    await store.reports.save_diff_progress("orders", "full", b"\x00two")
    await store.reports.save_diff_progress("orders", "sample", b"three")
    assert await store.reports.diff_progress("orders", "full") == b"\x00two"
    await store.reports.clear_diff_progress("orders", "full")
    assert await store.reports.diff_progress("orders", "full") is None
    assert await store.reports.diff_progress("orders", "sample") == b"three"
    await store.reports.clear_diff_progress("orders")
    assert await store.reports.diff_progress("orders", "sample") is None


async def test_origin_notes_are_kept_by_location(store: Store) -> None:
    await store.origin.remember("memory://there/b", {"adapter": "x"})
    await store.origin.remember("memory://there/b", {"adapter": "y"})
    assert await store.origin.find("memory://there/b") == {"adapter": "y"}
    assert await store.origin.find("memory://there/c") is None
    await store.origin.remember("memory://there/b", None)
    assert await store.origin.find("memory://there/b") is None


async def test_a_read_only_store_reads_and_refuses_to_write(store: Store, path: Path) -> None:
    async with open_store(path, read_only=True) as reader:
        assert [m.id for m in await reader.migrations.list()] == ["orders"]
        with pytest.raises(StateError, match="reading only"):
            await reader.migrations.request_stop("orders")


async def test_reading_a_missing_file_finds_nothing_and_makes_no_file(path: Path) -> None:
    async with open_store(path, read_only=True) as reader:
        assert await reader.migrations.list() == []
        with pytest.raises(MigrationNotFound):
            await reader.migrations.load("orders")
    assert list(path.parent.iterdir()) == []
