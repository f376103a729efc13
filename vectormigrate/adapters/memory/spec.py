"""Collections in this process's memory: the reference adapter, which holds everything and is exact.

Examples and tests run on it. With the option `profile` it takes on another database's limits and enforces them.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from anyio.lowlevel import checkpoint

from vectormigrate.adapter import Listing
from vectormigrate.adapters.memory.adapter import MemoryCollection
from vectormigrate.adapters.memory.capabilities import CAPABILITIES
from vectormigrate.adapters.memory.config import MemoryConfig, register_profile
from vectormigrate.adapters.memory.store import store
from vectormigrate.errors import AdapterError

__all__ = ["CAPABILITIES", "SPEC", "MemoryConfig", "register_profile"]


class MemorySpec:
    """AdapterSpec of `memory`."""

    name = "memory"
    extra: str | None = None
    config = MemoryConfig
    capabilities = CAPABILITIES

    @asynccontextmanager
    async def open(self, config: MemoryConfig) -> AsyncGenerator[MemoryCollection, None]:
        """The collection in the store that the url names. Raises ConfigError for an unknown profile."""
        collection = MemoryCollection(config)
        try:
            yield collection
        finally:
            collection.close()

    async def list_collections(self, config: MemoryConfig) -> Listing:
        """The collections of the store."""
        await checkpoint()
        return Listing(server=self.name, names=sorted(store(config.store)))

    def classify(self, error: BaseException, operation: str) -> AdapterError | None:
        """There is no vendor whose exceptions could mean something."""
        return None


SPEC = MemorySpec()
