"""Finds the SQL: named statements and the numbered migration scripts, which are files of the package."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping
from importlib import resources
from importlib.resources.abc import Traversable

_HEADER = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
_SQL = resources.files("vectormigrate.state") / "sql"

MIGRATIONS: Traversable = _SQL / "migrations"
"""The folder of the scripts `NNNN_name.sql`; script N brings a file from version N − 1 to N."""


def _load() -> Mapping[str, str]:
    parts = _HEADER.split((_SQL / "queries.sql").read_text("utf-8"))
    return dict(zip(parts[1::2], (text.strip() for text in parts[2::2]), strict=True))


QUERIES: Mapping[str, str] = _load()
"""Statement by name."""


def scripts(folder: Traversable) -> list[tuple[int, str]]:
    """(version, text) of every migration script of the folder, ascending."""
    found = [(int(entry.name[:4]), entry) for entry in folder.iterdir() if entry.name.endswith(".sql")]
    return [(version, entry.read_text("utf-8")) for version, entry in sorted(found, key=lambda item: item[0])]


def statements(script: str) -> Iterator[str]:
    """The statements of a script one by one, because running a whole script would commit the open transaction."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if any(not line.startswith("--") for line in statement.split("\n") if line.strip()):
        raise ValueError(f"incomplete statement at the end of a migration script: {statement!r}")
