"""The runner's part of the journal: which keys are dirty, and which of them are settled."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from vectormigrate.capture.journal.connection import Connection
from vectormigrate.capture.journal.intents import Clock
from vectormigrate.capture.journal.packing import Packed, pack_id, unpack_id
from vectormigrate.capture.journal.records import DirtyKey, Scope, SideFigures
from vectormigrate.capture.keys import Key, Side
from vectormigrate.model.ids import RecordId, id_key


@dataclass(frozen=True, slots=True)
class Covered:
    """What requests under way touch."""

    keys: Collection[tuple[int, str]]
    places: Collection[int | None]

    def has(self, place: int, record_id: RecordId) -> bool:
        """Whether such a request may change the record."""
        return None in self.places or place in self.places or (place, id_key(record_id)) in self.keys


@dataclass(frozen=True, slots=True)
class Unnamed:
    """Where requests that named no keys may have deleted some. `open`: places of those that are not settled; `settled`:
    by place, the last number when one was. None is the whole side."""

    open: Collection[int | None] = ()
    settled: Mapping[int | None, int] = field(default_factory=dict[int | None, int])

    def explains(self, place: int, seq: int) -> bool:
        """Whether a key that was touched last by `seq` may be absent because of one."""
        if None in self.open or place in self.open:
            return True
        return seq <= max(self.settled.get(place, 0), self.settled.get(None, 0))


class TouchedKeys:
    """The keys of one side. `connection` need not be durable: a settled key that is forgotten is copied once more."""

    def __init__(self, connection: Connection, side: Side, clock: Clock) -> None:
        self._connection = connection
        self._side = side
        self._clock = clock

    def dirty(self, most: int) -> list[DirtyKey]:
        """Up to so many dirty keys that are not parked, those touched longest ago first. To be read from the side
        after this call, and not before."""
        with self._connection.snapshot():
            covered = covered_by(self._connection, self._side)
            unnamed = self._unnamed()
            rows = self._connection.rows("dirty_keys", self._side.value, most)
            return [dirty_key(self._connection, row, covered, unnamed) for row in rows]

    def clear(self, settled: Sequence[DirtyKey], *, verified: bool = False) -> int:
        """The other side holds what was read of these keys after `dirty` returned them, and has acknowledged it. A key
        that was touched since, or by a request that was under way then, or that a scope under way may touch, stays
        dirty. `verified`: it was also read back. Returns how many are clean now."""
        with self._connection.transaction():
            covered = covered_by(self._connection, self._side)
            rows: list[tuple[object, ...]] = []
            for dirty in settled:
                place = self._connection.place(self._side, dirty.key.namespace)
                if not dirty.covered and not covered.has(place, dirty.key.id):
                    rows.append((place, pack_id(dirty.key.id), dirty.seq, dirty.seq if verified else None))
            return self._connection.run_many("clear", rows)

    def mark(self, keys: Sequence[Key], *, deleted: bool = False) -> None:
        """Have these keys read again: what the other side holds of them is not known, or wrong. `deleted`: this side
        does not have them."""
        with self._connection.transaction():
            (seq,) = self._connection.row("take_numbers", 1)
            now = self._clock()
            rows: list[tuple[object, ...]] = [
                (self._connection.place(self._side, key.namespace), pack_id(key.id), seq, now, deleted) for key in keys
            ]
            self._connection.run_many("touch", rows)

    def park(self, refused: Sequence[tuple[DirtyKey, str]]) -> None:
        """Put keys aside that the other side refuses, each with its reason; they stay dirty. A later write to such a
        key takes it up again."""
        with self._connection.transaction():
            rows: list[tuple[object, ...]] = []
            for dirty, reason in refused:
                place = self._connection.place(self._side, dirty.key.namespace)
                rows.append((reason, place, pack_id(dirty.key.id), dirty.seq))
            self._connection.run_many("park", rows)

    def unpark(self) -> int:
        """Try the parked keys again; returns how many there are."""
        with self._connection.transaction():
            return self._connection.run("unpark", self._side.value)

    def parked(self, most: int) -> list[tuple[Key, str]]:
        """Parked keys with their reasons."""
        with self._connection.snapshot():
            rows = self._connection.rows("parked_keys", self._side.value, most)
            return [(self._key(place, packed), reason) for place, packed, reason in rows]

    def ever_touched(self, namespace: str, ids: Sequence[RecordId]) -> set[RecordId]:
        """Those of the ids that a request touched since capturing began, settled or not: the applier's, never the
        backfill's."""
        with self._connection.snapshot():
            places = [self._connection.known_place(self._side, name) for name in (namespace, None)]
            return {
                record_id
                for place in places
                if place is not None
                for record_id in ids
                if self._connection.rows("is_touched", place, pack_id(record_id))
            }

    def scopes(self) -> list[tuple[int, Scope]]:
        """Scopes that no reconcile has settled, with the numbers of their requests."""
        with self._connection.snapshot():
            return [(seq, scope) for seq, scope, _ in self._scopes()]

    def ended_scopes(self) -> list[tuple[int, Scope]]:
        """As `scopes`, of requests that have ended, so that all they touched can be read."""
        with self._connection.snapshot():
            return [(seq, scope) for seq, scope, ended in self._scopes() if ended]

    def end_scope(self, seq: int) -> None:
        """A reconcile that began after the request `seq` had ended found and settled all that it touched."""
        connection = self._connection
        with connection.transaction():
            for number, scope, _ in self._scopes():
                if number == seq:
                    connection.run("note_reconciled", connection.place(self._side, scope.namespace))
            connection.run("end_scope", seq)

    def figures(self) -> SideFigures:
        """Counts of one moment."""
        with self._connection.snapshot():
            touched, dirty, oldest, parked = self._connection.row("count_keys", self._side.value)
            under_way, in_doubt, oldest_doubt = self._connection.row("count_intents", self._side.value)
            scopes = [scope for _, scope, _ in self._scopes()]
        return SideFigures(
            touched=touched,
            dirty=dirty,
            oldest=oldest,
            parked=parked,
            under_way=under_way,
            in_doubt=in_doubt,
            oldest_doubt=oldest_doubt,
            scopes=scopes,
        )

    def _scopes(self) -> list[tuple[int, Scope, bool]]:
        found: list[tuple[int, Scope, bool]] = []
        for seq, place, reason, ids_only, ended in self._connection.rows("scopes", self._side.value):
            namespace = None if place is None else self._connection.place_name(place)[1]
            found.append((seq, Scope(namespace, reason, bool(ids_only)), bool(ended)))
        return found

    def _unnamed(self) -> Unnamed:
        connection = self._connection
        settled: dict[int | None, int] = dict(connection.rows("reconciled", self._side.value))
        settled[None] = settled.get(connection.known_place(self._side, None) or 0, 0)
        return Unnamed(open={place for _, place, *_ in connection.rows("scopes", self._side.value)}, settled=settled)

    def _key(self, place: int, packed: Packed) -> Key:
        return key_of(self._connection, place, packed)


def covered_by(connection: Connection, side: Side) -> Covered:
    """What requests to this side touch that are under way or in doubt now, inside a transaction."""
    keys: set[tuple[int, str]] = set()
    places: set[int | None] = set()
    for _, name, touched, scopes, _ in connection.rows("open_intents"):
        if name == side.value:
            keys.update((place, key) for place, key in orjson.loads(touched))
            places.update(orjson.loads(scopes))
    return Covered(keys, places)


def dirty_key(
    connection: Connection, row: tuple[int, Packed, int, int, int], covered: Covered, unnamed: Unnamed | None = None
) -> DirtyKey:
    """A row of `touched`: place, id, last_seq, dirty_since, deleted."""
    place, packed, seq, since, deleted = row
    key = key_of(connection, place, packed)
    explained = bool(deleted) or (unnamed is not None and unnamed.explains(place, seq))
    return DirtyKey(key, seq, since, covered.has(place, key.id), bool(deleted), explained)


def key_of(connection: Connection, place: int, packed: Packed) -> Key:
    """The key of a row."""
    return Key(connection.place_name(place)[1], unpack_id(packed))
