"""SQLite itself on the collection's file."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
from anyio.to_thread import run_sync

from tests.natively import NativeRecord
from vectormigrate.config.settings import Endpoint


async def read(endpoint: Endpoint) -> list[NativeRecord]:
    return await run_sync(_read, Path(endpoint.url) / f"{endpoint.collection}.sqlite")


def _read(file: Path) -> list[NativeRecord]:
    with closing(sqlite3.connect(file)) as database:
        ((schema,),) = database.execute("SELECT schema FROM collection").fetchall()
        names = [item["name"] for item in json.loads(schema)["vectors"]]
        return [
            NativeRecord(
                id=record_id,
                namespace="",
                fields=json.loads(metadata),
                vectors={
                    name: np.frombuffer(data, "<f4").tolist()
                    for name, data in zip(names, vectors, strict=True)
                    if data is not None
                },
            )
            for record_id, metadata, *vectors in database.execute("SELECT * FROM records")
        ]
