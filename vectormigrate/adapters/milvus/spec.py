"""Milvus: Milvus Lite databases (`*.db` paths) and servers (Milvus, Zilliz Cloud).

Speaks gRPC with Milvus' own messages instead of pymilvus' client, which is 20 to 50 times slower at moving vectors,
does not escape ids, and drops the errors of an asynchronous delete.
"""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING

import anyio

from vectormigrate.adapter import Listing
from vectormigrate.adapter.vendor_errors import translated
from vectormigrate.adapters.milvus import errors
from vectormigrate.adapters.milvus.capabilities import CAPABILITIES, EDITIONS
from vectormigrate.adapters.milvus.config import MilvusConfig
from vectormigrate.adapters.milvus.types import TYPE_WORDS
from vectormigrate.errors import AdapterError, MissingExtra

if TYPE_CHECKING:
    from vectormigrate.adapter.operations import Operations
    from vectormigrate.adapter.ports import Served
    from vectormigrate.adapters.milvus.adapter import MilvusCollection

__all__ = ["CAPABILITIES", "SPEC", "MilvusConfig"]

MODULES = {"pymilvus": "milvus", "grpc": "milvus", "google.protobuf": "milvus"}
LITE_MODULES = {**MODULES, "milvus_lite": "milvus-lite"}


def _require(name: str, modules: dict[str, str]) -> None:
    for module, extra in modules.items():
        try:
            found = importlib.util.find_spec(module) is not None
        except ModuleNotFoundError:
            found = False
        if not found:
            raise MissingExtra(name, extra, module)


class MilvusSpec:
    """AdapterSpec of `milvus`."""

    name = "milvus"
    extra: str | None = "milvus"
    config = MilvusConfig
    capabilities = CAPABILITIES
    type_words = TYPE_WORDS
    editions = EDITIONS

    @property
    def operations(self) -> Operations:
        """What requests to the server read or change, loaded on first use."""
        from vectormigrate.adapters.milvus.operations import OPERATIONS

        return OPERATIONS

    @asynccontextmanager
    async def open(self, config: MilvusConfig) -> AsyncGenerator[MilvusCollection, None]:
        """The collection. A collection that was not loaded is loaded for reading and released again at the end.

        Raises MissingExtra, Unavailable (also when another process has the Lite database), AuthFailed, InvalidRequest
        for an unknown database.
        """
        _require(self.name, LITE_MODULES if config.lite else MODULES)
        from vectormigrate.adapters.milvus.adapter import MilvusCollection
        from vectormigrate.adapters.milvus.client import connected
        from vectormigrate.adapters.milvus.embedded import served
        from vectormigrate.adapters.milvus.session import Session

        async with AsyncExitStack() as stack:
            if config.lite:
                address = await stack.enter_async_context(served(config.path(), config.lock_wait))
            else:
                address = config.address()
            client, server = await stack.enter_async_context(connected(config, address))
            session = Session(client, server, config)
            await session.exists()
            try:
                yield MilvusCollection(session)
            finally:
                with anyio.CancelScope(shield=True):
                    await _restore(session)

    async def list_collections(self, config: MilvusConfig) -> Listing:
        """The collections of the database that the user may see. Raises as `open`; a Lite database is not made."""
        _require(self.name, LITE_MODULES if config.lite else MODULES)
        from vectormigrate.adapters.milvus.listing import listed

        return await listed(config)

    async def served(self, config: MilvusConfig) -> Served | None:
        """The server's port and the collection's names; None for Milvus Lite. Raises as `open`."""
        _require(self.name, MODULES)
        from vectormigrate.adapters.milvus.ports import served

        return await served(config)

    def classify(self, error: BaseException, operation: str) -> AdapterError | None:
        """Milvus' statuses and gRPC's errors."""
        return errors.classify(error, operation)


async def _restore(session: Session) -> None:
    """Release what we loaded; a server that is gone needs nothing."""
    with suppress(AdapterError), translated(errors.classify, "close"):
        await session.restore()


if TYPE_CHECKING:
    from vectormigrate.adapters.milvus.session import Session

SPEC = MilvusSpec()
