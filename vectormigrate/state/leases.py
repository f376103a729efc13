"""One runner per migration, across processes and hosts that share the state file.

A lease is a row with the holder's fencing token. It can be taken over when it expired, and at once when its holder is a
process of this host that is gone. Every write of progress checks the token in its own transaction, so a holder that
lost the lease (it slept, it hung) can do no harm to the state when it wakes up.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import anyio
import anyio.to_thread

from vectormigrate.errors import LeaseHeld, StateError, remedy
from vectormigrate.state.connection import Session
from vectormigrate.state.faults import file_gone, file_identity
from vectormigrate.state.file import StateFile, require_migration
from vectormigrate.state.heartbeat import Heartbeat
from vectormigrate.state.pages import lease_lost
from vectormigrate.state.processes import host_identity, is_alive, own_start, steady_now
from vectormigrate.state.records import Lease, utc_text

LEASE_SECONDS = 15.0
HEARTBEAT_SECONDS = 3.0

_log = logging.getLogger(__name__)


class Leases:
    """Who runs which migration."""

    def __init__(self, file: StateFile) -> None:
        self._file = file

    @asynccontextmanager
    async def hold(
        self, migration_id: str, *, ttl: float = LEASE_SECONDS, interval: float = HEARTBEAT_SECONDS
    ) -> AsyncGenerator[Lease]:
        """Be the runner of this migration inside the block: the lease is extended every `interval` seconds, and
        released at the end. Raises MigrationNotFound, LeaseHeld (naming the holder), and LeaseLost when another process
        took over meanwhile, StateError when the file was removed: the block is cancelled then."""
        path = self._file.path
        file = file_identity(path)
        lease = await self._acquire(migration_id, ttl)
        loop = asyncio.get_running_loop()
        scope = anyio.CancelScope()

        def lost() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nothing is left to cancel
                loop.call_soon_threadsafe(scope.cancel)

        heartbeat = Heartbeat(path, lease, ttl, interval, lost)
        heartbeat.start()
        try:
            with scope:
                yield lease
            if scope.cancelled_caught:
                raise file_gone(path) if file_identity(path) != file else lease_lost(lease)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(heartbeat.stop)
                try:
                    await self.release(lease)
                except StateError as error:
                    _log.warning("the lease of migration %r was left to expire: %s", lease.migration_id, error)

    async def release(self, lease: Lease) -> None:
        """Give the lease back, if it is still held."""
        await self._file.execute("release_lease", id=lease.migration_id, owner=lease.owner)

    async def _acquire(self, migration_id: str, ttl: float) -> Lease:
        lease = new_lease(migration_id, ttl)
        await self._file.write(lambda session: _take(session, lease))
        return lease


def new_lease(migration_id: str, ttl: float, *, owner: str | None = None, since: str | None = None) -> Lease:
    """A lease of this process from now on; with `owner` and `since` one that it has already, extended."""
    now = datetime.now(UTC)
    return Lease(
        migration_id=migration_id,
        owner=owner or uuid4().hex,
        pid=os.getpid(),
        process_started=own_start(),
        host=socket.gethostname(),
        host_id=host_identity(),
        since=since or utc_text(now),
        expires_at=utc_text(now + timedelta(seconds=ttl)),
        steady_until=steady_now() + ttl,
    )


def is_live(lease: Lease, now: str) -> bool:
    """Whether the holder still counts as running. On its own host no change of the time of day matters."""
    if lease.host_id != host_identity() or lease.steady_until is None:
        return lease.expires_at > now
    return lease.steady_until > steady_now() and is_alive(lease.pid, lease.process_started)


async def current_lease(session: Session, migration_id: str) -> Lease | None:
    """The lease as stored, live or not."""
    row = await session.fetch_one("get_lease", id=migration_id)
    return None if row is None else _from_row(row)


async def require_no_runner(session: Session, migration_id: str) -> None:
    """Raise LeaseHeld when a live process runs the migration."""
    held = await current_lease(session, migration_id)
    if held is not None and is_live(held, utc_text()):
        raise LeaseHeld(
            f"migration {migration_id!r} is being run by process {held.pid} on host {held.host!r} since {held.since}; "
            f"watch it with: {remedy('status', migration_id)}, or end it with: {remedy('stop', migration_id)}"
        )


async def _take(session: Session, lease: Lease) -> None:
    await require_migration(session, lease.migration_id)
    await require_no_runner(session, lease.migration_id)
    await session.execute(
        "take_lease",
        migration_id=lease.migration_id,
        owner=lease.owner,
        pid=lease.pid,
        process_started=lease.process_started,
        host=lease.host,
        host_id=lease.host_id,
        since=lease.since,
        expires_at=lease.expires_at,
        steady_until=lease.steady_until,
    )
    # A stop that is asked for from here on is meant for this run, whatever it is still busy with.
    await session.execute("clear_stop", id=lease.migration_id)
    # The speed of an earlier run says nothing about this one.
    await session.execute("clear_recent", id=lease.migration_id)


def _from_row(row: sqlite3.Row) -> Lease:
    return Lease(**{key: row[key] for key in row.keys()})  # noqa: SIM118
