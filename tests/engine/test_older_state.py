"""A state file that an earlier version left behind opens, resumes, is proved and rolled back."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from vectormigrate import Endpoint, Status, open_service
from vectormigrate.engine.connect import open_endpoint
from vectormigrate.model.batch import DenseColumn, RecordBatch
from vectormigrate.model.ids import IdKind
from vectormigrate.model.schema import CollectionSchema, DType, Metric, VectorField, VectorKind
from vectormigrate.state import open_store

pytestmark = pytest.mark.anyio

HALF_COPIED = Path(__file__).with_name("half_copied.sql")
"""Written in November 2026, before the modules moved: a stop after 100 of 400 records of `source`, with a rename."""

SOURCE = Endpoint(type="memory", url="memory://before-rooms", collection="source")
TARGET = Endpoint(type="memory", url="memory://before-rooms", collection="target")
RECORDS, COPIED = 400, 100


def rows(count: int, text: str) -> RecordBatch:
    ids = range(count)
    vectors = DenseColumn(np.array([[row, 1, 0, 2] for row in ids], np.float32))
    return RecordBatch("", list(ids), {"v": vectors}, [{"n": row, text: f"record {row}"} for row in ids])


async def test_a_state_file_of_an_earlier_version_resumes_where_it_was(tmp_path: Path) -> None:
    state = tmp_path / "state.db"
    with closing(sqlite3.connect(state)) as file:
        file.executescript(HALF_COPIED.read_text())
    async with open_store(state) as store:
        plan = (await store.migrations.load("half")).plan
        written = [record_id async for _, ids in store.written_ids.blocks("half") for record_id in ids]
    assert written == list(range(COPIED))
    field = VectorField(name="v", kind=VectorKind.DENSE, dim=4, metric=Metric.L2, dtype=DType.FLOAT32)
    async with open_endpoint(SOURCE) as source, open_endpoint(TARGET) as target:
        await source.create(CollectionSchema(name="source", id_kinds=frozenset({IdKind.INT64}), vectors=(field,)))
        await source.upsert(rows(RECORDS, "text"))
        await target.create(plan.target_schema)
        await target.upsert(rows(COPIED, "body"))
        async with open_service(state=state) as service:
            assert (await service.status("half")).migrated_records == COPIED
            done = await service.resume("half")
            assert (done.status, done.migrated_records, done.batches) == (Status.COMPLETED, RECORDS, RECORDS // 10)
            report = await service.validate("half", full=True)
            assert report.passed
            assert report.diff is not None
            assert report.diff.compared == RECORDS
            assert (await service.rollback("half")).dropped_collection
            assert (await service.status("half")).status is Status.ROLLED_BACK
