"""The phase of a live migration, in the journal: entered by one durable row, together with its grounds."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from vectormigrate.capture.journal.connection import Connection
from vectormigrate.capture.journal.records import Position, Transition
from vectormigrate.capture.phases import FLIPS, NEXT, LivePhase
from vectormigrate.errors import InvalidTransition
from vectormigrate.model.clock import utc_text

START = Position(phase=LivePhase.PREFLIGHT, epoch=0)
"""Before the first row."""


def position(connection: Connection) -> Position:
    """Where the migration is."""
    found = connection.rows("last_transition")
    return Position(phase=LivePhase(found[0][0]), epoch=found[0][1]) if found else START


def move(connection: Connection, start: LivePhase, to: LivePhase, evidence: Mapping[str, object]) -> Position:
    """Enter a phase, inside a transaction of a durable connection. Raises InvalidTransition when the migration is not
    in `start` any more, or when `to` may not follow it."""
    now = position(connection)
    if now.phase is not start or to not in NEXT[start]:
        raise InvalidTransition(f"a live migration that is in phase {now.phase!r} cannot go from {start!r} to {to!r}")
    epoch = now.epoch + (to in FLIPS)
    connection.run("insert_transition", utc_text(), to.value, epoch, orjson.dumps(dict(evidence)).decode())
    return Position(phase=to, epoch=epoch)


def last_transition(connection: Connection) -> Transition | None:
    """The row by which the present phase was entered, None before the first."""
    rows = connection.rows("last_transition_row")
    return _transition(rows[0]) if rows else None


def history(connection: Connection) -> list[Transition]:
    """Every phase that was entered, the oldest first."""
    return [_transition(row) for row in connection.rows("transitions")]


def _transition(row: tuple[str, str, int, str]) -> Transition:
    at, phase, epoch, evidence = row
    return Transition(at=at, phase=LivePhase(phase), epoch=epoch, evidence=orjson.loads(evidence))
