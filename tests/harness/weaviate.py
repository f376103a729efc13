"""Weaviate: the emulator, or the real server that VECTORMIGRATE_TEST_WEAVIATE_URL (REST) and
VECTORMIGRATE_TEST_WEAVIATE_GRPC (host:port) name, with VECTORMIGRATE_TEST_WEAVIATE_API_KEY as its key."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from pydantic import SecretStr

from tests.harness.base import Harness
from tests.harness.milvus_server import free_ports
from vectormigrate.adapters.weaviate import WeaviateConfig

URL = os.environ.get("VECTORMIGRATE_TEST_WEAVIATE_URL")
GRPC = os.environ.get("VECTORMIGRATE_TEST_WEAVIATE_GRPC", "")
KEY = os.environ.get("VECTORMIGRATE_TEST_WEAVIATE_API_KEY")


class WeaviateHarness(Harness):
    name = "weaviate"
    adapter = "weaviate"

    def unavailable(self) -> str | None:
        return None if importlib.util.find_spec("weaviate") else "the package weaviate-client is not installed"

    @contextmanager
    def running(self, folder: Path) -> Generator[None, None, None]:
        del folder
        if URL is not None:
            self._url, self._grpc = URL, GRPC
            yield
            return
        from tests.emulators.weaviate import emulator

        with emulator() as server:
            self._url, self._grpc = server.url, server.grpc
            yield

    def config(self, collection: str) -> WeaviateConfig:
        key = SecretStr(KEY) if KEY else None
        return WeaviateConfig(url=self._url, grpc_url=self._grpc, collection=collection, api_key=key)

    def unreachable(self) -> WeaviateConfig:
        rest, grpc = free_ports(2)
        return WeaviateConfig(url=f"http://127.0.0.1:{rest}", grpc_port=grpc, collection="C", connect_timeout=2)

    def new_name(self) -> str:
        return f"C_{uuid4().hex[:12]}"


HARNESSES = (WeaviateHarness(),)
