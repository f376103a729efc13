"""A plan reads the source once, and decides the same however the reading goes."""

from __future__ import annotations

import gc
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.engine.faults import Faults, inject
from vectormigrate import Endpoint, MigrationRequest, RunOptions, Service, Status, open_service, registry
from vectormigrate.adapters.memory import register_profile
from vectormigrate.engine import planning, source_pages
from vectormigrate.engine.connect import open_endpoint
from vectormigrate.errors import ConfigError, PlanError
from vectormigrate.model.batch import DenseColumn, RecordBatch
from vectormigrate.model.ids import IdKind, RecordId
from vectormigrate.model.plan import MigrationPlan
from vectormigrate.model.schema import CollectionSchema, Metric, VectorField, VectorKind

pytestmark = pytest.mark.anyio

DIM = 4
TENANTS = [f"tenant {n:02}" for n in range(12)]
SCHEMA = CollectionSchema(
    name="",
    id_kinds=frozenset({IdKind.INT64}),
    vectors=(VectorField(name="v", kind=VectorKind.DENSE, dim=DIM, metric=Metric.DOT),),
)


@pytest.fixture
async def service(tmp_path: Path) -> AsyncGenerator[Service]:
    register_profile("typed", registry.load("weaviate").capabilities)
    async with open_service(state=tmp_path / "state.db") as service:
        yield service


@pytest.fixture
async def request_(tmp_path: Path) -> MigrationRequest:
    """Twelve tenants with three records each, to a database with typed columns: the plan needs two looks at them."""
    source = Endpoint(type="memory", url=f"memory://{tmp_path.name}", collection="source")
    target = replace(source, collection="Target", options={"profile": "typed"})
    async with open_endpoint(source) as collection:
        await collection.create(SCHEMA)
        for number, tenant in enumerate(TENANTS):
            ids: list[RecordId] = [10 * number, 10 * number + 1, 10 * number + 2]
            metadata = [{f"field {number}": value, "wide": 2**60} for value in ("text", 7, 1.5)]
            vectors = {"v": DenseColumn(np.ones((3, DIM), np.float32))}
            assert await collection.upsert(RecordBatch(tenant, ids, vectors, metadata)) == []
    return MigrationRequest(id="job", source=source, target=target)


def decided(plan: MigrationPlan) -> object:
    """The plan without what measures or chance put into it."""
    schema = replace(plan.target_schema, note={**(plan.target_schema.note or {}), "token": ""})
    return replace(plan, seconds_estimate=None, target_schema=schema)


async def test_every_page_of_the_source_is_read_once(
    service: Service, request_: MigrationRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = Faults()
    inject(monkeypatch, "source", faults)
    await service.plan(request_)
    timing = 1  # one page with its vectors, to tell how long the copy will take
    assert faults.calls["scan"] == len(TENANTS) + timing


@pytest.mark.parametrize("bound", ["KEPT_BYTES", "KEPT_ROWS"])
async def test_a_source_too_large_to_keep_is_read_again_with_the_same_result(
    service: Service, request_: MigrationRequest, bound: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = await service.plan(request_)
    monkeypatch.setattr(source_pages, bound, 20)
    faults = Faults()
    inject(monkeypatch, "source", faults)
    again = await service.plan(replace(request_, fresh=True))
    assert faults.calls["scan"] == 2 * len(TENANTS) + 1
    assert decided(again) == decided(kept)


async def test_a_plan_that_ends_early_leaves_nothing_open(
    service: Service, request_: MigrationRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PlanError("stopped here")

    monkeypatch.setattr(planning, "_check_round_trip", refuse)
    with pytest.raises(PlanError, match="stopped here"):
        await service.plan(request_)
    gc.collect()


async def test_a_plan_does_not_depend_on_which_partition_was_read_first(
    service: Service, request_: MigrationRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = await service.plan(request_)
    inject(monkeypatch, "source", Faults(scan=lambda page: "slow" if page % 3 else None))
    assert decided(await service.plan(replace(request_, fresh=True))) == decided(plain)


async def test_a_limit_of_records_is_kept_and_said(service: Service, request_: MigrationRequest) -> None:
    plan = await service.plan(replace(request_, profile_limit=12))
    assert plan.profiled_records == 12
    (warning,) = [text for text in plan.warnings if "rests on 12 of 36 records" in text]
    assert "becomes a reject" in warning


async def test_a_limit_below_the_number_of_namespaces_leaves_some_of_them_unread(
    service: Service, request_: MigrationRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = Faults()
    inject(monkeypatch, "source", faults)
    plan = await service.plan(replace(request_, profile_limit=4))
    assert plan.profiled_records == 4
    read = {item.source_field for item in plan.field_mappings} - {"wide"}
    assert read == {"field 0", "field 3", "field 6", "field 9"}


async def test_a_field_of_unread_records_alone_is_in_the_sidecar_as_the_plan_says(
    service: Service, request_: MigrationRequest
) -> None:
    async with open_endpoint(request_.source) as collection:
        vectors = {"v": DenseColumn(np.ones((1, DIM), np.float32))}
        assert await collection.upsert(RecordBatch(TENANTS[0], [9], vectors, [{"late": "x"}])) == []
    request = replace(request_, profile_limit=12)
    plan = await service.plan(request)
    assert "late" not in {item.name for item in plan.target_schema.fields}
    assert any("no column: only the sidecar keeps it" in text for text in plan.warnings)
    assert (await service.migrate(request, RunOptions())).status is Status.COMPLETED
    async with open_endpoint(request.target) as target:
        (partition,) = await target.partitions(1, [plan.rules.namespaces.get(TENANTS[0], TENANTS[0])])
        async with aclosing(target.scan(partition)) as pages:
            rows = [row async for page in pages for row in page.batch.metadata]
    (row,) = [row for row in rows if row["_vm_id"] == "9"]
    assert row.keys() == {"_vm_id", "_vm_origin"}
    assert '["a","late",' in str(row["_vm_origin"])


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", "é", "x" * 65])
async def test_an_id_that_means_something_else_in_a_path_is_refused(
    service: Service, request_: MigrationRequest, name: str
) -> None:
    with pytest.raises(ConfigError, match="cannot be the id of a migration: 1 to 64"):
        await service.migrate(replace(request_, id=name))
