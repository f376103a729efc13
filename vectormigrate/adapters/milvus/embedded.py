"""Milvus Lite databases of this process: one child process per path, shared by everything that opens the path."""

from __future__ import annotations

import json
import os
import select
import subprocess
import threading
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from anyio.to_thread import run_sync

from vectormigrate.adapter import child_process
from vectormigrate.adapters.milvus.errors import NAME
from vectormigrate.errors import ConfigError, InvalidRequest, Unavailable

CHILD = f"{__package__}.embedded_child"
START_SECONDS = 60.0
CLOSE_SECONDS = 300.0
"""For how long the last user waits for the child, which may be building indexes; then it is killed."""
CANCELLED_SECONDS = 1.0
"""For how long one waits who is cancelled; then the child ends alone."""
RETRY_SECONDS = 0.1
POLL_SECONDS = 0.01


class Database:
    """One path and its child, counted by users. `lock` guards every field."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = threading.Lock()
        self.users = 0
        self.child: subprocess.Popen[bytes] | None = None
        self.port = 0

    def enter(self) -> int | None:
        """Count one more user and return the port; None when another process has the database. Blocking."""
        with self.lock:
            running = self.child is not None and self.child.poll() is None
            if not running and not self._start():
                return None
            self.users += 1
            return self.port

    def leave(self) -> subprocess.Popen[bytes] | None:
        """One user less; the last one gets the child, which has been asked to end."""
        with self.lock:
            self.users -= 1
            if self.users or self.child is None:
                return None
            child, self.child = self.child, None
            if child.stdin is not None:
                child.stdin.close()
            return child

    def _start(self) -> bool:
        read, write = os.pipe()
        try:
            try:
                child = child_process.start(CHILD, str(self.path), str(write), pass_fds=(write,))
            finally:
                os.close(write)
            answer = _first_line(read)
        finally:
            os.close(read)
        if "port" in answer:
            self.child, self.port = child, int(answer["port"])
            return True
        child_process.stop(child)
        if "locked" in answer:
            return False
        message = f"Milvus Lite cannot open {str(self.path)!r}: {answer.get('error', 'it did not start')}"
        raise InvalidRequest(message, adapter=NAME, operation="open")


def _first_line(fd: int) -> dict[str, str]:
    """The JSON line that the child writes; empty when it ends or stays silent."""
    data = b""
    deadline = time.monotonic() + START_SECONDS
    while not data.endswith(b"\n"):
        ready, _, _ = select.select([fd], [], [], max(0.0, deadline - time.monotonic()))
        part = os.read(fd, 65_536) if ready else b""
        if not part:
            return {}
        data += part
    return json.loads(data)


async def _ended(child: subprocess.Popen[bytes]) -> None:
    _ending.difference_update({other for other in _ending if other.poll() is not None})
    _ending.add(child)
    with anyio.move_on_after(CANCELLED_SECONDS, shield=True):
        await _exited(child)
    with anyio.move_on_after(CLOSE_SECONDS):
        await _exited(child)
    if child.poll() is None:
        child.kill()
        child.wait()
    _ending.discard(child)


async def _exited(child: subprocess.Popen[bytes]) -> None:
    while child.poll() is None:  # noqa: ASYNC110
        await anyio.sleep(POLL_SECONDS)


_ending: set[subprocess.Popen[bytes]] = set()
"""Children on their way out; kept, because Python complains of a running child that nobody knows any more."""

_databases: dict[Path, Database] = {}
_databases_lock = threading.Lock()


def _database(path: Path) -> Database:
    with _databases_lock:
        return _databases.setdefault(path, Database(path))


def _check_path(path: Path) -> None:
    if path.is_file():
        message = f"{str(path)!r} is a file; Milvus Lite 3 keeps a directory (an older Lite wrote single files)"
        raise InvalidRequest(message, adapter=NAME, operation="open")
    if not path.parent.is_dir():
        raise ConfigError(f"the folder {str(path.parent)!r} of the Milvus Lite database does not exist")


async def _enter(database: Database, lock_wait: float) -> int:
    deadline = time.monotonic() + lock_wait
    while True:
        # Shielded, so that a cancelled opener never leaves a counted user behind.
        port: int | None = None
        with anyio.CancelScope(shield=True):
            port = await run_sync(database.enter)
        if port is not None:
            return port
        if time.monotonic() >= deadline:
            message = f"another process has the Milvus Lite database {str(database.path)!r} open"
            raise Unavailable(message, adapter=NAME, operation="open")
        await anyio.sleep(RETRY_SECONDS)


@asynccontextmanager
async def served(path: Path, lock_wait: float) -> AsyncGenerator[str, None]:
    """The address of the database's child. Raises Unavailable when another process keeps it longer than `lock_wait`
    seconds, InvalidRequest when Lite cannot read it."""
    _check_path(path)
    database = _database(path)
    port = await _enter(database, lock_wait)
    try:
        yield f"127.0.0.1:{port}"
    finally:
        child: subprocess.Popen[bytes] | None = None
        with anyio.CancelScope(shield=True):
            child = await run_sync(database.leave)
        if child is not None:
            await _ended(child)
