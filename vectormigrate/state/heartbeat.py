"""Keeps a lease alive from a thread of its own.

Not a task and not the writer's connection: an event loop that is busy for seconds (a large conversion, a blocking
client) or a long queue of commits must not make others believe that this process died. It therefore opens sqlite3
directly; it needs no flush to disk either, since a lease does not outlive the machine's power anyway.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from vectormigrate.state.faults import file_identity, is_busy
from vectormigrate.state.processes import steady_now
from vectormigrate.state.queries import QUERIES
from vectormigrate.state.records import Lease, utc_text

BUSY_SECONDS = 0.001

_log = logging.getLogger(__name__)


class Heartbeat:
    """Extends the lease by `ttl` seconds every `interval` seconds until stopped. Calls `on_lost` once, from the thread,
    when the lease belongs to someone else or the file is gone; a disk that fails for a while is only tried again."""

    def __init__(self, path: Path, lease: Lease, ttl: float, interval: float, on_lost: Callable[[], None]) -> None:
        self._path = path
        self._file = file_identity(path)
        self._lease = lease
        self._ttl = ttl
        self._interval = interval
        self._on_lost = on_lost
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"lease-{lease.migration_id}", daemon=True)

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread and wait for it. Blocking."""
        self._stop.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._stop.wait(self._interval):
            if file_identity(self._path) != self._file:
                self._on_lost()
                return
            try:
                with closing(self._connect()) as connection:
                    held = self._extend(connection)
            except sqlite3.Error as error:
                _log.warning("the lease of migration %r could not be extended: %s", self._lease.migration_id, error)
                continue
            if not held:
                self._on_lost()
                return

    def _connect(self) -> sqlite3.Connection:
        # mode=rw: a file that was removed must not come back empty
        uri = f"{self._path.absolute().as_uri()}?mode=rw"
        return sqlite3.connect(uri, uri=True, timeout=0, isolation_level=None)

    def _extend(self, connection: sqlite3.Connection) -> bool:
        connection.execute("PRAGMA synchronous = NORMAL")
        expires_at = utc_text(datetime.now(UTC) + timedelta(seconds=self._ttl))
        values = {
            "id": self._lease.migration_id,
            "owner": self._lease.owner,
            "expires_at": expires_at,
            "steady_until": steady_now() + self._ttl,
        }
        until = time.monotonic() + self._interval
        while True:
            try:
                return connection.execute(QUERIES["extend_lease"], values).rowcount == 1
            except sqlite3.OperationalError as error:
                # A run that commits all the time leaves a short gap now and then (writer.py), which SQLite's own pauses
                # of up to a tenth of a second would miss.
                if not is_busy(error) or time.monotonic() > until:
                    raise
                if self._stop.wait(BUSY_SECONDS):
                    return True
