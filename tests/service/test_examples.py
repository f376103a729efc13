"""The examples in the docstrings of the library run, in the order of a migration."""

from __future__ import annotations

import inspect
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydantic import SecretStr

from vectormigrate import Endpoint, MigrationRequest, RunOptions, Service, Settings, Status, open_service
from vectormigrate.engine.connect import open_endpoint
from vectormigrate.model.batch import DenseColumn, RecordBatch
from vectormigrate.model.ids import IdKind
from vectormigrate.model.schema import CollectionSchema, Metric, VectorField, VectorKind
from vectormigrate.service import verbs

pytestmark = pytest.mark.anyio

RECORDS = 20
SCHEMA = CollectionSchema(
    name="",
    id_kinds=frozenset({IdKind.INT64}),
    vectors=(VectorField(name="v", kind=VectorKind.DENSE, dim=4, metric=Metric.DOT),),
)
ANYTIME = ("list", "plan", "collections", "describe", "recommend", "recommend_offline", "options", "doctor")
"""Verbs that need no migration."""
IN_ORDER = ("status", "rejects", "validate", "rollback")


def example(thing: object) -> str:
    """The code of a docstring: what is indented below the line that ends with two colons."""
    text = inspect.getdoc(thing) or ""
    _, found, code = text.partition("::\n\n")
    assert found, thing
    return textwrap.dedent(code)


async def run(code: str, **names: object) -> None:
    """The code as the body of a coroutine."""
    given: dict[str, object] = {"replace": replace, "Path": Path, "RunOptions": RunOptions, "Status": Status, **names}
    exec(f"async def example():\n{textwrap.indent(code, '    ')}", given)
    await given["example"]()  # type: ignore[operator]


@pytest.fixture
async def request_(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MigrationRequest:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOURCE_KEY", "unused")
    source = Endpoint(type="memory", url=f"memory://{tmp_path.name}", collection="orders")
    vectors = {"v": DenseColumn(np.arange(RECORDS * 4, dtype=np.float32).reshape(-1, 4))}
    async with open_endpoint(source) as collection:
        await collection.create(SCHEMA)
        await collection.upsert(RecordBatch("", [*range(RECORDS)], vectors, [{"n": n} for n in range(RECORDS)]))
    return MigrationRequest(id="orders", source=source, target=replace(source, collection="copy"))


async def test_the_example_of_a_migration_runs(request_: MigrationRequest) -> None:
    async with open_service(state=Path("state.db")) as service:
        await run(example(Service), service=service, request=request_)
        for verb in IN_ORDER:
            await run(example(getattr(Service, verb)), service=service, request=request_)
        assert (await service.status("orders")).status is Status.ROLLED_BACK


@pytest.mark.parametrize("verb", ANYTIME)
async def test_the_example_of_a_verb_that_needs_no_migration_runs(request_: MigrationRequest, verb: str) -> None:
    async with open_service(state=Path("state.db")) as service:
        await run(example(getattr(Service, verb)), service=service, request=request_)


async def test_the_examples_of_opening_and_migrating_run(request_: MigrationRequest) -> None:
    await run(example(verbs.open_service), open_service=open_service)
    async with open_service(state=Path("state.db")) as service:
        await run(example(Service.migrate), service=service, request=request_)


@pytest.mark.parametrize("kind", [Endpoint, MigrationRequest, Settings])
async def test_the_example_of_what_a_verb_takes_runs(kind: type) -> None:
    await run(example(kind), **{item.__name__: item for item in (Endpoint, MigrationRequest, SecretStr, Settings)})


async def test_the_example_of_retrying_runs(request_: MigrationRequest) -> None:
    async with open_service(state=Path("state.db")) as service:
        await service.migrate(request_)
        await run(example(Service.resume), service=service)
