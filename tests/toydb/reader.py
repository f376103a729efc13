"""Reading: counts, partitions, scans in the order of ids, fetch, search."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from tests.toydb.errors import NAME
from tests.toydb.session import Session
from vectormigrate.adapter import Hits, Queries
from vectormigrate.errors import InvalidRequest
from vectormigrate.model.batch import DenseColumn, RecordBatch, VectorColumn
from vectormigrate.model.ids import RecordId
from vectormigrate.model.position import Cursor, Page, Partition
from vectormigrate.model.schema import CollectionSchema, Metric

Row = tuple[Any, ...]
FETCH_IDS = 500


class Reader:
    """Everything that reads; raises vendor errors, which `classify` turns into ours."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def namespaces(self) -> list[str]:
        """There are none."""
        await self._session.run(self._session.schema)
        return [""]

    async def count(self, namespace: str | None = None) -> int:
        """Records in the file."""
        ((found,),) = await self._session.run(lambda db: db.execute("SELECT count(*) FROM records").fetchall())
        return 0 if namespace else found

    async def counts(self, namespaces: Sequence[str]) -> dict[str, int]:
        """As `count`."""
        return {name: await self.count(name) for name in namespaces}

    async def partitions(
        self, target_n: int, namespaces: Sequence[str] | Mapping[str, int] | None = None
    ) -> list[Partition]:
        """Ranges of ids, `[first, end)`; None is open."""
        rows = await self.count()
        parts = max(1, min(target_n, rows))

        def cut(db: sqlite3.Connection) -> list[str]:
            ask = "SELECT id FROM records ORDER BY id LIMIT 1 OFFSET ?"
            return [db.execute(ask, (rows * part // parts,)).fetchone()[0] for part in range(1, parts)]

        bounds = [None, *await self._session.run(cut), None]
        found = [
            Partition(id=f"/{part}", namespace="", bounds=[bounds[part], bounds[part + 1]], rows=rows // parts)
            for part in range(parts)
        ]
        others = sorted(set(namespaces or ()) - {""})
        found = found if namespaces is None or "" in namespaces else []
        return found + [Partition(id=f"{name}/0", namespace=name, bounds=["", ""], rows=0) for name in others]

    async def scan(
        self, partition: Partition, after: Cursor | None = None, *, vectors: bool = True, page_rows: int = 1000
    ) -> AsyncGenerator[Page, None]:
        """Pages in the order of ids."""
        first, end = partition.bounds
        last = after
        while True:

            def read(db: sqlite3.Connection, last: Cursor | None = last) -> RecordBatch:
                where, values = "id >= ?", [first or ""]
                if last is not None:
                    where, values = "id > ?", [last]
                if end is not None:
                    where, values = f"{where} AND id < ?", [*values, end]
                rows = self._rows(db, f"{where} ORDER BY id LIMIT ?", [*values, page_rows])
                return self._batch(rows, self._session.schema(db), vectors=vectors)

            batch = await self._session.run(read)
            if not batch.ids:
                return
            last = str(batch.ids[-1])
            yield Page(batch, last)

    def _rows(self, db: sqlite3.Connection, where: str, values: Sequence[Any]) -> list[Row]:
        return db.execute(f"SELECT * FROM records WHERE {where}", values).fetchall()

    def _batch(self, rows: Sequence[Row], schema: CollectionSchema, *, vectors: bool) -> RecordBatch:
        """`rows` are id, metadata, and a vector for each field of the schema."""
        columns: dict[str, VectorColumn] = {}
        for place, item in enumerate(schema.vectors if vectors else ()):
            found = [row[2 + place] for row in rows]
            filler = bytes(4 * (item.dim or 0))
            values = np.frombuffer(b"".join(found_ or filler for found_ in found), np.float32)
            valid = np.array([data is not None for data in found], np.bool_)
            columns[item.name] = DenseColumn(values.reshape(len(rows), item.dim or 0), valid=valid)
        return RecordBatch("", [row[0] for row in rows], columns, [orjson.loads(row[1]) for row in rows])

    async def fetch(self, ids: Sequence[RecordId], namespace: str, *, vectors: bool = True) -> RecordBatch:
        """In the order asked."""
        wanted = [item for item in ids if isinstance(item, str) and _is_text(item)] if not namespace else []

        def read(db: sqlite3.Connection) -> RecordBatch:
            found: dict[str, Row] = {}
            for start in range(0, len(wanted), FETCH_IDS):
                part = wanted[start : start + FETCH_IDS]
                marks = ", ".join("?" * len(part))
                found |= {row[0]: row for row in self._rows(db, f"id IN ({marks})", part)}
            rows = [found[item] for item in dict.fromkeys(wanted) if item in found]
            return self._batch(rows, self._session.schema(db), vectors=vectors)

        return await self._session.run(read)

    async def search(self, vector: str, queries: Queries, k: int, namespace: str) -> list[Hits]:
        """Exact, by comparing with every record."""
        schema = await self._session.run(self._session.schema)
        item = schema.vector(vector)
        if item is None:
            raise InvalidRequest(f"no vector field {vector!r}", adapter=NAME, operation="search")
        batch = await self._session.run(lambda db: self._batch(self._rows(db, "1", ()), schema, vectors=True))
        column = batch.vectors[vector]
        assert isinstance(column, DenseColumn)
        return [_nearest(batch, column, np.asarray(query, np.float64), item.metric, k) for query in queries]


def _nearest(batch: RecordBatch, column: DenseColumn, query: NDArray[np.float64], metric: Metric, k: int) -> Hits:
    stored = column.values.astype(np.float64)
    if metric is Metric.L2:
        scores = np.linalg.norm(stored - query, axis=1)
        order = np.argsort(scores, kind="stable")
    else:
        lengths = np.linalg.norm(stored, axis=1) * np.linalg.norm(query) if metric is Metric.COSINE else np.ones(1)
        scores = stored @ query / np.where(lengths > 0, lengths, 1)
        order = np.argsort(-scores, kind="stable")
    rows = [int(row) for row in order if column.valid is None or column.valid[row]][:k]
    return Hits([batch.ids[row] for row in rows], [float(scores[row]) for row in rows])


def _is_text(value: str) -> bool:
    """Whether SQLite can be asked for it: lone surrogates are no Unicode text."""
    return value.isascii() or not any(0xD800 <= ord(letter) < 0xE000 for letter in value)
