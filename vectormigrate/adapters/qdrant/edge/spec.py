"""Collections in a folder, held by the Qdrant engine in a child process (package `qdrant-edge-py`).

The folder is a catalogue: one sub-folder per collection, with the engine's shard and our description of it. Only the
child imports the vendor's package.
"""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
from anyio.to_thread import run_sync

from vectormigrate.adapter import Listing
from vectormigrate.adapters.qdrant.edge import embedded
from vectormigrate.adapters.qdrant.edge.adapter import EdgeCollection
from vectormigrate.adapters.qdrant.edge.capabilities import CAPABILITIES
from vectormigrate.adapters.qdrant.edge.config import QdrantEdgeConfig
from vectormigrate.adapters.qdrant.edge.errors import classify_text
from vectormigrate.adapters.qdrant.edge.types import TYPE_WORDS
from vectormigrate.errors import AdapterError, MissingExtra

__all__ = ["CAPABILITIES", "SPEC", "QdrantEdgeConfig"]


def _require(name: str) -> None:
    if importlib.util.find_spec("qdrant_edge") is None:
        raise MissingExtra(name, "qdrant-edge", "qdrant-edge-py")


class QdrantEdgeSpec:
    """AdapterSpec of `qdrant_edge`."""

    name = "qdrant_edge"
    extra: str | None = "qdrant-edge"
    config = QdrantEdgeConfig
    capabilities = CAPABILITIES
    type_words = TYPE_WORDS

    @asynccontextmanager
    async def open(self, config: QdrantEdgeConfig) -> AsyncGenerator[EdgeCollection, None]:
        """The collection, locked against other processes from here (or from `create`) to the end.

        Raises MissingExtra, and Unavailable when another process keeps it open longer than `lock_wait`.
        """
        _require(self.name)
        shared = embedded.acquire(config.folder(), config.collection, config.lock_wait)
        collection = EdgeCollection(config, shared)
        try:
            await run_sync(shared.open_if_exists)
            yield collection
        finally:
            collection.close()
            with anyio.CancelScope(shield=True):
                await run_sync(embedded.release, shared)

    async def list_collections(self, config: QdrantEdgeConfig) -> Listing:
        """The collections of the folder. Raises MissingExtra, InvalidRequest for a folder of something else."""
        _require(self.name)
        from vectormigrate.adapters.qdrant.edge.listing import listed

        return await run_sync(listed, config.folder())

    def classify(self, error: BaseException, operation: str) -> AdapterError | None:
        """The engine raises bare `Exception`, so what happened is only in its text."""
        return classify_text(str(error), operation) if type(error) is Exception else None


SPEC = QdrantEdgeSpec()
