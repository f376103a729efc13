"""Which verb is legal when, and what it leads to: one table, and the guard that reads it.

Knows nothing of how a verb is carried out. `migrate`, `resume`, `rollback`… come from the operator; `advance`, `halt`
and `fail` are what the runner reports. A process that dies leaves `in_progress` behind: that is why `resume` and
`rollback` start from there too (the lease keeps them away from a runner that lives).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from vectormigrate.errors import InvalidTransition, remedy
from vectormigrate.model.status import Phase, Status


class Verb(StrEnum):
    """What is asked of a migration, or reported by its runner."""

    MIGRATE = "migrate"
    RESUME = "resume"
    RETRY = "retry"
    STOP = "stop"
    VALIDATE = "validate"
    ROLLBACK = "rollback"
    ADVANCE = "advance"
    HALT = "halt"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class State:
    """Where a migration is: the word for outsiders and the finer step."""

    status: Status
    phase: Phase


PLANNING = State(Status.IN_PROGRESS, Phase.PLANNING)
NEW = State(Status.NOT_STARTED, Phase.PLANNED)
DONE = State(Status.COMPLETED, Phase.DONE)
UNDONE = State(Status.ROLLED_BACK, Phase.ROLLED_BACK)

_FORWARD = (Phase.CREATING, Phase.COPYING, Phase.FINALIZING)
_WORKING = (*_FORWARD, Phase.LIVE, Phase.ROLLING_BACK)
_PAUSED = (Status.STOPPED, Status.FAILED)


def _run(phase: Phase) -> State:
    return State(Status.IN_PROGRESS, phase)


def _table() -> dict[tuple[Verb, State], State]:
    table = {
        (Verb.MIGRATE, PLANNING): PLANNING,
        (Verb.STOP, PLANNING): PLANNING,
        (Verb.ADVANCE, PLANNING): NEW,
        (Verb.MIGRATE, NEW): _run(Phase.CREATING),
        (Verb.RESUME, NEW): _run(Phase.CREATING),
        (Verb.RETRY, DONE): _run(Phase.COPYING),
        (Verb.VALIDATE, DONE): DONE,
        (Verb.ROLLBACK, DONE): _run(Phase.ROLLING_BACK),
        (Verb.ADVANCE, _run(Phase.CREATING)): _run(Phase.COPYING),
        (Verb.ADVANCE, _run(Phase.COPYING)): _run(Phase.FINALIZING),
        (Verb.ADVANCE, _run(Phase.FINALIZING)): DONE,
        (Verb.ADVANCE, _run(Phase.ROLLING_BACK)): UNDONE,
    }
    for phase in _WORKING:
        table[Verb.STOP, _run(phase)] = _run(phase)
        table[Verb.HALT, _run(phase)] = State(Status.STOPPED, phase)
        table[Verb.FAIL, _run(phase)] = State(Status.FAILED, phase)
        for status in (Status.IN_PROGRESS, *_PAUSED):
            table[Verb.ROLLBACK, State(status, phase)] = _run(Phase.ROLLING_BACK)
    # Everything is copied there, and what its count or read-back complains of is found and mended by a validation.
    for status in _PAUSED:
        table[Verb.VALIDATE, State(status, Phase.FINALIZING)] = State(status, Phase.FINALIZING)
    for phase in _FORWARD:
        for status in (Status.IN_PROGRESS, *_PAUSED):
            table[Verb.RESUME, State(status, phase)] = _run(phase)
            # Trying records again is copying, whatever was done after the copy.
            table[Verb.RETRY, State(status, phase)] = _run(min(phase, Phase.COPYING, key=_FORWARD.index))
    # A live migration stays there until it is completed, and is compared there.
    for status in (Status.IN_PROGRESS, *_PAUSED):
        table[Verb.RESUME, State(status, Phase.LIVE)] = _run(Phase.LIVE)
        table[Verb.RETRY, State(status, Phase.LIVE)] = _run(Phase.LIVE)
        table[Verb.VALIDATE, State(status, Phase.LIVE)] = State(status, Phase.LIVE)
    table[Verb.ADVANCE, _run(Phase.LIVE)] = DONE
    return table


TRANSITIONS: Mapping[tuple[Verb, State], State] = _table()
"""(verb, state) -> next state. What is not here is not legal."""

STATES = frozenset(state for _, state in TRANSITIONS) | frozenset(TRANSITIONS.values())
"""Every state that a migration can be in."""


def next_state(verb: Verb, migration_id: str, status: Status, phase: Phase) -> State:
    """Where the verb leads. Raises InvalidTransition, which names the verb that fits instead."""
    found = TRANSITIONS.get((verb, State(status, phase)))
    if found is None:
        what, instead = _explain(migration_id, status, phase)
        word = "start" if verb is Verb.MIGRATE else verb.value
        raise InvalidTransition(f"cannot {word} migration {migration_id!r}: it {what}; {instead}")
    return found


def _explain(id: str, status: Status, phase: Phase) -> tuple[str, str]:
    """Where it is, in words, and what to do instead."""
    resume, rollback = remedy("resume", id), remedy("rollback", id)
    if phase is Phase.PLANNING:
        return "is still being planned", f"wait for it, or, if its process died, ask again with: {remedy('migrate')}"
    if phase is Phase.ROLLING_BACK:
        return "is half rolled back", f"finish that with: {rollback}"
    match status:
        case Status.NOT_STARTED:
            return "has not started", f"start it with: {resume}"
        case Status.IN_PROGRESS:
            return "is in progress", f"wait for it, or, if its process died, resume with: {resume}"
        case Status.STOPPED:
            return "is stopped", f"resume with: {resume}"
        case Status.FAILED:
            return "has failed", f"resume with: {resume}"
        case Status.COMPLETED:
            return "is completed", f"check it with: {remedy('validate', id)}, or undo it with: {rollback}"
        case Status.ROLLED_BACK:
            return "is rolled back", f"start again under another id with: {remedy('migrate')}"
        case _:
            assert_never(status)
