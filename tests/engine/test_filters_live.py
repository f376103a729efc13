"""What an index of Pinecone filters by without naming it has an index of its own on a Qdrant server."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conformance.data import batch, ids_of
from tests.harness.base import Harness, all_harnesses
from tests.matrix.moving import copy, endpoint, fill
from vectormigrate import open_service
from vectormigrate.engine.connect import open_endpoint
from vectormigrate.model.batch import Metadata
from vectormigrate.model.schema import FieldType

pytestmark = pytest.mark.anyio


@pytest.fixture
def engines(tmp_path_factory: pytest.TempPathFactory) -> Generator[list[Harness]]:
    wanted = {harness.name: harness for harness in all_harnesses()}
    chosen = [wanted["pinecone"], wanted["qdrant"]]
    with ExitStack() as stack:
        for harness in chosen:
            if harness.unavailable() is not None:
                pytest.skip(f"{harness.name} cannot run here")
            stack.enter_context(harness.running(tmp_path_factory.mktemp(harness.name)))
        yield chosen


async def test_fields_that_pinecone_indexes_by_itself_are_indexed_on_qdrant(
    engines: list[Harness], tmp_path: Path
) -> None:
    ends = [endpoint(harness, harness.new_name()) for harness in engines]
    schema = engines[0].schema()
    rows: list[Metadata] = [{"year": 2000 + n, "title": f"t{n}", "tags": ["a"]} for n in range(5)]
    await fill(ends[0], schema, [batch(schema, ids_of(schema, range(5)), metadata=rows)])
    async with open_service(state=tmp_path / "state.db") as service:
        await copy(service, "there", ends[0], ends[1])
    async with open_endpoint(ends[1]) as target:
        found = {item.name: item.type for item in (await target.describe()).fields}
    assert found == {
        "year": FieldType.INT64,
        "title": FieldType.STRING,
        "tags": FieldType.LIST,
        "_vm_id": FieldType.STRING,
    }
