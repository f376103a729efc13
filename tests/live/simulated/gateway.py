"""A gateway process: the product's admissions, its keeper and its journal, without Envoy and without a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from tests.live.simulated.application import Operation, Told
from tests.live.virtual import Process
from vectormigrate.capture.classify import Head
from vectormigrate.capture.folder import LiveFolder
from vectormigrate.capture.gateway.admission import Admissions, Collection, Noted, Pass
from vectormigrate.capture.gateway.keeping import BEAT_SECONDS, LOOK_SECONDS, Keeper
from vectormigrate.capture.gateway.messages import Refusal
from vectormigrate.capture.gateway.sessions import entered
from vectormigrate.capture.journal.connection import connect
from vectormigrate.capture.journal.group_commit import GroupCommit
from vectormigrate.capture.journal.intents import Intents
from vectormigrate.capture.journal.records import Admission, Intent, Outcome
from vectormigrate.capture.keys import Side
from vectormigrate.errors import RateLimited, TimedOut, Unavailable
from vectormigrate.model import clock

if TYPE_CHECKING:
    from tests.live.simulated.world import World

HEAD = Head("POST", "/")
NO_TABLE: Any = None
"""What a request touches is known without."""

FLUSH_SECONDS = 0.05


class Commit(GroupCommit):
    """As its base, whose thread is the event loop: an outcome is settled a while later, or lost with the process."""

    def __init__(self, intents: Intents) -> None:
        self._now = intents
        self._outcomes: list[Outcome] = []

    async def admit(self, intent: Intent) -> Admission:
        await asyncio.sleep(0)
        outcomes, self._outcomes = self._outcomes, []
        (admission,) = self._now.admit([intent], outcomes)
        await asyncio.sleep(0)
        return admission

    def settle(self, outcome: Outcome) -> None:
        self._outcomes.append(outcome)

    def flush(self) -> None:
        """What is settled by now."""
        outcomes, self._outcomes = self._outcomes, []
        if outcomes:
            self._now.admit([], outcomes)


class Refused(Exception):
    """The database refuses a request, of which nothing took effect."""


class Gateway:
    """One process."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.process = Process()
        self.admissions: Admissions | None = None
        self.waiting: set[asyncio.Future[Told]] = set()

    def start(self) -> None:
        """Begin to work."""
        self.process.start(self._run())

    def kill(self) -> None:
        """Whoever waits for an answer sees the connection break."""
        self.process.kill()
        self.admissions = None
        for answer in self.waiting:
            if not answer.done():
                answer.set_result(Told.UNKNOWN)

    async def _run(self) -> None:
        world = self.world
        path = LiveFolder(world.folder)
        connections = [connect(path.journal, "m", durable=durable) for durable in (True, True, False, False)]
        intents, keeping, looking, moving = connections
        made = Intents(intents, clock.steady_milliseconds)
        _, identity = intents.row("load_journal")
        session, _ = entered(intents, made, path, fail_open=False, identity=identity, seen=0)
        commit = Commit(made)
        self.admissions = Admissions(commit)
        keeper = Keeper(
            keeping=keeping,
            looking=looking,
            moving=moving,
            intents=Intents(keeping, clock.steady_milliseconds),
            session=session,
            options=world.options,
            clock=clock.steady_milliseconds,
        )

        def look() -> None:
            assert self.admissions is not None
            self.admissions.phase = keeper.look().phase

        async def again(work: Callable[[], object], seconds: float) -> None:
            while True:
                await asyncio.sleep(seconds)
                work()

        keeper.beat()
        await asyncio.gather(
            again(commit.flush, FLUSH_SECONDS), again(look, LOOK_SECONDS * 5), again(keeper.beat, BEAT_SECONDS)
        )

    async def ask(self, operation: Operation, side: Side) -> tuple[Told, bool]:
        """As a client: how it ended, and whether it is to be sent to the other side."""
        answer: asyncio.Future[Told] = asyncio.get_running_loop().create_future()
        moved: list[bool] = []
        self.waiting.add(answer)
        self.process.start(self._serve(operation, side, answer, moved))
        told = await answer
        self.waiting.discard(answer)
        return told, bool(moved)

    async def _serve(self, operation: Operation, side: Side, answer: asyncio.Future[Told], moved: list[bool]) -> None:
        assert self.admissions is not None
        admissions, world = self.admissions, self.world
        collection = Collection(side=side, operations=NO_TABLE, names=frozenset({"c"}))
        forwarding = partial(world.forward, operation, side)
        early = await self._outcome(forwarding) if world.forward_first else None
        decision = await admissions.decide_touch(collection, operation.touch(), HEAD)
        if isinstance(decision, Refusal):
            if decision.status == 409:
                moved.append(True)
            answer.set_result(Told.FAILED)
            return
        told = early or await self._outcome(forwarding)
        if isinstance(decision, Noted):
            refused = told is Told.FAILED
            named = decision.assigned and told is Told.OK
            admissions.ended(
                collection,
                decision,
                definite=told is not Told.UNKNOWN or world.forgets_doubts,
                refused=refused,
                touch=operation.answered_touch() if named else None,
                no_effect=refused,
            )
        else:
            assert isinstance(decision, Pass)
        if not answer.done():
            answer.set_result(told)

    async def _outcome(self, forwarding: Callable[[], Awaitable[None]]) -> Told:
        try:
            await forwarding()
        except (Refused, RateLimited):
            return Told.FAILED
        except (TimedOut, Unavailable):
            return Told.UNKNOWN
        return Told.OK
