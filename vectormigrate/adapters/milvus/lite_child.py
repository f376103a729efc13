"""The child process that holds a Milvus Lite database: `python -m … PATH FD`.

Serves Lite on a free loopback port and writes one line of JSON to the file descriptor: `{"port": N}`,
`{"locked": true}` when another process has the database, or `{"error": TEXT}`. Lives until its standard input ends.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from types import ModuleType
from typing import Any

from vectormigrate import childproc


def _bare_pymilvus() -> None:
    """Lite needs only `pymilvus.grpc_gen`; the rest of the package takes a second to import."""
    import importlib.util

    found = importlib.util.find_spec("pymilvus")
    if found is not None and found.submodule_search_locations:
        package = ModuleType("pymilvus")
        package.__path__ = list(found.submodule_search_locations)
        sys.modules["pymilvus"] = package


def _serve(path: str) -> tuple[dict[str, Any], Any]:
    """What to tell the parent, and what must stay referenced."""
    try:
        from milvus_lite.adapter.grpc.server import start_server_in_thread
        from milvus_lite.exceptions import DataDirLockedError
    except ImportError as error:
        return {"error": str(error)}, None
    try:
        running: Any = start_server_in_thread(path, host="127.0.0.1", port=0)
    except DataDirLockedError:
        return {"locked": True}, None
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}, None
    return {"port": running[2]}, running


def main(path: str, fd: int) -> None:
    """Serve until the parent is gone."""
    childproc.exit_when_parent_dies()
    logging.disable(logging.CRITICAL)
    _bare_pymilvus()
    answer, running = _serve(path)
    os.write(fd, json.dumps(answer).encode() + b"\n")
    os.close(fd)
    if running is not None:
        running[0].wait_for_termination()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
