"""The database of tests/toydb: files in a temporary folder. It runs where it is installed."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tests.harness.base import Harness
from tests.toydb.config import ToydbConfig


class ToydbHarness(Harness):
    name = "toydb"
    adapter = "toydb"

    @contextmanager
    def running(self, folder: Path) -> Generator[None, None, None]:
        self._folder = folder
        yield

    def config(self, collection: str) -> ToydbConfig:
        return ToydbConfig(url=str(self._folder), collection=collection)


HARNESSES = (ToydbHarness(),)
