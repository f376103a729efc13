"""Why the journal may have missed a write, until a full comparison of both sides has shown that nothing is missing."""

from __future__ import annotations

from vectormigrate.capture.journal.connection import Connection
from vectormigrate.model.clock import utc_text


def taints(connection: Connection) -> list[str]:
    """The reasons that are not cleared yet, the oldest first."""
    with connection.snapshot():
        return [reason for _, reason in connection.rows("taints")]


def add_taint(connection: Connection, reason: str) -> None:
    """Note a reason."""
    with connection.transaction():
        connection.run("insert_taint", utc_text(), reason)


def clear_taints(connection: Connection, evidence: str) -> None:
    """Everything was compared while nothing was written, and is equal."""
    with connection.transaction():
        connection.run("clear_taints", utc_text(), evidence)
