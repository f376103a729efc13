"""Decides whether keys that seemed to differ do so for good, although nothing touches them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio

from vectormigrate.capture.applying.locks import KeyLocks
from vectormigrate.capture.journal.compared import ComparedKeys
from vectormigrate.capture.journal.records import Standing
from vectormigrate.capture.keys import Key
from vectormigrate.capture.proving.looking import Looked, look
from vectormigrate.capture.proving.sides import Journalled, Sides
from vectormigrate.errors import AdapterError

SETTLE_SECONDS = 2.0
"""Between two looks at a key that differs: what was read may have been a moment old."""

AT_ONCE = 500
"""Keys of one look."""

EXAMPLES = 20

Sleep = Callable[[float], Awaitable[None]]


@dataclass(slots=True)
class Confirmed:
    """Keys by what became of them. `pending`: dirty, or a request on them is under way; `hot`: touched while they were
    looked at; `diverged`: stable, untouched and different, noted and dirty from now; `errors`: could not be read."""

    equal: int = 0
    pending: int = 0
    hot: int = 0
    diverged: dict[Key, str] = field(default_factory=dict[Key, str])
    errors: dict[Key, str] = field(default_factory=dict[Key, str])
    parked: int = 0
    """Of the pending ones: those that the other side refuses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmer:
    """`locks` are those of the applier, so that nothing is written while both sides are read. `settle` in seconds."""

    sides: Sides
    keys: ComparedKeys
    locks: KeyLocks
    journalled: Journalled[Any]
    settle: float = SETTLE_SECONDS
    sleep: Sleep = anyio.sleep

    async def confirm(self, keys: Sequence[Key]) -> Confirmed:
        """Look at these keys, of a namespace each, and at those that differ once more after the settle time. Never
        raises for a database: what cannot be read is an error of each key."""
        result = Confirmed()
        for start in range(0, len(keys), AT_ONCE):
            await self._some(keys[start : start + AT_ONCE], result)
        return result

    async def _some(self, keys: Sequence[Key], result: Confirmed) -> None:
        standing: list[Standing] = await self.journalled(lambda: self.keys.standing(keys))
        before = {each.key: each for each in standing if each.settled}
        result.pending += len(standing) - len(before)
        result.parked += sum(each.parked for each in standing)
        first = await self._look(before, result)
        result.equal += len(before) - len(first.flawed())
        if not first.different:
            return
        await self.sleep(self.settle)
        again = await self._look(first.different, result)
        result.equal += len(first.different) - len(again.flawed())
        found = [(before[key], what) for key, what in again.different.items()]
        noted: list[Key] = await self.journalled(lambda: self.keys.diverged(found)) if found else []
        result.diverged |= {key: again.different[key] for key in noted}
        result.hot += len(found) - len(noted)

    async def _look(self, keys: dict[Key, Any] | dict[Key, str], result: Confirmed) -> Looked:
        looked = await look_locked(self.sides, self.locks, list(keys))
        result.errors |= looked.unread
        return looked


async def look_locked(sides: Sides, locks: KeyLocks, keys: Sequence[Key]) -> Looked:
    """As `look`, while nobody writes these keys; an error of a database is one of every key."""
    if not keys:
        return Looked()
    async with locks.hold(key.id for key in keys):
        try:
            return await look(sides, keys)
        except AdapterError as error:
            return Looked(unread=dict.fromkeys(keys, str(error)))
