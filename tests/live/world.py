"""Clients, a gateway and a runner that misbehave by a seed, around the real journal and applier.

Requests take effect late, or after the gateway gave up; the processes are killed and started again.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.live.databases import NAMESPACES, SOURCE_LIFE, STALE, TARGET_LIFE, Database, Faults
from vectormigrate.adapters.memory import SPEC
from vectormigrate.capture.applying.applier import Applier, Conversion, Ends
from vectormigrate.capture.applying.fuse import Fuse
from vectormigrate.capture.applying.locks import KeyLocks
from vectormigrate.capture.applying.quarantine import Quarantine
from vectormigrate.capture.applying.witness import Witness
from vectormigrate.capture.journal.connection import connect, make
from vectormigrate.capture.journal.intents import Intents
from vectormigrate.capture.journal.records import Admitted, Intent, Outcome
from vectormigrate.capture.journal.touched import TouchedKeys
from vectormigrate.capture.keys import Key, Side
from vectormigrate.engine.retry import RetryingSource, RetryingTarget, RetryPolicy
from vectormigrate.engine.throttle import AdaptiveLimiter
from vectormigrate.mapping.convert.mapper import Mapped
from vectormigrate.model.batch import RecordBatch
from vectormigrate.model.ids import RecordId

PATIENCE = 3.0
"""Seconds after which the gateway gives a request up."""


@dataclass(slots=True)
class Unchanged:
    """The conversion between databases that hold the same."""

    def convert(self, batch: RecordBatch) -> list[Mapped]:
        return [Mapped(batch, np.arange(len(batch)), list(batch.ids), [], Counter[str]())]

    def target_key(self, namespace: str, record_id: RecordId) -> tuple[str, RecordId]:
        return namespace, record_id


class World:
    """One migration. `forward_first`, `doubts_end_at_once`: mistakes of the gateway that a test makes on purpose."""

    def __init__(self, folder: Path, seed: int, faults: Faults) -> None:
        self.chance = random.Random(seed)
        self.faults = faults
        self.source = Database(self.chance, faults, SOURCE_LIFE)
        self.target = Database(self.chance, faults, TARGET_LIFE)
        path = folder / f"{seed}.db"
        make(path, "m")
        self.gateway = connect(path, "m", durable=True)
        self.runner = connect(path, "m", durable=False)
        self.forward_first = False
        self.doubts_end_at_once = False
        self.settle = 2 * STALE
        """Seconds of the applier's witness."""
        self.written = 0
        self.gateways = 0
        """Gateways that were killed, as `kills` counts appliers."""
        self.kills = 0

    def close(self) -> None:
        self.gateway.close()
        self.runner.close()

    def now(self) -> int:
        """Milliseconds of the virtual clock."""
        return round(asyncio.get_running_loop().time() * 1000)

    @property
    def intents(self) -> Intents:
        return Intents(self.gateway, self.now)

    @property
    def keys(self) -> TouchedKeys:
        return TouchedKeys(self.runner, Side.SOURCE, self.now)

    async def client(self, writes: int) -> None:
        """Writes to few keys, so that they meet."""
        for _ in range(writes):
            await asyncio.sleep(self.chance.random() * 2)
            namespace = self.chance.choice(NAMESPACES)
            ids = self.chance.sample(range(6), self.chance.randint(1, 3))
            await self._request([Key(namespace, record_id) for record_id in ids], self.chance.random() < 0.3)

    async def _request(self, keys: list[Key], deletes: bool) -> None:
        self.written += 1
        number = self.written

        def apply() -> None:
            for key in keys:
                self.source.put(key, None if deletes else number)

        unknown = self.chance.random() < 0.2
        noted = [Key(None if unknown else key.namespace, key.id) for key in keys]
        intent = Intent(side=Side.SOURCE, keys=noted, deletes=deletes)
        process = self.gateways
        definite = await self._forward(apply) if self.forward_first else False
        if process != self.gateways:
            return  # The gateway was killed: it says nothing more.
        (admission,) = self.intents.admit([intent])
        assert isinstance(admission, Admitted)
        if not self.forward_first:
            definite = await self._forward(apply)
            if process != self.gateways:
                return
        self.intents.admit([], [Outcome(seq=admission.seq, side=Side.SOURCE, definite=definite)])
        if not definite and self.doubts_end_at_once:
            self.intents.end_doubts(0)

    async def _forward(self, apply: Callable[[], None]) -> bool:
        """Whether the source answered."""
        await asyncio.sleep(self.chance.random() * 0.3)
        draw, faults = self.chance.random(), self.faults
        if draw < faults.dropped:
            return False
        if draw < faults.dropped + faults.late_source:
            await asyncio.sleep(PATIENCE)
            self.source.land_later(apply, age=PATIENCE + 0.3)
            return False
        apply()
        await asyncio.sleep(self.chance.random() * 0.3)
        return draw < 1 - faults.lost_answer

    async def run_gateway(self) -> None:
        """Ends doubts; killed now and then: what was under way is in doubt for the next process, in full."""
        self.intents.begin_session(fail_open=False)
        while True:
            await asyncio.sleep(1)
            self.intents.end_doubts(round(SOURCE_LIFE * 1000))
            if self.chance.random() < self.faults.kill:
                self.gateways += 1
                self.intents.begin_session(fail_open=False)

    async def run_applier(self) -> None:
        """Rounds for ever; killed now and then in the middle of one."""
        while True:
            applier = self.applier()
            try:
                async with asyncio.timeout(10 + self.chance.random() * 60 if self.faults.kill else None):
                    while True:
                        applied = await applier.round()
                        await asyncio.sleep(0.1 if applied.cleared else 0.5)
            except TimeoutError:
                self.kills += 1

    def applier(self, fuse: Fuse | None = None, conversion: Conversion | None = None) -> Applier:
        """As a process that has just started: it does not know what an earlier one has sent, if there was one."""
        policy = RetryPolicy(max_retries=0)
        source: Any = self.source
        target: Any = self.target
        ends = Ends(
            source=RetryingSource(source, SPEC.classify, policy),
            target=RetryingTarget(target, SPEC.classify, policy, AdaptiveLimiter(4)),
            conversion=conversion or Unchanged(),
            batch_rows=2,
            batch_bytes=10_000,
        )
        quarantine = Quarantine(TARGET_LIFE, self.now, everything=self.kills > 0)
        return Applier(
            self.keys,
            ends,
            locks=KeyLocks(),
            quarantine=quarantine,
            fuse=fuse or Fuse(),
            journalled=inline,
            witness=Witness(self.settle, self.now),
        )

    async def drained(self) -> None:
        """Until nothing is dirty, under way or in doubt."""
        while True:
            figures = self.keys.figures()
            if not figures.dirty and not figures.under_way:
                return
            await asyncio.sleep(0.5)

    def difference(self) -> dict[Key, tuple[int | None, int | None]]:
        """Keys on which source and target disagree, with both values."""
        keys = self.source.records.keys() | self.target.records.keys()
        both = {key: (self.source.records.get(key), self.target.records.get(key)) for key in keys}
        return {key: values for key, values in both.items() if values[0] != values[1]}


async def inline(call: Callable[[], Any]) -> Any:
    """The journal's call, here and now: threads have no virtual time."""
    return call()


async def play(world: World, *, clients: int = 3, writes: int = 12) -> None:
    """Clients write, then stop; returns when all is settled and nothing can land any more."""
    tasks = [asyncio.create_task(world.run_gateway()), asyncio.create_task(world.run_applier())]
    try:
        await asyncio.gather(*(world.client(writes) for _ in range(clients)))
        async with asyncio.timeout(3600):
            await world.drained()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(2 * SOURCE_LIFE)
