"""The verifier's part of the journal: which settled keys were compared, and which differed although nothing had
touched them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from vectormigrate.capture.journal.connection import Connection
from vectormigrate.capture.journal.intents import Clock
from vectormigrate.capture.journal.packing import pack_id
from vectormigrate.capture.journal.records import DirtyKey, Divergence, Standing
from vectormigrate.capture.journal.touched import Covered, covered_by, dirty_key, key_of
from vectormigrate.capture.keys import Key, Side
from vectormigrate.model.clock import utc_text


class Walk(NamedTuple):
    """Up to where the unverified keys have been looked through; the default is before the first."""

    seq: int = -1
    place: int = 0
    id: int | str | bytes = 0


class ComparedKeys:
    """The keys of the side that has the authority. `connection` need not be durable: a comparison that is forgotten is
    made once more."""

    def __init__(self, connection: Connection, side: Side, clock: Clock) -> None:
        self._connection = connection
        self._side = side
        self._clock = clock

    def unverified(self, most: int, after: Walk | None = None) -> tuple[list[DirtyKey], Walk | None]:
        """Up to so many settled keys that were not compared since they were last touched, those touched longest ago
        first, and where to continue; None after the last. To be read after this call, and not before."""
        start = after or Walk()
        with self._connection.snapshot():
            covered = covered_by(self._connection, self._side)
            rows = self._connection.rows("unverified_keys", self._side.value, *start, most)
            keys = [dirty_key(self._connection, row, covered) for row in rows]
        if len(rows) < most:
            return keys, None
        place, packed, seq, *_ = rows[-1]
        return keys, Walk(seq, place, packed)

    def verify(self, equal: Sequence[DirtyKey]) -> int:
        """Both sides were read after `unverified` returned these keys, and agree. A key that was touched since, or is
        dirty, or may be touched by a request under way, stays unverified. Returns how many are verified now."""
        with self._connection.transaction():
            covered = covered_by(self._connection, self._side)
            rows: list[tuple[object, ...]] = []
            for each in equal:
                place = self._connection.place(self._side, each.key.namespace)
                if not each.covered and not covered.has(place, each.key.id):
                    rows.append((place, pack_id(each.key.id), each.seq))
            return self._connection.run_many("verify", rows)

    def standing(self, keys: Sequence[Key]) -> list[Standing]:
        """What is known of these keys now, of a namespace each. A key of whichever namespace counts for each."""
        with self._connection.snapshot():
            covered = self._unsettled()
            return [self._standing(key, covered) for key in keys]

    def diverged(self, found: Sequence[tuple[Standing, str]]) -> list[Key]:
        """These keys differed when they were read after `standing` returned them, and what differed. Those that nothing
        has touched since, and that were settled, are noted as diverged and dirty from now, so that the applier repairs
        them; returns these."""
        noted: list[Key] = []
        with self._connection.transaction():
            covered = self._unsettled()
            marked: list[tuple[object, ...]] = []
            divergences: list[tuple[object, ...]] = []
            now, since = utc_text(), self._clock()
            (seq,) = self._connection.row("take_numbers", 1)
            for before, what in found:
                if not before.settled or self._standing(before.key, covered) != before:
                    continue
                place = self._connection.place(self._side, before.key.namespace)
                packed = pack_id(before.key.id)
                marked.append((place, packed, seq, since, False))
                divergences.append((place, packed, now, what))
                noted.append(before.key)
            self._connection.run_many("touch", marked)
            self._connection.run_many("insert_divergence", divergences)
        return noted

    def divergences(self, most: int) -> list[Divergence]:
        """Divergences that nobody has acknowledged, the oldest first."""
        with self._connection.snapshot():
            return [
                Divergence(key=key_of(self._connection, place, packed), at=at, what=what, times=times)
                for place, packed, at, what, times in self._connection.rows("divergences", self._side.value, most)
            ]

    def unacknowledged(self) -> int:
        """How many there are."""
        with self._connection.snapshot():
            (count,) = self._connection.row("count_divergences", self._side.value)
        return count

    def acknowledge(self) -> int:
        """Somebody has seen them. Returns how many there were."""
        with self._connection.transaction():
            return self._connection.run("acknowledge", self._side.value, utc_text())

    def _unsettled(self) -> Covered:
        """As `covered_by`, and what requests may have changed that have ended, but whose keys no reconcile has found
        yet: a record that a filter deleted differs until then, and that is no divergence."""
        covered = covered_by(self._connection, self._side)
        places = {place for _, place, *_ in self._connection.rows("scopes", self._side.value)}
        return Covered(covered.keys, {*covered.places, *places})

    def _standing(self, key: Key, covered: Covered) -> Standing:
        seq, dirty, parked, under_way = 0, False, False, covered.has(-1, key.id)
        for namespace in (key.namespace, None):
            place = self._connection.known_place(self._side, namespace)
            if place is None:
                continue
            under_way = under_way or covered.has(place, key.id)
            for last_seq, is_dirty, is_parked in self._connection.rows("standing", place, pack_id(key.id)):
                seq, dirty, parked = max(seq, last_seq), dirty or bool(is_dirty), parked or bool(is_parked)
        return Standing(key=key, seq=seq, dirty=dirty, parked=parked, covered=under_way)
