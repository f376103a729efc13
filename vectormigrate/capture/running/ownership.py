"""The copy's share of a live migration: records that no request has touched since capturing began."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import anyio

from vectormigrate.capture.applying.applier import Conversion
from vectormigrate.capture.applying.locks import KeyLocks
from vectormigrate.capture.applying.quarantine import Quarantine
from vectormigrate.capture.journal.touched import TouchedKeys
from vectormigrate.capture.keys import Key
from vectormigrate.capture.running.conversion import Forward
from vectormigrate.capture.running.journal import RunnerJournal
from vectormigrate.engine.claims import Claim
from vectormigrate.errors import MigrationFailed
from vectormigrate.model.ids import RecordId

PAUSE_SECONDS = 0.25


class Ownership:
    """As engine/claims.py Claims. A record that was touched once is the applier's for good: a page that was read before
    the request may be written long after it was applied."""

    def __init__(
        self,
        journal: RunnerJournal,
        keys: TouchedKeys,
        locks: KeyLocks,
        quarantine: Quarantine,
        conversion: Forward,
        *,
        foreign: bool,
        waiting: Callable[[], bool] = lambda: False,
    ) -> None:
        """`foreign`: the source's records may have come from elsewhere, with ids that only they themselves hold.
        `waiting`: the operator has the copy wait."""
        self._journal = journal
        self._keys = keys
        self._locks = locks
        self._quarantine = quarantine
        self._conversion = conversion
        self._foreign = foreign
        self._waiting = waiting

    @asynccontextmanager
    async def claim(self, wanted: Claim) -> AsyncGenerator[list[int]]:
        """The rows that nobody touched; raises MigrationFailed for a record whose later delete nobody could follow."""
        if self._foreign:
            _require_followable(self._conversion, wanted)
        while self._waiting():  # noqa: ASYNC110  the wish is in the state file
            await anyio.sleep(PAUSE_SECONDS)
        async with self._locks.hold(wanted.source_ids):
            touched: set[RecordId] = await self._journal.call(
                lambda: self._keys.ever_touched(wanted.namespace, wanted.source_ids)
            )
            rows = [row for row, record_id in enumerate(wanted.source_ids) if record_id not in touched]
            if rows and self._conversion.derives:
                await self._journal.call(
                    lambda: self._conversion.remember(
                        wanted.namespace, wanted.source_ids, wanted.target_namespace, wanted.target_ids
                    )
                )
            yield rows

    async def doubt(self, wanted: Claim) -> None:
        """Hand the records over: the applier reads them again when nothing that was sent can take effect any more."""
        self._quarantine.add(wanted.target_ids)
        await self._journal.call(
            lambda: self._keys.mark([Key(wanted.namespace, record_id) for record_id in wanted.source_ids])
        )


def _require_followable(conversion: Conversion, wanted: Claim) -> None:
    for here, there in zip(wanted.source_ids, wanted.target_ids, strict=True):
        if conversion.target_key(wanted.namespace, here) != (wanted.target_namespace, there):
            raise MigrationFailed(
                f"the record {here!r} came from another database, and its id there is in the record alone: once the "
                "application deletes it, nobody can find its copy. Such a collection cannot be migrated live; copy it "
                "while nothing writes to it"
            )
