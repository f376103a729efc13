"""What compares in one direction, put together from capture/proving and capture/reconcile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from vectormigrate.capture.folder import LiveFolder
from vectormigrate.capture.journal.compared import ComparedKeys
from vectormigrate.capture.keys import Key, Side
from vectormigrate.capture.proving import frozen
from vectormigrate.capture.proving.confirming import Confirmer
from vectormigrate.capture.proving.frozen import Audit, Verdict, draw
from vectormigrate.capture.proving.full_pass import SavedPass, named, run_pass
from vectormigrate.capture.proving.rounds import VerifyRounds
from vectormigrate.capture.proving.sides import Sides, still_rejected
from vectormigrate.capture.reconcile import SETTLE_SECONDS, Reconciled, Reconciler
from vectormigrate.capture.running.conversion import Back, Forward, apart, derives
from vectormigrate.capture.running.direction import Direction
from vectormigrate.capture.running.journal import RunnerJournal
from vectormigrate.capture.running.rejects import rejected_records
from vectormigrate.engine.run import Run
from vectormigrate.model.clock import steady_milliseconds
from vectormigrate.model.ids import RecordId
from vectormigrate.model.live import Proof

EXAMPLES = 5


class DirectionProver:
    """The comparisons of one direction, and what they found."""

    def __init__(self, direction: Direction, journal: RunnerJournal, run: Run, proof: Proof) -> None:
        self._direction = direction
        self._journal = journal
        self._run = run
        self._keys = ComparedKeys(journal.fast, direction.side, steady_milliseconds)
        self._derived = journal.derived
        self._rounds: VerifyRounds | None = None
        self._audit: Audit | None = None
        self._reconciler: Reconciler | None = None
        self.proof = proof

    async def _sides(self) -> Sides:
        direction, run, journal = self._direction, self._run, self._journal
        rejected = await rejected_records(run.store, run.migration_id)
        forward = direction.side is Side.SOURCE
        if forward:
            rejected = await journal.call(lambda: still_rejected(journal.keys(Side.SOURCE), rejected))

        async def which_written(namespace: str, ids: Sequence[RecordId]) -> set[RecordId]:
            return await run.store.written_ids.which_written(run.migration_id, namespace, ids)

        async def derived(namespace: str, record_id: RecordId) -> Key | None:
            if not forward:
                return Key(*Forward(run.plan.rules, self._derived).target_key(namespace, record_id))
            found = await journal.call(lambda: self._derived.find(namespace, record_id))
            return None if found is None else Key(*found)

        namespaces = apart(run.plan, run.source.capabilities, run.target.capabilities)
        mapper = (
            Forward(run.plan.rules, self._derived, namespaces=namespaces)
            if forward
            else Back(direction.plan.rules, self._derived, run.plan.rules)
        )
        return Sides(
            source=direction.ends.source,
            target=direction.ends.target,
            mapper=mapper,
            plan=direction.plan,
            keys=mapper,
            created=True,
            which_written=which_written,
            rejected=rejected if forward else frozenset(),
            derived=derived,
            noted_first=not forward and derives(run.plan.rules),
        )

    async def _confirmer(self, *, settle: float = 2.0) -> Confirmer:
        return Confirmer(
            sides=await self._sides(),
            keys=self._keys,
            locks=self._direction.locks,
            journalled=self._journal.call,
            settle=settle,
        )

    async def reconcile(self, *, at_once: bool = False) -> Reconciled:
        """Find what requests changed that did not name their records, once reads have settled; `at_once`: nothing is
        written, so they have."""
        if at_once or self._reconciler is None:
            touched = self._journal.keys(self._direction.side)
            settle = 0.0 if at_once else SETTLE_SECONDS
            made = Reconciler(
                await self._sides(), touched, journalled=self._journal.call, clock=steady_milliseconds, settle=settle
            )
            if at_once:
                return await made.round()
            self._reconciler = made
        return await self._reconciler.round()

    async def round(self) -> int:
        """Compare keys that were not compared since they were last written; returns how many are verified by that."""
        if self._rounds is None:
            self._rounds = VerifyRounds(await self._confirmer())
        found = await self._rounds.round()
        self.proof = replace(
            self.proof,
            verified=self.proof.verified + found.verified,
            pending=found.waiting,
            hot=found.hot,
            errors=len(found.errors),
        )
        await self._count_divergences()
        return found.verified

    async def whole_pass(self) -> None:
        """Compare everything once while records change, and draw the sample of the last check."""
        folder = LiveFolder(self._journal.path.parent)
        saved = SavedPass(folder.path / f"pass-{self._direction.side.value}")
        confirmer = await self._confirmer()
        found = await run_pass(confirmer, saved, listener=self._run.listener)
        if not found.errors:
            self._audit = await draw(confirmer.sides)
        self.proof = replace(
            self.proof,
            pass_done=not found.errors,
            verified=self.proof.verified + found.verified,
            pending=found.pending,
            hot=found.hot,
            errors=found.errors,
            examples=found.examples[:EXAMPLES],
        )
        await self._count_divergences()

    async def prepare(self) -> None:
        """Draw the sample, where an earlier process made the pass. None of the way back: what nobody touched was equal
        at the switch, and is not looked at again."""
        if self._audit is None and self._direction.side is Side.SOURCE:
            self._audit = await draw((await self._confirmer()).sides)

    async def _count_divergences(self) -> None:
        count = await self._journal.call(self._keys.unacknowledged)
        found = await self._journal.call(lambda: self._keys.divergences(EXAMPLES)) if count else []
        examples = tuple(named(each.key, each.what) for each in found)
        self.proof = replace(self.proof, diverged=count, examples=examples or self.proof.examples)

    async def frozen(self, *, strict: bool) -> Verdict:
        """Compare while nothing is written."""
        touched = self._journal.keys(self._direction.side)
        confirmer = await self._confirmer(settle=0.5)
        if strict:
            verdict = await frozen.strict(confirmer.sides, touched, listener=self._run.listener)
        else:
            verdict = await frozen.fast(confirmer, touched, self._audit or Audit())
        if verdict.unrepaired:
            # What differs is found again, and repaired, while the application writes.
            self.proof = replace(self.proof, pass_done=False)
        return verdict

    async def acknowledge(self) -> None:
        """A person has seen the divergences."""
        await self._journal.call(self._keys.acknowledge)
        await self._count_divergences()


def make_prover(direction: Direction, journal: RunnerJournal, run: Run, proof: Proof) -> DirectionProver:
    """What compares in this direction. `proof`: what an earlier run found."""
    return DirectionProver(direction, journal, run, proof)
