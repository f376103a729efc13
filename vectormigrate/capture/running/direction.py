"""One direction of a live migration with everything that works in it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from vectormigrate.capture.applying.applier import Applier, Conversion, Ends
from vectormigrate.capture.applying.fuse import Fuse
from vectormigrate.capture.applying.locks import KeyLocks
from vectormigrate.capture.applying.quarantine import Quarantine
from vectormigrate.capture.keys import Side
from vectormigrate.capture.proving.frozen import Verdict
from vectormigrate.capture.reconcile import Reconciled
from vectormigrate.capture.running.following import Following
from vectormigrate.capture.running.journal import RunnerJournal
from vectormigrate.engine.retry import RetryingTarget
from vectormigrate.model.ids import RecordId
from vectormigrate.model.live import Pace, Proof
from vectormigrate.model.plan import MigrationPlan, RunOptions

BeforeWrite = Callable[[str, Sequence[RecordId]], Awaitable[None]]
"""Hears the namespace and ids of records that are about to be written."""


class Prover(Protocol):
    """Compares the side that has the authority with the other one."""

    @property
    def proof(self) -> Proof:
        """What was found so far."""
        ...

    async def reconcile(self, *, at_once: bool = False) -> Reconciled:
        """Find what requests changed that did not name their records; those become dirty."""
        ...

    async def round(self) -> int:
        """Compare some of the keys that were not compared since they were last written; returns how many were."""
        ...

    async def prepare(self) -> None:
        """Do what a switch needs that takes as long as the collections are large."""
        ...

    async def whole_pass(self) -> None:
        """Compare everything once, while records change; what is found is in `proof`."""
        ...

    async def frozen(self, *, strict: bool) -> Verdict:
        """Compare while nothing is written: all records, or those that were not compared and a sample."""
        ...

    async def acknowledge(self) -> None:
        """A person has seen the divergences."""
        ...


@dataclass(slots=True, kw_only=True)
class Direction:
    """From `side` to the other one."""

    side: Side
    plan: MigrationPlan
    ends: Ends
    fuse: Fuse
    locks: KeyLocks
    quarantine: Quarantine
    following: Following


def direction(
    side: Side,
    plan: MigrationPlan,
    conversion: Conversion,
    ends: tuple[RetryingTarget, RetryingTarget],
    journal: RunnerJournal,
    options: RunOptions,
    *,
    locks: KeyLocks,
    quarantine: Quarantine,
    pace: Callable[[], Pace],
    before_write: BeforeWrite | None,
) -> Direction:
    """`ends`: the side that is read and the one that follows, whose writes are never sent again on their own."""
    source, target = ends
    target.resend = False
    capabilities = target.capabilities
    both = Ends(
        source=source,
        target=target,
        conversion=conversion,
        batch_rows=min(options.batch_size, capabilities.writes.rows),
        batch_bytes=capabilities.writes.bytes,
        namespaces=tuple(plan.namespaces),
    )
    fuse = Fuse()
    applier = Applier(
        journal.keys(side),
        both,
        locks=locks,
        quarantine=quarantine,
        fuse=fuse,
        journalled=journal.call,
        before_write=before_write,
    )
    return Direction(
        side=side,
        plan=plan,
        ends=both,
        fuse=fuse,
        locks=locks,
        quarantine=quarantine,
        following=Following(applier, pace),
    )
