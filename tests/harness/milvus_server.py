"""The real standalone Milvus 2.3.5 for tests: binaries unpacked once per user, data in a temporary folder."""

from __future__ import annotations

import importlib
import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vectormigrate.cli.demo.live import standalone as server
from vectormigrate.cli.demo.live.standalone import free_ports

__all__ = ["free_ports", "standalone"]


@contextmanager
def standalone(*, tick_ms: int = 20, authorization: bool = False) -> Generator[str]:
    """A fresh server for as long as the context lasts; yields its URL. Its data is removed afterwards."""
    milvus: Any = importlib.import_module("milvus")
    base = Path(tempfile.gettempdir()) / f"vectormigrate-tests-{os.getuid()}" / f"milvus-{milvus.__version__}"
    binaries = server.unpack(base)
    with (
        tempfile.TemporaryDirectory(prefix="vectormigrate-milvus-", ignore_cleanup_errors=True) as data,
        server.standalone(Path(data), binaries, tick_ms=tick_ms, authorization=authorization) as url,
    ):
        yield url
