"""The child process that holds a Milvus Lite database: `python -m … PATH FD`.

Serves Lite on a free loopback port and writes one line of JSON to the file descriptor: `{"port": N}`,
`{"locked": true}` when another process has the database, or `{"error": TEXT}`. Lives until its standard input ends,
and then until Lite is closed: it builds indexes in the background and writes their files in place, so a process that
just leaves can cut one off, and a collection with such a file cannot be loaded any more.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from types import ModuleType
from typing import Any

from vectormigrate.adapter import child_process

CALL_SECONDS = 5.0
"""For how long calls in flight may go on when the parent is gone."""


def _bare_pymilvus() -> None:
    """Lite needs only `pymilvus.grpc_gen`; the rest of the package takes a second to import."""
    import importlib.util

    found = importlib.util.find_spec("pymilvus")
    if found is not None and found.submodule_search_locations:
        package = ModuleType("pymilvus")
        package.__path__ = list(found.submodule_search_locations)
        sys.modules["pymilvus"] = package


class Serving:
    """One database and its gRPC server."""

    def __init__(self) -> None:
        self._running: Any = None

    def start(self, path: str) -> dict[str, Any]:
        """The answer to the parent."""
        try:
            from milvus_lite.adapter.grpc.server import start_server_in_thread
            from milvus_lite.exceptions import DataDirLockedError
        except ImportError as error:
            return {"error": str(error)}
        try:
            self._running = start_server_in_thread(path, host="127.0.0.1", port=0)
        except DataDirLockedError:
            return {"locked": True}
        except Exception as error:
            return {"error": f"{type(error).__name__}: {error}"}
        return {"port": self._running[2]}

    def close(self) -> None:
        """Let calls and background work end, and the database go."""
        if self._running is not None:
            server, database, _ = self._running
            server.stop(CALL_SECONDS).wait()
            database.close()


def main(path: str, fd: int) -> None:
    """Serve until the parent is gone."""
    serving = Serving()
    child_process.exit_when_parent_dies(serving.close)
    logging.disable(logging.CRITICAL)
    _bare_pymilvus()
    answer = serving.start(path)
    os.write(fd, json.dumps(answer).encode() + b"\n")
    os.close(fd)
    if "port" in answer:
        threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
