"""Moves the authority to the other side: writes held, everything applied, compared, one durable row.

Whatever fails before that row gives the attempt up: writes are admitted again where they were, and nothing is lost.
After it there is no way but forward.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

import anyio

from vectormigrate.capture.journal.records import SideFigures
from vectormigrate.capture.journal.taints import clear_taints
from vectormigrate.capture.phases import FROZEN, LivePhase, authority, thawed
from vectormigrate.capture.proving.frozen import Verdict
from vectormigrate.capture.running.following import Following
from vectormigrate.capture.running.journal import RunnerJournal
from vectormigrate.engine.failpoints import failpoint
from vectormigrate.errors import AdapterError, InvalidTransition
from vectormigrate.figures import duration
from vectormigrate.model.clock import steady_milliseconds, steady_seconds
from vectormigrate.model.live import GateCondition, LiveStatus, SwitchOptions

LOOK_SECONDS = 0.01
CALM_SECONDS = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """The phases of a switch, in one direction."""

    start: LivePhase
    freezing: LivePhase
    draining: LivePhase
    verifying: LivePhase
    flipped: LivePhase
    settled: LivePhase


FORWARD = Steps(
    start=LivePhase.READY,
    freezing=LivePhase.FREEZING,
    draining=LivePhase.DRAINING,
    verifying=LivePhase.VERIFYING,
    flipped=LivePhase.FLIPPED,
    settled=LivePhase.SOAK,
)
BACK = Steps(
    start=LivePhase.SOAK,
    freezing=LivePhase.REVERSE_FREEZING,
    draining=LivePhase.REVERSE_DRAINING,
    verifying=LivePhase.REVERSE_VERIFYING,
    flipped=LivePhase.REVERSE_FLIPPED,
    settled=LivePhase.CATCH_UP,
)


class Context(Protocol):
    """What a switch needs of the run around it."""

    journal: RunnerJournal

    @property
    def following(self) -> Following:
        """What applies changes in the direction that is left."""
        ...

    async def status(self, *, strict: bool) -> LiveStatus:
        """The migration now, with the gate."""
        ...

    async def reconcile(self) -> bool:
        """Find what requests changed that did not name their records; whether that was possible."""
        ...

    async def prove(self, *, strict: bool) -> Verdict:
        """Compare while nothing is written."""
        ...

    async def enter(self, start: LivePhase, to: LivePhase, evidence: dict[str, object], seconds: float) -> None:
        """Go to the next phase, if the hook agrees in time. Raises InvalidTransition."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Switched:
    """How a switch ended. `held_ms`: how long writes were held by the last attempt; `gate`: what was in the way."""

    switched: bool
    rehearsed: bool = False
    postponed: bool = False
    attempts: int = 0
    held_ms: float = 0.0
    reason: str = ""
    verdict: str = ""
    gate: tuple[GateCondition, ...] = ()


class _GivenUp(Exception):
    """An attempt did not get through, for this reason."""


