"""Opens the journal's file, makes a new one, and keeps its places (side and namespace) by number."""

from __future__ import annotations

import os
import re
import secrets
import sqlite3
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

from vectormigrate.capture.keys import Side
from vectormigrate.errors import JournalError
from vectormigrate.model.clock import utc_text

APPLICATION_ID = 0x564D4A4C
"""`VMJL`, in the header of every journal."""

VERSION = 2
BUSY_SECONDS = 10.0

_SQL = resources.files("vectormigrate.capture.journal") / "sql"
_HEADER = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


def _load() -> Mapping[str, str]:
    parts = _HEADER.split((_SQL / "queries.sql").read_text("utf-8"))
    return dict(zip(parts[1::2], (text.strip() for text in parts[2::2]), strict=True))


QUERIES = _load()
"""Statement by name."""


class Connection:
    """Named statements on the journal's file, and its transactions. Not for use by two threads at once.

    `durable`: a transaction is on the disk when it returns (`synchronous = FULL`). What only settles keys does without:
    losing it makes a key be copied once more, and what was written before it in the file is flushed with the next
    durable one."""

    def __init__(self, path: Path, *, durable: bool) -> None:
        self.path = path
        with self.translated():
            self._db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA foreign_keys = ON")
            self._db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            # A checkpoint takes as long as the disk likes: a thread of its own makes it, not a write that waits.
            self._db.execute("PRAGMA wal_autocheckpoint = 0")
        self._places: dict[tuple[Side, str | None], int] = {}
        self._names: dict[int, tuple[Side, str | None]] = {}

    def close(self) -> None:
        """Let go of the file. Repeatable."""
        self._db.close()

    def rows(self, name: str, *values: object) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        return self._db.execute(QUERIES[name], values).fetchall()

    def row(self, name: str, *values: object) -> tuple[Any, ...]:
        """The only row of a query."""
        (found,) = self.rows(name, *values)
        return found

    def run(self, name: str, *values: object) -> int:
        """Run a statement; returns how many rows it changed."""
        return self._db.execute(QUERIES[name], values).rowcount

    def run_many(self, name: str, rows: list[tuple[object, ...]]) -> int:
        """Run a statement once per row; returns how many rows changed."""
        return self._db.executemany(QUERIES[name], rows).rowcount if rows else 0

    def pragma(self, name: str) -> Any:
        """The value of a setting of the connection or the file."""
        return self._db.execute(f"PRAGMA {name}").fetchone()[0]

    @contextmanager
    def transaction(self) -> Generator[None]:
        """All or nothing, alone among all processes. Raises JournalError, after which nothing of it is kept."""
        with self.translated():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                self._places.clear()
                self._names.clear()
                raise

    @contextmanager
    def snapshot(self) -> Generator[None]:
        """What is read inside is of one moment."""
        with self.translated():
            self._db.execute("BEGIN")
            try:
                yield
            finally:
                self._db.execute("ROLLBACK")

    def checkpoint(self) -> int:
        """Move what is settled into the file itself, as far as no reader is in the way; returns the pages left."""
        with self.translated():
            _, pages, moved = self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        return pages - moved

    def place(self, side: Side, namespace: str | None) -> int:
        """The number of a namespace of a side (None: of whichever), made when it is new (only inside a transaction)."""
        found = self._places.get((side, namespace))
        if found is None:
            self.run("insert_place", side.value, _packed(namespace))
            (found,) = self.row("find_place", side.value, _packed(namespace))
            self._places[side, namespace] = found
        return found

    def known_place(self, side: Side, namespace: str | None) -> int | None:
        """As `place`; None when nothing of that namespace was ever touched."""
        found = self.rows("find_place", side.value, _packed(namespace))
        return found[0][0] if found else None

    def place_name(self, number: int) -> tuple[Side, str | None]:
        """Side and namespace of a number."""
        if number not in self._names:
            side, packed = self.row("place_name", number)
            self._names[number] = Side(side), packed[1:] if packed else None
        return self._names[number]

    @contextmanager
    def translated(self) -> Generator[None]:
        """Turns exceptions of SQLite into ours."""
        try:
            yield
        except sqlite3.Error as error:
            raise JournalError(f"the journal {str(self.path)!r} cannot be used: {error}") from error


def _packed(namespace: str | None) -> str:
    """A namespace as text that also has a form for whichever: SQLite takes NULLs for different from each other."""
    return "" if namespace is None else f"={namespace}"


def make(path: Path, migration_id: str) -> None:
    """Make an empty journal (0600, missing folders 0700), complete or not at all. Raises JournalError."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        try:
            _fill(draft, migration_id)
            os.link(draft, path)
        finally:
            draft.unlink()
        _flush_folder(path.parent)
    except FileExistsError:
        raise JournalError(f"the journal {str(path)!r} exists already") from None
    except (OSError, sqlite3.Error) as error:
        raise JournalError(f"the journal {str(path)!r} cannot be made: {error}") from error


def _fill(path: Path, migration_id: str) -> None:
    """Write the tables; closing moves all of it into the file itself."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        script = (_SQL / "schema.sql").read_text("utf-8")
        connection.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {VERSION};")
        connection.execute(QUERIES["insert_journal"], (migration_id, secrets.token_hex(16), utc_text()))
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("COMMIT")
    finally:
        connection.close()


def _flush_folder(folder: Path) -> None:
    """Make the new name durable, where the system can."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def connect(path: Path, migration_id: str, *, durable: bool) -> Connection:
    """Open an existing journal of this migration. Raises JournalError for another file."""
    if not path.is_file():
        raise JournalError(f"there is no journal {str(path)!r}")
    connection = Connection(path, durable=durable)
    try:
        with connection.translated():
            application, version = connection.pragma("application_id"), connection.pragma("user_version")
        if application != APPLICATION_ID:
            raise JournalError(f"{str(path)!r} is not a journal")
        if version != VERSION:
            raise JournalError(f"the journal {str(path)!r} is of format {version}, this version knows {VERSION}")
        (owner, _) = connection.row("load_journal")
        if owner != migration_id:
            raise JournalError(f"the journal {str(path)!r} belongs to migration {owner!r}, not to {migration_id!r}")
    except BaseException:
        connection.close()
        raise
    return connection
