"""The engine's own package on the shard's folder."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from anyio.to_thread import run_sync

from tests.edge_reader import read_shard
from tests.natively import NativeRecord
from tests.natively.qdrant import record
from vectormigrate.config.settings import Endpoint


async def read(endpoint: Endpoint) -> list[NativeRecord]:
    points = await run_sync(read_shard, endpoint)
    return [record(_id(text), payload, vectors) for text, (vectors, payload) in points.items()]


def _id(text: str) -> Any:
    return int(text) if text.isdecimal() else UUID(text)