class Switch:
    """One order to switch."""

    def __init__(
        self,
        context: Context,
        steps: Steps,
        options: SwitchOptions,
        order: int,
        given_up: Callable[[], bool] = lambda: False,
    ) -> None:
        """`given_up`: the operator does not want it any more."""
        self._context = context
        self._steps = steps
        self._options = options
        self._order = order
        self._given_up = given_up
        self._attempts = 0
        self._held = 0.0
        self._verdict = ""

    async def run(self) -> Switched:
        """Try until the budget is used up."""
        until = anyio.current_time() + self._options.budget
        reason = ""
        while True:
            gate = await self._calm(until)
            blocked = [condition for condition in gate if not condition.met]
            if blocked:
                reason = "; ".join(f"{condition.name}: {condition.reason}" for condition in blocked)
                return self._ended(False, reason=reason, gate=gate)
            if self._options.postpone:
                return self._ended(False, postponed=True)
            try:
                await self._attempt()
            except _GivenUp as error:
                reason = "it was given up on request" if self._given_up() else str(error)
                if self._given_up() or anyio.current_time() >= until:
                    return self._ended(False, reason=reason)
                await anyio.sleep(CALM_SECONDS)
                continue
            return self._ended(not self._options.rehearse, rehearsed=self._options.rehearse)

    def _ended(
        self,
        switched: bool,
        *,
        rehearsed: bool = False,
        postponed: bool = False,
        reason: str = "",
        gate: tuple[GateCondition, ...] = (),
    ) -> Switched:
        return Switched(
            switched=switched,
            rehearsed=rehearsed,
            postponed=postponed,
            attempts=self._attempts,
            held_ms=round(self._held * 1000, 1),
            reason=reason,
            verdict=self._verdict,
            gate=gate,
        )

    async def _calm(self, until: float) -> tuple[GateCondition, ...]:
        """Wait until nothing is in the way; the gate as it is then, or at the end of the time."""
        while True:
            status = await self._context.status(strict=self._options.strict)
            if status.ready or anyio.current_time() >= until:
                return status.gate
            await anyio.sleep(CALM_SECONDS)

    async def _attempt(self) -> None:
        """Raises _GivenUp after writes are admitted again."""
        self._attempts += 1
        steps, journal = self._steps, self._context.journal
        now = await journal.position()
        if now.phase is LivePhase.CATCH_UP and steps is FORWARD:
            await self._enter(now.phase, steps.start, {}, self._options.pause)
        began = steady_seconds()
        ends = began + self._options.pause
        try:
            until = steady_milliseconds() + round(self._options.pause * 1000)
            await self._enter(steps.start, steps.freezing, {"until": until, "order": self._order}, self._options.pause)
            failpoint("frozen")
            await self._until(ends, self._forwarded, "requests that were forwarded have not been answered")
            await self._enter(steps.freezing, steps.draining, {"until": until}, ends - steady_seconds())
            await self._until(ends, self._drained, "changes were left to apply")
            failpoint("drained")
            await self._enter(steps.draining, steps.verifying, {"until": until}, ends - steady_seconds())
            await self._verify(ends)
            failpoint("verified")
            if self._options.rehearse:
                await self._thaw()
                return
            evidence: dict[str, object] = {"order": self._order, "verdict": self._verdict}
            await self._enter(steps.verifying, steps.flipped, evidence, max(0.1, ends - steady_seconds()))
        except _GivenUp:
            await self._thaw()
            raise
        except (InvalidTransition, AdapterError) as error:
            await self._thaw()
            raise _GivenUp(str(error)) from error
        finally:
            self._held = steady_seconds() - began

    async def _enter(self, start: LivePhase, to: LivePhase, evidence: dict[str, object], seconds: float) -> None:
        try:
            await self._context.enter(start, to, evidence, max(0.1, seconds))
        except InvalidTransition as error:
            raise _GivenUp(str(error)) from error

    async def _until(self, ends: float, reached: Callable[[], Awaitable[bool]], otherwise: str) -> None:
        while not await reached():
            if steady_seconds() >= ends:
                raise _GivenUp(f"writes were held for {duration(self._options.pause)} and {otherwise}")
            await anyio.sleep(LOOK_SECONDS)

    async def _figures(self) -> SideFigures:
        journal = self._context.journal
        side = authority((await journal.position()).phase)
        keys = journal.keys(side)
        return await journal.call(keys.figures)

    async def _forwarded(self) -> bool:
        found = await self._figures()
        if found.in_doubt:
            raise _GivenUp("the outcome of a request is unknown")
        return not found.under_way

    async def _drained(self) -> bool:
        applied = await self._context.following.round()
        if applied.unknown:
            raise _GivenUp("a write of ours has an unknown outcome")
        found = await self._figures()
        if found.parked:
            raise _GivenUp("the other side refuses a changed record")
        if found.scopes:
            # They have all ended, and are found by comparing ids: if that takes too long, later.
            if not await self._context.reconcile():
                raise _GivenUp("the records that a request did not name could not be found")
            return False
        return not found.dirty

    async def _verify(self, ends: float) -> None:
        verdict = None
        with anyio.move_on_after(max(0.0, ends - steady_seconds())):
            verdict = await self._context.prove(strict=self._options.strict)
        if verdict is None:
            raise _GivenUp(
                f"the comparison took longer than the {duration(self._options.pause)} for which writes may be held"
            )
        self._verdict = verdict.statement
        if not verdict.passed:
            raise _GivenUp(f"the comparison failed: {'; '.join(verdict.problems[:3])}")
        if self._options.strict:
            journal, statement = self._context.journal, verdict.statement
            await journal.call(lambda: clear_taints(journal.durable, statement))

    async def _thaw(self) -> None:
        await thaw(self._context.journal)


async def thaw(journal: RunnerJournal) -> bool:
    """Admit writes again where they were, if a switch holds them; returns whether that was so."""
    with anyio.CancelScope(shield=True):
        now = await journal.position()
        if now.phase not in FROZEN:
            return False
        try:
            await journal.move(now.phase, thawed(now.phase), {"thawed": True})
        except InvalidTransition:
            return False  # somebody else was faster
    return True
