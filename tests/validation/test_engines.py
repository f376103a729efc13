"""The checks on two collections of each real embedded engine."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from tests.harness.base import Harness, all_harnesses
from tests.validation.support import Pair, plan_of, rules_of
from vectormigrate.mapping.convert.mapper import Mapper
from vectormigrate.model.batch import DenseColumn, RecordBatch
from vectormigrate.model.ids import IdKind, RecordId
from vectormigrate.model.plan import VectorMapping
from vectormigrate.model.status import DifferenceKind
from vectormigrate.validation.counts import count_check
from vectormigrate.validation.recall import search_parity
from vectormigrate.validation.repair import repair
from vectormigrate.validation.sample import sample_diff

pytestmark = pytest.mark.anyio

DIM = 32
ROWS = 300


@pytest.fixture(
    scope="module",
    params=[pytest.param(item, id=item.name) for item in all_harnesses() if not item.marks and item.name != "memory"],
)
def harness(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator[Harness, None, None]:
    chosen: Harness = request.param
    reason = chosen.unavailable()
    if reason is not None:
        pytest.skip(reason)
    with chosen.running(tmp_path_factory.mktemp(chosen.name)):
        yield chosen


def record_ids(harness: Harness) -> list[RecordId]:
    makers: dict[IdKind, Callable[[int], RecordId]] = {
        IdKind.STRING: "record {}".format,
        IdKind.UUID: lambda row: UUID(int=row << 64),
    }
    make = makers.get(harness.id_kind(), int)
    return [make(row) for row in range(1, ROWS + 1)]


@asynccontextmanager
async def copied(harness: Harness) -> AsyncGenerator[Pair]:
    field = harness.vector("dense", dim=DIM)
    rules = rules_of(VectorMapping(source=field.name, target=field.name, dtype=field.dtype))
    metadata: list[Any] = [{"n": row, "text": f"text {row} é", "ratio": row / 7 + 0.05} for row in range(ROWS)]
    schema = harness.schema(field, samples=metadata[:1])
    async with harness.fresh(schema) as source, harness.fresh(schema) as target:
        values = np.random.default_rng(1).standard_normal((ROWS, DIM), dtype=np.float32)
        batch = RecordBatch("", record_ids(harness), {field.name: DenseColumn(values)}, metadata)
        plan = plan_of(rules, {"": ROWS})
        schemas = await source.describe(), await target.describe()
        plan = replace(plan, source_schema=schemas[0], target_schema=schemas[1])
        for side in (source, target):
            assert not await side.upsert(batch)
            await side.finalize()
        both = Pair(source=source, target=target, mapper=Mapper(rules), plan=plan)
        both.written = {("", record_id) for record_id in batch.ids}
        yield both


async def test_a_copy_is_identical_counted_sampled_and_searched_alike(harness: Harness) -> None:
    async with copied(harness) as both:
        sides: dict[str, Any] = {name: getattr(both, name) for name in ("source", "target", "mapper", "plan")}
        diff = await both.diff(page_rows=70)
        counts = await count_check(**both.arguments())
        sample = await sample_diff(**sides, size=50)
        search = (await search_parity(**sides, queries=10))[0]
    assert diff.passed
    assert (diff.identical, diff.vectors[0].exact) == (ROWS, ROWS)
    assert [(check.source, check.target) for check in counts] == [(ROWS, ROWS)]
    assert (sample.compared, sample.passed) == (50, True)
    assert search.overlap_exact == 1
    assert min(search.recall_source, search.recall_target) > 0.9


async def test_damage_is_found_named_and_repaired(harness: Harness) -> None:
    ids = record_ids(harness)
    async with copied(harness) as both:
        record = await both.target.fetch([ids[5]], "")
        (name,) = record.vectors
        column = record.vectors[name]
        assert isinstance(column, DenseColumn)
        values = column.values.copy()
        values[0, 0] = np.nextafter(values[0, 0], np.float32(9))
        assert not await both.target.upsert(replace(record, vectors={name: DenseColumn(values)}))
        other = await both.target.fetch([ids[6]], "")
        assert not await both.target.upsert(replace(other, metadata=[{**other.metadata[0], "n": 65}]))
        await both.target.delete([ids[7]], "")
        extras: dict[type, RecordId] = {str: "extra", UUID: UUID(int=9_999), int: 9_999}
        extra = extras[type(ids[0])]
        assert not await both.target.upsert(replace(other, ids=[extra]))
        both.written.add(("", extra))
        await both.target.finalize()
        diff = await both.diff(page_rows=70)
        result = await repair(**both.arguments(), first=diff, compare_again=lambda: both.diff(page_rows=70))
    found = {item.target_id: (item.kind, item.fields) for item in diff.differences}
    assert found == {
        ids[5]: (DifferenceKind.DIFFERENT, (f"vector:{name}",)),
        ids[6]: (DifferenceKind.DIFFERENT, ("n",)),
        ids[7]: (DifferenceKind.MISSING, ()),
        extra: (DifferenceKind.EXTRA, ()),
    }
    assert (result.repaired, result.deleted, result.refused) == (3, 1, ())
    assert result.diff.passed
