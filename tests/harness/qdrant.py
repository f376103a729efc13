"""Qdrant over gRPC and over REST: the emulator, or the server that VECTORMIGRATE_TEST_QDRANT_URL names (with
…_GRPC_PORT and …_API_KEY beside it)."""

from __future__ import annotations

import importlib.util
import os
import socket
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import anyio
from pydantic import SecretStr

from tests.harness.base import Harness
from tests.support.connected import connected
from vectormigrate.adapter import Capabilities
from vectormigrate.adapters.qdrant import QdrantConfig

URL = os.environ.get("VECTORMIGRATE_TEST_QDRANT_URL")
GRPC_PORT = int(os.environ.get("VECTORMIGRATE_TEST_QDRANT_GRPC_PORT", "6334"))
KEY = os.environ.get("VECTORMIGRATE_TEST_QDRANT_API_KEY")


class QdrantHarness(Harness):
    adapter = "qdrant"
    scale = 0.5

    def __init__(self, name: str, *, prefer_grpc: bool) -> None:
        self.name = name
        self.in_matrix = name in ("qdrant", "pinecone")
        self._prefer_grpc = prefer_grpc
        self._url, self._grpc_port = "", 0
        self._capabilities: Capabilities | None = None

    def unavailable(self) -> str | None:
        if importlib.util.find_spec("qdrant_client") is None:
            return "the package qdrant-client is not installed"
        if URL is None and importlib.util.find_spec("qdrant_edge") is None:
            return "neither the package qdrant-edge-py nor VECTORMIGRATE_TEST_QDRANT_URL is there"
        return None

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities or self.spec.capabilities

    @contextmanager
    def running(self, folder: Path) -> Generator[None, None, None]:
        if URL is not None:
            self._url, self._grpc_port = URL, GRPC_PORT
            self._capabilities = anyio.run(self._ask)
            yield
            return
        from tests.emulators.qdrant import emulator

        with emulator() as server:
            self._url, self._grpc_port = server.url, server.grpc_port
            self._capabilities = anyio.run(self._ask)
            yield

    async def _ask(self) -> Capabilities:
        async with connected(self.spec, self.config("no_such_collection")) as target:
            return target.capabilities

    def config(self, collection: str) -> QdrantConfig:
        return QdrantConfig(
            url=self._url,
            collection=collection,
            api_key=SecretStr(KEY) if KEY else None,
            grpc_port=self._grpc_port,
            prefer_grpc=self._prefer_grpc,
        )

    def unreachable(self) -> QdrantConfig:
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            port = sock.getsockname()[1]
        return QdrantConfig(url=f"http://127.0.0.1:{port}", collection="c", prefer_grpc=False, connect_timeout=2)


HARNESSES = (QdrantHarness("qdrant", prefer_grpc=True), QdrantHarness("qdrant-rest", prefer_grpc=False))
