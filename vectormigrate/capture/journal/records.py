"""What goes into the journal and what comes out of it, as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from vectormigrate.capture.keys import Key, Side
from vectormigrate.capture.phases import LivePhase


@dataclass(frozen=True, slots=True)
class Scope:
    """A part of a side whose records a request may have touched without naming them: a namespace, None for all of
    them. `reason`: why, for people. `ids_only`: records only came or went, so that their ids show all of it."""

    namespace: str | None
    reason: str
    ids_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What a request that is about to be forwarded will touch."""

    side: Side
    keys: Sequence[Key] = ()
    scopes: Sequence[Scope] = ()
    deletes: bool = False
    """The request deletes all of these keys."""
    assigns: bool = False
    """The server makes ids, which only its answer names."""
    names: int | None = None
    """The number of an admitted request that is still to be forwarded: these are the keys behind its scopes."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """The intent is on the disk; the request may be forwarded. `seq` closes it."""

    seq: int


@dataclass(frozen=True, slots=True)
class Held:
    """No write is admitted at the moment; ask again."""

    phase: LivePhase


@dataclass(frozen=True, slots=True)
class Refused:
    """Writes belong to the other side since this epoch, or capturing has ended."""

    phase: LivePhase
    epoch: int


@dataclass(frozen=True, slots=True)
class Unnoted:
    """Nothing is captured any more; a request to the side that kept the authority may be forwarded."""


Admission = Admitted | Held | Refused | Unnoted


@dataclass(frozen=True, slots=True)
class DirtyKey:
    """A key whose record has to be read again. `covered`: a request that touches it is under way, so that what is read
    now may be written but not cleared. `since`: milliseconds of the steady clock. `deleted`: what touched it last
    deletes it. `explained`: that does, or a request that named no keys may have."""

    key: Key
    seq: int
    since: int
    covered: bool
    deleted: bool
    explained: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the journal knows of a key of one namespace at a moment. `seq`: of what touched it last, 0 when nothing did.
    `covered`: a request that may have touched it is under way, or not reconciled."""

    key: Key
    seq: int
    dirty: bool
    parked: bool
    covered: bool

    @property
    def settled(self) -> bool:
        """The other side should hold what this one does."""
        return not self.dirty and not self.covered


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence:
    """A key that differed although nothing had touched it, and what differed, for people. `times`: how often it was
    found again after it had been repaired."""

    key: Key
    at: str
    what: str
    times: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SideFigures:
    """What the journal knows of one side. `oldest` and `oldest_doubt` are milliseconds of the steady clock."""

    touched: int = 0
    dirty: int = 0
    oldest: int | None = None
    parked: int = 0
    under_way: int = 0
    in_doubt: int = 0
    oldest_doubt: int | None = None
    scopes: Sequence[Scope] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Phase and epoch of one moment; the epoch grows with every flip."""

    phase: LivePhase
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """A phase that was entered, and on what grounds."""

    at: str
    phase: LivePhase
    epoch: int
    evidence: dict[str, object] = field(default_factory=dict[str, object])


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a forwarded request ended. `definite`: the source answered, so it takes no effect later. `keys` are
    those that the answer named and the request did not, `scopes` where such keys may be when no answer named them.
    `no_effect`: it was refused before any of it took effect."""

    seq: int
    side: Side
    definite: bool
    keys: Sequence[Key] = ()
    scopes: Sequence[Scope] = ()
    no_effect: bool = False
