"""What simulations of live migrations need."""

from __future__ import annotations

import gc
import logging
import tempfile
from collections.abc import Generator
from pathlib import Path

import anyio
import pytest

from tests.live.simulated.template import Template, make_template
from vectormigrate.capture.running import following
from vectormigrate.engine import run as engine_run


@pytest.fixture(scope="module")
def template() -> Generator[Template]:
    """In memory where the system has that: a flush then takes no time, and what it is for is tested elsewhere."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="vm", dir=memory if memory.is_dir() else None) as folder:
        yield anyio.run(make_template, Path(folder))


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """Pages of a batch, fewer looks while there is nothing to do, and no collector that runs in the middle."""
    monkeypatch.setattr(engine_run, "PAGE_BYTES", 1)
    monkeypatch.setattr(following, "IDLE_SECONDS", 0.3)
    logging.disable(logging.CRITICAL)
    gc.collect()
    gc.freeze()
    gc.disable()
    yield
    gc.enable()
    gc.unfreeze()
    logging.disable(logging.NOTSET)
