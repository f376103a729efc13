"""Rejects are kept with their reason, listed, tried again and settled."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

import pytest

from tests.state.support import page, written_records
from vectormigrate.adapter import Reject
from vectormigrate.errors import LeaseLost, StateError
from vectormigrate.model.ids import RecordId
from vectormigrate.state import Lease, PageCommit, RetryOutcome, Store

pytestmark = pytest.mark.anyio

IDS: Sequence[RecordId] = [7, "7", UUID("5d1f0000-0000-4000-8000-00000000000a"), "a\x00b", "lone \ud800", 2**64 - 1]


async def reject_all(store: Store, lease: Lease) -> None:
    rejects = [Reject(record_id, "eu", "nan" if n % 2 else "size", f"why {n}") for n, record_id in enumerate(IDS)]
    await store.progress.commit(lease, PageCommit(partition_id="eu-0", seq=1, read=10, written=4, rejects=rejects))


async def test_rejects_come_back_with_typed_ids_in_order(store: Store, lease: Lease) -> None:
    await reject_all(store, lease)
    listed = await store.rejects.read("orders")
    assert [item.reject.id for item in listed] == list(IDS)
    first = listed[0]
    assert first.reject == Reject(7, "eu", "size", "why 0")
    assert (first.partition_id, first.attempts) == ("eu-0", 1)
    assert await store.rejects.counts("orders") == {"nan": 3, "size": 3}


async def test_rejects_are_listed_page_by_page(store: Store, lease: Lease) -> None:
    await reject_all(store, lease)
    assert [item.reject.id for item in await store.rejects.read("orders", limit=2, offset=3)] == list(IDS[3:5])
    taken = await store.rejects.read("orders", limit=4)
    rest = await store.rejects.read("orders", after=taken[-1].number, limit=4)
    assert [item.reject.id for item in [*taken, *rest]] == list(IDS)


async def test_a_retry_moves_counters_journal_and_rejects_together(store: Store, lease: Lease) -> None:
    await reject_all(store, lease)
    numbers = [item.number for item in await store.rejects.read("orders")]
    again = Reject(2**64 - 1, "eu", "refused", "still no \udfff")
    await store.rejects.settle(
        lease,
        RetryOutcome(
            written=numbers[:3], written_ids=("n", list(IDS[:3])), gone=numbers[3:5], refused={numbers[5]: again}
        ),
    )
    left = await store.rejects.read("orders")
    assert [(item.number, item.attempts, item.reject.code) for item in left] == [(numbers[5], 2, "refused")]
    assert left[0].reject.reason == "still no \\udfff"
    progress = (await store.progress.partitions("orders"))[0]
    assert (progress.read, progress.written, progress.rejected) == (8, 7, 1)
    assert await store.written_ids.which_written("orders", "n", IDS) == set(IDS[:3])


async def test_a_retry_that_names_a_settled_reject_changes_nothing(store: Store, lease: Lease) -> None:
    await reject_all(store, lease)
    numbers = [item.number for item in await store.rejects.read("orders")]
    await store.rejects.settle(lease, RetryOutcome(gone=[numbers[0]]))
    with pytest.raises(StateError, match=f"no open reject {numbers[0]}"):
        await store.rejects.settle(lease, RetryOutcome(gone=[numbers[1], numbers[0]]))
    assert len(await store.rejects.read("orders")) == len(IDS) - 1
    assert (await store.migrations.status("orders")).rejected_records == len(IDS) - 1


async def test_a_retry_settles_its_intents(store: Store, lease: Lease) -> None:
    await reject_all(store, lease)
    numbers = [item.number for item in await store.rejects.read("orders")]
    block = await store.written_ids.announce(lease, "eu-0", "n", [7, "7"])
    outcome = RetryOutcome(written=numbers[:1], written_ids=("n", [7]), gone=numbers[1:2], intents=[block])
    await store.rejects.settle(lease, outcome)
    assert await store.written_ids.which_written("orders", "n", IDS) == {7}
    assert await store.written_ids.which_intended("orders", "n", IDS) == set()


async def test_an_outcome_over_two_partitions_or_with_a_reject_twice_is_refused(store: Store, lease: Lease) -> None:
    await store.progress.commit(lease, page("eu-0", 1))
    await store.progress.commit(lease, page("eu-1", 1))
    first, second = [item.number for item in await store.rejects.read("orders")]
    with pytest.raises(StateError, match="each of them once, all of one partition"):
        await store.rejects.settle(lease, RetryOutcome(gone=[first, second]))
    with pytest.raises(StateError, match="each of them once"):
        await store.rejects.settle(lease, RetryOutcome(gone=[first], written=[first]))
    with pytest.raises(StateError, match="no reject"):
        await store.rejects.settle(lease, RetryOutcome(written_ids=("n", [1])))
    assert (await store.migrations.status("orders")).rejected_records == 2


async def test_a_retry_in_which_nothing_was_written_can_drop_its_intents(store: Store, lease: Lease) -> None:
    block = await store.written_ids.announce(lease, "eu-0", "n", [7])
    await store.rejects.settle(lease, RetryOutcome(intents=[block]))
    assert await written_records(store, "orders") == 0


async def test_a_retry_needs_the_lease(store: Store, lease: Lease) -> None:
    await store.progress.commit(lease, page("eu-0", 1))
    number = (await store.rejects.read("orders"))[0].number
    with pytest.raises(LeaseLost):
        await store.rejects.settle(replace(lease, owner="someone"), RetryOutcome(gone=[number]))
    assert (await store.migrations.status("orders")).rejected_records == 1


async def test_the_counted_rejects_are_the_listed_ones(store: Store, lease: Lease) -> None:
    await reject_all(store, lease)
    await store.progress.commit(lease, page("eu-0", 2))
    await store.progress.commit(lease, page("eu-1", 1))
    assert (
        (await store.migrations.status("orders")).rejected_records
        == len(await store.rejects.read("orders"))
        == len(IDS) + 2
    )
