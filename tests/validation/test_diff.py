"""The full comparison: what it must find, what it must let pass, and that interruptions change nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import anyio
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.validation.support import (
    SCHEMA,
    Pair,
    batch_of,
    id_of,
    metadata_of,
    pair,
    rules_of,
    with_dense,
    with_metadata,
)
from vectormigrate.engine.events import Checking, Event
from vectormigrate.mapping.convert.mapper import Mapped, Mapper
from vectormigrate.mapping.limits import Limits
from vectormigrate.model.batch import DenseColumn, MultiColumn, RecordBatch, SparseColumn
from vectormigrate.model.ids import id_key
from vectormigrate.model.plan import CompareClass, VectorMapping
from vectormigrate.model.status import DiffCheck, Difference, DifferenceKind
from vectormigrate.validation import diff, resolve
from vectormigrate.validation.buckets import bucket_of
from vectormigrate.validation.sample import sample_diff

pytestmark = pytest.mark.anyio

DENSE_ONLY = replace(SCHEMA, vectors=SCHEMA.vectors[:1])


def dense_rules(compare: CompareClass, tolerance: float = 0.0, **changes: Any) -> Any:
    dense = VectorMapping(source="dense", target="dense", dtype="float32", compare=compare, tolerance=tolerance)
    return rules_of(dense, **changes)


def only(check: DiffCheck) -> Difference:
    assert len(check.differences) == 1, check.differences
    assert (check.missing, check.extra, check.different)[list(DifferenceKind).index(check.differences[0].kind)] == 1
    assert check.missing + check.extra + check.different == 1
    assert not check.passed
    return check.differences[0]


async def test_a_faithful_copy_is_identical_in_every_figure() -> None:
    async with pair() as both:
        check = await both.diff()
    assert check.passed
    assert check.full
    assert (check.population, check.compared, check.identical) == (400, 400, 400)
    assert not check.differences
    assert {item.name: (item.compared, item.exact) for item in check.vectors} == {
        "dense": (400, 400),
        "parts": (400, 400),
        "words": (300, 300),
    }
    assert check.metadata_fields["score"] == (320, 320)
    assert check.metadata_fields["nested.deep.n"] == (400, 400)
    assert check.metadata_fields["nested.deep.empty"] == (400, 400)


async def test_a_report_names_the_sources_fields_and_none_of_ours() -> None:
    rules = rules_of(renames={"title": "heading", "nested": "inside"}, id_strategy="uuid5")
    async with pair(rows=20, namespaces=("a",), rules=rules) as both:
        full = await both.diff()
        assert {name.split(".")[0] for name in full.metadata_fields} == set(metadata_of(1))
        assert full.metadata_fields["title"] == (20, 20)
        assert full.metadata_fields["nested.deep.n"] == (20, 20)
        assert not {"heading", "_vm_origin", "_vm_id"} & full.metadata_fields.keys()


def one_ulp(batch: RecordBatch) -> RecordBatch:
    column = batch.vectors["dense"]
    assert isinstance(column, DenseColumn)
    values = column.values.copy()
    values[0, 3] = np.nextafter(values[0, 3], np.float32(9))
    return with_dense(batch, values)


def negative_zero(batch: RecordBatch) -> RecordBatch:
    return replace(batch, metadata=[{**batch.metadata[0], "zero": -0.0}])


def without_words(batch: RecordBatch) -> RecordBatch:
    return replace(batch, vectors={name: column for name, column in batch.vectors.items() if name != "words"})


def other_word(batch: RecordBatch) -> RecordBatch:
    words = batch.vectors["words"]
    assert isinstance(words, SparseColumn)
    moved = replace(words, indices=words.indices + np.uint32(1))
    return replace(batch, vectors={**batch.vectors, "words": moved})


def swapped_parts(batch: RecordBatch) -> RecordBatch:
    parts = batch.vectors["parts"]
    assert isinstance(parts, MultiColumn)
    return replace(batch, vectors={**batch.vectors, "parts": replace(parts, values=parts.values[::-1].copy())})


def nested(**changes: Any) -> Callable[[RecordBatch], RecordBatch]:
    return lambda batch: with_metadata(nested={**metadata_of(1)["nested"], **changes})(batch)  # type: ignore[dict-item]


CORRUPTIONS: dict[str, tuple[Callable[[RecordBatch], RecordBatch], tuple[str, ...]]] = {
    "one component by one ulp": (one_ulp, ("vector:dense",)),
    "int becomes float": (with_metadata(year=1991.0), ("year",)),
    "float becomes int": (with_metadata(score=1), ("score",)),
    "bool becomes int": (with_metadata(flag=0), ("flag",)),
    "null becomes missing": (with_metadata(note=...), ("note",)),
    "null becomes empty text": (with_metadata(note=""), ("note",)),
    "truncated text": (with_metadata(title="text 1 é"), ("title",)),
    "reordered list": (with_metadata(tags=["b", "a", "t1"]), ("tags",)),
    "number in a list changes type": (nested(list=[1, 1, True, None]), ("nested.list",)),
    "nested value": (nested(deep={"n": 2, "empty": {}}), ("nested.deep.n",)),
    "empty object is dropped": (nested(deep={"n": 1}), ("nested.deep.empty",)),
    "key extra": (with_metadata(more=1), ("more",)),
    "key renamed": (with_metadata(title=..., titel="text 1 é 漢"), ("titel", "title")),
    "same instant, other offset": (with_metadata(when=datetime(2020, 1, 1, 22, tzinfo=UTC)), ("when",)),
    "bytes become text": (with_metadata(raw="\x01\x00"), ("raw",)),
    "integer rounded through a double": (with_metadata(big=float(2**60 + 1)), ("big",)),
    "sparse vector dropped": (without_words, ("vector:words",)),
    "sparse index shifted": (other_word, ("vector:words",)),
    "parts of a multi-vector swapped": (swapped_parts, ("vector:parts",)),
}


@pytest.mark.parametrize("corruption", CORRUPTIONS)
async def test_a_single_corruption_is_found_and_named(corruption: str) -> None:
    change, fields = CORRUPTIONS[corruption]
    async with pair(rows=60) as both:
        await both.edit(1, change)
        found = only(await both.diff())
    assert found.kind is DifferenceKind.DIFFERENT
    assert (found.namespace, found.source_namespace, found.source_id, found.target_id) == ("a", "a", 1, 1)
    assert found.fields == fields


async def test_negative_zero_is_not_zero() -> None:
    async with pair(rows=10, copied=False) as both:
        record = with_metadata(zero=0.0)(batch_of([1], "a"))
        assert not await both.source.upsert(record)
        await both.copy()
        assert (await both.diff()).passed
        await both.edit(1, negative_zero)
        assert only(await both.diff()).fields == ("zero",)


async def test_one_missing_record_is_named() -> None:
    async with pair() as both:
        await both.target.delete(["30"], "b")
        check = await both.diff()
    found = only(check)
    assert found == Difference(
        kind=DifferenceKind.MISSING, namespace="b", source_id="30", target_id="30", source_namespace="b"
    )
    assert (check.compared, check.identical) == (399, 399)
    assert check.metadata_fields["title"] == (400, 399)


@pytest.mark.parametrize("ours", [True, False])
async def test_one_extra_record_is_named_with_who_wrote_it(ours: bool) -> None:
    async with pair() as both:
        extra = replace(batch_of([1], "a"), ids=["foreign"])
        assert not await both.target.upsert(extra)
        if ours:
            both.written.add(("a", "foreign"))
        found = only(await both.diff())
    assert (found.kind, found.target_id, found.source_id) == (DifferenceKind.EXTRA, "foreign", None)
    assert found.written_by_us is ours


async def test_swapped_namespaces_are_found_although_every_count_is_right() -> None:
    async with pair(rows=30) as both:
        for name, other in (("a", "b"), ("b", "a")):
            moved = replace(batch_of([1], other), namespace=name)
            assert not await both.target.upsert(moved)
        check = await both.diff()
    assert (check.missing, check.extra, check.different) == (0, 0, 2)
    assert {(item.namespace, item.target_id) for item in check.differences} == {("a", 1), ("b", 1)}


async def test_a_record_in_the_wrong_namespace_is_missing_here_and_extra_there() -> None:
    async with pair(rows=30) as both:
        record = await both.target.fetch([1], "a")
        await both.target.delete([1], "a")
        assert not await both.target.upsert(replace(record, namespace="c"))
        check = await both.diff()
    assert [(item.kind, item.namespace) for item in check.differences] == [
        (DifferenceKind.MISSING, "a"),
        (DifferenceKind.EXTRA, "c"),
    ]


async def test_equal_counts_with_other_content_fail() -> None:
    async with pair(rows=50) as both:
        await both.target.delete([1], "a")
        assert not await both.target.upsert(replace(batch_of([1], "a"), ids=["1"]))
        check = await both.diff()
    assert [(item.kind, item.target_id) for item in check.differences] == [
        (DifferenceKind.MISSING, 1),
        (DifferenceKind.EXTRA, "1"),
    ]


async def test_known_rejects_are_neither_missing_nor_expected() -> None:
    async with pair() as both:
        await both.target.delete([1], "a")
        both.rejected.add(("a", id_key(1)))
        check = await both.diff()
        assert check.passed
        assert check.population == 399
        assert not await both.target.upsert(batch_of([1], "a"))
        assert only(await both.diff()).kind is DifferenceKind.EXTRA


async def test_a_source_record_that_cannot_be_mapped_and_is_no_known_reject_is_missing() -> None:
    short_ids = Limits.of(
        ids={"max_bytes": 10},
        metadata={"int_range": (-(2**63), 2**64 - 1)},
    ).to_json()
    async with pair(rows=20, rules=rules_of(target_limits=short_ids)) as both:
        assert not await both.source.upsert(replace(batch_of([1], "a"), ids=["x" * 11]))
        found = only(await both.diff())
        assert (found.kind, found.source_id, found.fields) == (
            DifferenceKind.MISSING,
            "x" * 11,
            ("(cannot be mapped: id)",),
        )
        both.rejected.add(("a", id_key("x" * 11)))
        assert (await both.diff()).passed


def turned(values: np.ndarray[Any, Any], cosine: float) -> np.ndarray[Any, Any]:
    """The vectors turned so that each has this cosine with what it was."""
    unit = values / np.linalg.norm(values, axis=1, keepdims=True)
    other = np.roll(unit, 1, axis=1)
    other -= (other * unit).sum(axis=1, keepdims=True) * unit
    other /= np.linalg.norm(other, axis=1, keepdims=True)
    return (cosine * unit + np.sqrt(1 - cosine**2) * other).astype(np.float32)


async def damaged_dense(both: Pair, change: Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]) -> None:
    for partition in await both.target.partitions(1):
        async for page in both.target.scan(partition, page_rows=500):
            column = page.batch.vectors["dense"]
            assert isinstance(column, DenseColumn)
            assert not await both.target.upsert(with_dense(page.batch, change(column.values)))


@pytest.mark.parametrize("compare", list(CompareClass))
async def test_a_vector_at_098_similarity_fails_in_every_compare_class(compare: CompareClass) -> None:
    async with pair(rows=40, schema=DENSE_ONLY, rules=dense_rules(compare, 1e-4)) as both:
        await damaged_dense(both, lambda values: turned(values, 0.985))
        check = await both.diff()
    assert check.different == 80
    assert check.vectors[0].below_floor == 0
    assert check.vectors[0].worst_similarity == pytest.approx(0.985, abs=1e-6)


async def test_below_the_floor_a_generous_bound_does_not_help() -> None:
    async with pair(rows=40, schema=DENSE_ONLY, rules=dense_rules(CompareClass.TOL, 10.0)) as both:
        await damaged_dense(both, lambda values: turned(values, 0.97) * np.linalg.norm(values, axis=1, keepdims=True))
        failing = await both.diff()
        passing = await both.diff(min_similarity=0.96)
    assert (failing.different, failing.vectors[0].below_floor, failing.within_bound) == (80, 80, 0)
    assert passing.passed
    assert passing.within_bound == 80


async def test_a_target_that_alters_every_vector_within_its_bound_passes_and_says_so() -> None:
    def rounded(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return values.astype(np.float16).astype(np.float32)

    async with pair(rows=300, schema=DENSE_ONLY, rules=dense_rules(CompareClass.TOL, 2.0**-11)) as both:
        await damaged_dense(both, rounded)
        check = await both.diff()
    assert check.passed
    assert (check.identical, check.within_bound, check.compared) == (0, 600, 600)
    vector = check.vectors[0]
    assert (vector.exact, vector.within_bound) == (0, 600)
    assert 0 < vector.worst_error <= 2.0**-11
    assert sum(count for _, count in vector.histogram) == 600


async def test_unit_vectors_may_differ_in_length_and_rounding_but_not_in_direction() -> None:
    async with pair(rows=50, schema=DENSE_ONLY, rules=dense_rules(CompareClass.UNIT)) as both:
        await damaged_dense(both, lambda v: (v / np.linalg.norm(v, axis=1, keepdims=True)).astype(np.float32))
        check = await both.diff()
        assert check.passed
        assert check.within_bound + check.identical == 100
        await damaged_dense(both, lambda v: turned(v, 1 - 1e-9))
        assert (await both.diff()).different == 100


async def test_exact_does_not_pass_what_unit_passes() -> None:
    async with pair(rows=50, schema=DENSE_ONLY, rules=dense_rules(CompareClass.EXACT)) as both:
        await damaged_dense(both, lambda v: (v / np.linalg.norm(v, axis=1, keepdims=True)).astype(np.float32))
        assert (await both.diff()).different == 100


async def test_a_limited_migration_compares_its_namespaces_only() -> None:
    async with pair(rows=30, namespaces=("a", "b"), copied=False) as both:
        both.plan = replace(both.plan, spec=replace(both.plan.spec, namespaces=("a",)), namespaces={"a": 30})
        await both.copy()
        assert not await both.target.upsert(replace(batch_of([7], "b"), namespace="other"))
        check = await both.diff()
    assert check.passed
    assert check.population == 30


async def test_a_vector_that_only_the_target_has_is_found() -> None:
    async with pair(rows=20) as both:
        assert not both.mapper.convert(batch_of([4], "a"))[0].batch.vectors["words"].valid.any()  # type: ignore[union-attr]
        words = batch_of([1], "a").vectors["words"]
        await both.edit(4, lambda batch: replace(batch, vectors={**batch.vectors, "words": words}))
        assert only(await both.diff()).fields == ("vector:words",)


async def test_a_vector_of_zeros_is_not_a_missing_vector() -> None:
    async with pair(rows=20, schema=DENSE_ONLY, rules=dense_rules(CompareClass.EXACT)) as both:
        zeros = DenseColumn(np.zeros((1, 16), np.float32))
        assert not await both.source.upsert(replace(batch_of([1], "a"), vectors={"dense": zeros}))
        assert not await both.target.upsert(replace(batch_of([1], "a"), vectors={}))
        found = only(await both.diff())
    assert (found.fields, found.similarity) == (("vector:dense",), 0.0)


async def test_in_an_exact_field_minus_zero_is_not_zero() -> None:
    def half_zero(sign: float) -> Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]:
        return lambda values: np.where(np.arange(values.shape[1]) < 8, np.float32(sign * 0.0), values)

    for compare, different in ((CompareClass.EXACT, 10), (CompareClass.UNIT, 0)):
        async with pair(rows=5, schema=DENSE_ONLY, rules=dense_rules(compare)) as both:
            for side, sign in (("source", 1.0), ("target", -1.0)):
                await damaged_dense(replace(both, target=getattr(both, side)), half_zero(sign))
            assert (await both.diff()).different == different


async def test_in_an_existing_collection_only_our_records_can_be_extra() -> None:
    async with pair(rows=30, copied=False) as both:
        both.created = False
        assert not await both.target.upsert(replace(batch_of([1, 2], "a"), ids=["theirs-1", "theirs-2"]))
        await both.copy()
        assert (await both.diff()).passed
        both.written.add(("a", "theirs-2"))
        found = only(await both.diff())
    assert (found.kind, found.target_id, found.written_by_us) == (DifferenceKind.EXTRA, "theirs-2", True)


async def test_in_an_existing_collection_damage_to_our_records_is_found() -> None:
    async with pair(rows=30, copied=False) as both:
        both.created = False
        assert not await both.target.upsert(replace(batch_of([1, 2], "a"), ids=["theirs-1", "theirs-2"]))
        await both.copy()
        await both.edit(1, one_ulp)
        await both.target.delete([2], "b")
        both.written.discard(("b", 4))  # an overwritten record is not in the journal
        check = await both.diff()
    assert [(item.kind, item.target_id) for item in check.differences] == [
        (DifferenceKind.DIFFERENT, 1),
        (DifferenceKind.MISSING, 2),
    ]


async def test_two_source_records_on_one_target_id_are_never_called_verified() -> None:
    async with pair(rows=10, copied=False) as both:
        both.mapper = type(both.mapper)(rules_of(id_strategy="text", sidecar=False, accepted_losses=("*",)))
        assert not await both.source.upsert(replace(batch_of([1], "a"), ids=["1"]))
        await both.copy()
        check = await both.diff()
    assert not check.passed


def few_buckets(namespace: str, keys: Sequence[bytes]) -> Any:
    return bucket_of(namespace, keys) & 7


class Killed(Exception):
    pass


async def test_a_comparison_that_is_killed_at_any_page_ends_with_the_same_result(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # as in a collection of many more records than buckets: several groups, and extras beside records of the source
    monkeypatch.setattr(resolve, "bucket_of", few_buckets)
    monkeypatch.setattr(diff, "bucket_of", few_buckets)
    monkeypatch.setattr(resolve, "GROUP_ROWS", 1)
    async with pair(rows=18) as both:
        for row in range(0, 18, 5):
            await both.edit(id_of(row), with_metadata(title="other"))
        await both.target.delete([1, 2], "b")
        assert not await both.target.upsert(replace(batch_of([1, 2], "a"), ids=["x1", "x3"]))
        whole = await both.diff()
        assert (whole.different, whole.missing, whole.extra) == (4, 2, 2)
        kills = 0
        while True:
            saved: list[bytes] = []
            die = die_after(kills)

            async def save(data: bytes, saved: list[bytes] = saved) -> None:
                saved.append(data)

            try:
                await both.diff(save=save, save_every=0.0, page_rows=9, listener=die)
                break
            except Killed:
                kills += 1
            # the last save is made on the way out, which a SIGKILL does not allow
            for progress in saved[-2:]:
                resumed = await both.diff(progress=progress, page_rows=9)
                assert replace(resumed, seconds=0.0) == replace(whole, seconds=0.0)
    assert kills > 20


def die_after(pages: int) -> Callable[[Event], None]:
    left = pages

    def listener(event: Event) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Killed

    return listener


async def test_a_comparison_goes_on_where_it_was_cancelled() -> None:
    saved: list[bytes] = []

    async def save(data: bytes) -> None:
        saved.append(data)

    async with pair(rows=90) as both:
        scope = anyio.CancelScope()
        seen = 0

        def cancel_later(event: Event) -> None:
            nonlocal seen
            seen += 1
            if seen == 5:
                scope.cancel()

        with scope:
            await both.diff(listener=cancel_later, save=save, save_every=3600.0, page_rows=20)
        assert scope.cancelled_caught
        assert len(saved) == 1
        first: list[Checking] = []
        check = await both.diff(progress=saved[0], page_rows=20, listener=lambda e: first.append(e))  # type: ignore[arg-type]
    assert check.passed
    assert first[0].done > 80


async def test_progress_of_another_plan_or_other_rejects_is_not_used() -> None:
    saved: list[bytes] = []

    async def save(data: bytes) -> None:
        saved.append(data)

    async with pair(rows=90) as both:
        await both.diff(save=save, save_every=0.0)
        await both.target.delete([1], "a")
        both.rejected.add(("a", id_key(2)))
        check = await both.diff(progress=saved[-1])
        assert (check.missing, check.extra) == (1, 1)
        assert not (await both.diff(progress=b"rubbish")).passed


async def test_more_differences_than_are_listed_are_still_counted_and_the_list_is_the_first_ones() -> None:
    async with pair(rows=200, namespaces=("a",)) as both:
        await both.target.delete([id_of(row) for row in range(200)], "a")
        check = await both.diff(limit=7)
    assert check.missing == 200
    keys = [id_key(item.target_id) for item in check.differences]
    assert keys == sorted(id_key(id_of(row)) for row in range(200))[:7]


async def test_extras_are_looked_for_in_groups_of_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    pages: list[Event] = []
    async with pair(rows=60) as both:
        # extras and source records share buckets, as in a collection of many more records than buckets
        monkeypatch.setattr(resolve, "bucket_of", few_buckets)
        monkeypatch.setattr(diff, "bucket_of", few_buckets)
        extras = [f"extra-{row}" for row in range(60)]
        assert not await both.target.upsert(replace(batch_of(range(60), "a"), ids=list(extras)))
        check = await both.diff(listener=pages.append)
        in_one = len(pages)
        monkeypatch.setattr(resolve, "GROUP_ROWS", 30)
        again = await both.diff(listener=pages.append)
    assert check.extra == again.extra == 60
    assert check.differences == again.differences
    assert {item.target_id for item in check.differences} == set(extras)
    assert len(pages) - in_one > in_one


ROWS = st.sets(st.integers(0, 39), max_size=12)


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(changed=ROWS, dropped=ROWS, added=ROWS, page_rows=st.integers(1, 50))
async def test_exactly_the_edited_records_are_reported(
    changed: set[int], dropped: set[int], added: set[int], page_rows: int
) -> None:
    async with pair(rows=40) as both:
        for row in changed - dropped:
            await both.edit(id_of(row), one_ulp if row % 2 else with_metadata(more=1))
        await both.target.delete([id_of(row) for row in dropped], "a")
        if added:
            extra = replace(batch_of(sorted(added), "a"), namespace="b", ids=[f"new{row}" for row in sorted(added)])
            assert not await both.target.upsert(extra)
        check = await both.diff(page_rows=page_rows)
    found = {(str(item.kind), item.namespace, item.target_id) for item in check.differences}
    assert found == {
        *(("different", "a", id_of(row)) for row in changed - dropped),
        *(("missing", "a", id_of(row)) for row in dropped),
        *(("extra", "b", f"new{row}") for row in added),
    }
    assert (check.different, check.missing, check.extra) == (len(changed - dropped), len(dropped), len(added))
    assert check.identical == 80 - len(changed | dropped)


class Losing(Mapper):
    """Forgets a field of one record, in what is written and in what is expected alike."""

    def convert(self, batch: RecordBatch) -> list[Mapped]:
        parts = super().convert(batch)
        for part in parts:
            for row, record_id in enumerate(part.batch.ids):
                if record_id == 7:
                    part.batch.metadata[row] = {**part.batch.metadata[row], "title": "overwritten"}
        return parts


@pytest.mark.parametrize("full", [True, False])
async def test_what_the_mapping_itself_loses_is_no_pass(full: bool) -> None:
    async with pair() as both:
        both.mapper = Losing(both.mapper.rules)
        await both.copy()
        sample = {key: value for key, value in both.arguments().items() if key not in ("created", "which_written")}
        check = await both.diff() if full else await sample_diff(**sample, size=400)
    assert not check.passed
    assert check.different == 2
    assert {item.fields for item in check.differences} == {("title (would not come back)",)}
    assert {item.source_id for item in check.differences} == {7}
