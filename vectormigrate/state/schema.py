"""Knows whether a file is ours and of which version, and brings an older one forward."""

from __future__ import annotations

import sqlite3
from importlib.resources.abc import Traversable
from pathlib import Path

import aiosqlite

from vectormigrate.errors import StateCorrupt, StateTooNew
from vectormigrate.state.queries import MIGRATIONS, scripts, statements

APPLICATION_ID = 0x564D4947
"""`VMIG`, in the header of every state file."""


def newest_version(folder: Traversable = MIGRATIONS) -> int:
    """The version that this package writes."""
    return scripts(folder)[-1][0]


async def check_owner(connection: aiosqlite.Connection, path: Path | str, folder: Traversable = MIGRATIONS) -> int:
    """The version of the file, 0 for an empty one. Raises StateCorrupt for a database of another program and
    StateTooNew for a version that has no script here. Writes nothing."""
    application, version, tables = await _identity(connection)
    if application != APPLICATION_ID:
        if tables or version:
            raise StateCorrupt(
                f"the file {str(path)!r} is a SQLite database of another program; name another state file"
            )
        return 0
    latest = newest_version(folder)
    if version > latest:
        raise StateTooNew(
            f"the state file {str(path)!r} was written by a newer vectormigrate (format {version}, this one knows "
            f"{latest}); upgrade vectormigrate, or name another state file"
        )
    return version


async def upgrade(connection: aiosqlite.Connection, path: Path | str, folder: Traversable = MIGRATIONS) -> None:
    """Apply the scripts that the file lacks, all in one transaction: it ends at the newest version or as it was."""
    await connection.execute_fetchall("BEGIN IMMEDIATE")
    try:
        # Looked up again under the lock: another process may just have done the work.
        version = await check_owner(connection, path, folder)
        for number, script in scripts(folder):
            if number > version:
                for statement in statements(script):
                    await connection.execute_fetchall(statement)
                await connection.execute_fetchall(f"PRAGMA user_version = {number}")
        await connection.execute_fetchall(f"PRAGMA application_id = {APPLICATION_ID}")
        await connection.execute_fetchall("COMMIT")
    except BaseException:
        if connection.in_transaction:
            await connection.execute_fetchall("ROLLBACK")
        raise


async def _identity(connection: aiosqlite.Connection) -> tuple[int, int, int]:
    """Application id, version and number of tables, all of one moment: another process may be filling the file."""
    alone = not connection.in_transaction
    if alone:
        await connection.execute_fetchall("BEGIN")
    try:
        application = await _pragma(connection, "application_id")
        version = await _pragma(connection, "user_version")
        rows = list(await connection.execute_fetchall("SELECT count(*) FROM sqlite_schema"))
    finally:
        if alone and connection.in_transaction:
            await connection.execute_fetchall("COMMIT")
    return application, version, int(rows[0][0])


async def _pragma(connection: aiosqlite.Connection, name: str) -> int:
    rows: list[sqlite3.Row] = list(await connection.execute_fetchall(f"PRAGMA {name}"))
    return int(rows[0][0])
