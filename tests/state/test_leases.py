"""One runner per migration, and nothing from a runner that lost its lease."""

import re
import signal
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import anyio
import anyio.lowlevel
import psutil
import pytest

from tests.state.processes import child, finish, output
from tests.state.support import make_plan, page, sql
from vectormigrate.errors import LeaseHeld, LeaseLost, MigrationNotFound, StateError
from vectormigrate.model.plan import RunOptions
from vectormigrate.model.status import Phase, Status
from vectormigrate.state import RetryOutcome, Store, open_store
from vectormigrate.state.processes import is_alive, own_start

pytestmark = pytest.mark.anyio

EXPIRE = "UPDATE lease SET expires_at = '2001-01-01T00:00:00.000Z', steady_until = 0"


async def hold_once(store: Store) -> None:
    """Take the lease of `orders` and give it back."""
    async with store.leases.hold("orders"):
        pass


async def hold_until_lost(store: Store, path: Path) -> None:
    """Take the lease, have it stolen, and wait for the cancellation."""
    async with store.leases.hold("orders", interval=0.02):
        sql(path, "UPDATE lease SET owner = 'someone else'")
        await anyio.sleep_forever()


async def hold_until_removed(store: Store, path: Path) -> None:
    """Take the lease, have the file removed, and wait for the cancellation."""
    async with store.leases.hold("orders", interval=0.02):
        await anyio.Path(path).unlink()
        await anyio.sleep_forever()


async def fail_after_losing(store: Store, path: Path) -> None:
    """Take the lease, have it stolen, and fail of something else before that is noticed."""
    async with store.leases.hold("orders", interval=600):
        sql(path, "UPDATE lease SET owner = 'someone else'")
        raise ZeroDivisionError


async def test_a_second_holder_is_refused_and_told_who_holds(store: Store) -> None:
    async with store.leases.hold("orders") as lease:
        pattern = (
            rf"process {lease.pid} on host '{re.escape(lease.host)}' since {lease.since}.*service\.stop\('orders'\)"
        )
        with pytest.raises(LeaseHeld, match=pattern):
            async with store.leases.hold("orders"):
                pass
    async with store.leases.hold("orders") as again:
        assert again.owner != lease.owner


async def test_leases_of_two_migrations_do_not_meet(store: Store, lease: object) -> None:
    await store.migrations.create(make_plan("returns"), RunOptions())
    async with store.leases.hold("returns") as other:
        await store.progress.commit(other, page("eu-0", 1))


async def test_an_unknown_migration_has_no_lease(store: Store) -> None:
    with pytest.raises(MigrationNotFound):
        async with store.leases.hold("nope"):
            pass


async def test_of_two_processes_that_want_it_one_gets_it(store: Store, path: Path) -> None:
    with child("hold", path, "orders") as one, child("hold", path, "orders") as two:
        said = {process.pid: output(process).readline() for process in (one, two)}
        holder = next(pid for pid, line in said.items() if line.startswith("holds "))
        refusal = next(line for pid, line in said.items() if pid != holder)
        assert refusal.startswith(f"LeaseHeld migration 'orders' is being run by process {holder} ")
        with pytest.raises(LeaseHeld):
            async with store.leases.hold("orders"):
                pass
        assert [finish(p) for p in (one, two) if p.pid == holder] == [["released"]]
    async with store.leases.hold("orders"):
        pass


@pytest.mark.parametrize("reaped", [True, False], ids=["gone", "zombie"])
async def test_the_lease_of_a_killed_process_is_taken_over_before_it_expires(
    store: Store, path: Path, reaped: bool
) -> None:
    with child("hold", path, "orders") as process:
        owner = output(process).readline().split()[1]
        process.kill()
        if reaped:
            process.wait()
        else:
            output(process).read()
            with anyio.fail_after(10):
                while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
                    await anyio.lowlevel.checkpoint()
        [(stored, expires_at)] = sql(path, "SELECT owner, expires_at FROM lease")
        assert stored == owner
        assert not (await store.migrations.status("orders")).runner_alive
        async with store.leases.hold("orders") as lease:
            assert lease.since < expires_at
            await store.progress.commit(lease, page("eu-0", 1))


async def test_a_recycled_process_id_is_not_taken_for_the_holder(store: Store, path: Path) -> None:
    async with store.leases.hold("orders"):
        sql(path, "UPDATE lease SET process_started = process_started - 3600, owner = 'an earlier process'")
        async with store.leases.hold("orders"):
            pass


@pytest.mark.parametrize("day", ["2001-01-01T00:00:00.000Z", "2099-01-01T00:00:00.000Z"])
async def test_a_clock_that_is_set_does_not_make_a_live_runner_look_dead(
    store: Store, path: Path, monkeypatch: pytest.MonkeyPatch, day: str
) -> None:
    start = psutil.Process.create_time
    async with store.leases.hold("orders", interval=600):
        # What a step of the clock does: the end of the lease lies elsewhere, and every start that is computed moves.
        sql(path, "UPDATE lease SET expires_at = ?", day)

        def moved(self: psutil.Process) -> float:
            return start(self) + 3600

        monkeypatch.setattr(psutil.Process, "create_time", moved)
        assert (await store.migrations.status("orders")).runner_alive
        with pytest.raises(LeaseHeld):
            await hold_once(store)


