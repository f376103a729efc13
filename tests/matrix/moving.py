"""Migrations as an operator runs them, for the tests of pairs."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from tests.conformance.data import read_all
from tests.harness.base import Harness
from tests.natively import NativeRecord, can_read, read
from vectormigrate import Endpoint, MigrationRequest, RunOptions, Service, Status
from vectormigrate.engine.connect import open_endpoint
from vectormigrate.model.batch import RecordBatch
from vectormigrate.model.plan import MigrationPlan
from vectormigrate.model.schema import CollectionSchema

OPTIONS = RunOptions(batch_size=20, validate_every=3)


def endpoint(harness: Harness, collection: str) -> Endpoint:
    """The harness's collection as an operator would name it."""
    config = harness.config(collection)
    options = config.model_dump(exclude={"url", "api_key", "collection"}, exclude_defaults=True)
    return Endpoint(
        type=harness.adapter, url=config.url, api_key=config.api_key, collection=collection, options=options
    )


@asynccontextmanager
async def three_ends(source: Harness, target: Harness) -> AsyncGenerator[list[Endpoint]]:
    """Names for a collection, its copy on the target and its copy back; what is there afterwards is dropped."""
    ends = [endpoint(harness, harness.new_name()) for harness in (source, target, source)]
    try:
        yield ends
    finally:
        for end in ends:
            async with open_endpoint(end) as collection:
                await collection.drop()


async def fill(end: Endpoint, schema: CollectionSchema, batches: Sequence[RecordBatch]) -> None:
    """Make the collection and write these records, all of which it must take."""
    async with open_endpoint(end) as collection:
        await collection.create(replace(schema, name=end.collection))
        for batch in batches:
            assert await collection.upsert(batch) == []
        await collection.finalize()


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


async def content(end: Endpoint) -> object:
    """Every record of the collection, in a form that compares exactly."""
    async with open_endpoint(end) as collection:
        return await read_all(collection)
