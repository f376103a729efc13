"""Pinecone: vector and document indexes on the emulator, or on the real service when
VECTORMIGRATE_TEST_PINECONE_API_KEY holds a key of a project that may be filled and emptied."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pydantic import SecretStr

from tests.emulators import pinecone as emulator
from tests.harness.base import Deviation, DeviationKind, Harness
from tests.harness.milvus_server import free_ports
from vectormigrate.adapter import Capabilities
from vectormigrate.adapters.pinecone import CAPABILITIES, DOCUMENTS, PineconeConfig
from vectormigrate.adapters.pinecone.config import DEFAULT_URL, KEY_VARIABLE

KEY = os.environ.get("VECTORMIGRATE_TEST_PINECONE_API_KEY")


class _Environment:
    """Who needs the key in the environment, and what was there before the first of them."""

    users = 0
    before: str | None = None


@contextmanager
def key_in_environment(key: str) -> Generator[None, None, None]:
    """The key, through the environment because one that was given is not stored with a migration, until the last user
    is gone."""
    if _Environment.users == 0:
        _Environment.before = os.environ.get(KEY_VARIABLE)
    _Environment.users += 1
    os.environ[KEY_VARIABLE] = key
    try:
        yield
    finally:
        _Environment.users -= 1
        if _Environment.users == 0:
            os.environ.pop(KEY_VARIABLE)
            if _Environment.before is not None:
                os.environ[KEY_VARIABLE] = _Environment.before


class PineconeHarness(Harness):
    adapter = "pinecone"
    scale = 0.5
    empty_sparse = False
    deviations = (
        Deviation(
            requirement="describe:metadata-indexes",
            kind=DeviationKind.NEVER,
            reason="Pinecone makes every metadata field filterable and lists none of them",
        ),
        Deviation(
            requirement="describe:vector-index",
            kind=DeviationKind.NEVER,
            reason="a serverless index has no graph parameters",
        ),
    )

    def __init__(self, name: str, kind: Literal["vector", "document"]) -> None:
        self.name = name
        self.in_matrix = name in ("qdrant", "pinecone")
        self._kind: Literal["vector", "document"] = kind
        self._url = DEFAULT_URL

    def unavailable(self) -> str | None:
        return None if importlib.util.find_spec("pinecone") else "the package pinecone is not installed"

    @property
    def capabilities(self) -> Capabilities:
        return DOCUMENTS if self._kind == "document" else CAPABILITIES

    @contextmanager
    def running(self, folder: Path) -> Generator[None, None, None]:
        if KEY is not None:
            with key_in_environment(KEY):
                yield
        else:
            with emulator.running() as pinecone, key_in_environment(pinecone.api_key):
                self._url = pinecone.url
                yield

    def config(self, collection: str) -> PineconeConfig:
        return PineconeConfig(url=self._url, collection=collection, index_kind=self._kind)

    def unreachable(self) -> PineconeConfig:
        url = f"http://127.0.0.1:{free_ports(1)[0]}"
        return PineconeConfig(url=url, collection="c", api_key=SecretStr("nobody"), connect_timeout=2)


HARNESSES = (PineconeHarness("pinecone", "vector"), PineconeHarness("pinecone-documents", "document"))
