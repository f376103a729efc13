"""Writing, ids, fetching and deleting."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import numpy as np
import pytest

from tests.conformance.data import batch, ids_of, read_all, rows_of, write
from tests.conformance.requirements import requirement
from tests.harness.base import Harness
from vectormigrate.errors import InvalidRequest, RecordsRejected
from vectormigrate.model.batch import DenseColumn, Metadata
from vectormigrate.model.ids import IdKind, RecordId, is_plain, kind_fits
from vectormigrate.model.schema import VectorKind

pytestmark = pytest.mark.anyio

NASTY_STRINGS = [
    *("7", "007", "7 ", " 7", "a", "A", "0", "-1", "true", "null", "None", "x" * 500, "é" * 60, "é", "e\u0301"),
    *(
        "it's",
        'say "hi"',
        "back\\slash",
        "line\nbreak",
        "tab\t",
        "nul\0byte",
        "😀",
        "日本語",
        "a/b?c#d&e=f",
        "%41",
        "{}",
    ),
    *(
        "' or 1=1 --",
        '"; drop',
        "*",
        "a,b",
        "[1]",
        "\u202e",
        "\ufeff",
        "\u2028",
        "00000000-0000-0000-0000-000000000007",
    ),
]

EXAMPLE_IDS: dict[IdKind, list[RecordId]] = {
    IdKind.INT64: [-(2**63), -1, 0, 1, 2**53 + 1, 2**63 - 1],
    IdKind.UINT64: [0, 1, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1],
    IdKind.UUID: [UUID(int=0), UUID("6f9619ff-8b86-d011-b42d-00cf4fc964ff"), UUID(int=2**128 - 1)],
    IdKind.STRING: ["plain"],
}


@requirement("upsert:replaces-wholly")
async def test_upsert_replaces_the_whole_record(harness: Harness) -> None:
    old: list[Metadata] = [{"a": 1, "b": "old", "c": "gone"}] * 3
    schema = harness.schema(samples=old)
    async with harness.fresh(schema) as target:
        ids = ids_of(schema, range(3))
        await write(target, batch(schema, ids, metadata=old, seed=1))
        rows: list[Metadata] = [{"b": "new"}] * 3
        new = batch(schema, ids, metadata=rows, seed=2)
        await write(target, new)
        assert await read_all(target) == rows_of(new)


@requirement("upsert:twice-is-once")
async def test_writing_twice_is_writing_once(harness: Harness) -> None:
    schema = harness.schema()
    async with harness.fresh(schema) as target:
        records = batch(schema, ids_of(schema, range(40)))
        await write(target, records)
        await write(target, records)
        assert await target.count() == 40
        assert await read_all(target) == rows_of(records)


@requirement("upsert:last-duplicate-wins")
async def test_the_last_of_two_records_with_one_id_wins(harness: Harness) -> None:
    schema = harness.schema()
    async with harness.fresh(schema) as target:
        first, second = ids_of(schema, [1, 2])
        records = batch(schema, [first, second, first], metadata=[{"n": 0}, {"n": 1}, {"n": 2}])
        await write(target, records)
        assert await target.count() == 2
        assert await read_all(target) == rows_of(records.take([1, 2]))


@requirement("upsert:rejects-name-the-records", "vectors:non-finite")
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
async def test_a_bad_record_is_rejected_by_name_and_the_others_written(harness: Harness, bad: float) -> None:
    schema = harness.schema()
    async with harness.fresh(schema) as target:
        records = batch(schema, ids_of(schema, range(9)))
        column = records.vectors[schema.vectors[0].name]
        assert isinstance(column, DenseColumn)
        column.values[4, 2] = bad
        (reject,) = await target.upsert(records)
        assert (reject.id, reject.namespace) == (records.ids[4], "")
        assert reject.code
        assert reject.reason
        await write(target)
        assert await read_all(target) == rows_of(records.take([0, 1, 2, 3, 5, 6, 7, 8]))


@requirement("upsert:wrong-dimension")
async def test_a_wrong_dimension_is_refused(harness: Harness) -> None:
    schema = harness.schema()
    async with harness.fresh(schema) as target:
        good = batch(schema, ids_of(schema, range(5)))
        await write(target, good)
        wrong = batch(harness.schema(harness.vector(dim=16)), good.ids, seed=5)
        try:
            refused = {reject.id for reject in await target.upsert(wrong)}
        except (InvalidRequest, RecordsRejected):
            refused = set(good.ids)
        assert refused == set(good.ids)
        assert await read_all(target) == rows_of(good)


@requirement("upsert:full-size-batch", "fetch:any-number")
async def test_a_batch_of_the_declared_size_is_written_and_fetched(harness: Harness) -> None:
    schema = harness.schema()
    async with harness.fresh(schema) as target:
        rows = target.capabilities.writes.rows
        full = batch(schema, ids_of(schema, range(rows)))
        assert await target.upsert(full) == []
        rest = batch(schema, ids_of(schema, range(rows, max(rows, 5200))), seed=1)
        await write(target, rest)
        everything = [*full.ids, *rest.ids]
        assert await target.count() == len(everything)
        found = await target.fetch(everything[::-1], "")
        assert found.ids == everything[::-1]
        expected = {**rows_of(full), **rows_of(rest)}
        assert rows_of(found) == expected


@requirement("upsert:empty-batch", "fetch:any-number")
async def test_nothing_can_be_written_fetched_and_deleted(harness: Harness) -> None:
    schema = harness.schema()
    async with harness.fresh(schema) as target:
        assert await target.upsert(batch(schema, [])) == []
        found = await target.fetch([], "")
        assert (found.ids, found.metadata, set(found.vectors)) == ([], [], {schema.vectors[0].name})
        await target.delete([], "")
        assert await target.count() == 0


@requirement("ids:every-kind")
async def test_ids_of_every_kind_come_back_with_their_type(harness: Harness) -> None:
    for kind in sorted(harness.capabilities.ids.kinds):
        schema = harness.schema(id_kind=kind)
        async with harness.fresh(schema) as target:
            records = batch(schema, EXAMPLE_IDS[kind])
            await write(target, records)
            assert await read_all(target) == rows_of(records)
            found = await target.fetch(EXAMPLE_IDS[kind], "")
            assert [(type(key), key) for key in found.ids] == [(type(key), key) for key in EXAMPLE_IDS[kind]]
            await target.delete(EXAMPLE_IDS[kind], "")
            assert await target.count() == 0


@requirement("ids:nasty-strings")
async def test_any_text_is_an_id(harness: Harness) -> None:
    caps = harness.capabilities
    if IdKind.STRING not in caps.ids.kinds:
        pytest.skip("ids are not strings")
    schema = harness.schema(id_kind=IdKind.STRING)
    async with harness.fresh(schema) as target:
        ids = [text for text in NASTY_STRINGS if len(text.encode()) <= (caps.ids.max_bytes or 1000)]
        ids = [text for text in ids if is_plain(text) or not caps.ids.ascii]
        records = batch(schema, ids)
        await write(target, records)
        assert await read_all(target, 3) == rows_of(records)
        assert (await target.fetch(ids, "")).ids == ids
        gone = {"7", "it's", "back\\slash", 'say "hi"', "nul\0byte"} & {*ids}
        await target.delete([*gone], "")
        assert await target.count() == len(ids) - len(gone)
        assert (await target.fetch(["7", "007"], "")).ids == ["007"]
        if caps.ids.max_bytes is not None:
            (reject,) = await target.upsert(batch(schema, ["x" * (caps.ids.max_bytes + 1)]))
            assert reject.code
        if caps.ids.ascii:
            rejects = await target.upsert(batch(schema, ["", "é", "nul\0byte"]))
            assert [reject.id for reject in rejects] == ["", "é", "nul\0byte"]


@requirement("ids:foreign-kind")
async def test_an_id_of_another_kind_is_rejected_and_never_found(harness: Harness) -> None:
    kind = harness.id_kind()
    schema = harness.schema(id_kind=kind)
    async with harness.fresh(schema) as target:
        actual = (await target.describe()).id_kinds
        samples: list[RecordId] = ["7", "x", 7, -7, 2**64 - 1, 2**70, UUID(int=7)]
        foreign = [key for key in samples if not any(kind_fits(allowed, key) for allowed in actual)]
        own = ids_of(schema, [7])
        await write(target, batch(schema, own))
        assert (await target.fetch([*foreign, *own, *foreign], "")).ids == own
        await target.delete(foreign, "")
        rejects = await target.upsert(batch(schema, foreign))
        assert {reject.id for reject in rejects} == set(foreign)
        assert await target.count() == 1


@requirement("fetch:order-and-missing", "fetch:without-vectors")
async def test_fetch_keeps_the_order_and_leaves_out_what_is_missing(harness: Harness) -> None:
    schema = harness.schema()
    async with harness.fresh(schema) as target:
        records = batch(schema, ids_of(schema, range(20)))
        await write(target, records)
        missing = ids_of(schema, [100, 101])
        asked = [missing[0], records.ids[17], records.ids[3], missing[1], records.ids[9], records.ids[0]]
        found = await target.fetch(asked, "")
        assert found.ids == [records.ids[row] for row in (17, 3, 9, 0)]
        assert rows_of(found) == rows_of(records.take([17, 3, 9, 0]))
        bare = await target.fetch(asked, "", vectors=False)
        assert (bare.ids, bare.metadata, bare.vectors) == (found.ids, found.metadata, {})


@requirement("delete:removes")
async def test_deleted_records_are_gone_at_once(harness: Harness) -> None:
    schema = harness.schema(samples=[{"n": 0, "again": True}])
    async with harness.fresh(schema) as target:
        records = batch(schema, ids_of(schema, range(30)))
        await write(target, records)
        await target.delete([*records.ids[10:20], *ids_of(schema, [500])], "")
        await target.delete(records.ids[10:12], "")
        assert await target.count() == 20
        assert (await target.fetch(records.ids, "")).ids == [*records.ids[:10], *records.ids[20:]]
        again = replace(records.take([10]), metadata=[{"again": True}])
        await write(target, again)
        assert rows_of(await target.fetch(again.ids, "")) == rows_of(again)


@requirement("upsert:no-vectors-column")
async def test_records_without_vectors_are_kept(harness: Harness) -> None:
    if VectorKind.DENSE in harness.capabilities.vectors.required:
        pytest.skip("every record needs its vectors")
    schema = harness.schema()
    async with harness.fresh(schema) as target:
        ids = ids_of(schema, range(4))
        await write(target, replace(batch(schema, ids), vectors={}))
        found = await target.fetch(ids, "")
        column = found.vectors[schema.vectors[0].name]
        assert (found.ids, found.metadata) == (ids, [{"n": row} for row in range(4)])
        assert column.valid is not None
        assert not np.any(column.valid)
