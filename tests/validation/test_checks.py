"""Counts, the sampled comparison, read-back and repair."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import anyio.lowlevel
import numpy as np
import pytest

from tests.validation.support import Pair, batch_of, id_of, metadata_of, pair, rules_of, with_dense, with_metadata
from vectormigrate.adapter import Source
from vectormigrate.adapters.memory import CAPABILITIES
from vectormigrate.errors import InvalidRequest, Unavailable
from vectormigrate.mapping.limits import Limits
from vectormigrate.model.batch import DenseColumn, RecordBatch
from vectormigrate.model.ids import RecordId, id_key
from vectormigrate.model.status import CountCheck, DiffCheck, DifferenceKind
from vectormigrate.validation.common import fetch_readable
from vectormigrate.validation.compare import Rules
from vectormigrate.validation.counts import EVERYTHING, count_check
from vectormigrate.validation.readback import readback, written
from vectormigrate.validation.repair import RepairResult, repair
from vectormigrate.validation.sample import BottomK, sample_diff

pytestmark = pytest.mark.anyio


async def counts(both: Pair) -> tuple[CountCheck, ...]:
    return await count_check(**both.arguments())


async def sample(both: Pair, size: int, **options: Any) -> DiffCheck:
    arguments = {k: v for k, v in both.arguments().items() if k not in ("created", "which_written")}
    return await sample_diff(**arguments, size=size, page_rows=30, **options)


async def repaired(both: Pair, **options: Any) -> RepairResult:
    diff = await both.diff(**options)

    async def again() -> DiffCheck:
        return await both.diff(**options)

    return await repair(**both.arguments(), first=diff, compare_again=again, page_rows=3)


async def test_counts_are_exact_per_namespace_and_account_for_rejects() -> None:
    async with pair(rows=20) as both:
        await both.target.delete([1, 2], "a")
        both.rejected |= {("a", id_key(1)), ("a", id_key("gone from the source"))}
        assert await counts(both) == (
            CountCheck(namespace="a", source=20, target=18, rejected=1),
            CountCheck(namespace="b", source=20, target=20, rejected=0),
        )
        assert [check.passed for check in await counts(both)] == [False, True]


async def test_a_namespace_that_only_the_target_has_fails_the_counts() -> None:
    async with pair(rows=5) as both:
        assert not await both.target.upsert(replace(batch_of([1], "a"), namespace="c"))
        assert (await counts(both))[-1] == CountCheck(namespace="c", source=0, target=1, rejected=0)


async def test_merged_namespaces_share_one_count() -> None:
    merged = Limits.of(
        metadata={"int_range": (-(2**63), 2**64 - 1)},
        namespaces={"supported": False},
    ).to_json()
    rules = rules_of(target_limits=merged, id_strategy="uuid5")
    async with pair(rows=5, rules=rules) as both:
        assert await counts(both) == (CountCheck(namespace=" (2 merged)", source=10, target=10, rejected=0),)
        assert (await both.diff()).passed


async def test_records_that_sidecars_send_back_to_other_namespaces_are_counted_and_compared_as_one() -> None:
    merged = Limits.of(
        metadata={"int_range": (-(2**63), 2**64 - 1)},
        namespaces={"supported": False},
    ).to_json()
    rules = rules_of(target_limits=merged, id_strategy="uuid5")
    async with pair(rows=8, rules=rules) as there, pair(namespaces=(), rules=rules_of()) as back:
        back.source = there.target
        schema = replace(back.plan.source_schema, note={"version": 1})
        back.plan = replace(back.plan, source_schema=schema, namespaces={"": 16})
        await back.copy()
        assert await back.target.namespaces() == ["a", "b"]
        assert await counts(back) == (CountCheck(namespace=EVERYTHING, source=16, target=16, rejected=0),)
        assert (await back.diff()).passed
        await back.target.delete([1], "b")
        check = await back.diff()
    assert [(item.kind, item.namespace, item.source_namespace) for item in check.differences] == [
        (DifferenceKind.MISSING, "b", "")
    ]


@pytest.mark.parametrize("overwrite", [False, True])
async def test_in_an_existing_collection_only_our_records_are_counted(overwrite: bool) -> None:
    async with pair(rows=10, namespaces=("a",), copied=False, overwrite=overwrite) as both:
        both.created = False
        assert not await both.target.upsert(replace(batch_of([1, 2, 3], "a"), ids=["theirs", "theirs too", 4]))
        await both.copy()
        if overwrite:
            both.written.remove(("a", 4))
        assert await counts(both) == (CountCheck(namespace="a", source=10, target=10, rejected=0),)


@pytest.mark.parametrize("overwrite", [False, True])
async def test_readers_at_work_at_once_lose_none_of_each_others_counts(overwrite: bool) -> None:
    async with pair(rows=200, namespaces=("a",), overwrite=overwrite) as both:
        both.created = False
        known = both.which_written

        async def look_up(namespace: str, ids: Sequence[RecordId]) -> Collection[RecordId]:
            await anyio.lowlevel.checkpoint()  # as a state file does, and the other readers go on meanwhile
            return await known(namespace, ids)

        arguments: dict[str, Any] = {**both.arguments(), "which_written": look_up, "page_rows": 10}
        assert len(await both.target.partitions(8, ["a"])) > 1
        assert await count_check(**arguments) == (CountCheck(namespace="a", source=200, target=200, rejected=0),)


async def test_a_sample_says_what_it_proves_and_no_more() -> None:
    async with pair(rows=100) as both:
        check = await sample(both, 50)
    assert check.passed
    assert not check.full
    assert (check.compared, check.population) == (50, 200)
    assert "fewer than 6 % of all records are bad" in check.statement
    assert "95 % confidence" in check.statement
    assert "does not prove that no record was lost" in check.statement
    assert "only the target has cannot be seen" in check.statement


async def test_a_sample_of_everything_is_a_full_statement_about_the_source() -> None:
    async with pair(rows=30) as both:
        both.rejected.add(("a", id_key(1)))
        check = await sample(both, 500)
        assert (check.compared, check.population) == (59, 59)
        assert check.statement.startswith("All 59 source records were compared: every one agrees.")
        await both.edit(2, with_metadata(year=0))
        await both.target.delete([4], "b")
        bad = await sample(both, 500)
    assert (bad.different, bad.missing, bad.compared) == (1, 1, 58)
    assert {item.target_id for item in bad.differences} == {2, 4}
    assert "2 do not agree" in bad.statement


async def test_equal_seeds_draw_equal_samples_whatever_the_order_of_reading() -> None:
    async with pair(rows=100) as both:
        for row in range(100):
            await both.edit(id_of(row), with_metadata(year=0))
        drawn = [{item.target_id for item in (await sample(both, 20, seed=seed)).differences} for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1]
    assert drawn[0] != drawn[2]


def test_the_sample_is_uniform_over_the_records() -> None:
    hits = np.zeros(100)
    for seed in range(400):
        drawn = BottomK(10, seed)
        drawn.offer("", list(range(100)))
        hits[np.array(drawn.chosen()[""], np.int64)] += 1
    assert hits.sum() == 4000
    # each count is Binomial(400, 0.1): mean 40, deviation 6; chi-square over 99 degrees of freedom stays below 150
    assert ((hits - 40) ** 2 / 36).sum() < 150


class Unreadable:
    """A real collection in which some records cannot be read: any request that names one fails."""

    def __init__(self, inner: Source, bad: set[RecordId]) -> None:
        self.inner, self.bad = inner, bad

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def fetch(self, ids: Sequence[RecordId], namespace: str, *, vectors: bool = True) -> RecordBatch:
        if self.bad.intersection(ids):
            raise InvalidRequest("the record is damaged")
        return await self.inner.fetch(ids, namespace, vectors=vectors)


async def test_a_record_that_cannot_be_read_is_unreadable_and_never_verified() -> None:
    async with pair(rows=30) as both:
        await both.edit(1, with_metadata(year=0))
        await both.edit(2, with_metadata(year=0))
        both.target = Unreadable(both.target, {2})  # type: ignore[assignment]
        full, sampled = await both.diff(), await sample(both, 500)
    assert (full.different, full.missing, full.unreadable, full.compared) == (1, 0, 1, 59)
    assert (sampled.different, sampled.missing) == (1, 0)
    assert sampled.unreadable == 2  # id 2 of either namespace
    assert not full.passed
    assert "could not be read and are not verified" in full.statement


async def test_a_lost_connection_is_raised_and_not_taken_for_missing_records() -> None:
    async with pair(rows=30) as both:
        await both.edit(1, with_metadata(year=0))

        class Gone(Unreadable):
            async def fetch(self, ids: Sequence[RecordId], namespace: str, *, vectors: bool = True) -> RecordBatch:
                raise Unavailable("connection refused")

        both.target = Gone(both.target, set())  # type: ignore[assignment]
        with pytest.raises(Unavailable):
            await both.diff()


async def test_unreadable_records_are_isolated_from_their_readable_neighbours() -> None:
    async with pair(rows=30) as both:
        damaged: Any = Unreadable(both.target, {4, "9"})
        batches, bad = await fetch_readable(damaged, [id_of(row) for row in range(30)], "a", page_rows=16)
    assert set(bad) == {4, "9"}
    assert sum(map(len, batches)) == 28


async def test_read_back_finds_what_the_target_did_not_keep() -> None:
    async with pair(rows=20) as both:
        rules = Rules.of(both.mapper.rules, 0.98)
        batch = both.mapper.convert(batch_of(range(20), "a"))[0]
        fine = await readback(target=both.target, expected=batch, namespace="a", rules=rules, page_rows=6)
        assert (fine.checked, fine.mismatches) == (20, ())
        await both.edit(4, with_metadata(title="damaged"))
        await both.target.delete([5], "a")
        bad = await readback(target=both.target, expected=batch, namespace="a", rules=rules, page_rows=6)
        some = await readback(
            target=both.target, expected=written(batch.batch), namespace="a", rules=rules, rows=[5, 6, 7]
        )
    assert [(item.kind, item.source_id, item.fields) for item in bad.mismatches] == [
        (DifferenceKind.DIFFERENT, 4, ("title",)),
        (DifferenceKind.MISSING, 5, ()),
    ]
    assert (some.checked, [item.target_id for item in some.mismatches]) == (3, [5])


async def test_repair_copies_what_differs_and_deletes_only_extras_that_we_wrote() -> None:
    async with pair(rows=40) as both:
        await both.edit(1, with_metadata(title="other"))
        await both.target.delete([2, "3"], "b")
        assert not await both.target.upsert(replace(batch_of([1, 2], "a"), ids=["ours", "theirs"]))
        both.written.add(("a", "ours"))
        result = await repaired(both)
        left = result.diff
        assert (result.repaired, result.deleted, result.refused) == (3, 1, ())
        assert (left.missing, left.different, left.extra) == (0, 0, 1)
        assert left.differences[0].target_id == "theirs"
        assert len(await both.target.fetch(["theirs", "ours"], "a")) == 1


async def test_repair_pages_through_more_differences_than_are_listed() -> None:
    async with pair(rows=50, copied=False) as both:
        result = await repaired(both, limit=7)
        assert result.repaired == 100
        assert result.diff.passed


async def test_repair_gives_up_when_nothing_gets_better() -> None:
    class Stubborn(Unreadable):
        async def upsert(self, batch: RecordBatch) -> list[Any]:
            changed = [{**metadata, "title": "always the same"} for metadata in batch.metadata]
            return await self.inner.upsert(replace(batch, metadata=changed))  # type: ignore[attr-defined]

    async with pair(rows=20) as both:
        await both.target.delete([1], "a")
        both.target = Stubborn(both.target, set())  # type: ignore[assignment]
        result = await repaired(both)
    assert (result.repaired, result.deleted) == (0, 0)
    assert [(item.id, item.code) for item in result.refused] == [(1, "differs")]
    assert not result.diff.passed


async def test_repair_tells_the_journal_first_and_names_what_the_target_refuses() -> None:
    short_ids = CAPABILITIES.changed(ids={"max_bytes": 1})
    announced: list[tuple[str, list[RecordId]]] = []

    async def announce(namespace: str, ids: Sequence[RecordId]) -> None:
        announced.append((namespace, list(ids)))

    async with pair(rows=11, namespaces=("a",), copied=False, profile=short_ids) as both:
        assert not await both.source.upsert(replace(batch_of([1], "a"), ids=["too long"]))
        diff = await both.diff()
        result = await repair(**both.arguments(), first=diff, compare_again=lambda: both.diff(), before_write=announce)
    assert [name for name, _ in announced] == ["a", "a"]  # once more after the comparison that found one still missing
    assert set(announced[0][1]) == {*map(id_of, range(11)), "too long"}
    assert announced[1][1] == ["too long"]
    assert result.repaired == 11
    assert {item.id for item in result.refused} == {"too long"}
    assert result.diff.missing == 1


async def test_repair_does_not_overwrite_what_others_put_into_an_existing_collection() -> None:
    async with pair(rows=6, namespaces=("a",)) as both:
        both.created = False
        await both.edit(1, with_metadata(title="theirs"))
        both.written.discard(("a", 1))
        await both.edit(2, with_metadata(title="damaged"))
        result = await repaired(both)
        kept = await both.target.fetch([1], "a")
    assert result.repaired == 1
    assert {(item.id, item.code) for item in result.refused} == {(1, "exists")}
    assert kept.metadata[0]["title"] == "theirs"
    assert metadata_of(1)["title"] != "theirs"


async def test_the_floor_of_the_operator_decides_in_the_sample_too() -> None:
    async with pair(rows=10) as both:
        record = await both.target.fetch([1], "a")
        column = record.vectors["dense"]
        assert isinstance(column, DenseColumn)
        await both.edit(1, lambda batch: with_dense(batch, -column.values))
        check = await sample(both, 100)
    assert check.vectors[0].below_floor == 1
    assert check.vectors[0].worst_similarity == pytest.approx(-1)
    assert check.differences[0].similarity == pytest.approx(-1)
