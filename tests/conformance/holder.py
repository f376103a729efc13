"""A process that opens a collection, writes to it, and keeps it open until it is ended.

`python -m tests.conformance.holder ADAPTER CONFIG_JSON FIRST COUNT`: writes records FIRST…FIRST+COUNT-1 with the
suite's own data, says `ready` on standard output, and closes the collection when standard input ends.
"""

from __future__ import annotations

import json
import os
import sys

import anyio

from tests.conformance.data import batch, ids_of
from tests.support.connected import connected
from vectormigrate import registry
from vectormigrate.errors import VectorMigrateError


async def hold(adapter: str, config: str, first: int, count: int) -> None:
    spec = registry.load(adapter)
    async with connected(spec, spec.config(**json.loads(config))) as target:
        schema = await target.describe()
        rejects = await target.upsert(batch(schema, ids_of(schema, range(first, first + count)), seed=first))
        os.write(1, b"ready\n" if not rejects else b"rejected\n")
        await anyio.to_thread.run_sync(sys.stdin.read)


if __name__ == "__main__":
    try:
        anyio.run(hold, sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    except VectorMigrateError as error:
        os.write(1, f"{type(error).__name__}: {error}\n".encode())
