"""Looking written ids up: quick however many there are, and never wrong about what is in."""

from __future__ import annotations

import random
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.state.support import page, page_ids
from vectormigrate.model.ids import RecordId, id_key
from vectormigrate.state import Lease, PageCommit, Store
from vectormigrate.state import written_index as module
from vectormigrate.state.written_index import WrittenIndex

IDS = st.one_of(st.integers(-(2**63), 2**64 - 1), st.text(), st.uuids(), st.uuids().map(str), st.integers().map(str))


@given(st.lists(st.lists(IDS)), st.lists(IDS))
def test_exactly_the_ids_of_the_blocks_are_in(blocks: list[list[RecordId]], others: list[RecordId]) -> None:
    index = WrittenIndex()
    for block in blocks:
        index.add(block)
    inside = {id_key(record_id) for block in blocks for record_id in block}
    asked = [record_id for block in blocks for record_id in block] + others
    assert index.holds(asked).tolist() == [id_key(record_id) in inside for record_id in asked]
    assert index.distinct() == len(inside)


def test_digests_that_agree_in_their_first_half_only_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    def alike(ids: list[RecordId]) -> module.Digests:
        return np.array([[7, record_id] for record_id in ids], np.uint64).reshape(-1, 2)

    monkeypatch.setattr(module, "_digests", alike)
    index = WrittenIndex()
    index.add([5, 3, 9])
    index.add([4])
    assert index.holds([3, 4, 5, 6, 9, 10]).tolist() == [True, True, True, False, True, False]
    assert index.distinct() == 4


def test_many_blocks_end_in_few_runs() -> None:
    index = WrittenIndex()
    rng = random.Random(3)
    for _ in range(300):
        index.add([UUID(int=rng.getrandbits(128)) for _ in range(10)])
    assert len(index._runs) < 12


@pytest.mark.anyio
async def test_a_lookup_sees_what_was_committed_since_the_last_one(store: Store, lease: Lease) -> None:
    await store.progress.commit(lease, page("eu-0", 1))
    first, second = page_ids("eu-0", 1), page_ids("eu-0", 2)
    assert await store.written_ids.which_written("orders", "to-eu-0", [*first, *second]) == set(first)
    await store.progress.commit(lease, page("eu-0", 2))
    assert await store.written_ids.which_written("orders", "to-eu-0", [*first, *second, "other"]) == {*first, *second}
    assert await store.written_ids.which_written("orders", "elsewhere", first) == set()
    assert await store.written_ids.counts("orders") == {"to-eu-0": 8}


@pytest.mark.anyio
async def test_an_id_that_two_records_were_written_to_counts_twice_and_is_one(store: Store, lease: Lease) -> None:
    for seq in (1, 2):
        await store.progress.commit(
            lease, PageCommit(partition_id="eu-0", seq=seq, written=2, written_ids=[("n", [1, seq + 1])])
        )
    assert await store.written_ids.counts("orders") == {"n": 4}
    assert await store.written_ids.distinct("orders", "n") == 3


@pytest.mark.anyio
async def test_ids_that_were_deleted_from_the_target_leave_the_journal(store: Store, lease: Lease) -> None:
    await store.progress.commit(lease, page("eu-0", 1))
    await store.written_ids.announce(lease, "eu-0", "to-eu-0", ["late", "later"])
    gone = page_ids("eu-0", 1)[0]
    assert await store.written_ids.which_written("orders", "to-eu-0", [gone, "late"]) == {gone, "late"}
    await store.written_ids.forget(lease, "to-eu-0", [gone, "late"])
    assert await store.written_ids.which_written("orders", "to-eu-0", [gone, "late", "later"]) == {"later"}
    assert await store.written_ids.counts("orders") == {"to-eu-0": 3}
