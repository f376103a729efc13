"""One opened collection: every call has a connection of its own, in a thread."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import TypeVar

import orjson
from anyio.to_thread import run_sync

from tests.toydb.config import ToydbConfig
from vectormigrate.model.schema import CollectionSchema

T = TypeVar("T")


class Session:
    """Raises SQLite's errors; a closed one raises what SQLite does."""

    def __init__(self, config: ToydbConfig) -> None:
        self.config = config
        self.open = True

    async def run(self, work: Callable[[sqlite3.Connection], T], *, make: bool = False) -> T:
        """What `work` returns, as one transaction. `make`: the file may be missing."""

        def call() -> T:
            if not self.open:
                raise sqlite3.ProgrammingError("the collection is closed")
            uri = f"{self.config.file().as_uri()}?mode={'rwc' if make else 'rw'}"
            with closing(sqlite3.connect(uri, timeout=self.config.lock_wait, uri=True)) as connection, connection:
                connection.execute("PRAGMA synchronous = FULL")
                return work(connection)

        return await run_sync(call)

    def schema(self, connection: sqlite3.Connection) -> CollectionSchema:
        """The shape with which the collection was made."""
        ((text,),) = connection.execute("SELECT schema FROM collection").fetchall()
        return CollectionSchema.from_json(orjson.loads(text))
