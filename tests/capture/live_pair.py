"""Two collections with the same content, the journal between them, and an applier, in one process."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel

from tests.live.world import inline
from tests.validation.support import Pair
from vectormigrate.adapter import Source
from vectormigrate.adapters.memory import SPEC
from vectormigrate.capture.applying.applier import Applier, Ends
from vectormigrate.capture.applying.fuse import Fuse
from vectormigrate.capture.applying.locks import KeyLocks
from vectormigrate.capture.applying.quarantine import Quarantine
from vectormigrate.capture.applying.witness import Witness
from vectormigrate.capture.journal.compared import ComparedKeys
from vectormigrate.capture.journal.connection import Connection, connect, make
from vectormigrate.capture.journal.intents import Intents
from vectormigrate.capture.journal.records import Admitted, Intent, Outcome, Scope
from vectormigrate.capture.journal.touched import TouchedKeys
from vectormigrate.capture.keys import Key, Side
from vectormigrate.capture.proving.confirming import Confirmer
from vectormigrate.capture.proving.full_pass import SavedPass
from vectormigrate.capture.proving.rounds import VerifyRounds
from vectormigrate.capture.proving.sides import Sides
from vectormigrate.engine.retry import RetryingSource, RetryingTarget, RetryPolicy
from vectormigrate.engine.throttle import AdaptiveLimiter
from vectormigrate.model.batch import RecordBatch
from vectormigrate.model.ids import RecordId


class Wrapped:
    """A collection with some verbs replaced: `Wrapped(target, fetch=…)`."""

    def __init__(self, inner: Source, **verbs: Any) -> None:
        self._inner = inner
        self._verbs = verbs

    def __getattr__(self, name: str) -> Any:
        return self._verbs.get(name) or getattr(self._inner, name)


@dataclass(kw_only=True)
class Live:
    """`now`: the journal's clock; `slept`: what happens while a check waits for reads to settle."""

    both: Pair
    folder: Path
    gateway: Connection
    runner: Connection
    now: int = 1_000
    locks: KeyLocks = field(default_factory=KeyLocks)
    slept: Callable[[], Any] | None = None
    changes: dict[str, Any] = field(default_factory=dict[str, Any])
    """Of `sides`."""

    @property
    def intents(self) -> Intents:
        return Intents(self.gateway, lambda: self.now)

    @property
    def touched(self) -> TouchedKeys:
        return TouchedKeys(self.runner, Side.SOURCE, lambda: self.now)

    @property
    def compared(self) -> ComparedKeys:
        return ComparedKeys(self.runner, Side.SOURCE, lambda: self.now)

    def begin(self, *keys: Key, deletes: bool = False, scopes: Sequence[Scope] = ()) -> int:
        """A request on these keys is under way."""
        (admission,) = self.intents.admit([Intent(side=Side.SOURCE, keys=keys, deletes=deletes, scopes=scopes)])
        assert isinstance(admission, Admitted)
        return admission.seq

    def end(self, seq: int) -> None:
        """It was answered."""
        self.intents.admit([], [Outcome(seq=seq, side=Side.SOURCE, definite=True)])

    async def upsert(self, batch: RecordBatch) -> None:
        """A client writes through the gateway."""
        seq = self.begin(*(Key(batch.namespace, record_id) for record_id in batch.ids))
        assert not await self.both.source.upsert(batch)
        self.end(seq)

    async def delete(self, ids: Sequence[RecordId], namespace: str = "a") -> None:
        """As `upsert`."""
        seq = self.begin(*(Key(namespace, record_id) for record_id in ids), deletes=True)
        await self.both.source.delete(ids, namespace)
        self.end(seq)

    async def apply(self) -> None:
        """Until nothing is dirty that can be applied."""
        applier = self.applier()
        while (await applier.round()).cleared:
            pass

    def applier(self, fuse: Fuse | None = None) -> Applier:
        policy = RetryPolicy(max_retries=0)
        sides = self.sides
        ends = Ends(
            source=RetryingSource(sides.source, SPEC.classify, policy),
            target=RetryingTarget(sides.target, SPEC.classify, policy, AdaptiveLimiter(4)),
            conversion=self.both.mapper,
            batch_rows=50,
            batch_bytes=10**7,
        )
        quarantine = Quarantine(15, lambda: self.now, everything=False)
        return Applier(
            self.touched,
            ends,
            locks=self.locks,
            quarantine=quarantine,
            fuse=fuse or Fuse(),
            journalled=inline,
            witness=Witness(0, lambda: self.now),
        )

    @property
    def sides(self) -> Sides:
        both = self.both
        chosen: dict[str, Any] = {
            "source": both.source,
            "target": both.target,
            "mapper": both.mapper,
            "plan": both.plan,
            "keys": both.mapper,
            "created": both.created,
            "which_written": both.which_written,
            "rejected": frozenset(both.rejected),
            **self.changes,
        }
        return Sides(**chosen)

    @property
    def confirmer(self) -> Confirmer:
        async def sleep(seconds: float) -> None:
            if self.slept is not None:
                await self.slept()
            await anyio.lowlevel.checkpoint()

        return Confirmer(sides=self.sides, keys=self.compared, locks=self.locks, journalled=inline, sleep=sleep)

    @property
    def rounds(self) -> VerifyRounds:
        return VerifyRounds(self.confirmer)

    @property
    def saved(self) -> SavedPass:
        return SavedPass(self.folder / "pass")

    def dirty(self) -> set[Key]:
        return {each.key for each in self.touched.dirty(10_000)}


@asynccontextmanager
async def live(both: Pair, folder: Path) -> AsyncGenerator[Live]:
    """A journal between the two."""
    path = folder / "journal.db"
    make(path, "m")
    gateway, runner = connect(path, "m", durable=True), connect(path, "m", durable=False)
    try:
        made = Live(both=both, folder=folder, gateway=gateway, runner=runner)
        made.intents.begin_session(fail_open=False)
        yield made
    finally:
        gateway.close()
        runner.close()
