"""Writing: create, upsert, delete, finalize, drop, note."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import orjson
from anyio.to_thread import run_sync

from tests.toydb.capabilities import CAPABILITIES
from tests.toydb.errors import NAME
from tests.toydb.reader import Reader
from vectormigrate.adapter import IndexReport, Reject, unreported
from vectormigrate.adapter.record_checks import check_columns, is_json, record_problems, value_problem
from vectormigrate.errors import InvalidRequest
from vectormigrate.model.batch import DenseColumn, RecordBatch
from vectormigrate.model.ids import RecordId
from vectormigrate.model.schema import CollectionSchema, Json

MAX_LEVELS = 100


class Writer(Reader):
    """Everything that changes the collection; raises vendor errors, which `classify` turns into ours."""

    async def create(self, schema: CollectionSchema) -> None:
        """Make the file with its two tables, or nothing."""
        caps = CAPABILITIES.vectors
        for item in schema.vectors:
            if (
                item.kind not in caps.kinds
                or item.metric not in caps.metrics
                or not 0 < (item.dim or 0) <= caps.max_dim
            ):
                raise InvalidRequest(f"vector field {item.name!r} is not possible", adapter=NAME, operation="create")
        made = replace(schema, name=self._session.config.collection)
        vectors = "".join(f", v{place} BLOB" for place in range(len(schema.vectors)))
        self._session.config.file().parent.mkdir(parents=True, exist_ok=True)

        def work(db: sqlite3.Connection) -> None:
            db.execute("BEGIN IMMEDIATE")
            db.execute("CREATE TABLE collection (schema TEXT)")
            db.execute(f"CREATE TABLE records (id TEXT PRIMARY KEY, metadata TEXT{vectors}) WITHOUT ROWID")
            db.execute("INSERT INTO collection VALUES (?)", (orjson.dumps(made.to_json()).decode(),))

        await self._session.run(work, make=True)

    async def make_namespaces(self, namespaces: Sequence[str]) -> None:
        """There are none."""

    async def set_note(self, note: Json) -> None:
        """Replace the origin note."""

        def work(db: sqlite3.Connection) -> None:
            made = replace(self._session.schema(db), note=note)
            db.execute("UPDATE collection SET schema = ?", (orjson.dumps(made.to_json()).decode(),))

        await self._session.run(work)

    async def upsert(self, batch: RecordBatch) -> list[Reject]:
        """Write whole records in one transaction."""

        def work(db: sqlite3.Connection) -> list[Reject]:
            schema = self._session.schema(db)
            check_columns(batch, schema.vector, NAME)
            refused: dict[int, Reject] = {}
            for row, problem in _problems(batch, schema):
                refused.setdefault(row, Reject(batch.ids[row], batch.namespace, *problem))
            good = [_record(batch, row, schema) for row in range(len(batch)) if row not in refused]
            marks = ", ".join("?" * (2 + len(schema.vectors)))
            db.executemany(f"INSERT OR REPLACE INTO records VALUES ({marks})", good)
            return list(refused.values())

        return await self._session.run(work)

    async def delete(self, ids: Sequence[RecordId], namespace: str) -> None:
        """Remove these ids."""
        wanted = [(item,) for item in ids if isinstance(item, str) and is_json(item)] if not namespace else []
        await self._session.run(lambda db: db.executemany("DELETE FROM records WHERE id = ?", wanted).rowcount)

    async def finalize(self, *, wait: bool = True, report: IndexReport = unreported) -> int:
        """Nothing is put off."""
        await self._session.run(self._session.schema)
        return 0

    async def drop(self) -> None:
        """Remove the file."""
        await run_sync(lambda: self._session.config.file().unlink(missing_ok=True))


def _problems(batch: RecordBatch, schema: CollectionSchema) -> Iterator[tuple[int, tuple[str, str]]]:
    for row, (record_id, metadata) in enumerate(zip(batch.ids, batch.metadata, strict=True)):
        if not isinstance(record_id, str) or not is_json(record_id):
            yield row, ("id", f"the id {record_id!r} is not text")
        if batch.namespace:
            yield row, ("namespace", "there are no namespaces")
        problem = value_problem(metadata, MAX_LEVELS)
        if problem is not None:
            yield row, problem
    yield from record_problems(batch, schema.vectors)


def _record(batch: RecordBatch, row: int, schema: CollectionSchema) -> tuple[Any, ...]:
    vectors = (_vector(batch.vectors.get(item.name), row) for item in schema.vectors)
    return batch.ids[row], orjson.dumps(batch.metadata[row]).decode(), *vectors


def _vector(column: Any, row: int) -> bytes | None:
    present = isinstance(column, DenseColumn) and (column.valid is None or bool(column.valid[row]))
    return column.values[row].tobytes() if present else None
