"""The Qdrant Edge adapter: collections in a temporary folder, the engine in child processes."""

from __future__ import annotations

import importlib.util
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tests.harness.base import Harness
from vectormigrate.adapters.qdrant.edge import QdrantEdgeConfig


class QdrantEdgeHarness(Harness):
    name = "qdrant_edge"
    adapter = "qdrant_edge"
    exclusive = True

    def unavailable(self) -> str | None:
        found = importlib.util.find_spec("qdrant_edge")
        return None if found else "the package qdrant-edge-py is not installed"

    @contextmanager
    def running(self, folder: Path) -> Generator[None, None, None]:
        self._folder = folder / "collections"
        yield

    def config(self, collection: str) -> QdrantEdgeConfig:
        return QdrantEdgeConfig(url=str(self._folder), collection=collection, lock_wait=3)


HARNESSES = (QdrantEdgeHarness(),)