@pytest.mark.parametrize("replaced", [False, True])
async def test_a_run_whose_state_file_is_removed_ends_with_an_error(store: Store, path: Path, replaced: bool) -> None:
    async with store.leases.hold("orders", interval=600) as lease:
        await anyio.Path(path).rename(path.with_name("away.db"))
        if replaced:
            async with open_store(path):
                pass
        with pytest.raises(StateError, match="was removed or replaced during the run"):
            await store.progress.commit(lease, page("eu-0", 1))


async def test_a_run_that_writes_nothing_for_a_while_notices_too_that_its_file_is_gone(
    store: Store, path: Path
) -> None:
    with pytest.raises(StateError, match="was removed or replaced during the run"), anyio.fail_after(30):
        await hold_until_removed(store, path)


async def test_the_holder_on_another_host_is_trusted_until_its_lease_expires(store: Store, path: Path) -> None:
    async with store.leases.hold("orders", interval=600):
        sql(path, "UPDATE lease SET host = 'elsewhere', host_id = 'elsewhere/1', pid = 2147483000")
        with pytest.raises(LeaseHeld, match="process 2147483000 on host 'elsewhere'"):
            await hold_once(store)
        sql(path, EXPIRE)
        await hold_once(store)


async def test_nothing_that_an_old_holder_writes_gets_in(store: Store, path: Path) -> None:
    async with store.leases.hold("orders", interval=600) as old:
        await store.progress.commit(old, page("eu-0", 1))
        number = (await store.rejects.read("orders"))[0].number
        sql(path, EXPIRE)
        async with open_store(path) as other, other.leases.hold("orders") as new:
            for attempt in (
                store.progress.commit(old, page("eu-0", 2)),
                store.progress.commit(old, page("eu-1", 1)),
                store.written_ids.announce(old, "eu-0", "n", [1]),
                store.migrations.set_phase("orders", Phase.DONE, Status.COMPLETED, lease=old),
                store.migrations.set_options(old, RunOptions(batch_size=1)),
                store.rejects.settle(old, RetryOutcome(gone=[number])),
                store.progress.add_checked(old, 5),
            ):
                with pytest.raises(LeaseLost, match="taken over by another process"):
                    await attempt
            await other.progress.commit(new, page("eu-0", 2))
        stored = await store.migrations.load("orders")
        assert (stored.status, stored.options, stored.counters.checked) == (Status.NOT_STARTED, RunOptions(), 4)
        assert [p.seq for p in await store.progress.partitions("orders")] == [2, 0]
        assert len(await store.rejects.read("orders")) == 2


async def test_releasing_a_lost_lease_leaves_the_new_one_alone(store: Store, path: Path) -> None:
    async with store.leases.hold("orders", interval=600) as old:
        sql(path, EXPIRE)
        async with store.leases.hold("orders") as new:
            await store.leases.release(old)
            await store.progress.commit(new, page("eu-0", 1))


async def test_losing_the_lease_cancels_the_work(store: Store, path: Path) -> None:
    with anyio.fail_after(20), pytest.raises(LeaseLost):
        await hold_until_lost(store, path)


async def test_an_error_of_the_work_is_not_hidden_by_a_lost_lease(store: Store, path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        await fail_after_losing(store, path)


async def test_the_heart_beats_while_the_event_loop_is_blocked(store: Store, path: Path) -> None:
    async with store.leases.hold("orders", interval=0.02) as lease:
        with closing(sqlite3.connect(path, timeout=10)) as look:
            seen = lease.expires_at
            while seen == lease.expires_at:
                [(seen,)] = look.execute("SELECT expires_at FROM lease").fetchall()
        assert seen > lease.expires_at


async def test_a_holder_that_slept_through_a_take_over_wakes_up_harmless(store: Store, path: Path) -> None:
    with child("wake", path, "orders") as process:
        output(process).readline()
        with anyio.fail_after(10):
            while psutil.Process(process.pid).status() != psutil.STATUS_STOPPED:
                await anyio.lowlevel.checkpoint()
        with pytest.raises(LeaseHeld):
            async with store.leases.hold("orders"):
                pass
        sql(path, EXPIRE)
        async with store.leases.hold("orders") as lease:
            await store.progress.commit(lease, page("eu-0", 1))
            process.send_signal(signal.SIGCONT)
            assert finish(process)[0].startswith("LeaseLost migration 'orders' was taken over")
            await store.progress.commit(lease, page("eu-0", 2))
        assert (await store.progress.partitions("orders"))[0].seq == 2


async def test_a_made_up_owner_is_no_lease(store: Store) -> None:
    async with store.leases.hold("orders") as lease:
        with pytest.raises(LeaseLost):
            await store.progress.commit(replace(lease, owner="guess"), page("eu-0", 1))


def test_a_process_is_alive_only_with_its_own_start(path: Path) -> None:
    pid = psutil.Process().pid
    assert is_alive(pid, own_start())
    assert not is_alive(pid, own_start() - 60)
    assert not is_alive(2147483000, own_start())
