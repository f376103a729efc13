"""What each answer of SQLite means for the operator."""

import sqlite3
from pathlib import Path

import pytest

from vectormigrate.errors import StateBusy, StateCorrupt, StateError, StateUnwritable
from vectormigrate.state.faults import is_busy, state_error

PATH = Path("/somewhere/state.db")


def refusal(code: int | None) -> sqlite3.Error:
    """The exception that sqlite3 raises for a result code; None: one that it raises by itself."""
    error = sqlite3.OperationalError("the words of SQLite")
    if code is not None:
        error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("code", "kind", "says"),
    [
        (sqlite3.SQLITE_CORRUPT, StateCorrupt, "restore a backup"),
        (sqlite3.SQLITE_CORRUPT_INDEX, StateCorrupt, "restore a backup"),
        (sqlite3.SQLITE_NOTADB, StateCorrupt, "restore a backup"),
        (sqlite3.SQLITE_IOERR_SHORT_READ, StateCorrupt, "restore a backup"),
        (sqlite3.SQLITE_FULL, StateUnwritable, "disk is full; free some space"),
        (sqlite3.SQLITE_IOERR_WRITE, StateUnwritable, "cannot be read or written"),
        (sqlite3.SQLITE_READONLY_DIRECTORY, StateUnwritable, "is read-only"),
        (sqlite3.SQLITE_PERM, StateUnwritable, "not permitted"),
        (sqlite3.SQLITE_CANTOPEN, StateUnwritable, "cannot be opened"),
        (sqlite3.SQLITE_BUSY_RECOVERY, StateBusy, "locked by another process; try again"),
        (sqlite3.SQLITE_CONSTRAINT_CHECK, StateError, "refused an operation"),
        (None, StateError, "refused an operation"),
    ],
)
def test_a_code_becomes_one_line_that_names_the_file_and_the_way_out(
    code: int | None, kind: type[StateError], says: str
) -> None:
    error = state_error(refusal(code), PATH)
    assert type(error) is kind
    text = str(error)
    assert says in text
    assert repr(str(PATH)) in text
    assert "\n" not in text


def test_only_a_locked_file_is_worth_another_try() -> None:
    assert is_busy(refusal(sqlite3.SQLITE_BUSY_SNAPSHOT))
    assert is_busy(refusal(sqlite3.SQLITE_LOCKED))
    assert not is_busy(refusal(sqlite3.SQLITE_FULL))
    assert not is_busy(refusal(None))
