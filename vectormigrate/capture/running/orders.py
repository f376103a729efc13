"""Carries out what other processes ask the runner for through the state file."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Any, Protocol

import anyio

from vectormigrate.capture.journal.phase import history
from vectormigrate.capture.keys import Side
from vectormigrate.capture.phases import ENDED, FLIPS, FROZEN, NEXT, LivePhase, authority
from vectormigrate.capture.running.switch import BACK, FORWARD, Context, Steps, Switch, Switched, thaw
from vectormigrate.engine.failpoints import failpoint
from vectormigrate.errors import InvalidTransition, VectorMigrateError
from vectormigrate.figures import duration
from vectormigrate.model.live import Order, OrderVerb, SwitchOptions
from vectormigrate.state.store import Store

POLL_SECONDS = 0.25

P = LivePhase

Answer = dict[str, Any]


class Live(Context, Protocol):
    """What orders need of the run that carries them out."""

    migration_id: str

    async def begin_switch(self, side: Side) -> None:
        """A switch away from this side begins. Raises MigrationFailed where there is no way there."""
        ...

    def held(self, milliseconds: float) -> None:
        """Writes were held for so long."""
        ...

    async def acknowledge(self) -> None:
        """A person has seen what was found."""
        ...

    async def settle(self, start: LivePhase, to: LivePhase) -> None:
        """The phase after a switch."""
        ...

    async def set_fenced(self) -> None:
        """Every writer goes through the gateway."""
        ...


class Orders:
    """The orders of one migration, one at a time; a switch is interrupted by nothing but an order to thaw."""

    def __init__(self, live: Live, store: Store) -> None:
        self._live = live
        self._store = store
        self._one = anyio.Lock()

    async def answer_old(self) -> None:
        """Orders that the runner before this one left: done, if their row is there, else to be given again. Whoever
        gave them was not answered, and may have decided otherwise since."""
        rows = await self._live.journal.call(lambda: history(self._live.journal.fast))
        done = {row.evidence.get("order") for row in rows if row.phase in FLIPS or row.phase in ENDED}
        for order in await self._store.live.orders(self._live.migration_id):
            if order.number in done:
                await self._store.live.answer(order.number, {"ok": True, "switched": True, "text": "done"})
            else:
                text = "the runner ended before it was done; nothing has changed, ask again"
                await self._store.live.answer(order.number, {"ok": False, "text": text})

    async def run(self) -> None:
        """Carry them out until cancelled."""
        while True:
            for order in await self._store.live.orders(self._live.migration_id):
                async with self._one:
                    await self._carry_out(order)
            await anyio.sleep(POLL_SECONDS)

    async def answered(self) -> None:
        """Wait until an order that ended the migration is answered."""
        async with self._one:
            pass

    async def _carry_out(self, order: Order) -> None:
        verbs: Mapping[OrderVerb, Callable[[Order], Awaitable[Answer]]] = {
            OrderVerb.CUT_OVER: self._cut_over,
            OrderVerb.REVERSE: self._reverse,
            OrderVerb.COMPLETE: self._complete,
            OrderVerb.ABORT: self._abort,
            OrderVerb.THAW: self._thaw,
            OrderVerb.ACKNOWLEDGE: self._acknowledge,
            OrderVerb.FENCED: self._fenced,
        }
        try:
            answer = await verbs[order.verb](order)
        except VectorMigrateError as error:
            answer = {"ok": False, "text": str(error)}
        await self._store.live.answer(order.number, answer)

    async def _cut_over(self, order: Order) -> Answer:
        await self._require(order, P.CATCH_UP, P.READY)
        return await self._switch(order, FORWARD, Side.SOURCE)

    async def _reverse(self, order: Order) -> Answer:
        await self._require(order, P.SOAK)
        return await self._switch(order, BACK, Side.TARGET)

    async def _switch(self, order: Order, steps: Steps, side: Side) -> Answer:
        await self._live.begin_switch(side)
        thawing = anyio.Event()
        options = SwitchOptions(**order.options)
        switch = Switch(self._live, steps, options, order.number, thawing.is_set)
        result: Switched | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._listen_for_thaw, thawing)
            result = await switch.run()
            tasks.cancel_scope.cancel()
        assert result is not None
        self._live.held(result.held_ms)
        if result.switched:
            failpoint("flipped")
            await self._live.settle(steps.flipped, steps.settled)
        ok = result.switched or result.rehearsed or result.postponed
        return {"ok": ok, "text": _text(result), **asdict(result)}

    async def _listen_for_thaw(self, thawing: anyio.Event) -> None:
        """An order to thaw ends the hold at once, and the switch with it."""
        while True:
            for order in await self._store.live.orders(self._live.migration_id):
                if order.verb is OrderVerb.THAW:
                    thawing.set()
                    await self._carry_out(order)
            await anyio.sleep(POLL_SECONDS)

    async def _complete(self, order: Order) -> Answer:
        await self._require(order, P.SOAK)
        await self._live.enter(P.SOAK, P.COMPLETED, {"order": order.number}, 30)
        return {"ok": True, "text": "completed: the target is the collection from now on"}

    async def _abort(self, order: Order) -> Answer:
        now = (await self._live.journal.position()).phase
        if P.ABORTED not in NEXT[now] or authority(now) is Side.TARGET:
            raise InvalidTransition(_cannot(order, now))
        await self._live.enter(now, P.ABORTED, {"order": order.number}, 30)
        return {"ok": True, "text": "aborted: the source stays the collection, and nothing follows it any more"}

    async def _thaw(self, order: Order) -> Answer:
        done = await thaw(self._live.journal)
        return {"ok": True, "text": "writes are admitted again" if done else "no writes were held"}

    async def _acknowledge(self, order: Order) -> Answer:
        await self._live.acknowledge()
        return {"ok": True, "text": "acknowledged"}

    async def _fenced(self, order: Order) -> Answer:
        await self._live.set_fenced()
        return {"ok": True, "text": "noted: every writer goes through the gateway"}

    async def _require(self, order: Order, *phases: LivePhase) -> None:
        now = (await self._live.journal.position()).phase
        if now not in phases:
            raise InvalidTransition(_cannot(order, now))


def _cannot(order: Order, now: LivePhase) -> str:
    held = " (a switch is under way)" if now in FROZEN else ""
    return f"cannot {order.verb.value.replace('_', ' ')} migration {order.migration_id!r} in phase {now.value}{held}"


def _text(result: Switched) -> str:
    held = f"writes were held for {duration(result.held_ms / 1000)}"
    if result.switched:
        return f"switched; {held}"
    if result.rehearsed:
        return f"rehearsed without switching; {held}"
    if result.postponed:
        return "everything is ready; ask again to switch"
    return f"not switched: {result.reason}"
