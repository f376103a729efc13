"""A running emulator per test module, and short ways to open collections on it."""

from __future__ import annotations

from collections.abc import Generator

import pytest

pytest.importorskip("qdrant_edge")
pytest.importorskip("qdrant_client")

from tests.emulators.qdrant import Emulator, emulator


@pytest.fixture(scope="module")
def server() -> Generator[Emulator, None, None]:
    """The newest server."""
    with emulator() as running:
        yield running


@pytest.fixture(scope="module")
def old_server() -> Generator[Emulator, None, None]:
    """The oldest server that is supported."""
    with emulator(version="1.15.4") as running:
        yield running
