"""One writer per key: the applier and the backfill never write the same record of the target at once."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager

import anyio

from vectormigrate.model.ids import RecordId, id_key


class KeyLocks:
    """Locks of ids, whatever their namespace: a request may not have held that."""

    def __init__(self) -> None:
        self._held: set[str] = set()
        self._freed = anyio.Condition()

    @asynccontextmanager
    async def hold(self, ids: Iterable[RecordId]) -> AsyncGenerator[None]:
        """All of these ids at once, or wait: nobody holds some while they wait for others."""
        wanted = {id_key(record_id) for record_id in ids}
        async with self._freed:
            while not self._held.isdisjoint(wanted):
                await self._freed.wait()
            self._held |= wanted
        try:
            yield
        finally:
            # Also for who is cancelled: the ids must not stay taken.
            with anyio.CancelScope(shield=True):
                async with self._freed:
                    self._held -= wanted
                    self._freed.notify_all()
