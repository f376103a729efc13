"""Pairs with less common collections: empty ones, one record, records that are too large, every storage type."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.conformance.data import batch, ids_of
from tests.harness.base import Harness
from tests.matrix.moving import OPTIONS, content, copy, endpoint, fill, three_ends
from vectormigrate import Endpoint, MigrationRequest, Status, open_service
from vectormigrate.engine.connect import open_endpoint
from vectormigrate.errors import CollectionNotFound, PlanError
from vectormigrate.model.batch import Metadata
from vectormigrate.model.ids import id_key
from vectormigrate.model.plan import Outcome
from vectormigrate.model.schema import DType, Metric, VectorField, VectorKind

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]

FORMS = [
    *((VectorKind.DENSE, dtype, None) for dtype in DType if dtype is not DType.FLOAT32),
    *((VectorKind.DENSE, dtype, Metric.COSINE) for dtype in DType if dtype is not DType.BITS),
    (VectorKind.MULTI, DType.FLOAT32, None),
    (VectorKind.MULTI, DType.FLOAT16, Metric.COSINE),
]


async def shape(end: Endpoint) -> tuple[VectorField, ...]:
    async with open_endpoint(end) as collection:
        return (await collection.describe()).vectors


@pytest.mark.parametrize("count", [0, 1])
async def test_an_empty_collection_and_one_of_one_record_come_home(
    pair: tuple[Harness, Harness], count: int, tmp_path: Path
) -> None:
    source, target = pair
    schema = source.schema()
    async with three_ends(source, target) as ends, open_service(state=tmp_path / "state.db") as service:
        await fill(ends[0], schema, [batch(schema, ids_of(schema, range(count)))])
        plan = await copy(service, "there", ends[0], ends[1])
        assert plan.total_records == count
        await copy(service, "back", ends[1], ends[2])
        assert await content(ends[2]) == await content(ends[0])


async def test_a_record_over_the_targets_limit_is_a_reject_with_its_id(
    pair: tuple[Harness, Harness], tmp_path: Path
) -> None:
    source, target = pair
    most = target.capabilities.metadata.max_bytes
    held = source.capabilities.metadata.max_bytes
    if most is None or (held is not None and held <= most):
        pytest.skip("the target holds whatever the source can hold")
    schema = source.schema(samples=[{"text": ""}])
    ids = ids_of(schema, range(5))
    rows: list[Metadata] = [{"text": "x" * (most + 1 if row == 3 else 10)} for row in range(5)]
    async with three_ends(source, target) as ends, open_service(state=tmp_path / "state.db") as service:
        await fill(ends[0], schema, [batch(schema, ids, metadata=rows)])
        request = MigrationRequest(id="m", source=ends[0], target=ends[1])
        request = replace(request, accepted_losses=tuple((await service.plan(request)).unaccepted))
        status = await service.migrate(request, replace(OPTIONS, max_rejects=1))
        assert status.status is Status.COMPLETED
        assert (status.migrated_records, status.rejected_records) == (4, 1)
        (reject,) = await service.rejects("m")
        assert (reject.id, reject.code) == (id_key(ids[3]), "size")
        assert (await service.validate("m", full=True, queries=0)).passed


@pytest.mark.parametrize(("kind", "dtype", "metric"), FORMS, ids=lambda value: str(value))
async def test_every_kind_of_vector_comes_home_or_is_a_named_loss(
    pair: tuple[Harness, Harness], kind: VectorKind, dtype: DType, metric: Metric | None, tmp_path: Path
) -> None:
    source, target = pair
    if not source.supports(kind, dtype) or (
        kind is VectorKind.MULTI and dtype not in source.capabilities.vectors.dtypes
    ):
        pytest.skip("the source holds none")
    if metric is not None and metric not in source.capabilities.vectors.metrics:
        pytest.skip("the source has no such metric")
    if kind not in target.capabilities.vectors.kinds:
        pytest.skip("the target holds no such field, which is a refusal of its own")
    schema = source.schema(source.vector(kind=kind, dtype=dtype, dim=16, metric=metric))
    async with three_ends(source, target) as ends, open_service(state=tmp_path / "state.db") as service:
        await fill(ends[0], schema, [batch(schema, ids_of(schema, range(30)))])
        before = await shape(ends[0])
        plan = await copy(service, "there", ends[0], ends[1])
        lost = {loss.name.partition(":")[0] for loss in plan.losses if loss.outcome is Outcome.LOSSY}
        assert lost <= {"vector-dtype", "vector-rounding", "metric"}
        await copy(service, "back", ends[1], ends[2])
        if not lost & {"vector-dtype", "vector-rounding"}:
            assert await content(ends[2]) == await content(ends[0])
            assert await shape(ends[2]) == before


async def test_a_target_without_such_vectors_refuses_by_name_and_leaves_nothing(
    pair: tuple[Harness, Harness], tmp_path: Path
) -> None:
    source, target = pair
    missing = [kind for kind in VectorKind if source.supports(kind) and kind not in target.capabilities.vectors.kinds]
    if not missing:
        pytest.skip("the target holds every kind of vector that the source holds")
    schema = source.schema(*source.together(source.vector("only", missing[0])))
    async with three_ends(source, target) as ends, open_service(state=tmp_path / "state.db") as service:
        await fill(ends[0], schema, [batch(schema, ids_of(schema, range(3)))])
        with pytest.raises(PlanError, match="vector field"):
            await service.migrate(MigrationRequest(id="m", source=ends[0], target=ends[1]), OPTIONS)
        with pytest.raises(CollectionNotFound):
            await content(endpoint(target, ends[1].collection))
