"""Search with the database's own index."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.conformance.data import batch, ids_of, namespaces, write
from tests.conformance.requirements import requirement
from tests.harness.base import Harness
from vectormigrate.adapter import Hits
from vectormigrate.model.batch import SparseColumn, VectorColumn
from vectormigrate.model.schema import DType, Metric, VectorKind

pytestmark = pytest.mark.anyio

FORMS = [
    (VectorKind.DENSE, DType.FLOAT32, [Metric.COSINE, Metric.DOT, Metric.L2, Metric.L1]),
    (VectorKind.DENSE, DType.BITS, [Metric.HAMMING, Metric.JACCARD]),
    (VectorKind.SPARSE, DType.FLOAT32, [Metric.DOT]),
    (VectorKind.MULTI, DType.FLOAT32, [Metric.COSINE, Metric.DOT]),
]
CASES = [(kind, dtype, metric) for kind, dtype, metrics in FORMS for metric in metrics]


def queries_from(column: VectorColumn, rows: list[int]) -> Any:
    """The stored vectors of these rows (of several vectors the first) as queries."""
    if isinstance(column, SparseColumn):
        spans = [slice(int(column.offsets[row]), int(column.offsets[row + 1])) for row in rows]
        return [(column.indices[span], column.values[span]) for span in spans]
    starts = getattr(column, "offsets", np.arange(len(column)))
    return np.ascontiguousarray(column.values[starts[rows]])


@requirement("search:finds-the-nearest")
@pytest.mark.parametrize(("kind", "dtype", "metric"), CASES)
async def test_the_nearest_record_comes_first(harness: Harness, kind: VectorKind, dtype: DType, metric: Metric) -> None:
    if not harness.supports(kind, dtype) or metric not in harness.metrics(kind, dtype):
        pytest.skip(f"the database has no {metric} for {kind} vectors of {dtype}")
    schema = harness.schema(harness.vector(kind=kind, dtype=dtype, dim=32, metric=metric))
    async with harness.fresh(schema) as target:
        records = batch(schema, ids_of(schema, range(80)))
        column = records.vectors[schema.vectors[0].name]
        if dtype is DType.FLOAT32 and not isinstance(column, SparseColumn):
            column.values[:] /= np.linalg.norm(column.values, axis=1, keepdims=True)
        elif isinstance(column, SparseColumn):
            lengths = np.sqrt(np.add.reduceat(column.values**2, column.offsets[:-1]))
            column.values[:] /= np.repeat(lengths, np.diff(column.offsets))
        await write(target, records)
        await target.finalize()
        rows = [0, 33, 79]
        answers = await target.search(schema.vectors[0].name, queries_from(column, rows), 5, "")
    assert [answer.ids[0] for answer in answers] == [records.ids[row] for row in rows]
    for answer in answers:
        check(answer, 1 if kind is VectorKind.SPARSE else 5)


def check(answer: Hits, least: int) -> None:
    """Different ids, scores in one direction."""
    assert least <= len(answer.ids) <= 5
    assert len(set(answer.ids)) == len(answer.ids) == len(answer.scores)
    assert answer.scores in (sorted(answer.scores), sorted(answer.scores, reverse=True))


@requirement("search:within-namespace")
async def test_search_stays_in_its_namespace(harness: Harness) -> None:
    schema = harness.schema(harness.vector(metric=Metric.COSINE), divided=harness.capabilities.namespaces.declared)
    async with harness.fresh(schema) as target:
        names = namespaces(target, 3)
        if len(names) < 2:
            pytest.skip("the database has no namespaces")
        for number, name in enumerate(names):
            await write(target, batch(schema, ids_of(schema, range(number * 10, number * 10 + 10)), namespace=name))
        await target.finalize()
        query = np.ones((1, 8), np.float32)
        for number, name in enumerate(names):
            (answer,) = await target.search(schema.vectors[0].name, query, 50, name)
            assert set(answer.ids) == set(ids_of(schema, range(number * 10, number * 10 + 10)))
