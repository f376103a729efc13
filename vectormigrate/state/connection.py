"""Opens SQLite the one way this package uses it, and runs named statements on it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import aiosqlite
import anyio

from vectormigrate.errors import StateError, StateUnwritable
from vectormigrate.state.faults import file_gone, file_identity, is_busy, translated
from vectormigrate.state.queries import MIGRATIONS, QUERIES
from vectormigrate.state.schema import check_owner, newest_version, upgrade
from vectormigrate.state.secrets import SecretGuard

BUSY_SECONDS = 4.0
"""How long SQLite itself waits for the lock of another process."""

PATIENCE = 60.0
"""How long a transaction is started anew after that: a run must not end because somebody copies its state file."""


class Session:
    """Named statements on one connection. Every written value passes the guard first."""

    def __init__(
        self, connection: aiosqlite.Connection, path: Path, guard: SecretGuard, patience: float | None = None
    ) -> None:
        self.connection = connection
        self._tries = _tries(patience)
        self.path = path
        self.guard = guard
        self._file = file_identity(path)

    async def fetch(self, name: str, **values: object) -> list[sqlite3.Row]:
        """All rows of a query."""
        with self._translated():
            return list(await self.connection.execute_fetchall(QUERIES[name], values))

    async def fetch_one(self, name: str, **values: object) -> sqlite3.Row | None:
        """The first row of a query, or None."""
        rows = await self.fetch(name, **values)
        return rows[0] if rows else None

    async def execute(self, name: str, **values: object) -> int:
        """Run a statement; returns the number of rows that it changed."""
        self.guard.check(name, values.values())
        with self._translated():
            async with self.connection.execute(QUERIES[name], values) as cursor:  # pyright: ignore[reportArgumentType]
                return cursor.rowcount

    async def insert(self, name: str, **values: object) -> int:
        """Run an INSERT; returns the number of the new row."""
        self.guard.check(name, values.values())
        with self._translated():
            row = await self.connection.execute_insert(QUERIES[name], values)
        assert row is not None
        return int(row[0])

    async def execute_many(self, name: str, rows: Sequence[Mapping[str, object]]) -> None:
        """Run a statement once per row."""
        if not rows:
            return
        for row in rows:
            self.guard.check(name, row.values())
        with self._translated():
            async with self.connection.executemany(QUERIES[name], rows):  # pyright: ignore[reportArgumentType]
                pass

    async def control(self, statement: str) -> None:
        """Run a statement that is no query of the package: COMMIT, ROLLBACK, SAVEPOINT."""
        with self._translated():
            await self.connection.execute_fetchall(statement)

    async def begin(self) -> None:
        """Take the write lock, however long other processes keep it within reason. Raises StateBusy after that, and
        StateError for a file that is no longer the one that was opened: SQLite would continue writing where nobody ever
        looks."""
        if file_identity(self.path) != self._file:
            raise file_gone(self.path)
        with self._translated():
            for attempt in range(self._tries):
                try:
                    await self.connection.execute_fetchall("BEGIN IMMEDIATE")
                except sqlite3.OperationalError as error:
                    if not is_busy(error) or attempt == self._tries - 1:
                        raise
                else:
                    return

    @contextmanager
    def _translated(self) -> Generator[None]:
        """As `translated`; an error on a file that was removed or replaced is about that."""
        try:
            with translated(self.path):
                yield
        except StateError as error:
            if file_identity(self.path) != self._file:
                raise file_gone(self.path) from error
            raise


@asynccontextmanager
async def open_writer(
    path: Path, guard: SecretGuard, migrations: Traversable = MIGRATIONS, patience: float | None = None
) -> AsyncGenerator[Session]:
    """A connection that may write; the file is made (0600, missing folders 0700) or brought to the newest version.
    `patience`: seconds to wait for the lock of another process, default PATIENCE."""
    _make_file(path)
    async with _connect(str(path), path, patience) as connection:
        with translated(path):
            version = await check_owner(connection, path, migrations)
            await _use_wal(connection, path, _tries(patience))
            # An up-to-date file is not written to: it can be looked at even when its disk is full.
            if version < newest_version(migrations):
                await upgrade(connection, path, migrations)
            await connection.execute_fetchall("PRAGMA synchronous = FULL")
            await connection.execute_fetchall("PRAGMA foreign_keys = ON")
        yield Session(connection, path, guard, patience)


async def is_outdated(path: Path) -> bool:
    """Whether an existing file is of an older version. Raises StateCorrupt, StateTooNew."""
    async with _connect(_read_only_uri(path), path, uri=True) as connection:
        with translated(path):
            return await check_owner(connection, path) < newest_version()


@asynccontextmanager
async def open_reader(path: Path, guard: SecretGuard) -> AsyncGenerator[Session]:
    """A connection for queries on an existing file of the newest version. Works without write access too."""
    async with _connect(_read_only_uri(path), path, uri=True) as connection:
        with translated(path):
            await connection.execute_fetchall("PRAGMA query_only = ON")
        yield Session(connection, path, guard)


@asynccontextmanager
async def open_empty(path: Path, guard: SecretGuard) -> AsyncGenerator[Session]:
    """What a reader sees of a state file that does not exist: one without migrations."""
    async with _connect(":memory:", path) as connection:
        with translated(path):
            await upgrade(connection, path)
            await connection.execute_fetchall("PRAGMA query_only = ON")
        yield Session(connection, path, guard)


@asynccontextmanager
async def _connect(
    database: str, path: Path, patience: float | None = None, **options: Any
) -> AsyncGenerator[aiosqlite.Connection]:
    timeout = BUSY_SECONDS if patience is None else min(BUSY_SECONDS, patience)
    connection = aiosqlite.connect(database, isolation_level=None, timeout=timeout, **options)
    # Shielded: a cancellation between the thread's start and its first answer would leave the thread behind.
    with anyio.CancelScope(shield=True), translated(path):
        await connection
    try:
        connection.row_factory = sqlite3.Row
        yield connection
    finally:
        with anyio.CancelScope(shield=True):
            await connection.close()


def _tries(patience: float | None) -> int:
    """How often a transaction is started anew, each time for BUSY_SECONDS."""
    return max(1, round((PATIENCE if patience is None else patience) / BUSY_SECONDS))


async def _use_wal(connection: aiosqlite.Connection, path: Path, tries: int) -> None:
    """Switching the mode does not wait for other processes by itself."""
    for attempt in range(tries):
        try:
            rows = list(await connection.execute_fetchall("PRAGMA journal_mode = WAL"))
        except sqlite3.OperationalError as error:
            if not is_busy(error) or attempt == tries - 1:
                raise
            await anyio.sleep(0.05 * (attempt + 1))
        else:
            if rows[0][0] != "wal":
                raise StateUnwritable(
                    f"the state file {str(path)!r} is on a file system without shared memory; name one on a local disk"
                )
            return


def _make_file(path: Path) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise StateUnwritable(
            f"the state file {str(path)!r} cannot be made ({error.strerror}); name one in a writable folder"
        ) from error
    if not path.is_file():
        raise StateUnwritable(f"the state file {str(path)!r} is not a regular file; name another one")


def _read_only_uri(path: Path) -> str:
    """Without write access to its folder SQLite cannot make the shared-memory file that a reader of a WAL database
    needs; a file that has no WAL beside it is not in use, so it may be read as it stands."""
    wal = path.with_name(path.name + "-wal")
    immutable = not wal.exists() and not os.access(path.parent, os.W_OK)
    return f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' if immutable else ''}"
