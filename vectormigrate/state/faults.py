"""What an exception of SQLite means for the operator: one table."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from vectormigrate.errors import StateBusy, StateCorrupt, StateError, StateUnwritable, remedy

_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_UNWRITABLE = {
    sqlite3.SQLITE_FULL: f"its disk is full; free some space, then resume with: {remedy('resume')}",
    sqlite3.SQLITE_IOERR: "its disk cannot be read or written; check the disk and its limits",
    sqlite3.SQLITE_READONLY: "it is read-only; make the file and its folder writable, or name another state file",
    sqlite3.SQLITE_PERM: "access is not permitted; make the file and its folder writable, or name another state file",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; make its folder writable, or name another state file",
}
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_SHORT_READ = sqlite3.SQLITE_IOERR_SHORT_READ


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another process holds the file, so that another try may succeed."""
    return _primary(error) in _BUSY


def corrupt(path: Path | str, detail: str) -> StateCorrupt:
    """The error for a file whose content cannot be right."""
    return StateCorrupt(
        f"the state file {str(path)!r} is damaged ({detail}); restore a backup of it, or move it away to start anew"
    )


def state_error(error: sqlite3.Error, path: Path | str) -> StateError:
    """The error of ours that an exception of sqlite3 means."""
    primary = _primary(error)
    code = getattr(error, "sqlite_errorcode", None)
    if primary in _CORRUPT or code == _SHORT_READ or "decode to UTF-8" in str(error):
        return corrupt(path, str(error))
    if (way_out := _UNWRITABLE.get(primary)) is not None:
        return StateUnwritable(f"the state file {str(path)!r}: {way_out} ({error})")
    if primary in _BUSY:
        return StateBusy(f"the state file {str(path)!r} is busy: it is kept locked by another process; try again later")
    return StateError(f"the state file {str(path)!r} refused an operation: {error}")


def file_identity(path: Path | str) -> tuple[int, int] | None:
    """Device and number of the file that has this name now, None when there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def file_gone(path: Path | str) -> StateError:
    """The error for a file that was removed or replaced while it was in use."""
    return StateError(
        f"the state file {str(path)!r} was removed or replaced during the run, and its progress with it; nothing more "
        "was copied. Put the file back and resume, or remove what was written to the target and start anew"
    )


@contextmanager
def translated(path: Path | str) -> Generator[None]:
    """Turns exceptions of sqlite3 into ours."""
    try:
        yield
    except sqlite3.Error as error:
        raise state_error(error, path) from error


def _primary(error: sqlite3.Error) -> int:
    """The primary result code; the high bits of the extended one are detail. 0 when Python raised the error itself."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF
