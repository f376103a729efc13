"""What a run reports to its front end. Plain data; a front end renders, the engine never prints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vectormigrate.model.plan import MigrationPlan
from vectormigrate.model.status import Phase


@dataclass(frozen=True, slots=True, kw_only=True)
class Connecting:
    """A connection to this end is being opened, or with `ready` has been."""

    end: str
    ready: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseChanged:
    """The migration entered a phase."""

    migration_id: str
    phase: Phase


@dataclass(frozen=True, slots=True, kw_only=True)
class Profiled:
    """The planner has read `records` of `total` records of the source."""

    records: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """The plan is made and stored; the copy begins. Not sent when an earlier run made the plan."""

    plan: MigrationPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class PageCommitted:
    """A page is acknowledged by the target and durable in the state file. Counts are of this page."""

    migration_id: str
    namespace: str
    partition_id: str
    written: int
    rejected: int
    checked: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexing:
    """All records are written; the target's indexes do not hold `left` vectors yet."""

    left: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrying:
    """An operation failed in a way that is worth another try in `delay` seconds."""

    operation: str
    attempt: int
    delay: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Checking:
    """A validation stage (`counts`, `diff`, `search`, `repair`) has handled `done` of `total` records or queries; a run
    counts, too, at its end. A `total` of 0 is not known."""

    stage: str
    done: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned:
    """Something the operator should read."""

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """Something that happened as it should, for those who watch."""

    message: str


Event = Connecting | PhaseChanged | Profiled | Planned | PageCommitted | Indexing | Retrying | Checking | Warned | Noted
Listener = Callable[[Event], None]


def ignore(event: Event) -> None:
    """The listener that does nothing."""
