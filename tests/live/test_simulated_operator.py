"""An operator gives orders in any order, an application writes, processes die, and time passes: by hypothesis.

After each step no write took effect on a side without the authority, and what differs is noted; in the end, both sides
hold what the application did.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,  # pyright: ignore[reportUnknownVariableType]
)

from tests.live.simulated.application import Kind, Operation
from tests.live.simulated.database import CYCLE, LIFE, Faults
from tests.live.simulated.no_threads import no_threads
from tests.live.simulated.template import Template
from tests.live.simulated.world import ASSIGNED, Script, World, vars_of
from tests.live.virtual import VirtualLoop
from vectormigrate.capture.journal.connection import connect
from vectormigrate.capture.phases import ENDED, LivePhase, authority
from vectormigrate.model.live import OrderVerb, Pace, SwitchOptions
from vectormigrate.state.store import open_store

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("simulated")]

LONG = bool(os.environ.get("VECTORMIGRATE_TEST_LONG"))
KINDS = st.sampled_from([Kind.UPSERT, Kind.PART, Kind.DELETE, Kind.DELETE_FILTER, Kind.PART_FILTER, Kind.INSERT])
VERBS = st.sampled_from([verb for verb in OrderVerb if verb not in (OrderVerb.COMPLETE, OrderVerb.ABORT)])


class Operator(RuleBasedStateMachine):
    """`template` is set by the test."""

    template: Template

    def __init__(self) -> None:
        super().__init__()
        self.opened = ExitStack()

    def wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    @initialize(seed=st.integers(0, 10**6), switches=st.integers(-1, 2))
    def begin(self, seed: int, switches: int) -> None:
        """With so many switches behind it, -1: from the very beginning."""
        self.template.renew()
        self.world = world = World(self.template, seed, Script(faults=Faults()))
        self.opened.enter_context(no_threads(world.chance))
        self.loop = VirtualLoop()
        asyncio.set_event_loop(self.loop)
        self.wait(self._open())
        self.tasks: list[asyncio.Task[Any]] = []
        for number in range(switches + 1):
            self.wait(self._many(3))
            self.wait(self._go(postpone=number == switches))

    async def _open(self) -> None:
        world = self.world
        world.look = connect(world.folder / "journal.db", "m", durable=False)
        self.opening = open_store(self.template.state)
        self.store = await self.opening.__aenter__()
        world.begin_gateway()
        world.begin_runner()

    async def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        self.tasks.append(asyncio.ensure_future(work))
        await asyncio.sleep(0.05)

    @rule(kind=KINDS, namespace=st.sampled_from(["", "b"]), ids=st.sets(st.integers(0, 3), min_size=1, max_size=2))
    def write(self, kind: Kind, namespace: str, ids: set[int]) -> None:
        number = 100 + len(self.world.history)
        chosen = [ASSIGNED + number] if kind is Kind.INSERT else sorted(ids)
        if kind in (Kind.DELETE_FILTER, Kind.PART_FILTER):
            chosen = []
        operation = Operation(number=number, kind=kind, namespace=namespace, ids=chosen, rest=number % 3)
        self.wait(self._spawn(self.world.send(operation, authority(self.world.position().phase))))

    @rule(many=st.integers(2, 8))
    def many_writes(self, many: int) -> None:
        self.wait(self._many(many))

    async def _many(self, many: int) -> None:
        for _ in range(many):
            operation = self.world.draw(filters=0.1)
            await self._spawn(self.world.send(operation, authority(self.world.position().phase)))

    @rule(seconds=st.sampled_from([0.1, 0.5, 1.0, 3.0, 8.0]))
    def time_passes(self, seconds: float) -> None:
        self.wait(asyncio.sleep(seconds))

    @rule()
    def the_runner_dies(self) -> None:
        self.wait(self._die(runner=True))

    @rule()
    def the_gateway_dies(self) -> None:
        self.wait(self._die(runner=False))

    async def _die(self, *, runner: bool) -> None:
        if runner:
            self.world.end_runner()
        else:
            self.world.gateway.kill()
        await asyncio.sleep(0)

    @rule()
    def somebody_resumes(self) -> None:
        self.wait(self._begin())

    async def _begin(self) -> None:
        """Whatever does not run."""
        world = self.world
        if not world.gateway.process.alive:
            world.begin_gateway()
        if not world.runs() and world.position().phase not in ENDED:
            world.end_runner()
            world.begin_runner()
        await asyncio.sleep(0.1)

    @rule()
    def somebody_stops_it(self) -> None:
        self.wait(self.store.migrations.request_stop("m"))

    @rule(verb=VERBS, strict=st.booleans(), rehearse=st.booleans())
    def an_order(self, verb: OrderVerb, strict: bool, rehearse: bool) -> None:
        self.wait(self._order(verb, strict=strict, rehearse=rehearse))

    async def _order(self, verb: OrderVerb, **how: bool) -> None:
        switches = verb in (OrderVerb.CUT_OVER, OrderVerb.REVERSE)
        options = vars_of(SwitchOptions(budget=4, **how)) if switches else {}
        await self.store.live.ask("m", verb, options)
        await asyncio.sleep(0.3)

    @rule(pace=st.sampled_from(list(Pace)))
    def a_pace(self, pace: Pace) -> None:
        self.wait(self.store.live.set_pace("m", pace))

    @rule(postpone=st.booleans())
    def it_goes_as_it_should(self, postpone: bool) -> None:
        """As far as the next switch, without which hardly any example would come there."""
        self.wait(self._go(postpone))

    async def _go(self, postpone: bool) -> None:
        await self._begin()
        phase = self.world.position().phase
        await self.store.live.set_pace("m", Pace.FULL)
        await self._order(OrderVerb.FENCED)
        await asyncio.sleep(CYCLE)
        verb = OrderVerb.REVERSE if phase is LivePhase.SOAK else OrderVerb.CUT_OVER
        await self._order(verb, postpone=postpone)
        await asyncio.sleep(CYCLE)

    @precondition(lambda self: self.world.position().phase is LivePhase.SOAK and len(self.world.history) > 5)
    @rule(verb=st.sampled_from([OrderVerb.COMPLETE, OrderVerb.ABORT]))
    def an_end(self, verb: OrderVerb) -> None:
        self.wait(self._order(verb))

    @invariant()
    def nothing_is_wrong(self) -> None:
        if hasattr(self, "store"):
            assert [*self.world.wrong, *self.world.uncovered()] == []

    def teardown(self) -> None:
        if not hasattr(self, "store"):
            return
        try:
            self.wait(self._rest())
        finally:
            self.wait(self._close())
            self.loop.close()
            asyncio.set_event_loop(None)
            self.opened.close()

    async def _rest(self) -> None:
        """Until everything is settled."""
        world = self.world
        for _ in range(40):
            await self._go_on()
            if world.position().phase in ENDED or world.settled():
                break
        else:
            world.wrong.append(f"stuck in {world.position().phase}: {world.why_stuck()}")
        await asyncio.sleep(2 * LIFE)
        await asyncio.gather(*self.tasks)
        if world.position().phase not in ENDED:
            while not world.settled():
                await self._go_on()
        world.judge(ended=world.position().phase in ENDED)
        assert world.wrong == []

    async def _go_on(self) -> None:
        await self._begin()
        await self.store.live.set_pace("m", Pace.FULL)
        if self.world.position().phase in (LivePhase.PREFLIGHT, LivePhase.CAPTURING):
            await self._order(OrderVerb.FENCED)
        await asyncio.sleep(2)

    async def _close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.opening.__aexit__(None, None, None)
        await self.world.clear_away()


def test_no_order_of_orders_writes_deaths_and_pauses_loses_anything(
    template: Template, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Operator, "template", template, raising=False)
    run_state_machine_as_test(
        Operator,
        settings=settings(
            max_examples=5000 if LONG else 30,
            stateful_step_count=50 if LONG else 25,
            deadline=None,
            derandomize=not LONG,
            suppress_health_check=[*HealthCheck],  # pyright: ignore[reportArgumentType]
        ),
    )
