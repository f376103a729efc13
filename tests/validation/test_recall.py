"""Search parity: exact answers, ties, filled vectors, and sides that cannot search."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.validation.support import DIM, SCHEMA, Pair, batch_of, id_of, pair, rules_of, with_dense
from vectormigrate.adapter import Hits
from vectormigrate.errors import InvalidRequest, Unavailable
from vectormigrate.model.batch import DenseColumn, SparseColumn
from vectormigrate.model.plan import VectorMapping
from vectormigrate.model.schema import DType, Metric
from vectormigrate.model.status import SearchCheck
from vectormigrate.validation.exact import DenseQueries, Nearest, SparseQueries
from vectormigrate.validation.recall import overlap, search_parity

pytestmark = pytest.mark.anyio

DENSE_ONLY = replace(SCHEMA, vectors=SCHEMA.vectors[:1])


async def parity(both: Pair, **options: Any) -> dict[tuple[str, str], SearchCheck]:
    arguments: dict[str, Any] = {
        "source": both.source,
        "target": both.target,
        "mapper": both.mapper,
        "plan": both.plan,
        "queries": 8,
        "page_rows": 30,
        **options,
    }
    checks = await search_parity(**arguments)
    return {(check.vector, check.namespace): check for check in checks}


class Altered:
    """A real collection whose search answers are changed on the way out."""

    def __init__(self, inner: Any, change: Callable[[list[Hits]], list[Hits]]) -> None:
        self.inner, self.change = inner, change

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def search(self, vector: str, queries: Any, k: int, namespace: str) -> list[Hits]:
        return self.change(await self.inner.search(vector, queries, k, namespace))


async def test_a_faithful_copy_with_exact_search_is_perfect_for_dense_and_sparse_in_every_namespace() -> None:
    async with pair(rows=120) as both:
        checks = await parity(both)
    assert set(checks) == {(name, place) for name in ("dense", "parts", "words") for place in ("a", "b")}
    for (name, _), check in checks.items():
        if name == "parts":
            assert (check.queries, check.note) == (0, "multi-vector fields are compared by the diff only")
            continue
        assert check.queries == 8
        figures = (check.recall_source, check.recall_target, check.overlap, check.overlap_exact, check.worst_overlap)
        assert figures == (1, 1, 1, 1, 1)
        assert check.per_query_overlap == (1.0,) * 8


@pytest.mark.parametrize("metric", [Metric.COSINE, Metric.DOT, Metric.L2, Metric.L1])
async def test_brute_force_agrees_with_an_exact_engine_in_every_metric(metric: Metric) -> None:
    schema = replace(DENSE_ONLY, vectors=(replace(DENSE_ONLY.vectors[0], metric=metric),))
    rules = rules_of(VectorMapping(source="dense", target="dense", dtype="float32"))
    async with pair(rows=150, namespaces=("a",), schema=schema, rules=rules) as both:
        both.plan = replace(both.plan, source_schema=schema, target_schema=schema)
        check = (await parity(both))["dense", "a"]
    assert (check.recall_source, check.recall_target, check.overlap_exact) == (1, 1, 1)


@pytest.mark.parametrize("metric", [Metric.HAMMING, Metric.JACCARD])
async def test_brute_force_agrees_with_an_exact_engine_on_packed_bits(metric: Metric) -> None:
    field = replace(DENSE_ONLY.vectors[0], metric=metric, dtype=DType.BITS, dim=64)
    schema = replace(DENSE_ONLY, vectors=(field,))
    rules = rules_of(VectorMapping(source="dense", target="dense", dtype="bits"))
    bits = np.random.default_rng(3).integers(0, 256, (90, 8), dtype=np.uint8)
    async with pair(rows=0, namespaces=(), schema=schema, rules=rules, copied=False) as both:
        both.plan = replace(both.plan, source_schema=schema, target_schema=schema)
        batch = replace(batch_of(range(90), "a"), vectors={"dense": DenseColumn(bits, DType.BITS)})
        assert not await both.source.upsert(batch)
        await both.copy()
        check = (await parity(both))["dense", "a"]
    assert (check.queries, check.recall_source, check.recall_target, check.overlap) == (8, 1, 1, 1)


async def test_an_engine_that_misses_half_of_the_neighbours_has_half_the_recall() -> None:
    def halved(answers: list[Hits]) -> list[Hits]:
        return [Hits(hits.ids[::2], hits.scores[::2]) for hits in answers]

    async with pair(rows=100, namespaces=("a",)) as both:
        both.target = Altered(both.target, halved)  # type: ignore[assignment]
        check = (await parity(both))["dense", "a"]
    assert (check.recall_source, check.recall_target) == (1, 0.5)
    assert (check.overlap, check.overlap_exact, check.worst_overlap) == (0.5, 1, 0.5)


async def test_ids_that_do_not_exist_or_repeat_are_no_hits() -> None:
    def invented(answers: list[Hits]) -> list[Hits]:
        return [Hits([hits.ids[0]] * 5 + ["no such id"] * 5, hits.scores) for hits in answers]

    async with pair(rows=100, namespaces=("a",)) as both:
        both.target = Altered(both.target, invented)  # type: ignore[assignment]
        check = (await parity(both))["dense", "a"]
    assert check.recall_target == pytest.approx(0.1)
    assert check.overlap == pytest.approx(0.1)


async def test_damaged_vectors_show_in_the_overlap_of_the_exact_answers() -> None:
    async with pair(rows=100, namespaces=("a",)) as both:
        shuffled = batch_of(range(100), "a")
        column = shuffled.vectors["dense"]
        assert isinstance(column, DenseColumn)
        assert not await both.target.upsert(with_dense(shuffled, column.values[::-1].copy()))
        check = (await parity(both))["dense", "a"]
    assert (check.recall_source, check.recall_target) == (1, 1)
    assert check.overlap_exact < 0.5


async def test_ties_count_as_hits_whichever_of_them_an_engine_returns() -> None:
    def other_end(answers: list[Hits]) -> list[Hits]:
        every = [id_of(row) for row in range(60)]
        return [Hits([item for item in every if item not in hits.ids][:10], hits.scores) for hits in answers]

    async with pair(rows=60, namespaces=("a",), copied=False) as both:
        same = np.tile(np.arange(1, DIM + 1, dtype=np.float32), (60, 1))
        assert not await both.source.upsert(with_dense(batch_of(range(60), "a"), same))
        await both.copy()
        both.target = Altered(both.target, other_end)  # type: ignore[assignment]
        check = (await parity(both))["dense", "a"]
    assert (check.recall_target, check.overlap, check.overlap_exact) == (1, 1, 1)


@pytest.mark.parametrize("sidecar", [True, False])
async def test_zeros_that_fill_missing_vectors_are_no_neighbours(sidecar: bool) -> None:
    schema = replace(DENSE_ONLY, vectors=(replace(DENSE_ONLY.vectors[0], metric=Metric.L2),))
    dense = VectorMapping(source="dense", target="dense", dtype="float32", fill=True)
    rules = rules_of(dense, sidecar=sidecar, accepted_losses=() if sidecar else ("vector-missing",))
    batch = batch_of(range(60), "a")
    column = batch.vectors["dense"]
    assert isinstance(column, DenseColumn)
    # for L2 the zero vector is nearer to every query than any of these
    valid = np.arange(60) < 20
    values = np.where(valid[:, None], column.values * 10, 0).astype(np.float32)
    async with pair(rows=0, namespaces=(), schema=schema, rules=rules, copied=False) as both:
        both.plan = replace(both.plan, source_schema=schema, target_schema=schema)
        assert not await both.source.upsert(replace(batch, vectors={"dense": DenseColumn(values, valid=valid)}))
        await both.copy()
        check = (await parity(both))["dense", "a"]
    assert (check.recall_source, check.overlap_exact) == (1, 1)
    assert check.recall_target < 0.3


async def test_a_namespace_with_fewer_than_k_records_is_fine() -> None:
    async with pair(rows=4, namespaces=("a",)) as both:
        checks = await parity(both)
    assert checks["dense", "a"].recall_target == 1
    assert checks["dense", "a"].queries == 4
    assert checks["words", "a"].overlap == 1


async def test_a_side_that_cannot_search_a_field_is_a_note_and_not_a_failure() -> None:
    def refuse(answers: list[Hits]) -> list[Hits]:
        raise InvalidRequest("no index")

    async with pair(rows=20, namespaces=("a",)) as both:
        both.target = Altered(both.target, refuse)  # type: ignore[assignment]
        check = (await parity(both))["dense", "a"]
    assert check.queries == 0
    assert check.note == "the target cannot search this field: no index"


async def test_a_lost_connection_is_not_a_note() -> None:
    def vanish(answers: list[Hits]) -> list[Hits]:
        raise Unavailable("gone")

    async with pair(rows=20, namespaces=("a",)) as both:
        both.target = Altered(both.target, vanish)  # type: ignore[assignment]
        with pytest.raises(Unavailable):
            await parity(both)


async def test_only_the_largest_namespaces_are_searched_and_the_rest_is_mentioned() -> None:
    async with pair(rows=6, namespaces=("a", "b", "c")) as both:
        assert not await both.source.upsert(batch_of(range(6, 12), "b"))
        checks = await parity(both, max_namespaces=1)
    assert {place for _, place in checks} == {"b"}
    assert "2 smaller namespaces were not searched" in checks["dense", "b"].note


async def test_renamed_fields_namespaces_and_derived_ids_are_followed() -> None:
    dense = VectorMapping(source="dense", target="embedding", dtype="float32")
    rules = rules_of(dense, id_strategy="uuid5", namespaces={"a": "z"})
    there = replace(DENSE_ONLY, vectors=(replace(DENSE_ONLY.vectors[0], name="embedding"),))
    async with pair(rows=60, namespaces=("a",), schema=DENSE_ONLY, target_schema=there, rules=rules) as both:
        both.plan = replace(both.plan, source_schema=DENSE_ONLY, target_schema=there)
        check = (await parity(both))["embedding", "a"]
    assert (check.recall_target, check.overlap, check.overlap_exact) == (1, 1, 1)


async def test_equal_seeds_ask_equal_queries() -> None:
    asked: list[Any] = []

    class Listening(Altered):
        async def search(self, vector: str, queries: Any, k: int, namespace: str) -> list[Hits]:
            asked.append(np.asarray(queries).copy())
            return await self.inner.search(vector, queries, k, namespace)

    rules = rules_of(VectorMapping(source="dense", target="dense", dtype="float32"))
    async with pair(rows=40, namespaces=("a",), schema=DENSE_ONLY, rules=rules) as both:
        both.source = Listening(both.source, list)  # type: ignore[assignment]
        for seed in (5, 5, 6):
            await parity(both, seed=seed)
    assert np.array_equal(asked[0], asked[1])
    assert not np.array_equal(asked[0], asked[2])


def test_streaming_finds_what_sorting_everything_finds() -> None:
    rng = np.random.default_rng(0)
    values = rng.standard_normal((500, 8)).astype(np.float32)
    queries = DenseQueries(rng.standard_normal((7, 8)).astype(np.float32), Metric.L2, DType.FLOAT32)
    nearest = Nearest(queries, 10, [set() for _ in range(7)])
    for start in range(0, 500, 33):
        rows = range(start, min(500, start + 33))
        nearest.add(list(rows), DenseColumn(values[rows.start : rows.stop]))
    for number in range(7):
        distance = ((values.astype(np.float64) - queries.values[number].astype(np.float64)) ** 2).sum(axis=1)
        assert [key for _, key in nearest.best[number]] == np.argsort(distance)[:10].tolist()


def test_sparse_rows_without_a_shared_index_are_no_candidates() -> None:
    queries = SparseQueries([(np.array([3, 9], np.uint32), np.array([1, 2], np.float32))])
    column = SparseColumn(
        np.array([0, 1, 2, 4, 4], np.int64),
        np.array([9, 5, 3, 9], np.uint32),
        np.array([0.5, 7, 1, -1], np.float32),
    )
    assert queries.scores(column).tolist() == [[1.0, -np.inf, -1.0, -np.inf]]


Scored = tuple[str, float | None, float | None]
A, B, C = ("a", 1.0, 1.0), ("b", 0.5, 0.5), ("c", 0.5, 0.5)


@pytest.mark.parametrize(
    ("ours", "theirs", "tie", "wanted"),
    [
        ([], [], 0.1, 1.0),
        ([A, B], [B, A], 0.0, 1.0),
        ([A, B], [A, C], 0.0, 1.0),
        ([A, B], [A, ("c", 0.5, 0.4)], 0.05, 0.5),
        ([A, B], [A, ("c", 0.4, 0.5)], 0.05, 0.5),
        ([A, B], [A, C], None, 0.5),
        ([A, B], [A], 0.0, 0.5),
        ([A, ("b", 0.5, None)], [A, ("c", 0.5, None)], 0.0, 0.5),
        ([A, B, ("d", 0.5, 0.5)], [A, C, ("e", 0.1, 0.1)], 0.0, 2 / 3),
    ],
)
def test_overlap_counts_equal_records_and_records_that_tie_on_both_sides(
    ours: list[Scored], theirs: list[Scored], tie: float | None, wanted: float
) -> None:
    assert overlap(ours, theirs, tie) == pytest.approx(wanted)
