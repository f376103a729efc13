"""Reads back what the applier wrote: rounds over the settled keys that were not compared since they were touched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from vectormigrate.capture.journal.compared import Walk
from vectormigrate.capture.journal.records import DirtyKey
from vectormigrate.capture.keys import Key
from vectormigrate.capture.proving.confirming import AT_ONCE, Confirmer, look_locked
from vectormigrate.capture.proving.sides import known_namespaces, place_of
from vectormigrate.errors import AdapterError


@dataclass(slots=True)
class Verified:
    """What a round did, in keys. `waiting`: a request on them is under way; `hot`: touched meanwhile. `ended`: the
    walk has reached the last key; the next round begins again with those that are still unverified."""

    looked_at: int = 0
    verified: int = 0
    waiting: int = 0
    hot: int = 0
    diverged: dict[Key, str] = field(default_factory=dict[Key, str])
    errors: dict[Key, str] = field(default_factory=dict[Key, str])
    ended: bool = False


class VerifyRounds:
    """Compares both sides of each key, under the applier's locks. A key that cannot be read stays unverified, and does
    not keep the others from their turn."""

    def __init__(self, confirmer: Confirmer) -> None:
        self._confirmer = confirmer
        self._after: Walk | None = None

    async def round(self, most: int = AT_ONCE) -> Verified:
        """Look at up to so many keys, those touched longest ago first. Never raises for a database."""
        check, keys, result = self._confirmer, self._confirmer.keys, Verified()
        found: tuple[list[DirtyKey], Walk | None]
        found = await check.journalled(lambda: keys.unverified(most, self._after))
        unverified, self._after = found
        result.ended = self._after is None
        due = [each for each in unverified if not each.covered]
        result.waiting, result.looked_at = len(unverified) - len(due), len(due)
        if not due:
            return result
        try:
            places = await self._places(due)
        except AdapterError as error:
            result.errors = {each.key: str(error) for each in due}
            return result
        looked = await look_locked(check.sides, check.locks, list({key: None for each in due for key in places[each]}))
        flawed = looked.flawed()
        equal = [each for each in due if flawed.isdisjoint(places[each])]
        result.verified = await check.journalled(lambda: keys.verify(equal)) if equal else 0
        result.hot = len(equal) - result.verified
        result.errors = looked.unread
        if looked.different:
            confirmed = await check.confirm(list(looked.different))
            result.diverged = confirmed.diverged
            result.errors |= confirmed.errors
            result.hot += confirmed.hot + confirmed.pending
        return result

    async def _places(self, due: Sequence[DirtyKey]) -> dict[DirtyKey, list[Key]]:
        """The keys to look at for each: itself, or one per namespace."""
        names: list[str] = []
        if any(each.key.namespace is None for each in due):
            names = await self._every_namespace()
        return {
            each: [each.key] if each.key.namespace is not None else [Key(name, each.key.id) for name in names]
            for each in due
        }

    async def _every_namespace(self) -> list[str]:
        """Of the source; and of the target those that belong to none of the source any more: what was in them must be
        gone."""
        sides = self._confirmer.sides
        known = await known_namespaces(sides)
        reached = {place_of(sides, name) for name in known}
        theirs = await sides.target.namespaces()
        return [*known, *(name for name in theirs if name not in reached and place_of(sides, name) == name)]
