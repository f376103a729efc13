"""Weaviate: servers from 1.27 on and Weaviate Cloud.

Speaks gRPC with Weaviate's own messages and REST for what gRPC lacks, instead of the client's Python models, which lose
settings, cut nanoseconds, fail a whole page for one date, and retry by themselves.
"""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import anyio

from vectormigrate.adapter import Listing
from vectormigrate.adapter.vendor_errors import translated
from vectormigrate.adapters.weaviate import errors
from vectormigrate.adapters.weaviate.capabilities import CAPABILITIES
from vectormigrate.adapters.weaviate.config import WeaviateConfig
from vectormigrate.adapters.weaviate.types import TYPE_WORDS
from vectormigrate.errors import AdapterError, MissingExtra

if TYPE_CHECKING:
    from vectormigrate.adapter.operations import Operations
    from vectormigrate.adapter.ports import Served
    from vectormigrate.adapters.weaviate.adapter import WeaviateCollection
    from vectormigrate.adapters.weaviate.session import Session

__all__ = ["CAPABILITIES", "SPEC", "WeaviateConfig"]

MODULES = ("weaviate", "grpc", "google.protobuf", "httpx")


def _require(name: str) -> None:
    for module in MODULES:
        try:
            found = importlib.util.find_spec(module) is not None
        except ModuleNotFoundError:
            found = False
        if not found:
            raise MissingExtra(name, name, module)


class WeaviateSpec:
    """AdapterSpec of `weaviate`."""

    name = "weaviate"
    extra: str | None = "weaviate"
    config = WeaviateConfig
    capabilities = CAPABILITIES
    type_words = TYPE_WORDS

    @property
    def operations(self) -> Operations:
        """What requests to the server read or change, loaded on first use."""
        from vectormigrate.adapters.weaviate.operations import OPERATIONS

        return OPERATIONS

    @asynccontextmanager
    async def open(self, config: WeaviateConfig) -> AsyncGenerator[WeaviateCollection, None]:
        """The collection. Tenants that were switched on for reading are switched off again at the end.

        Raises MissingExtra, Unavailable (REST or gRPC), AuthFailed, InvalidRequest for a server that is no Weaviate.
        """
        _require(self.name)
        from vectormigrate.adapters.weaviate.adapter import WeaviateCollection
        from vectormigrate.adapters.weaviate.client import connected
        from vectormigrate.adapters.weaviate.session import Session

        async with connected(config) as client:
            session = Session(client, config)
            # The first answer that needs a right: `/meta` is open to everybody on many servers.
            await session.opened()
            try:
                yield WeaviateCollection(session)
            finally:
                with anyio.CancelScope(shield=True):
                    await _restore(session)

    async def list_collections(self, config: WeaviateConfig) -> Listing:
        """The collections that the key may see. Raises as `open`."""
        _require(self.name)
        from vectormigrate.adapters.weaviate.listing import listed

        return await listed(config)

    async def served(self, config: WeaviateConfig) -> Served:
        """The server's ports and the collection's names. Raises as `open`."""
        _require(self.name)
        from vectormigrate.adapters.weaviate.ports import served

        return await served(config)

    def classify(self, error: BaseException, operation: str) -> AdapterError | None:
        """Weaviate's REST answers, gRPC's and httpx' errors."""
        return errors.classify(error, operation)


async def _restore(session: Session) -> None:
    """A server that is gone gets its tenants' states back no more."""
    with suppress(AdapterError), translated(errors.classify, "close"):
        await session.restore()


SPEC = WeaviateSpec()
