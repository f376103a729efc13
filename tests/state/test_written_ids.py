"""Written ids: found again by type and namespace, before and after their page is settled; how ids are packed."""

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.state.support import make_plan, page, page_ids, sql, written_records
from vectormigrate.errors import LeaseLost, StateCorrupt
from vectormigrate.model.ids import RecordId, id_key
from vectormigrate.model.plan import RunOptions
from vectormigrate.state import Lease, PageCommit, Store
from vectormigrate.state.id_blocks import pack_ids, unpack_ids

pytestmark = pytest.mark.anyio

IDS = st.one_of(
    st.integers(-(2**63), 2**64 - 1),
    st.text(),
    st.text(alphabet=st.characters(categories=["Cs"]), min_size=1),
    st.uuids(),
    st.uuids().map(str),
    st.uuids().map(lambda value: str(value).upper()),
    st.uuids().map(lambda value: value.hex),
)


def keys(ids: Sequence[RecordId]) -> list[str]:
    return sorted(map(id_key, ids))


@given(st.lists(IDS))
@settings(max_examples=300)
def test_any_set_of_typed_ids_comes_back_from_a_block(ids: list[RecordId]) -> None:
    assert keys(unpack_ids(pack_ids(ids))) == sorted(set(map(id_key, ids)))


def test_ids_that_look_alike_stay_different() -> None:
    value = UUID("5d1f0000-0000-4000-8000-00000000000a")
    ids: list[RecordId] = [7, "7", "007", value, str(value), str(value).upper(), "", -1, 0, 2**64 - 1, -(2**63)]
    assert keys(unpack_ids(pack_ids(ids))) == keys(ids)


def thousand(kind: str) -> list[RecordId]:
    """A thousand ids as databases hold them."""
    rng = random.Random(1)
    uuids = [UUID(int=rng.getrandbits(128), version=4) for _ in range(1000)]
    makers: dict[str, list[RecordId]] = {
        "sequence": list(range(1000)),
        "random integer": [rng.getrandbits(63) for _ in range(1000)],
        "numbered text": [f"document-{n:08d}" for n in range(1000)],
        "uuid": list(uuids),
        "uuid text": [str(uuid) for uuid in uuids],
    }
    return makers[kind]


@pytest.mark.parametrize(
    ("kind", "most"),
    [("sequence", 0.2), ("random integer", 8), ("numbered text", 3), ("uuid", 16), ("uuid text", 16)],
)
def test_a_block_of_a_thousand_ids_is_small(kind: str, most: float) -> None:
    assert len(pack_ids(thousand(kind))) / 1000 <= most


@pytest.mark.parametrize("cut", [0, 1, 10, -1])
def test_a_damaged_block_is_noticed(cut: int) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        unpack_ids(pack_ids(["a", "b", 3])[:cut])


async def test_the_journal_returns_what_pages_wrote_with_their_namespace(store: Store, lease: Lease) -> None:
    for seq in (1, 2):
        await store.progress.commit(lease, page("eu-0", seq))
    await store.progress.commit(lease, page("eu-1", 1))
    blocks = [(namespace, keys(ids)) async for namespace, ids in store.written_ids.blocks("orders")]
    expected = [("eu-0", 1), ("eu-0", 2), ("eu-1", 1)]
    assert blocks == [(f"to-{part}", keys(page_ids(part, seq))) for part, seq in expected]
    only = [namespace async for namespace, _ in store.written_ids.blocks("orders", "to-eu-1")]
    assert only == ["to-eu-1"]
    assert await written_records(store, "orders") == 12


async def test_a_journal_of_many_blocks_is_read_whole(store: Store, lease: Lease) -> None:
    for seq in range(1, 200):
        await store.progress.commit(lease, PageCommit(partition_id="eu-0", seq=seq, written_ids=[("n", [seq])]))
    read = [ids async for _, ids in store.written_ids.blocks("orders")]
    assert read == [[seq] for seq in range(1, 200)]


async def test_membership_tells_types_and_namespaces_apart(store: Store, lease: Lease) -> None:
    await store.progress.commit(lease, page("eu-0", 1))
    asked: list[RecordId] = [10, "10", "eu-0/1/a", "eu-0/1/ü", "eu-0/1/z"]
    assert await store.written_ids.which_written("orders", "to-eu-0", asked) == {10, "eu-0/1/a", "eu-0/1/ü"}
    assert await store.written_ids.which_written("orders", "to-eu-1", asked) == set()
    assert await store.written_ids.which_written("orders", "to-eu-0", []) == set()


async def test_intents_are_in_the_journal_before_the_page(store: Store, lease: Lease, path: Path) -> None:
    await store.written_ids.announce(lease, "eu-0", "n", ["a", "b"])
    assert sql(path, "SELECT records, settled FROM journal") == [(2, 0)]
    assert await store.written_ids.which_written("orders", "n", ["a", "c"]) == {"a"}
    assert await store.written_ids.which_intended("orders", "n", ["a", "c"]) == {"a"}


async def test_a_page_replaces_the_intents_that_it_settles_by_what_it_wrote(store: Store, lease: Lease) -> None:
    settled = await store.written_ids.announce(lease, "eu-0", "n", ["a", "refused"])
    await store.written_ids.announce(lease, "eu-0", "n", ["in flight"])
    await store.progress.commit(
        lease, PageCommit(partition_id="eu-0", seq=1, written_ids=[("n", ["a"])], intents=[settled])
    )
    asked = ["a", "refused", "in flight"]
    assert await store.written_ids.which_written("orders", "n", asked) == {"a", "in flight"}
    assert await store.written_ids.which_intended("orders", "n", asked) == {"in flight"}


async def test_a_page_cannot_settle_intents_of_another_partition(store: Store, lease: Lease) -> None:
    block = await store.written_ids.announce(lease, "eu-1", "n", ["a"])
    await store.progress.commit(lease, PageCommit(partition_id="eu-0", seq=1, intents=[block]))
    assert await store.written_ids.which_intended("orders", "n", ["a"]) == {"a"}


async def test_intents_need_the_lease(store: Store, lease: Lease) -> None:
    with pytest.raises(LeaseLost):
        await store.written_ids.announce(replace(lease, owner="someone"), "eu-0", "n", ["a"])
    assert await written_records(store, "orders") == 0


async def test_journals_of_two_migrations_are_apart(store: Store, lease: Lease) -> None:
    await store.migrations.create(make_plan("returns"), RunOptions())
    await store.progress.commit(lease, page("eu-0", 1))
    assert await store.written_ids.which_written("returns", "to-eu-0", page_ids("eu-0", 1)) == set()


async def test_a_damaged_block_in_the_file_is_corrupt(store: Store, lease: Lease, path: Path) -> None:
    await store.progress.commit(lease, page("eu-0", 1))
    sql(path, "UPDATE journal SET ids = substr(ids, 1, 12)")
    with pytest.raises(StateCorrupt, match=r"state\.db"):
        await store.written_ids.which_written("orders", "to-eu-0", [10])
