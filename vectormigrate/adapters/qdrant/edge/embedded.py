"""The child process that holds one collection's shard, shared by every open of that collection in this process.

Blocking: call from threads. One exchange at a time; a child that dies is started again by the next one.
"""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from vectormigrate.adapter import child_process
from vectormigrate.adapters.qdrant.edge import frames
from vectormigrate.adapters.qdrant.edge.catalogue import Entry
from vectormigrate.adapters.qdrant.edge.errors import LOCKED, classify_text
from vectormigrate.errors import AdapterError, AlreadyExists, CollectionNotFound, Unavailable

WORKER = "vectormigrate.adapters.qdrant.edge.embedded_child"


class Shared:
    """One collection and its child. The child starts when the collection is first used and exists."""

    def __init__(self, root: Path, collection: str, lock_wait: float) -> None:
        self.entry = Entry(root, collection)
        self.users = 0
        self._lock_wait = lock_wait
        self._lock = threading.RLock()
        self._child: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._loaded = False

    def open_if_exists(self) -> None:
        """Take the collection's lock now if there is a collection."""
        with self._lock:
            if self.entry.exists():
                self._load()

    def exchange(self, head: frames.Head, buffers: Sequence[frames.Buffer] = ()) -> tuple[frames.Head, list[bytearray]]:
        """One request to the loaded shard. Raises CollectionNotFound, Unavailable or what the engine's error means."""
        with self._lock:
            if not self._loaded:
                if not self.entry.exists():
                    raise CollectionNotFound(
                        f"no collection {self.entry.name!r} in {str(self.entry.root)!r}",
                        adapter="qdrant_edge",
                        operation=str(head["op"]),
                    )
                self._load()
            return self._ask(head, buffers)

    def create(self, config: frames.Head, indexes: Sequence[frames.Head], description: frames.Head) -> None:
        """Make the collection. Raises AlreadyExists."""
        with self._lock, self.entry.creating():
            if self.entry.exists():
                message = f"collection {self.entry.name!r} exists in {str(self.entry.root)!r}"
                raise AlreadyExists(message, adapter="qdrant_edge", operation="create")
            self._stop()
            self.entry.prepare()
            try:
                request = {"op": "create", "path": str(self.entry.shard), "config": config, "indexes": indexes}
                self._ask(request)
                self.entry.write(description)
            except BaseException:
                self._stop()
                self.entry.remove()
                raise
            self._loaded = True

    def drop(self) -> None:
        """Remove the collection, if it exists and no other process has it open."""
        with self._lock:
            if not self.entry.exists():
                return
            self._load()
            self._ask({"op": "close"})
            self.entry.remove()
            self._stop()

    def kill(self) -> None:
        """End the child in the middle of a request, without waiting for the lock. Acknowledged writes are safe."""
        child = self._child
        if child is not None:
            child.kill()

    def stop(self) -> None:
        """End the child after it closed the shard in good order, which spares the next open a replay of the log."""
        with self._lock:
            if self._loaded:
                with suppress(AdapterError):
                    self._ask({"op": "close"})
            self._stop()

    def _load(self) -> None:
        if self._loaded and self._child is not None and self._child.poll() is None:
            return
        deadline = time.monotonic() + self._lock_wait
        while True:
            try:
                self._ask({"op": "open", "path": str(self.entry.shard)})
            except Unavailable as error:
                if LOCKED not in str(error):
                    raise
                if time.monotonic() >= deadline:
                    self._stop()
                    raise Unavailable(
                        f"another process has collection {self.entry.name!r} in {str(self.entry.root)!r} open; "
                        "end it or wait for it",
                        adapter="qdrant_edge",
                        operation="open",
                    ) from error
                time.sleep(0.1)
            else:
                self._loaded = True
                return

    def _ask(self, head: frames.Head, buffers: Sequence[frames.Buffer] = ()) -> tuple[frames.Head, list[bytearray]]:
        sock = self._start()
        try:
            frames.send(sock, head, buffers)
            answer, parts = frames.receive(sock)
        except (OSError, EOFError) as error:
            self._stop()
            raise Unavailable(
                f"the engine's process of collection {self.entry.name!r} ended",
                adapter="qdrant_edge",
                operation=head["op"],
            ) from error
        if "error" in answer:
            raise classify_text(answer["error"], str(head["op"]))
        return answer, parts

    def _start(self) -> socket.socket:
        if self._socket is not None:
            return self._socket
        ours, theirs = socket.socketpair()
        with theirs:
            self._child = child_process.start(WORKER, str(theirs.fileno()), pass_fds=(theirs.fileno(),))
        self._socket = ours
        return ours

    def _stop(self) -> None:
        self._loaded = False
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._child is not None:
            child_process.stop(self._child)
            self._child = None


_SHARED: dict[tuple[Path, str], Shared] = {}
_SHARED_LOCK = threading.Lock()


def acquire(root: Path, collection: str, lock_wait: float) -> Shared:
    """The shared child of this collection, counted up. Every `acquire` needs one `release`."""
    with _SHARED_LOCK:
        shared = _SHARED.setdefault((root, collection), Shared(root, collection, lock_wait))
        shared.users += 1
        return shared


def release(shared: Shared) -> None:
    """Count down; the last user ends the child, which frees the collection for other processes. Blocking."""
    with _SHARED_LOCK:
        shared.users -= 1
        if shared.users:
            return
        _SHARED.pop((shared.entry.root, shared.entry.name), None)
    shared.stop()
