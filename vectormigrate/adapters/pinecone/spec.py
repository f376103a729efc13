"""Pinecone: serverless vector indexes (dense, sparse, hybrid), document indexes, and integrated ones as a source.

The control plane goes through Pinecone's SDK, the data plane over our own HTTP client (see client.py for the reasons).
"""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio

from vectormigrate.adapter import Listing
from vectormigrate.adapters.pinecone import errors
from vectormigrate.adapters.pinecone.capabilities import CAPABILITIES, DOCUMENTS, EDITIONS
from vectormigrate.adapters.pinecone.config import KEY_VARIABLE, PineconeConfig
from vectormigrate.adapters.pinecone.types import TYPE_WORDS
from vectormigrate.errors import AdapterError, AuthFailed, MissingExtra

if TYPE_CHECKING:
    from vectormigrate.adapter.operations import Operations
    from vectormigrate.adapter.ports import Served
    from vectormigrate.adapters.pinecone.adapter import PineconeIndex

__all__ = ["CAPABILITIES", "DOCUMENTS", "SPEC", "PineconeConfig"]

MODULES = ("pinecone", "httpx", "msgspec")


def _require(name: str) -> None:
    for module in MODULES:
        if importlib.util.find_spec(module) is None:
            raise MissingExtra(name, "pinecone", module)


def _key(config: PineconeConfig) -> str:
    key = config.key()
    if not key or not key.isascii() or not key.isprintable():
        message = f"the API key is missing or no key at all; give api_key or set {KEY_VARIABLE}"
        raise AuthFailed(message, adapter=PineconeSpec.name, operation="open")
    return key


class PineconeSpec:
    """AdapterSpec of `pinecone`."""

    name = "pinecone"
    extra: str | None = "pinecone"
    config = PineconeConfig
    capabilities = CAPABILITIES
    type_words = TYPE_WORDS
    editions = EDITIONS

    @property
    def operations(self) -> Operations:
        """What requests to the server read or change, loaded on first use."""
        from vectormigrate.adapters.pinecone.operations import OPERATIONS

        return OPERATIONS

    @asynccontextmanager
    async def open(self, config: PineconeConfig) -> AsyncGenerator[PineconeIndex, None]:
        """The index. Raises MissingExtra, AuthFailed, Unavailable, and InvalidRequest for a pod index."""
        _require(self.name)
        from vectormigrate.adapters.pinecone.adapter import PineconeIndex
        from vectormigrate.adapters.pinecone.client import Client
        from vectormigrate.adapters.pinecone.client_control import Control
        from vectormigrate.adapters.pinecone.session import Session

        key = _key(config)
        control, client = Control(config, key), Client(config, key)
        try:
            session = Session(config, client, control)
            await session.find()
            yield PineconeIndex(session)
        finally:
            with anyio.CancelScope(shield=True):
                await client.close()
                await control.close()

    async def list_collections(self, config: PineconeConfig) -> Listing:
        """The indexes of the project. Raises as `open`."""
        _require(self.name)
        from vectormigrate.adapters.pinecone.listing import listed

        return await listed(config, _key(config))

    async def served(self, config: PineconeConfig) -> Served | None:
        """The index's port; None while there is no such index. Raises as `open`."""
        _require(self.name)
        from vectormigrate.adapters.pinecone.ports import served

        return await served(config, _key(config))

    def classify(self, error: BaseException, operation: str) -> AdapterError | None:
        """Pinecone's answers, the SDK's exceptions and httpx's."""
        return errors.classify(error, operation)


SPEC = PineconeSpec()
