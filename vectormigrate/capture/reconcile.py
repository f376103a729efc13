"""Finds the keys behind requests that named none (filters, whole namespaces, ids that the server made and nobody saw).

It marks them and nothing more: one that is marked without need costs a read. The applier writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from vectormigrate.capture.journal.intents import Clock
from vectormigrate.capture.journal.records import Scope
from vectormigrate.capture.journal.touched import TouchedKeys
from vectormigrate.capture.keys import Key
from vectormigrate.capture.proving.sides import Found, Journalled, Sides, found_in, known_namespaces, owner, place_of
from vectormigrate.engine.events import Checking, Listener, ignore
from vectormigrate.errors import AdapterError
from vectormigrate.mapping.limits import ORIGIN
from vectormigrate.model.batch import RecordBatch
from vectormigrate.model.clock import steady_seconds
from vectormigrate.model.ids import id_key
from vectormigrate.model.position import Page
from vectormigrate.model.status import Difference, DifferenceKind
from vectormigrate.validation.common import PAGE_ROWS, expect, fetch_readable, read_all
from vectormigrate.validation.findings import enter_fetched
from vectormigrate.validation.tally import Tally

SETTLE_SECONDS = 2.0
"""Between the end of a request and reading what it did: a read may be a moment old."""

MARKED_AT_ONCE = 2_000

EXAMPLES = 20

Place = tuple[str, str]
"""Namespace and typed id on the side that follows."""


@dataclass(slots=True)
class Reconciled:
    """What a round did: `ended` requests that are settled but for the keys marked; `waiting` ones that have not ended,
    or only just. `read` records of both sides, `marked` keys: `missing` on the target, `different`, `extra` on it.
    `foreign`: records of others, left alone. `problems`: what could not be read, and records that are nobody's, because
    of which requests stay open."""

    ended: int = 0
    waiting: int = 0
    read: int = 0
    marked: int = 0
    missing: int = 0
    different: int = 0
    extra: int = 0
    foreign: int = 0
    problems: list[str] = field(default_factory=list[str])
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """Namespaces of the source whose records are compared, those of which the ids do, and those of the target whose
    ids are read."""

    whole: tuple[str, ...]
    ids: tuple[str, ...]
    places: tuple[str, ...]


class Reconciler:
    """Rounds over the scopes of the side that has the authority. Not before the copy has ended: it might still write
    what it read before the request."""

    def __init__(
        self,
        sides: Sides,
        touched: TouchedKeys,
        *,
        journalled: Journalled[Any],
        clock: Clock,
        settle: float = SETTLE_SECONDS,
        page_rows: int = PAGE_ROWS,
        ours_only: bool = False,
        listener: Listener = ignore,
    ) -> None:
        """`ours_only`: a record of the target that this migration did not write is somebody else's, and stays."""
        self._sides = sides
        self._touched = touched
        self._journalled = journalled
        self._clock = clock
        self._settle = round(settle * 1000)
        self._page_rows = page_rows
        self._ours_only = ours_only
        self._listener = listener
        self._seen: dict[int, int] = {}

    async def round(self) -> Reconciled:
        """Settle all scopes whose requests have ended. A database that cannot be read leaves them open, and is a
        problem in the result."""
        started, result = steady_seconds(), Reconciled()
        every: list[tuple[int, Scope]] = await self._journalled(self._touched.scopes)
        ended: list[tuple[int, Scope]] = await self._journalled(self._touched.ended_scopes)
        due = self._due(ended)
        numbers = {seq for seq, _ in due}
        result.waiting = len({seq for seq, _ in every} - numbers)
        if due:
            try:
                await self._find(await self._work([scope for _, scope in due]), result)
            except AdapterError as error:
                result.problems.append(str(error))
        if due and not result.problems:
            for seq in numbers:
                await self._journalled(lambda seq=seq: self._touched.end_scope(seq))
            result.ended = len(numbers)
        result.seconds = steady_seconds() - started
        return result

    def _due(self, ended: list[tuple[int, Scope]]) -> list[tuple[int, Scope]]:
        """Those that had ended some time ago already."""
        now = self._clock()
        self._seen = {seq: self._seen.get(seq, now) for seq, _ in ended}
        return [(seq, scope) for seq, scope in ended if now - self._seen[seq] >= self._settle]

    async def _work(self, scopes: Sequence[Scope]) -> _Work:
        sides = self._sides
        # Records that came from elsewhere may be anywhere on the target, whatever namespace they are in.
        anywhere = sides.plan.source_schema.note is not None or any(scope.namespace is None for scope in scopes)
        named = {scope.namespace for scope in scopes if scope.namespace is not None}
        names = sorted({*await known_namespaces(sides), *named})
        changed = {scope.namespace for scope in scopes if not scope.ids_only}
        whole = tuple(names) if None in changed else tuple(name for name in names if name in changed)
        reached = {name: place_of(sides, name) for name in names}
        places = set(reached.values()) if anywhere else {reached[name] for name in named}
        if anywhere:
            places |= {name for name in await sides.target.namespaces() if place_of(sides, name) == name}
        ids = tuple(name for name in names if reached[name] in places and name not in whole)
        return _Work(whole=whole, ids=ids, places=tuple(sorted(places)))

    async def _find(self, work: _Work, result: Reconciled) -> None:
        """The source is read first: what comes to both sides meanwhile is marked without need."""
        sides, wanted = self._sides, set[Place]()

        async def compare(page: Page) -> None:
            await self._compare(page.batch, wanted, result)

        async def note(page: Page) -> None:
            wanted.update(place for place, _ in await self._places(page.batch))
            self._count(page.batch, result)

        await self._read(sides.source, work.whole, compare, vectors=True)
        await self._read(sides.source, work.ids, note)
        names = [*work.whole, *work.ids]

        async def rest(page: Page) -> None:
            surplus: list[Found] = []
            for found in found_in(page.batch):
                place = (found.place, id_key(found.id))
                if place in wanted:
                    wanted.discard(place)
                else:
                    surplus.append(found)
            self._count(page.batch, result)
            await self._mark_owners(await self._ours(surplus, result), names, result)

        await self._read(sides.target, work.places, rest)
        if wanted:
            await self._mark_missing(work, wanted, result)

    async def _read(self, side: Any, names: tuple[str, ...], handle: Any, *, vectors: bool = False) -> None:
        if names:
            await read_all(side, names, handle, vectors=vectors, page_rows=self._page_rows)

    async def _places(self, batch: RecordBatch) -> list[tuple[Place, Key]]:
        """Where these records of the source are on the target. One that came from elsewhere is read again in full:
        only its content tells."""
        sides, namespace = self._sides, batch.namespace
        found: list[tuple[Place, Key]] = []
        odd = [record_id for record_id, held in zip(batch.ids, batch.metadata, strict=True) if ORIGIN in held]
        skipped = set(odd)
        for record_id in batch.ids:
            if record_id not in skipped:
                place, target_id = sides.keys.target_key(namespace, record_id)
                found.append(((place, id_key(target_id)), Key(namespace, record_id)))
        if odd:
            for part in sides.mapper.convert(await sides.source.fetch(odd, namespace)):
                for source_id, target_id in zip(part.source_ids, part.batch.ids, strict=True):
                    found.append(((part.batch.namespace, id_key(target_id)), Key(namespace, source_id)))
        return found

    async def _compare(self, batch: RecordBatch, wanted: set[Place], result: Reconciled) -> None:
        """Mark those of these records that the target does not hold so."""
        sides, namespace = self._sides, batch.namespace
        # A reject may be one no more: only those that still cannot be mapped are left out.
        expected = expect(sides.mapper, batch, frozenset())
        keys = [
            Key(name, record_id)
            for name, record_id, _ in expected.unmappable
            if (name, id_key(record_id)) not in sides.rejected
        ]
        for part in expected.parts:
            place, ids = part.batch.namespace, part.batch.ids
            actual, unread = await fetch_readable(sides.target, ids, place, page_rows=self._page_rows)
            tally = Tally(limit=len(ids))
            tally.expect(part.batch)
            enter_fetched(tally, part, actual, sides.rules, namespace=namespace, unreadable=set(unread))
            wrong = await self._not_others(place, [item for _, item in tally.kept], result)
            keys += [Key(namespace, item.source_id) for item in wrong if item.source_id is not None]
            result.missing += tally.missing
            result.different += len(wrong) - tally.missing
            result.problems += [f"{id_key(record_id)}: cannot be read on the target" for record_id in unread[:EXAMPLES]]
            # The ids of those that are missing are marked already.
            wanted.update((place, id_key(record_id)) for found in actual for record_id in found.ids)
        self._count(batch, result)
        await self._mark(keys, result)

    async def _not_others(self, place: str, items: list[Difference], result: Reconciled) -> list[Difference]:
        """Without the differences from records that somebody else put there."""
        there = [item.target_id for item in items if item.kind is DifferenceKind.DIFFERENT]
        if not (self._ours_only and there):
            return items
        written = set(await self._sides.which_written(place, there))
        foreign = [item for item in items if item.kind is DifferenceKind.DIFFERENT and item.target_id not in written]
        result.problems += [
            f"{id_key(item.target_id)}: somebody else's record has this id on the target" for item in foreign
        ]
        return [item for item in items if item not in foreign]

    def _count(self, batch: RecordBatch, result: Reconciled) -> None:
        result.read += len(batch)
        self._listener(Checking(stage="diff", done=result.read, total=2 * self._sides.plan.total_records))

    async def _ours(self, surplus: list[Found], result: Reconciled) -> list[Found]:
        """Of one namespace of the target."""
        if not (self._ours_only and surplus):
            return surplus
        written = set(await self._sides.which_written(surplus[0].place, [found.id for found in surplus]))
        ours = [found for found in surplus if found.id in written]
        result.foreign += len(surplus) - len(ours)
        return ours

    async def _mark_owners(self, surplus: Sequence[Found], names: Sequence[str], result: Reconciled) -> None:
        keys: list[Key] = []
        for found in surplus:
            key = await owner(self._sides, found, names)
            if key is not None:
                keys.append(key)
            elif len(result.problems) < EXAMPLES:
                result.problems.append(f"{id_key(found.id)}: on the target, and nobody's")
        result.extra += len(keys)
        await self._mark(keys, result, deleted=True)

    async def _mark_missing(self, work: _Work, wanted: set[Place], result: Reconciled) -> None:
        """The ids are read once more for whose they are."""

        async def handle(page: Page) -> None:
            missing = [key for place, key in await self._places(page.batch) if place in wanted]
            rejected = self._sides.rejected
            missing = [key for key in missing if (page.batch.namespace, id_key(key.id)) not in rejected]
            result.missing += len(missing)
            await self._mark(missing, result)

        await self._read(self._sides.source, work.ids, handle)

    async def _mark(self, keys: Sequence[Key], result: Reconciled, *, deleted: bool = False) -> None:
        for start in range(0, len(keys), MARKED_AT_ONCE):
            some = keys[start : start + MARKED_AT_ONCE]
            await self._journalled(lambda some=some: self._touched.mark(some, deleted=deleted))
        result.marked += len(keys)
