"""What SQLite's exceptions mean."""

from __future__ import annotations

import sqlite3

from vectormigrate.errors import (
    AdapterError,
    AlreadyExists,
    CollectionNotFound,
    QuotaExceeded,
    TerminalError,
    Unavailable,
)

NAME = "toydb"

TEXTS: tuple[tuple[str, type[AdapterError]], ...] = (
    ("already exists", AlreadyExists),
    ("unable to open", CollectionNotFound),
    ("no such table", CollectionNotFound),
    ("locked", Unavailable),
    ("closed", Unavailable),
    ("is full", QuotaExceeded),
)
"""By parts of the text; the first match wins, and TerminalError where there is none."""


def classify(error: BaseException, operation: str) -> AdapterError | None:
    """The error of ours that this one means, None for what is not SQLite's."""
    if not isinstance(error, sqlite3.Error):
        return None
    kind = next((kind for part, kind in TEXTS if part in str(error)), TerminalError)
    return kind(str(error), adapter=NAME, operation=operation)
