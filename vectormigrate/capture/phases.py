"""The phases of a live migration: which follows which, and whose writes are admitted in each.

One table, as for the copy (engine/lifecycle.py). A phase is entered by one durable row of the journal, which is the
file that admits writes, so no write slips between a phase and the next.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from vectormigrate.capture.keys import Side


class LivePhase(StrEnum):
    """Where a live migration is. Phases named `reverse_…` lead back to the source."""

    PREFLIGHT = "preflight"
    CAPTURING = "capturing"
    BACKFILL = "backfill"
    CATCH_UP = "catch_up"
    READY = "ready"
    FREEZING = "freezing"
    DRAINING = "draining"
    VERIFYING = "verifying"
    FLIPPED = "flipped"
    SOAK = "soak"
    REVERSE_FREEZING = "reverse_freezing"
    REVERSE_DRAINING = "reverse_draining"
    REVERSE_VERIFYING = "reverse_verifying"
    REVERSE_FLIPPED = "reverse_flipped"
    COMPLETED = "completed"
    ABORTED = "aborted"


_P = LivePhase

FROZEN = frozenset(
    {_P.FREEZING, _P.DRAINING, _P.VERIFYING, _P.REVERSE_FREEZING, _P.REVERSE_DRAINING, _P.REVERSE_VERIFYING}
)
"""No write is admitted on either side; those that arrive wait."""

ENDED = frozenset({_P.COMPLETED, _P.ABORTED})
"""Nothing is captured any more."""

_ON_TARGET = frozenset(
    {_P.FLIPPED, _P.SOAK, _P.REVERSE_FREEZING, _P.REVERSE_DRAINING, _P.REVERSE_VERIFYING, _P.COMPLETED}
)

NEXT: Mapping[LivePhase, frozenset[LivePhase]] = {
    _P.PREFLIGHT: frozenset({_P.CAPTURING, _P.ABORTED}),
    _P.CAPTURING: frozenset({_P.BACKFILL, _P.ABORTED}),
    _P.BACKFILL: frozenset({_P.CATCH_UP, _P.ABORTED}),
    _P.CATCH_UP: frozenset({_P.READY, _P.BACKFILL, _P.ABORTED}),
    _P.READY: frozenset({_P.FREEZING, _P.CATCH_UP, _P.ABORTED}),
    _P.FREEZING: frozenset({_P.DRAINING, _P.CATCH_UP}),
    _P.DRAINING: frozenset({_P.VERIFYING, _P.CATCH_UP}),
    _P.VERIFYING: frozenset({_P.FLIPPED, _P.CATCH_UP}),
    # Past the flip there is no way but forward: the application may have seen the new authority.
    _P.FLIPPED: frozenset({_P.SOAK}),
    _P.SOAK: frozenset({_P.COMPLETED, _P.REVERSE_FREEZING}),
    _P.REVERSE_FREEZING: frozenset({_P.REVERSE_DRAINING, _P.SOAK}),
    _P.REVERSE_DRAINING: frozenset({_P.REVERSE_VERIFYING, _P.SOAK}),
    _P.REVERSE_VERIFYING: frozenset({_P.REVERSE_FLIPPED, _P.SOAK}),
    _P.REVERSE_FLIPPED: frozenset({_P.CATCH_UP, _P.ABORTED}),
    _P.COMPLETED: frozenset(),
    _P.ABORTED: frozenset(),
}
"""Every phase with those that may follow it."""

FLIPS: Mapping[LivePhase, Side] = {_P.FLIPPED: Side.TARGET, _P.REVERSE_FLIPPED: Side.SOURCE}
"""The phases whose row is a point of no return, with the side that has the authority from then on."""


def authority(phase: LivePhase) -> Side:
    """The side whose records are the truth."""
    return Side.TARGET if phase in _ON_TARGET else Side.SOURCE


def admits(phase: LivePhase) -> Side | None:
    """The side on which writes are admitted; None while none are."""
    return None if phase in FROZEN else authority(phase)


def thawed(phase: LivePhase) -> LivePhase:
    """Where a frozen phase returns to when it is given up; nothing is lost by it."""
    assert phase in FROZEN, phase
    return _P.CATCH_UP if authority(phase) is Side.SOURCE else _P.SOAK
