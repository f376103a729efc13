"""A world per test, and the canary in its environment."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from tests.server.world import CANARY, World


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "requirement(*ids): the behaviours of requirements.py that a test pins")


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("CANARY", CANARY)
    made = World(tmp_path)
    made.write()
    anyio.run(made.seed)
    return made
