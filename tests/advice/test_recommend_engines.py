"""A recommended schema is ready: every engine makes the collection, holds the sampled records, and has the indexes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from tests.advice.test_recommend_live import filled, recommended, rows
from tests.harness.base import Harness, all_harnesses
from vectormigrate.engine.connect import open_endpoint
from vectormigrate.mapping.convert.mapper import Mapper

# A profile of the reference adapter is narrower than the adapter, for which the recommendation is made.
ENGINES = [harness for harness in all_harnesses() if harness.adapter != "memory"]
HARNESSES = [pytest.param(harness, id=harness.name, marks=harness.marks) for harness in ENGINES]


@pytest.mark.parametrize("harness", HARNESSES)
def test_every_engine_makes_the_recommended_collection_with_its_indexes(harness: Harness, tmp_path: Path) -> None:
    reason = harness.unavailable()
    if reason:
        pytest.skip(reason)
    folder = tmp_path / "engine"
    folder.mkdir()
    with harness.running(folder):
        made, wanted = anyio.run(filled_as_recommended, harness, tmp_path)
    # Where everything can be filtered on, there are no indexes to list.
    assert made in (wanted, set())
    assert wanted >= {"when", "kind", "year", "tags"}


async def filled_as_recommended(harness: Harness, tmp_path: Path) -> tuple[set[str], set[str]]:
    """Indexes that the collection has, and those that were recommended."""
    source = await filled(rows(30))
    answer = await recommended(source, harness.adapter, tmp_path)
    assert answer.target_schema is not None
    assert answer.rules is not None
    name = harness.new_name()
    async with harness.open(name) as target:
        await target.create(replace(answer.target_schema, name=name))
        async with open_endpoint(source) as reading:
            (partition,) = await reading.partitions(1)
            pages = [page.batch async for page in reading.scan(partition)]
        for batch in pages:
            mapped = Mapper(answer.rules).convert(batch)[0]
            assert mapped.rejects == []
            assert await target.upsert(mapped.batch) == []
        await target.finalize()
        assert await target.count() == 30
        made = {item.name for item in (await target.describe()).fields if item.indexed}
        await target.drop()
    return made, {item.name for item in answer.target_schema.fields if item.indexed}
