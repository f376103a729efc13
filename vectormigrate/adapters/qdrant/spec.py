"""Qdrant servers (1.15 and later), self-hosted or in the cloud.

Speaks gRPC with Qdrant's own messages instead of its client, which is five times slower at moving vectors, and reads
schemas as raw JSON, of which the client drops what it does not know.
"""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from vectormigrate.adapter import Listing
from vectormigrate.adapters.qdrant import errors
from vectormigrate.adapters.qdrant.capabilities import CAPABILITIES
from vectormigrate.adapters.qdrant.config import QdrantConfig
from vectormigrate.adapters.qdrant.types import TYPE_WORDS
from vectormigrate.errors import AdapterError, MissingExtra

if TYPE_CHECKING:
    from vectormigrate.adapter.operations import Operations
    from vectormigrate.adapter.ports import Served
    from vectormigrate.adapters.qdrant.adapter import QdrantCollection

__all__ = ["CAPABILITIES", "SPEC", "QdrantConfig"]

MODULES = ("qdrant_client", "grpc", "google.protobuf", "httpx")


def _require(name: str) -> None:
    for module in MODULES:
        try:
            found = importlib.util.find_spec(module) is not None
        except ModuleNotFoundError:
            found = False
        if not found:
            raise MissingExtra(name, "qdrant", module)


class QdrantSpec:
    """AdapterSpec of `qdrant`."""

    name = "qdrant"
    extra: str | None = "qdrant"
    config = QdrantConfig
    capabilities = CAPABILITIES
    type_words = TYPE_WORDS

    @property
    def operations(self) -> Operations:
        """What requests to the server read or change, loaded on first use."""
        from vectormigrate.adapters.qdrant.operations import OPERATIONS

        return OPERATIONS

    @asynccontextmanager
    async def open(self, config: QdrantConfig) -> AsyncGenerator[QdrantCollection, None]:
        """The collection, which may not exist yet.

        Raises MissingExtra, Unavailable, AuthFailed, and InvalidRequest when the server is no Qdrant or older than
        1.15, or the collection is sharded otherwise than the config declares.
        """
        _require(self.name)
        from vectormigrate.adapters.qdrant.adapter import QdrantCollection
        from vectormigrate.adapters.qdrant.session import opened

        async with opened(config) as session:
            yield QdrantCollection(session)

    async def list_collections(self, config: QdrantConfig) -> Listing:
        """The collections that the key may see. Raises as `open`."""
        _require(self.name)
        from vectormigrate.adapters.qdrant.listing import listed

        return await listed(config)

    async def served(self, config: QdrantConfig) -> Served:
        """The server's ports and the collection's names. Raises as `open`."""
        _require(self.name)
        from vectormigrate.adapters.qdrant.ports import served

        return await served(config)

    def classify(self, error: BaseException, operation: str) -> AdapterError | None:
        """HTTP's and gRPC's errors."""
        return errors.classify(error, operation)


SPEC = QdrantSpec()
