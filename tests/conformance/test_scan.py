"""Namespaces, counts, partitions, pages and cursors."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, replace
from uuid import UUID

import pytest

from tests.conformance.data import batch, ids_of, namespaces, read_all, rows_of, scan, write
from tests.conformance.requirements import requirement
from tests.harness.base import Harness
from vectormigrate.adapter import Target
from vectormigrate.model.batch import Metadata
from vectormigrate.model.ids import IdKind, RecordId
from vectormigrate.model.position import Partition
from vectormigrate.model.schema import CollectionSchema

pytestmark = pytest.mark.anyio

BELOW_AND_ABOVE: dict[IdKind, tuple[RecordId, RecordId]] = {
    IdKind.INT64: (-(2**63), 2**63 - 1),
    IdKind.UINT64: (0, 2**64 - 1),
    IdKind.STRING: ("!", "~"),
    IdKind.UUID: (UUID(int=0), UUID(int=2**128 - 1)),
}


def divided(harness: Harness, sample: Metadata | None = None) -> CollectionSchema:
    """A schema for a collection with namespaces."""
    return harness.schema(divided=harness.capabilities.namespaces.declared, samples=[sample or {"n": 0}])


async def fill(target: Target, schema: CollectionSchema, sizes: dict[str, int]) -> dict[str, list[RecordId]]:
    """That many records per namespace, all ids different."""
    written: dict[str, list[RecordId]] = {}
    start = 1000
    for namespace, size in sizes.items():
        written[namespace] = ids_of(schema, range(start, start + size))
        await write(target, batch(schema, written[namespace], namespace=namespace, seed=start))
        start += size
    return written


@requirement("namespaces:listed", "count:exact")
async def test_namespaces_and_their_counts_are_exact(harness: Harness) -> None:
    schema = divided(harness)
    async with harness.fresh(schema) as target:
        assert await target.count() == 0
        names = namespaces(target, 20)
        written = await fill(target, schema, {name: 3 + number for number, name in enumerate(names)})
        assert await target.namespaces() == sorted(names)
        for name in names:
            assert await target.count(name) == len(written[name])
        assert await target.count("no such namespace") == 0
        every = {name: len(ids) for name, ids in written.items()} | {"no such namespace": 0}
        assert await target.counts([*every]) == every
        there = {name: len(ids) for name, ids in written.items()}
        assert await target.partitions(3, there) == await target.partitions(3, names)
        await target.delete(written[names[-1]][:2], names[-1])
        assert await target.count(names[-1]) == len(written[names[-1]]) - 2
        assert await target.count() == sum(len(ids) for ids in written.values()) - 2


@requirement("namespaces:made-ahead")
async def test_namespaces_that_are_made_ahead_take_records_and_keep_those_they_have(harness: Harness) -> None:
    schema = divided(harness)
    async with harness.fresh(schema) as target:
        names = namespaces(target, 3)
        await fill(target, schema, {names[0]: 2})
        await target.make_namespaces([*names, "no name:\n", ""])
        await target.make_namespaces(names)
        for number, name in enumerate(names):
            await write(target, batch(schema, ids_of(schema, [10 * number, 10 * number + 1]), namespace=name))
        assert await target.counts(names) == {**dict.fromkeys(names, 2), names[0]: 4}


@requirement("namespaces:isolated")
async def test_one_namespace_does_not_show_or_touch_another(harness: Harness) -> None:
    schema = divided(harness)
    async with harness.fresh(schema) as target:
        names = namespaces(target, 3)
        if len(names) < 2:
            pytest.skip("the database has no namespaces")
        batches = {
            name: batch(schema, ids_of(schema, range(start, start + 10)), namespace=name, seed=start)
            for start, name in zip((1000, 2000, 3000), names, strict=False)
        }
        await write(target, *batches.values())
        for name in names:
            (partition,) = await target.partitions(1, [name])
            pages = await scan(target, partition)
            assert {key: row for page in pages for key, row in rows_of(page.batch).items()} == rows_of(batches[name])
        written = {name: item.ids for name, item in batches.items()}
        mine, other = names[0], names[1]
        assert (await target.fetch(written[other], mine)).ids == []
        await target.delete(written[other], mine)
        assert await target.count(other) == 10


@requirement("namespaces:same-id")
async def test_one_id_in_two_namespaces_is_two_records(harness: Harness) -> None:
    schema = divided(harness, {"who": ""})
    async with harness.fresh(schema) as target:
        names = namespaces(target, 2)
        if not target.capabilities.ids.per_namespace or len(names) < 2:
            pytest.skip("ids are unique in the whole collection")
        ids = ids_of(schema, [1])
        first = batch(schema, ids, namespace=names[0], metadata=[{"who": "first"}], seed=1)
        second = batch(schema, ids, namespace=names[1], metadata=[{"who": "second"}], seed=2)
        await write(target, first, second)
        assert await read_all(target) == {**rows_of(first), **rows_of(second)}
        await target.delete(ids, names[0])
        assert await read_all(target) == rows_of(second)


@requirement("partitions:disjoint-and-complete", "partitions:json")
@pytest.mark.parametrize("wanted", [1, 3, 8])
async def test_partitions_hold_every_record_once(harness: Harness, wanted: int) -> None:
    schema = divided(harness)
    async with harness.fresh(schema) as target:
        sizes = dict(zip(namespaces(target, 3), (int(300 * harness.scale), 40, 1), strict=False))
        written = await fill(target, schema, sizes)
        partitions = await target.partitions(wanted)
        assert len({partition.id for partition in partitions}) == len(partitions)
        assert {partition.namespace for partition in partitions} == set(sizes)
        found: Counter[tuple[str, RecordId]] = Counter()
        for partition in [Partition(**json.loads(json.dumps(asdict(item)))) for item in partitions]:
            for page in await scan(target, partition, page_rows=50):
                assert page.batch.namespace == partition.namespace
                found.update((partition.namespace, key) for key in page.batch.ids)
        assert found == Counter((name, key) for name, ids in written.items() for key in ids)


@requirement("partitions:deterministic")
async def test_partitions_are_the_same_when_asked_again(harness: Harness) -> None:
    name = harness.new_name()
    schema = replace(divided(harness), name=name)
    async with harness.fresh(schema) as target:
        await fill(target, schema, dict.fromkeys(namespaces(target, 2), int(200 * harness.scale)))
        partitions = await target.partitions(6)
        assert await target.partitions(6) == partitions
        async with harness.open(name) as again:
            assert await again.partitions(6) == partitions


@requirement("partitions:open-ended")
async def test_records_outside_todays_range_belong_to_one_partition(harness: Harness) -> None:
    for kind in sorted(harness.capabilities.ids.kinds):
        schema = harness.schema(id_kind=kind)
        async with harness.fresh(schema) as target:
            numbers = range(1000, 1100)
            kinds = frozenset({kind})
            only = CollectionSchema(name="", id_kinds=kinds, vectors=schema.vectors)
            await write(target, batch(schema, ids_of(only, numbers)))
            partitions = await target.partitions(4)
            late = list(BELOW_AND_ABOVE[kind])
            await write(target, batch(schema, late))
            found = [key for item in partitions for page in await scan(target, item) for key in page.batch.ids]
            assert Counter(found) == Counter([*ids_of(only, numbers), *late])


@requirement("partitions:empty-collection")
async def test_an_empty_collection_has_a_partition_without_pages(harness: Harness) -> None:
    schema = harness.schema()
    async with harness.fresh(schema) as target:
        assert await target.namespaces() == [""]
        partitions = await target.partitions(4)
        assert [item.namespace for item in partitions] == [""]
        assert await scan(target, partitions[0]) == []
        await write(target, batch(schema, ids_of(schema, range(3))))
        (page,) = await scan(target, partitions[0])
        assert len(page.batch) == 3


@requirement("scan:no-empty-page", "scan:resume-after-any-cursor")
async def test_a_scan_resumes_after_any_cursor(harness: Harness) -> None:
    schema = divided(harness)
    async with harness.fresh(schema) as target:
        names = namespaces(target, 2)
        await fill(target, schema, dict.fromkeys(names, 45))
        for partition in await target.partitions(2 * len(names)):
            pages = await scan(target, partition, page_rows=4)
            assert all(len(page.batch) for page in pages)
            for number, page in enumerate(pages):
                rest = await scan(target, partition, page.cursor, page_rows=5)
                assert all(len(item.batch) for item in rest)
                assert [key for item in rest for key in item.batch.ids] == [
                    key for item in pages[number + 1 :] for key in item.batch.ids
                ]


@requirement("scan:cursor-survives-json-and-reopening")
async def test_a_cursor_survives_json_and_reopening(harness: Harness) -> None:
    name = harness.new_name()
    schema = harness.schema(name=name)
    async with harness.fresh(schema) as target:
        await fill(target, schema, {"": 30})
        (partition,) = await target.partitions(1)
        pages = await scan(target, partition, page_rows=7)
        cursor = json.loads(json.dumps(pages[1].cursor))
        async with harness.open(name) as again:
            rest = await scan(again, partition, cursor, page_rows=7)
        assert [rows_of(page.batch) for page in rest] == [rows_of(page.batch) for page in pages[2:]]


@requirement("scan:without-vectors")
async def test_a_scan_can_leave_the_vectors_out(harness: Harness) -> None:
    schema = harness.schema()
    async with harness.fresh(schema) as target:
        await fill(target, schema, {"": 10})
        (partition,) = await target.partitions(1)
        (full,) = await scan(target, partition)
        (bare,) = await scan(target, partition, vectors=False)
    assert bare.batch.vectors == {}
    assert (bare.batch.ids, bare.batch.metadata) == (full.batch.ids, full.batch.metadata)
    assert bare.cursor == full.cursor


@requirement("scan:every-column")
async def test_every_page_has_every_column(harness: Harness) -> None:
    schema = harness.schema(*harness.together(harness.vector("one"), harness.vector("two")))
    async with harness.fresh(schema) as target:
        records = batch(schema, ids_of(schema, range(12)))
        await write(target, records)
        (partition,) = await target.partitions(1)
        for page in await scan(target, partition, page_rows=5):
            assert set(page.batch.vectors) == {item.name for item in schema.vectors}
        assert await read_all(target) == rows_of(records)
