"""Reads a collection with the vendor's package alone, past our adapter, so that a mistake cannot hide on both sides."""

from __future__ import annotations

import importlib
import time
from pathlib import Path
from typing import Any

from vectormigrate.config.settings import Endpoint


def read_shard(endpoint: Endpoint) -> dict[str, tuple[Any, Any]]:
    """Point id -> (vectors, payload). The collection's name must be a legal file name, and nobody may have it open."""
    edge: Any = importlib.import_module("qdrant_edge")
    shard = _load(edge, str(Path(endpoint.url) / endpoint.collection / "shard"))
    try:
        points: dict[str, tuple[Any, Any]] = {}
        offset = None
        while True:
            records, offset = shard.scroll(
                edge.ScrollRequest(limit=1000, offset=offset, with_payload=True, with_vector=True)
            )
            points.update({str(record.id): (record.vector, record.payload) for record in records})
            if offset is None:
                return points
    finally:
        shard.close()


def _load(edge: Any, folder: str) -> Any:
    """Open the shard; the engine process of a parent that was just killed may need a moment to let go of it."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return edge.EdgeShard.load(folder)
        except Exception as error:  # the package raises nothing more precise
            if "WouldBlock" not in str(error) or time.monotonic() > deadline:
                raise
        time.sleep(0.05)
