"""Live migrations: what is in their way, and the orders for the process that runs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import anyio

from vectormigrate.errors import InvalidTransition, NotSwitched, remedy
from vectormigrate.model.live import LiveStatus, OrderVerb, Pace, SwitchOptions, SwitchResult
from vectormigrate.service.base import Base
from vectormigrate.service.live_look import look_at_live
from vectormigrate.state.live import LiveRow
from vectormigrate.state.store import Store

POLL_SECONDS = 0.1


class LiveVerbs(Base):
    """The verbs of live migrations. Those that change something are orders for the runner, which must live."""

    async def live_status(self, migration_id: str, *, strict: bool = False) -> LiveStatus | None:
        """Phase, lag, figures and gate of a live migration, None for one that is not live. `strict`: the gate of a
        switch that compares every record. Raises MigrationNotFound, and JournalError when its journal cannot be read::

            live = await service.live_status("orders")
            print(live.phase, live.lag, [item.reason for item in live.gate if not item.met])
        """
        async with self._store(read_only=True) as store:
            return await look_at_live(store, await store.migrations.status(migration_id), strict=strict)

    async def cut_over(self, migration_id: str, options: SwitchOptions | None = None) -> SwitchResult:
        """Give the authority to the target: writes are held, everything is applied and compared, and from then on the
        target is written to. Raises NotSwitched with what was in the way: then nothing has changed::

            result = await service.cut_over("orders", SwitchOptions(pause=4.0))
            print(result.switched, result.held_ms)
        """
        return await self._switch(migration_id, OrderVerb.CUT_OVER, options or SwitchOptions())

    async def reverse(self, migration_id: str, options: SwitchOptions | None = None) -> SwitchResult:
        """Give the authority back to the source, with every write since the cut-over. As `cut_over`::

        await service.reverse("orders")
        """
        return await self._switch(migration_id, OrderVerb.REVERSE, options or SwitchOptions())

    async def complete(self, migration_id: str) -> str:
        """End it after the cut-over: the source is not kept up to date any more. Raises InvalidTransition::

        await service.complete("orders")
        """
        return await self._order(migration_id, OrderVerb.COMPLETE)

    async def abort(self, migration_id: str) -> str:
        """End it before the cut-over: the source stays what it is, and nothing follows it any more. Raises
        InvalidTransition once the target has the authority::

            await service.abort("orders")
        """
        return await self._order(migration_id, OrderVerb.ABORT)

    async def thaw(self, migration_id: str) -> str:
        """Admit writes again while a switch holds them::

        await service.thaw("orders")
        """
        return await self._order(migration_id, OrderVerb.THAW)

    async def acknowledge(self, migration_id: str) -> str:
        """Accept the divergences that were found (they are repaired), and what made the fuse blow::

        await service.acknowledge("orders")
        """
        return await self._order(migration_id, OrderVerb.ACKNOWLEDGE)

    async def confirm_fence(self, migration_id: str) -> str:
        """Confirm that every writer goes through the gateway, or marks its writes; the copy begins after that::

        await service.confirm_fence("orders")
        """
        return await self._order(migration_id, OrderVerb.FENCED)

    async def set_pace(self, migration_id: str, pace: Pace) -> None:
        """What the runner may do from now on; capturing never stops. Raises MigrationNotFound::

        await service.set_pace("orders", Pace.PAUSED)
        """
        async with self._store() as store:
            await _live(store, migration_id)
            await store.live.set_pace(migration_id, pace)

    async def _switch(self, migration_id: str, verb: OrderVerb, options: SwitchOptions) -> SwitchResult:
        answer = await self._asked(migration_id, verb, asdict(options))
        if not answer["ok"]:
            raise NotSwitched(f"migration {migration_id!r}: {answer['text']}")
        return SwitchResult(
            migration_id=migration_id,
            switched=bool(answer.get("switched")),
            rehearsed=bool(answer.get("rehearsed")),
            postponed=bool(answer.get("postponed")),
            held_ms=float(answer.get("held_ms", 0.0)),
            attempts=int(answer.get("attempts", 1)),
            text=str(answer["text"]),
            statement=str(answer.get("verdict", "")),
        )

    async def _order(self, migration_id: str, verb: OrderVerb) -> str:
        answer = await self._asked(migration_id, verb, {})
        if not answer["ok"]:
            raise InvalidTransition(str(answer["text"]))
        return str(answer["text"])

    async def _asked(self, migration_id: str, verb: OrderVerb, options: Mapping[str, Any]) -> Mapping[str, Any]:
        """Put the order, and wait until the runner has answered, or has ended."""
        async with self._store() as store:
            await _live(store, migration_id)
            if not (await store.migrations.status(migration_id)).runner_alive:
                raise InvalidTransition(
                    f"nobody runs migration {migration_id!r} to carry that out; start it with: "
                    f"{remedy('resume', migration_id)}"
                )
            number = await store.live.ask(migration_id, verb, options)
            while True:
                found = {order.number: order for order in await store.live.orders(migration_id, unanswered=False)}
                answer = found[number].answer
                if answer is not None:
                    return answer
                if not (await store.migrations.status(migration_id)).runner_alive:
                    raise InvalidTransition(
                        f"the process that runs migration {migration_id!r} ended before it answered; what it was asked "
                        f"for is either done or not done at all. Start it with: {remedy('resume', migration_id)}, "
                        f"and look with: {remedy('status', migration_id)}"
                    )
                await anyio.sleep(POLL_SECONDS)


async def _live(store: Store, migration_id: str) -> LiveRow:
    """The live migration. Raises MigrationNotFound, and InvalidTransition for one that is not live."""
    await store.migrations.status(migration_id)
    row = await store.live.find(migration_id)
    if row is None:
        raise InvalidTransition(f"migration {migration_id!r} is not live: its source was copied as it was")
    return row
