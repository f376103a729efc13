"""What an adapter raises becomes one of our errors at one place, where every call is also tried again: on SQLite files,
whose package raises its own exceptions."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.toydb.config import ToydbConfig
from tests.toydb.spec import SPEC
from vectormigrate.engine.connect import open_collection
from vectormigrate.engine.events import Event, Retrying
from vectormigrate.engine.retry import RetryingTarget, RetryPolicy
from vectormigrate.errors import CollectionNotFound, End, TerminalError, Unavailable
from vectormigrate.model.batch import DenseColumn, RecordBatch
from vectormigrate.model.ids import IdKind
from vectormigrate.model.schema import CollectionSchema, Metric, VectorField, VectorKind

pytestmark = pytest.mark.anyio

FIELD = VectorField(name="v", kind=VectorKind.DENSE, dim=2, metric=Metric.DOT)
SCHEMA = CollectionSchema(name="c", id_kinds=frozenset({IdKind.STRING}), vectors=(FIELD,))
RECORDS = RecordBatch("", ["a", "b"], {"v": DenseColumn(np.ones((2, 2), np.float32))}, [{}, {}])
END = End(side="target", type="toydb", place="here", collection="c")


@asynccontextmanager
async def opened(folder: Path, policy: RetryPolicy) -> AsyncGenerator[RetryingTarget]:
    config = ToydbConfig(url=str(folder), collection="c", lock_wait=0)
    async with open_collection(SPEC, config, policy, END) as target:
        yield target


async def test_a_passing_error_of_the_vendor_is_tried_again(tmp_path: Path) -> None:
    seen: list[Event] = []
    async with opened(tmp_path, RetryPolicy(base=0, listener=seen.append)) as target:
        await target.create(SCHEMA)
        with closing(sqlite3.connect(tmp_path / "c.sqlite", isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")

            def let_go(event: Event) -> None:
                seen.append(event)
                other.execute("COMMIT")

            target.policy.listener = let_go
            assert await target.upsert(RECORDS) == []
        assert await target.count() == 2
    (again,) = [event for event in seen if isinstance(event, Retrying)]
    assert (again.operation, again.attempt) == ("upsert", 1)
    assert again.reason == f"{END}: toydb:upsert: database is locked"


async def test_an_error_that_stays_is_raised_as_ours_and_names_its_end(tmp_path: Path) -> None:
    async with opened(tmp_path, RetryPolicy(base=0, max_retries=2)) as target:
        with pytest.raises(CollectionNotFound) as missing:
            await target.describe()
        assert missing.value.end == END
        (tmp_path / "c.sqlite").write_bytes(b"not a database" * 100)
        with pytest.raises(TerminalError, match="toydb:count: file is not a database") as damaged:
            await target.count()
        assert isinstance(damaged.value.__cause__, sqlite3.DatabaseError)
    with pytest.raises(Unavailable, match="closed"):
        await target.count()


async def test_what_is_not_the_vendors_is_raised_as_it_is(tmp_path: Path) -> None:
    async with opened(tmp_path, RetryPolicy(base=0)) as target:
        await target.create(SCHEMA)
        with pytest.raises(ValueError, match="argument 2 is shorter"):
            await target.upsert(replace(RECORDS, metadata=[{}]))
        assert await target.upsert(RECORDS) == []
        (partition,) = await target.partitions(1)

        async def used() -> None:
            async for _ in target.scan(partition):
                raise sqlite3.OperationalError("locked, of the one who reads the page")

        with pytest.raises(sqlite3.OperationalError, match="of the one who reads the page"):
            await used()
