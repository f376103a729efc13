"""The run of a live migration, from wherever its journal is to its end, which the operator decides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from vectormigrate.capture.applying.locks import KeyLocks
from vectormigrate.capture.applying.quarantine import Quarantine
from vectormigrate.capture.folder import LiveFolder
from vectormigrate.capture.journal.intents import alive
from vectormigrate.capture.journal.taints import add_taint
from vectormigrate.capture.keys import Side
from vectormigrate.capture.phases import ENDED, LivePhase, authority
from vectormigrate.capture.proving.frozen import Verdict
from vectormigrate.capture.running.conversion import Back, Forward, apart
from vectormigrate.capture.running.direction import Direction, Prover, direction
from vectormigrate.capture.running.following import Following
from vectormigrate.capture.running.hook import run_hook
from vectormigrate.capture.running.journal import RunnerJournal
from vectormigrate.capture.running.look import look
from vectormigrate.capture.running.orders import Orders
from vectormigrate.capture.running.ownership import Ownership
from vectormigrate.capture.running.rejects import hand_over_rejects, rejected_records
from vectormigrate.capture.running.switch import thaw
from vectormigrate.capture.running.way_back import plan_back
from vectormigrate.engine.connect import Ends
from vectormigrate.engine.events import Noted
from vectormigrate.engine.run import Run
from vectormigrate.engine.task_group import task_group
from vectormigrate.errors import AdapterError, InvalidTransition, MigrationFailed
from vectormigrate.figures import duration
from vectormigrate.model.clock import steady_milliseconds, utc_text
from vectormigrate.model.ids import RecordId
from vectormigrate.model.live import LiveFigures, LiveStatus, Pace, Proof
from vectormigrate.model.status import Phase
from vectormigrate.state.live import LiveRow

LOOK_SECONDS = 0.25
FIGURES_SECONDS = 1.0
PROVE_SECONDS = 0.5
HOOK_SECONDS = 30.0

P = LivePhase

Provers = Callable[[Direction, RunnerJournal, Run, Proof], Prover]
"""Makes what compares in a direction."""


@dataclass(slots=True)
class _Working:
    """A direction and what compares in it."""

    direction: Direction
    prover: Prover


class LiveRun:
    """A run of a live migration. `work` is what engine/runner.py runs under the lease."""

    def __init__(self, ends: Ends, row: LiveRow, make_prover: Provers) -> None:
        self._ends = ends
        self._row = row
        self._make_prover = make_prover
        self._longest_pause = 0.0
        self._over = False
        self._notices: tuple[str, ...] = ()

    async def work(self, run: Run, phase: Phase) -> bool:
        """True when the operator completed the migration; False when it was stopped, or aborted."""
        self.run = run
        self.migration_id = run.migration_id
        asked = run.stopping
        run.stopping = lambda: self._over or asked()
        self.journal = RunnerJournal(LiveFolder(self._row.folder).journal, run.migration_id)
        try:
            return await self._work(phase)
        finally:
            self.journal.close()

    async def _work(self, phase: Phase) -> bool:
        run = self.run
        await self._notice_an_older_journal()
        now = await self.journal.position()
        await run.make_target(phase)
        back = self._row.reverse
        if back is None and not self._row.options.one_way:
            back = plan_back(run.plan, self._ends, await run.target.describe())
            await run.store.live.set_reverse(run.lease, back)
        self._locks = KeyLocks()
        self._quarantines = {
            side: Quarantine(seconds, steady_milliseconds, everything=run.begun_before and now.phase is not P.PREFLIGHT)
            for side, seconds in (
                (Side.SOURCE, self._row.options.target_deadline),
                (Side.TARGET, self._row.options.source_deadline),
            )
        }
        derived = self.journal.derived
        namespaces = apart(run.plan, run.source.capabilities, run.target.capabilities)
        forward = Forward(run.plan.rules, derived, keeps=True, namespaces=namespaces)
        self._working = {Side.SOURCE: self._direction(Side.SOURCE, forward)}
        if back is not None:
            mapper = Back(back.rules, derived, run.plan.rules, keeps=True)
            self._working[Side.TARGET] = self._direction(Side.TARGET, mapper, back)
        run.claims = Ownership(
            self.journal,
            self.journal.keys(Side.SOURCE),
            self._locks,
            self._quarantines[Side.SOURCE],
            forward,
            foreign=run.plan.source_schema.note is not None,
            waiting=lambda: self._row.pace is not Pace.FULL and not run.stopping(),
        )
        if run.options.retry_rejects and authority(now.phase) is Side.SOURCE:
            await hand_over_rejects(run.store, run.lease, self.journal)
        run.options = replace(run.options, retry_rejects=False)
        return await self._until_ended(phase)

    def _direction(self, side: Side, conversion: Forward | Back, plan: Any = None) -> _Working:
        run = self.run
        there = (run.source, run.target)
        assert isinstance(run.source, type(run.target)), "both ends are opened for writing"
        ends: Any = there if side is Side.SOURCE else (there[1], there[0])
        made = direction(
            side,
            plan or run.plan,
            conversion,
            ends,
            self.journal,
            run.options,
            locks=self._locks,
            quarantine=self._quarantines[side],
            pace=lambda: self._row.pace,
            before_write=self._announce if side is Side.SOURCE else None,
        )
        before = self._row.figures
        known = before.proof if before is not None and side is Side.SOURCE else Proof()
        return _Working(made, self._make_prover(made, self.journal, run, known))

    async def _announce(self, namespace: str, ids: Sequence[RecordId]) -> None:
        """Enter what is new among the written ids, so that a rollback knows it for ours."""
        run = self.run
        known = await run.store.written_ids.which_written(self.migration_id, namespace, ids)
        known |= await run.store.written_ids.which_intended(self.migration_id, namespace, ids)
        new = [record_id for record_id in ids if record_id not in known]
        if new:
            await run.store.written_ids.announce(run.lease, run.plan.partitions[0].id, namespace, new)

    async def _notice_an_older_journal(self) -> None:
        """What a journal that was restored from a copy does not hold may have been missed."""
        number = await self.journal.last_number()
        if number < self._row.seen:
            reason = "the journal is an older copy: it ends before what this migration has seen in it"
            await self.journal.call(lambda: add_taint(self.journal.durable, reason))

    async def _until_ended(self, phase: Phase) -> bool:
        done = False
        async with task_group() as tasks:
            await thaw(self.journal)
            await self._roll_forward()
            orders = Orders(self, self.run.store)
            await orders.answer_old()
            for loop in (orders.run, self._apply, self._prove, self._measure):
                tasks.start_soon(loop)
            done = await self._follow(phase, tasks)
            if (await self.journal.position()).phase in ENDED:
                await orders.answered()
            tasks.cancel_scope.cancel()
        await thaw(self.journal)
        return done

    async def _roll_forward(self) -> None:
        now = (await self.journal.position()).phase
        if now is P.FLIPPED:
            await self.settle(now, P.SOAK)
        elif now is P.REVERSE_FLIPPED:
            await self.settle(now, P.CATCH_UP)

    async def _follow(self, phase: Phase, tasks: TaskGroup) -> bool:
        run, journal = self.run, self.journal
        now = (await journal.position()).phase
        if now in ENDED:
            return now is P.COMPLETED
        if now is P.PREFLIGHT:
            await journal.move(now, P.CAPTURING)
            now = P.CAPTURING
        if now is P.CAPTURING:
            if not await self._captured() or not await self._enter_in_time(now, P.BACKFILL, {"fenced": True}):
                return False
            now = P.BACKFILL
        if phase is not Phase.LIVE:
            if not await run.copy_moving(phase):
                return False
            await run.enter(Phase.LIVE)
        if now is P.BACKFILL and not await self._enter_in_time(now, P.CATCH_UP, {}):
            return False
        # Other processes may end it, so its state is all there is to wait on; an order that does also ends the run.
        while not run.stopping() and (await journal.position()).phase not in ENDED:  # noqa: ASYNC110
            await anyio.sleep(LOOK_SECONDS)
        return (await journal.position()).phase is P.COMPLETED

    async def _captured(self) -> bool:
        """Wait for the gateway and for the operator's word that nobody writes past it, then until what was sent before
        is seen by every read. False when a stop comes first."""
        since: float | None = None
        said = ""
        while not self.run.stopping():
            waiting = ""
            if not await self.journal.call(lambda: alive(self.journal.fast, steady_milliseconds)):
                waiting = "waiting for the gateway of this migration"
            elif not self._row.options.fenced:
                waiting = "waiting for the word that every writer goes through the gateway"
            if waiting:
                since = None
            elif since is None:
                since = anyio.current_time()
                seconds = duration(self._row.options.source_deadline)
                waiting = f"waiting {seconds} for requests that were sent before the gateway"
            elif anyio.current_time() - since >= self._row.options.source_deadline:
                self._notices = ()
                return True
            if waiting and waiting != said:
                said = waiting
                self._notices = (waiting,)
                self.run.listener(Noted(message=waiting))
            await anyio.sleep(LOOK_SECONDS)
            await self._reload()
        return False

    async def _reload(self) -> None:
        row = await self.run.store.live.find(self.migration_id)
        if row is not None:
            self._row = row

    async def active(self) -> _Working | None:
        """The direction that is followed now, None after the switch of a migration that goes one way, and before and
        after everything."""
        now = (await self.journal.position()).phase
        if now in ENDED or now is P.PREFLIGHT:
            return None
        return self._working.get(authority(now))

    @property
    def following(self) -> Following:
        """Of the direction that is being switched."""
        return self._switching.direction.following

    async def _apply(self) -> None:
        """Follow, in whichever direction it is."""
        while True:
            working = await self.active()
            if working is None:
                await anyio.sleep(LOOK_SECONDS)
                continue
            await working.direction.following.turn()

    async def _prove(self) -> None:
        """Settle what requests left unnamed, compare what was applied, and all of it once."""
        while True:
            await anyio.sleep(PROVE_SECONDS)
            now = (await self.journal.position()).phase
            working = await self.active()
            if working is None or now not in (P.CATCH_UP, P.READY, P.SOAK) or self._row.pace is not Pace.FULL:
                continue
            following = working.direction.following
            try:
                found = await working.prover.reconcile()
                following.trouble = found.problems[0] if found.problems else ""
                while not following.behind and await working.prover.round():
                    await anyio.lowlevel.checkpoint()
                if following.behind:
                    continue
                # Of the way back never: what nobody touched is not to be repaired by what the other side holds.
                if working.direction.side is Side.SOURCE and not working.prover.proof.pass_done:
                    await working.prover.whole_pass()
            except AdapterError as error:
                following.trouble = str(error)
                await anyio.sleep(2)

    async def _measure(self) -> None:
        """Keep the figures for whoever looks, take the pace from there, and say when it is ready."""
        while True:
            began = anyio.current_time()
            await self._reload()
            status = await self.status(strict=False)
            await self.run.store.live.set_figures(self.run.lease, status.figures, await self.journal.last_number())
            await self._ready(status)
            took = anyio.current_time() - began
            await anyio.sleep(max(FIGURES_SECONDS, 5 * took))

    async def _ready(self, status: LiveStatus) -> None:
        now = LivePhase(status.phase)
        # A switch may have begun since the status was taken.
        with suppress(InvalidTransition):
            if now is P.CATCH_UP and status.ready:
                await self.journal.move(now, P.READY)
            elif now is P.READY and not status.ready:
                await self.journal.move(now, P.CATCH_UP, {"gate": [c.name for c in status.gate if not c.met]})

    async def status(self, *, strict: bool) -> LiveStatus:
        """The migration now."""
        row = replace(self._row, figures=None)
        figures, rejected = await self._figures(), await rejected_records(self.run.store, self.migration_id)
        return await self.journal.call(
            lambda: look(self.journal.fast, row, figures, runner_alive=True, rejected=rejected, strict=strict)
        )

    async def _figures(self) -> LiveFigures:
        working = await self.active()
        if working is None:
            return LiveFigures(notices=self._notices, longest_pause_ms=self._longest_pause, at=utc_text())
        following = working.direction.following
        notices = [*self._notices, *([following.trouble] if following.trouble else [])]
        return LiveFigures(
            applied=following.applied.per_second(),
            reread=following.reread.per_second(),
            fuse_blown=working.direction.fuse.blown,
            quarantined=len(working.direction.quarantine),
            longest_pause_ms=self._longest_pause,
            proof=working.prover.proof,
            notices=tuple(notices),
            at=utc_text(),
        )

    async def enter(self, start: LivePhase, to: LivePhase, evidence: dict[str, Any], seconds: float) -> None:
        """Go to a phase, if the hook agrees."""
        if self._row.options.hook:
            await run_hook(self._row.options.hook, self.migration_id, start, to, seconds)
        await self.journal.move(start, to, evidence)
        self._over = to in ENDED
        self.run.listener(Noted(message=f"live: {to.value}"))

    async def _enter_in_time(self, start: LivePhase, to: LivePhase, evidence: dict[str, Any]) -> bool:
        """Go to a phase when the hook agrees; it is asked again and again. False when a stop or an end comes first."""
        while not self.run.stopping():
            try:
                await self.enter(start, to, evidence, HOOK_SECONDS)
            except InvalidTransition as error:
                if (await self.journal.position()).phase is not start:
                    return False
                self._notices = (str(error),)
                await anyio.sleep(HOOK_SECONDS / 10)
                continue
            self._notices = ()
            return True
        return False

    async def settle(self, start: LivePhase, to: LivePhase) -> None:
        """After a switch there is no way but forward: the hook hears of it, and cannot refuse."""
        await self.journal.move(start, to)
        self.run.listener(Noted(message=f"live: {to.value}"))
        if self._row.options.hook:
            try:
                await run_hook(self._row.options.hook, self.migration_id, start, to, HOOK_SECONDS)
            except InvalidTransition as error:
                self._notices = (str(error),)

    async def reconcile(self) -> bool:
        """Find, while nothing is written, what requests changed that did not name it; whether that was possible."""
        return not (await self._switching.prover.reconcile(at_once=True)).problems

    async def prove(self, *, strict: bool) -> Verdict:
        """Compare while nothing is written."""
        return await self._switching.prover.frozen(strict=strict)

    async def begin_switch(self, side: Side) -> None:
        """The switch away from this side begins. Raises MigrationFailed where there is no way there."""
        working = self._working.get(side)
        if working is None:
            raise MigrationFailed("this migration was begun as one that goes one way")
        await working.prover.prepare()
        self._switching = working

    def held(self, milliseconds: float) -> None:
        """Writes were held for so long."""
        self._longest_pause = max(self._longest_pause, milliseconds)

    async def acknowledge(self) -> None:
        """A person has seen the divergences, and what blew the fuse."""
        for working in self._working.values():
            await working.prover.acknowledge()
            working.direction.fuse.reset()

    async def set_fenced(self) -> None:
        """Every writer goes through the gateway."""
        options = replace(self._row.options, fenced=True)
        await self.run.store.live.set_options(self.migration_id, options)
        await self._reload()
