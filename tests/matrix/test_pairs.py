"""Every pair moves the nasty dataset, proves it, and brings it home unchanged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.conformance.data import read_all
from tests.harness.base import Harness
from tests.matrix.moving import copy, fill, natively, three_ends
from tests.matrix.nasty import batches, schema
from tests.natively.oracle import check, shown
from vectormigrate import open_service
from vectormigrate.engine.connect import open_endpoint
from vectormigrate.model.plan import Outcome
from vectormigrate.model.schema import Metric

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]


@pytest.mark.parametrize("metric", [Metric.COSINE, Metric.L2])
async def test_a_nasty_collection_comes_home_unchanged(
    pair: tuple[Harness, Harness], metric: Metric, tmp_path: Path
) -> None:
    source, target = pair
    caps = source.capabilities
    wanted = schema(source, metric)
    data = batches(source, wanted)
    async with three_ends(source, target) as ends:
        await fill(ends[0], wanted, data)
        async with open_endpoint(ends[0]) as collection:
            before, shape = await read_all(collection), await collection.describe()
        own = await natively(ends[0])
        async with open_service(state=tmp_path / "state.db") as service:
            plan = await copy(service, "there", ends[0], ends[1])
            lost = {loss.name for loss in plan.losses if loss.outcome is Outcome.LOSSY}
            assert {loss.partition(":")[0] for loss in lost} <= {"vector-field", "metric"}
            there = await natively(ends[1])
            if there is not None:
                names = {item.source: item.target for item in plan.rules.vectors}
                units = caps.vectors.normalises_cosine and metric is Metric.COSINE
                assert check(data, there, names, units=units) == []
            await copy(service, "back", ends[1], ends[2])
        home = await natively(ends[2])
        if own is not None and home is not None and not any(loss.startswith("vector-field") for loss in lost):
            assert shown(home) == shown(own)
        async with open_endpoint(ends[2]) as collection:
            after, back = await read_all(collection), await collection.describe()
    gone = {loss.partition(":")[2] for loss in lost if loss.startswith("vector-field:")}
    kinds = {item.name: item.kind for item in shape.vectors}
    unmade = {name for name in gone if kinds[name] in caps.vectors.required}
    before = {
        key: (metadata, {field: None if field in gone else value for field, value in vectors.items()})
        for key, (metadata, vectors) in before.items()
    }
    if unmade:
        # The settings of a lost field are lost with it.
        before = {
            key: (row, {k: v for k, v in vectors.items() if k not in unmade}) for key, (row, vectors) in before.items()
        }
        shape = replace(shape, vectors=tuple(item for item in shape.vectors if item.name not in unmade), extras={})
        back = replace(back, extras={})
    assert after == before
    assert replace(back, name="", note=None) == replace(shape, name="", note=None)
