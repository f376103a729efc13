"""A place to run on: the real server that the environment names (see tests/harness/weaviate.py), or an emulator."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.emulators.weaviate import Emulator, emulator
from tests.harness.weaviate import GRPC, URL
from tests.support.connected import connected
from tests.weaviate_client import vendor_client
from vectormigrate.adapter import Target
from vectormigrate.adapters.weaviate import SPEC, WeaviateConfig


@dataclass(slots=True)
class Place:
    """Addresses of a server; classes made by `create` are removed at the end."""

    url: str
    grpc: str
    made: list[str] = field(default_factory=list[str])

    def name(self) -> str:
        self.made.append(f"T_{uuid4().hex[:10]}")
        return self.made[-1]

    def config(self, collection: str, **options: Any) -> WeaviateConfig:
        return WeaviateConfig(url=self.url, grpc_url=self.grpc, collection=collection, **options)

    @asynccontextmanager
    async def open(self, collection: str, **options: Any) -> AsyncGenerator[Target, None]:
        async with connected(SPEC, self.config(collection, **options)) as target:
            yield target

    @asynccontextmanager
    async def vendor(self) -> AsyncGenerator[Any, None]:
        async with vendor_client(self.url, self.grpc) as client:
            yield client

    def rest(self, method: str, path: str, body: Any = None) -> Any:
        """A raw REST call under /v1; fails on an error."""
        answer = httpx.request(method, f"{self.url}/v1{path}", json=body, trust_env=False)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def create(self, **body: Any) -> str:
        """A class as its users make it; returns its name."""
        name = self.name()
        self.rest("POST", "/schema", {"class": name, **body})
        return name

    def clean(self) -> None:
        for name in self.made:
            self.rest("DELETE", f"/schema/{name}")
            self.rest("DELETE", f"/schema/VectormigratePending_{name}")


@pytest.fixture(scope="session")
def running() -> Generator[Emulator, None, None]:
    with emulator() as server:
        yield server


@pytest.fixture
def emulated(running: Emulator) -> Generator[Emulator, None, None]:
    """The emulator, for tests that turn its knobs; they are as new afterwards."""
    yield running
    running.store.knobs = type(running.knobs)()
    running.store.classes.clear()


@pytest.fixture
def place(running: Emulator) -> Generator[Place, None, None]:
    found = Place(URL, GRPC) if URL is not None else Place(running.url, running.grpc)
    yield found
    found.clean()


@pytest.fixture
def near(emulated: Emulator) -> Place:
    """The emulator as a place."""
    return Place(emulated.url, emulated.grpc)
