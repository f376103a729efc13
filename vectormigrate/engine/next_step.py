"""What an operator would do next with a migration, in every state that it can be in. The words are the front ends'."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from vectormigrate.engine.lifecycle import Verb
from vectormigrate.model.status import MigrationStatus, Phase, Status


class Why(StrEnum):
    """The reason for a step."""

    RUNS = "it is running"
    UNPLANNED = "its process died while it was being planned; nothing was written"
    WAITS_FOR_START = "it was planned and not started yet"
    DIED = "its process died; a resume continues from the last checkpoint"
    STOPPED = "it was stopped; a resume continues where it ended"
    FAILED = "it failed; a resume continues where it ended"
    HALF_UNDONE = "it is half rolled back, which can only be finished"
    REJECTS = "records were refused; once the cause is fixed they can be tried again"
    UNPROVED = "it is complete; a full comparison proves it"
    OVER = "nothing is left to do"


@dataclass(frozen=True, slots=True, kw_only=True)
class NextStep:
    """`verb` None: wait while it runs, or nothing. `undo`: rolling it back is a way out as well."""

    verb: Verb | None
    why: Why
    undo: bool = False


def next_step(found: MigrationStatus) -> NextStep:
    """The step that leads on from here; following it ends, and what it names is never refused for the state."""
    if found.runner_alive:
        return NextStep(verb=None, why=Why.RUNS)
    if found.phase is Phase.PLANNING:
        return NextStep(verb=Verb.MIGRATE, why=Why.UNPLANNED)
    if found.phase is Phase.ROLLING_BACK:
        return NextStep(verb=Verb.ROLLBACK, why=Why.HALF_UNDONE)
    match found.status:
        case Status.NOT_STARTED:
            return NextStep(verb=Verb.RESUME, why=Why.WAITS_FOR_START)
        case Status.IN_PROGRESS:
            return NextStep(verb=Verb.RESUME, why=Why.DIED, undo=True)
        case Status.STOPPED:
            return NextStep(verb=Verb.RESUME, why=Why.STOPPED, undo=True)
        case Status.FAILED:
            return NextStep(verb=Verb.RESUME, why=Why.FAILED, undo=True)
        case Status.COMPLETED if found.rejected_records:
            return NextStep(verb=Verb.RETRY, why=Why.REJECTS, undo=True)
        case Status.COMPLETED:
            return NextStep(verb=Verb.VALIDATE, why=Why.UNPROVED, undo=True)
        case Status.ROLLED_BACK:
            return NextStep(verb=None, why=Why.OVER)
        case _:
            assert_never(found.status)
