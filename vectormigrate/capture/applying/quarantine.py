"""Target keys whose last write has an unknown outcome: it may still land, over whatever is written meanwhile."""

from __future__ import annotations

from collections.abc import Iterable

from vectormigrate.capture.journal.intents import Clock
from vectormigrate.model.ids import RecordId, id_key


class Quarantine:
    """Keeps ids from being written until nothing sent earlier can land any more.

    `seconds`: longer than client, anything on the way and server together may take. `everything`: the process before
    this one may have had writes under way, so all ids wait at first.
    """

    def __init__(self, seconds: float, clock: Clock, *, everything: bool) -> None:
        self._span = round(seconds * 1000)
        self._clock = clock
        self._until: dict[str, int] = {}
        self._all_until = clock() + self._span if everything else 0

    def add(self, ids: Iterable[RecordId]) -> None:
        """What was just sent for these may land until the time is over."""
        until = self._clock() + self._span
        for record_id in ids:
            self._until[id_key(record_id)] = until

    def has(self, record_id: RecordId) -> bool:
        """Whether the id must not be written now."""
        now = self._clock()
        if now < self._all_until:
            return True
        until = self._until.get(id_key(record_id))
        if until is not None and until <= now:
            del self._until[id_key(record_id)]
            return False
        return until is not None

    def __len__(self) -> int:
        """How many ids wait; a restart counts as one."""
        now = self._clock()
        self._until = {key: until for key, until in self._until.items() if until > now}
        return len(self._until) + (now < self._all_until)
