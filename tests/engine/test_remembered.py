"""A migration after its dry run does not read the source's metadata again, unless something changed."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr

from tests.engine.faults import Faults, inject
from vectormigrate import Endpoint, MigrationRequest, RunOptions, Service, Status, open_service, registry
from vectormigrate.adapters.memory import register_profile
from vectormigrate.engine.connect import open_endpoint
from vectormigrate.errors import MigrationFailed
from vectormigrate.mapping.profile import Profile
from vectormigrate.model.batch import DenseColumn, Metadata, RecordBatch
from vectormigrate.model.ids import IdKind, RecordId
from vectormigrate.model.plan import MigrationPlan
from vectormigrate.model.schema import CollectionSchema, Metric, VectorField, VectorKind
from vectormigrate.state import profiles

pytestmark = pytest.mark.anyio

DIM = 4
RECORDS = 40
SCHEMA = CollectionSchema(
    name="",
    id_kinds=frozenset({IdKind.INT64}),
    vectors=(VectorField(name="v", kind=VectorKind.DENSE, dim=DIM, metric=Metric.DOT),),
)
SAID = "planned from the profile of"


@pytest.fixture
async def service(tmp_path: Path) -> AsyncGenerator[Service]:
    register_profile("typed", registry.load("weaviate").capabilities)
    register_profile("plain", registry.load("pinecone").capabilities)
    async with open_service(state=tmp_path / "state.db") as service:
        yield service


@pytest.fixture(params=["typed", "plain"])
async def request_(tmp_path: Path, request: pytest.FixtureRequest) -> MigrationRequest:
    """Forty records, to a database with typed columns (two questions to each record) and to one without."""
    source = Endpoint(type="memory", url=f"memory://{tmp_path.name}", collection="source")
    target = replace(source, collection="Target" if request.param == "typed" else "target")
    async with open_endpoint(source) as collection:
        await collection.create(SCHEMA)
    await put(source, range(RECORDS))
    return MigrationRequest(id="job", source=source, target=replace(target, options={"profile": request.param}))


async def put(end: Endpoint, numbers: range, extra: Metadata | None = None) -> None:
    """Write these records."""
    ids: list[RecordId] = list(numbers)
    metadata: list[Metadata] = [
        {"n": n, "wide": 2**60 + n, "mixed": n if n % 2 else f"text {n}", **(extra or {})} for n in numbers
    ]
    vectors = {"v": DenseColumn(np.arange(1, len(ids) * DIM + 1, dtype=np.float32).reshape(-1, DIM))}
    async with open_endpoint(end) as collection:
        assert await collection.upsert(RecordBatch("", ids, vectors, metadata)) == []


def decided(plan: MigrationPlan) -> object:
    """The plan without the word about the profile and what chance put into it."""
    schema = replace(plan.target_schema, note={**(plan.target_schema.note or {}), "token": ""})
    warnings = tuple(text for text in plan.warnings if SAID not in text)
    return replace(plan, seconds_estimate=None, target_schema=schema, warnings=warnings)


def said(plan: MigrationPlan) -> list[str]:
    """What the plan tells about a profile of before."""
    return [text for text in plan.warnings if SAID in text]


async def test_the_second_plan_reads_no_record_and_is_the_same(
    service: Service, request_: MigrationRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await service.plan(request_)
    assert said(before) == []
    faults = Faults()
    inject(monkeypatch, "source", faults)
    again = await service.plan(request_)
    assert faults.calls["scan"] == 0
    assert decided(again) == decided(before)
    (text,) = said(again)
    assert "UTC (40 records)" in text
    assert "becomes a reject" in text


async def test_a_migration_after_its_dry_run_reads_each_record_once(
    service: Service, request_: MigrationRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepted = tuple((await service.plan(request_)).unaccepted)
    faults = Faults()
    inject(monkeypatch, "source", faults)
    request = replace(request_, accepted_losses=accepted)
    assert (await service.migrate(request, RunOptions())).status is Status.COMPLETED
    plan = await service.stored_plan("job")
    assert faults.calls["scan"] == len(plan.partitions)
    assert said(plan)
    assert (await service.validate("job", full=True)).passed


async def test_a_request_that_maps_otherwise_reads_again(service: Service, request_: MigrationRequest) -> None:
    await service.plan(request_)
    for other in (
        replace(request_, renames={"n": "number"}),
        replace(request_, profile_limit=10),
        replace(request_, partitions=1, excludes=("n",)),
    ):
        assert said(await service.plan(other)) == []


async def test_renames_as_pairs_of_names_still_plan_what_the_mapping_plans(
    service: Service, request_: MigrationRequest
) -> None:
    pairs: Any = (("n", "number"),)
    earlier, now = [await service.plan(replace(request_, renames=form)) for form in (pairs, dict(pairs))]
    assert earlier.spec == now.spec
    assert earlier.rules.renames == {"n": "number"}


async def test_a_source_that_changed_or_the_wish_to_read_reads_again(
    service: Service, request_: MigrationRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    await service.plan(request_)
    assert said(await service.plan(replace(request_, fresh=True))) == []
    assert said(await service.plan(request_))
    await put(request_.source, range(RECORDS, RECORDS + 1))
    assert said(await service.plan(request_)) == []
    assert said(await service.plan(request_))
    monkeypatch.setattr(profiles, "KEEP", -profiles.KEEP)
    assert said(await service.plan(request_)) == []


async def test_a_record_that_was_replaced_since_and_does_not_fit_is_a_reject(
    service: Service, request_: MigrationRequest
) -> None:
    request = replace(request_, target=replace(request_.target, collection="target", options={"profile": "plain"}))
    assert (await service.plan(request)).unaccepted == []
    await put(request.source, range(7, 8), {"text": "x" * 50_000})
    assert said(await service.plan(request))
    with pytest.raises(MigrationFailed, match="1 records rejected"):
        await service.migrate(request, RunOptions())
    (reject,) = await service.rejects("job")
    assert "the target holds 40,960" in reject.reason


async def test_ids_that_meet_on_the_target_are_looked_for_again(
    service: Service, request_: MigrationRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = replace(request_, target=replace(request_.target, collection="any", options={}))
    await service.migrate(request, RunOptions())
    into = replace(request, id="second", into_existing=True)
    assert (await service.plan(into)).collisions == RECORDS
    faults = Faults()
    inject(monkeypatch, "source", faults)
    again = await service.plan(into)
    assert again.collisions == RECORDS
    assert faults.calls["scan"] > 0


async def test_a_profile_that_holds_a_key_is_not_kept_and_the_plan_is_shown(
    service: Service, request_: MigrationRequest, tmp_path: Path
) -> None:
    await put(request_.source, range(RECORDS, RECORDS + 1), {"a key that was typed": 1})
    secret = replace(request_.source, api_key=SecretStr("a key that was typed"))
    assert (await service.plan(replace(request_, source=secret))).total_records == RECORDS + 1
    with sqlite3.connect(tmp_path / "state.db") as file:
        assert file.execute("SELECT count(*) FROM profile").fetchone() == (0,)


def test_a_profile_survives_json() -> None:
    profile = Profile()
    metadata: list[Metadata] = [
        {"a": 1, "b": [1, "x"], "c": {"d": 2**70}, "e": None, "f": datetime(2020, 1, 1, tzinfo=UTC)},
        {"a": "text", "b": [[1]], "c": {"d": -5}, "g": float("nan"), "h": b"bytes"},
    ]
    vectors = {"v": DenseColumn(np.ones((2, DIM), np.float32))}
    profile.add(RecordBatch("somewhere", ["é", "x"], vectors, metadata))
    data = profile.to_json()
    back = Profile.from_json(data)
    assert back.to_json() == data
    assert back.fields["a"].distinct == 2
    assert back.fields["c.d"].max_int == 2**70
    assert back.namespaces == profile.namespaces
    assert back.id_kinds == profile.id_kinds
    assert back.strange_ids == profile.strange_ids
