"""Every pair moves the nasty dataset, proves it, and brings it home unchanged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.conformance.data import read_all
from tests.harness.base import Harness
from tests.matrix.nasty import batches, schema
from tests.natively import NativeRecord, can_read, read
from tests.natively.oracle import check, shown
from vectormigrate import Endpoint, MigrationRequest, RunOptions, Service, Status, open_service
from vectormigrate.engine.connect import open_endpoint
from vectormigrate.model.plan import MigrationPlan, Outcome
from vectormigrate.model.schema import Metric

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]

OPTIONS = RunOptions(batch_size=16, validate_every=3)


def endpoint(harness: Harness, collection: str) -> Endpoint:
    """The harness's collection as an operator would name it."""
    config = harness.config(collection)
    options = config.model_dump(exclude={"url", "api_key", "collection"}, exclude_defaults=True)
    return Endpoint(
        type=harness.adapter, url=config.url, api_key=config.api_key, collection=collection, options=options
    )


async def copy(service: Service, name: str, source: Endpoint, target: Endpoint) -> MigrationPlan:
    """Migrate, accepting what must be accepted, and compare every record."""
    request = MigrationRequest(id=name, source=source, target=target)
    plan = await service.plan(request)
    accepted = tuple(plan.unaccepted)
    status = await service.migrate(replace(request, accepted_losses=accepted), OPTIONS)
    assert status.status is Status.COMPLETED
    assert status.rejected_records == 0, await service.rejects(name)
    assert status.migrated_records == plan.total_records
    report = await service.validate(name, full=True, queries=5)
    assert report.passed, report
    assert report.diff is not None
    assert report.diff.compared == plan.total_records
    return plan


async def natively(end: Endpoint) -> list[NativeRecord] | None:
    """The records as the vendor's own client shows them, None where there is none."""
    return await read(end) if can_read(end) else None


@pytest.mark.parametrize("metric", [Metric.COSINE, Metric.L2])
async def test_a_nasty_collection_comes_home_unchanged(
    pair: tuple[Harness, Harness], metric: Metric, tmp_path: Path
) -> None:
    source, target = pair
    name = source.new_name()
    ends = [endpoint(source, name), endpoint(target, target.new_name()), endpoint(source, source.new_name())]
    async with open_endpoint(ends[0]) as collection:
        caps = collection.capabilities
        wanted = replace(schema(source, metric), name=name)
        await collection.create(wanted)
        data = batches(source, wanted)
        for batch in data:
            assert await collection.upsert(batch) == []
        await collection.finalize()
        before, shape = await read_all(collection), await collection.describe()
    try:
        own = await natively(ends[0])
        async with open_service(state=tmp_path / "state.db") as service:
            plan = await copy(service, "there", ends[0], ends[1])
            lost = {loss.name for loss in plan.losses if loss.outcome is Outcome.LOSS}
            assert {loss.partition(":")[0] for loss in lost} <= {"vector-field", "metric"}
            there = await natively(ends[1])
            if there is not None:
                names = {item.source: item.target for item in plan.rules.vectors}
                units = caps.normalises_cosine and metric is Metric.COSINE
                assert check(data, there, names, units=units) == []
            await copy(service, "back", ends[1], ends[2])
        home = await natively(ends[2])
        if own is not None and home is not None and not any(loss.startswith("vector-field") for loss in lost):
            assert shown(home) == shown(own)
        async with open_endpoint(ends[2]) as collection:
            after, back = await read_all(collection), await collection.describe()
    finally:
        for end in ends:
            async with open_endpoint(end) as collection:
                await collection.drop()
    gone = {loss.partition(":")[2] for loss in lost if loss.startswith("vector-field:")}
    kinds = {item.name: item.kind for item in shape.vectors}
    unmade = {name for name in gone if kinds[name] in caps.vectors_required}
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
