"""Milvus Lite (a `.db` path) and a real standalone server: 2.3.5 from PyPI, or the one that
VECTORMIGRATE_TEST_MILVUS_URL names (with VECTORMIGRATE_TEST_MILVUS_API_KEY as its token)."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import anyio
import pytest
from anyio.from_thread import start_blocking_portal
from pydantic import SecretStr

from tests.harness.base import Deviation, DeviationKind, Harness
from tests.harness.milvus_server import free_ports, standalone
from tests.support.connected import connected
from vectormigrate.adapter import Capabilities
from vectormigrate.adapters.milvus import MilvusConfig
from vectormigrate.adapters.milvus.capabilities import narrowed, server_of
from vectormigrate.adapters.milvus.embedded import served
from vectormigrate.model.ids import IdKind

URL = os.environ.get("VECTORMIGRATE_TEST_MILVUS_URL")
KEY = os.environ.get("VECTORMIGRATE_TEST_MILVUS_API_KEY")


class LiteHarness(Harness):
    name = "milvus-lite"
    adapter = "milvus"
    exclusive = True
    scale = 0.5

    def __init__(self) -> None:
        self._folder = Path()

    def unavailable(self) -> str | None:
        return None if importlib.util.find_spec("milvus_lite") else "the package milvus-lite is not installed"

    @property
    def capabilities(self) -> Capabilities:
        return narrowed(server_of("milvus_lite-3.2.2", "embedded", "milvus_lite"))

    @contextmanager
    def running(self, folder: Path) -> Generator[None, None, None]:
        self._folder = folder
        with start_blocking_portal() as portal, ExitStack() as self._open:
            self._portal = portal
            self._keep_open()
            yield

    @contextmanager
    def released(self) -> Generator[None, None, None]:
        self._open.close()
        try:
            yield
        finally:
            self._keep_open()

    def _keep_open(self) -> None:
        """Be one more user of the database, so that its process does not end with every test."""
        config = self.config("any")
        self._open.enter_context(self._portal.wrap_async_context_manager(served(config.path(), config.lock_wait)))

    def config(self, collection: str) -> MilvusConfig:
        return MilvusConfig(url=str(self._folder / "lite.db"), collection=collection, lock_wait=3)


class ServerHarness(Harness):
    name = "milvus-server"
    adapter = "milvus"
    marks = (pytest.mark.server,)
    scale = 0.5
    deviations = tuple(
        Deviation(
            requirement=requirement,
            kind=DeviationKind.VENDOR_GAP,
            reason="Milvus stores the id 2**63 - 1 but can never return it, so it is rejected",
        )
        for requirement in ("ids:every-kind", "partitions:open-ended")
    )

    def __init__(self) -> None:
        self._url = ""
        self._capabilities: Capabilities | None = None

    def unavailable(self) -> str | None:
        if URL is None and importlib.util.find_spec("milvus") is None:
            return "neither the package milvus nor VECTORMIGRATE_TEST_MILVUS_URL is there"
        return None

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities or self.spec.capabilities

    @contextmanager
    def running(self, folder: Path) -> Generator[None, None, None]:
        if URL is not None:
            self._url = URL
            self._capabilities = anyio.run(self._ask)
            yield
            return
        with standalone() as url:
            self._url = url
            self._capabilities = anyio.run(self._ask)
            yield

    async def _ask(self) -> Capabilities:
        async with connected(self.spec, self.config("no_such_collection")) as target:
            return target.capabilities

    def config(self, collection: str) -> MilvusConfig:
        return MilvusConfig(url=self._url, collection=collection, api_key=SecretStr(KEY) if KEY else None)

    def unreachable(self) -> MilvusConfig:
        return MilvusConfig(url=f"http://127.0.0.1:{free_ports(1)[0]}", collection="c", connect_timeout=2)

    def id_kind(self) -> IdKind:
        return IdKind.INT64


HARNESSES = (LiteHarness(), ServerHarness())
