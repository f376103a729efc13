"""Re-reads dirty keys on the side that has the authority and makes the other side equal.

What was written, in which order, and by what operation does not matter: what a key holds is read after all requests
that touched it ended, and the other side gets exactly that. Until its acknowledgement the key stays dirty.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, TypeVar

import anyio

from vectormigrate.capture.applying.fuse import Fuse
from vectormigrate.capture.applying.locks import KeyLocks
from vectormigrate.capture.applying.quarantine import Quarantine
from vectormigrate.capture.applying.witness import Witness
from vectormigrate.capture.journal.records import DirtyKey
from vectormigrate.capture.journal.touched import TouchedKeys
from vectormigrate.engine.batching import split
from vectormigrate.engine.retry import RetryingSource, RetryingTarget
from vectormigrate.engine.task_group import task_group
from vectormigrate.errors import AdapterError, InvalidRequest, RateLimited, RecordsRejected, TransientError
from vectormigrate.mapping.convert.mapper import Mapped
from vectormigrate.model.batch import RecordBatch
from vectormigrate.model.ids import RecordId, id_key, kind_fits

T = TypeVar("T")

AT_ONCE = 500
"""Keys that are read together."""

ROUND = 4 * AT_ONCE
"""Keys of one round: some are written while the next are read."""


class Conversion(Protocol):
    """The part of a Mapper that the applier needs."""

    def convert(self, batch: RecordBatch) -> list[Mapped]:
        """The batch in the form of the other side."""
        ...

    def target_key(self, namespace: str, record_id: RecordId) -> tuple[str, RecordId]:
        """Where a record goes, known without the record."""
        ...


Journalled = Callable[[Callable[[], T]], Coroutine[Any, Any, T]]
"""Runs a call to the journal where it may take its time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """The side that is read and the one that follows. `target` must not try a write again whose outcome is unknown."""

    source: RetryingSource
    target: RetryingTarget
    conversion: Conversion
    batch_rows: int
    batch_bytes: int
    namespaces: tuple[str, ...] = ()
    """Namespaces that `source` may have had before: what was in them may still be on the target."""


@dataclass(slots=True)
class Applied:
    """What a round did, in keys."""

    written: int = 0
    deleted: int = 0
    cleared: int = 0
    unknown: int = 0
    parked: int = 0
    waiting: int = 0
    """Dirty keys that were left because their target id is in quarantine, a request on them is under way, or what was
    read of them is not believed yet."""
    full: bool = False
    """The round took as many keys as it may; there can be more."""


@dataclass(slots=True)
class _Settled:
    """Keys of a round by what became of them. `errors`: of the databases; the round ends with the first."""

    done: list[DirtyKey] = field(default_factory=list[DirtyKey])
    parked: list[tuple[DirtyKey, str]] = field(default_factory=list[tuple[DirtyKey, str]])
    errors: list[AdapterError] = field(default_factory=list[AdapterError])

    def park(self, same: list[DirtyKey], reason: str) -> None:
        """The other side refuses the record of these keys."""
        self.parked += [(each, reason) for each in same]


_Due = dict[str, list[DirtyKey]]
"""By typed id: a record has a key of its own and one of whichever namespace when both were touched."""


@dataclass(slots=True)
class _Read:
    """What a namespace of the source holds of some keys."""

    due: _Due
    found: RecordBatch

    def present(self) -> set[str]:
        """Typed ids of the keys that it has."""
        return set(map(id_key, self.found.ids))


class Applier:
    """Rounds over the dirty keys of one side. `journalled` runs the journal's calls; `locks` and `quarantine` are those
    of the backfill too, since both write to the target; `before_write` hears of the ids that are about to be written
    to a namespace, `after_delete` of those that are gone from it."""

    def __init__(
        self,
        keys: TouchedKeys,
        ends: Ends,
        *,
        locks: KeyLocks,
        quarantine: Quarantine,
        fuse: Fuse,
        journalled: Journalled[Any],
        before_write: Callable[[str, Sequence[RecordId]], Awaitable[None]] | None = None,
        after_delete: Callable[[str, Sequence[RecordId]], Awaitable[None]] | None = None,
        witness: Witness | None = None,
    ) -> None:
        self._keys = keys
        self._ends = ends
        self._locks = locks
        self._quarantine = quarantine
        self._fuse = fuse
        self._journalled = journalled
        self._reading = anyio.Lock()
        self._before_write = before_write
        self._after_delete = after_delete
        self.witness = witness or Witness(eventual=ends.source.eventual)

    async def round(self, most: int | None = None) -> Applied:
        """Settle up to so many dirty keys (default ROUND), the oldest first. Raises what the source raises: a key that
        could not be read is not absent. A write with an unknown outcome is not an error: its keys stay dirty and
        wait."""
        applied, settled, most = Applied(), _Settled(), most or ROUND
        dirty: list[DirtyKey] = await self._journalled(lambda: self._keys.dirty(most))
        applied.full = len(dirty) == most
        groups = await self._by_namespace(dirty)
        # A key of whichever namespace is decided over all of them at once: absent here, it may be present there.
        together = any(each.key.namespace is None for each in dirty)
        parts = [groups] if together else _parts(groups)
        await _to_their_ends((partial(self._apply, some, settled, applied) for some in parts), settled.errors)
        # A key of whichever namespace is settled when it is so in every one.
        left = Counter(each for keys in groups.values() for each in keys)
        left.subtract(settled.done)
        done = [each for each, times in left.items() if not times]
        await self._note(done, settled.parked, applied)
        if settled.errors:
            raise settled.errors[0]
        return applied

    async def _note(self, done: list[DirtyKey], parked: list[tuple[DirtyKey, str]], applied: Applied) -> None:
        if parked:
            await self._journalled(lambda: self._keys.park(parked))
            applied.parked += len(parked)
        if done:
            for each in done:
                self.witness.settled(each.key)
            cleared: int = await self._journalled(lambda: self._keys.clear(done))
            applied.cleared += cleared

    async def _by_namespace(self, dirty: Sequence[DirtyKey]) -> Mapping[str, list[DirtyKey]]:
        """The keys of each namespace; those of whichever namespace are looked for in all. A key that a request may
        still change is left for later: it could not be cleared."""
        groups: dict[str, list[DirtyKey]] = {}
        everywhere: list[DirtyKey] = []
        for each in dirty:
            if each.key.namespace is None:
                everywhere.append(each)
            else:
                groups.setdefault(each.key.namespace, []).append(each)
        if everywhere:
            for namespace in await self._every_namespace(everywhere[0].key.id):
                groups.setdefault(namespace, []).extend(everywhere)
        return groups

    async def _every_namespace(self, record_id: RecordId) -> list[str]:
        """Of the source; and of the target those that none of the source leads to any more: what is left in them is
        to go. `record_id`: any."""
        ends = self._ends
        known = {*await ends.source.namespaces(), *ends.namespaces}
        reached = {ends.conversion.target_key(name, record_id)[0] for name in known}
        theirs = set(await ends.target.namespaces()) - reached
        return sorted(known | {name for name in theirs if ends.conversion.target_key(name, record_id)[0] == name})

    async def _apply(self, groups: Mapping[str, list[DirtyKey]], settled: _Settled, applied: Applied) -> None:
        due = {name: some for name, keys in groups.items() if (some := self._due(name, keys, applied))}
        ids = {key: same[0].key.id for some in due.values() for key, same in some.items()}
        if not due:
            return
        async with self._locks.hold(ids.values()):
            # One part at a time, so that it is written while the next is read. Who waits here holds ids that no part
            # before it wants.
            async with self._reading:
                if settled.errors:
                    return
                reads = [_Read(some, await self._read(name, some)) for name, some in due.items()]
            if self._believe(reads, applied):
                taken: set[tuple[str, str]] = set()
                for read in reads:
                    await self._write(read, taken, settled, applied)
                for read in reads:
                    await self._delete(read, taken, settled, applied)

    def _due(self, namespace: str, dirty: Sequence[DirtyKey], applied: Applied) -> _Due:
        due: _Due = {}
        for each in dirty:
            _, target_id = self._ends.conversion.target_key(namespace, each.key.id)
            if each.covered or self._quarantine.has(target_id) or not self.witness.ripe(each):
                applied.waiting += 1
            else:
                due.setdefault(id_key(each.key.id), []).append(each)
        return due

    async def _read(self, namespace: str, due: _Due) -> RecordBatch:
        await self._ends.source.freshen(namespace)
        return await self._ends.source.fetch([same[0].key.id for same in due.values()], namespace)

    def _believe(self, reads: Sequence[_Read], applied: Applied) -> bool:
        """Take the keys out whose read contradicts what touched them last. False when nothing is to be believed."""
        anywhere = {id_key(record_id) for read in reads for record_id in read.found.ids}
        believed: dict[DirtyKey, bool] = {}
        absent = explained = 0
        for read in reads:
            here = read.present()
            for key, same in list(read.due.items()):
                newest = max(same, key=lambda each: each.seq)
                present = key in (anywhere if newest.key.namespace is None else here)
                if newest not in believed:
                    believed[newest] = self.witness.believes(newest, present=present)
                    odd = believed[newest] and not present and not newest.deleted
                    absent += odd and not newest.explained
                    explained += odd and newest.explained
                if not believed[newest]:
                    del read.due[key]
                    applied.waiting += 1
            read.found = read.found.take([row for row, each in enumerate(read.found.ids) if id_key(each) in read.due])
        return self._fuse.look(reads=sum(believed.values()), absent=absent, explained=explained, present=len(anywhere))

    async def _write(self, read: _Read, taken: set[tuple[str, str]], settled: _Settled, applied: Applied) -> None:
        """Write what the source has. `taken` gets the places of these records."""
        found, due = read.found, read.due
        for part in self._ends.conversion.convert(found) if len(found) else ():
            taken.update((part.batch.namespace, id_key(record_id)) for record_id in part.batch.ids)
            for reject in part.rejects:
                settled.park(due[id_key(reject.id)], reject.reason)
            keys = [due[id_key(record_id)] for record_id in part.source_ids]
            batch, keys = self._followable(found.namespace, part.batch, keys, settled)
            if self._before_write is not None and keys:
                await self._before_write(batch.namespace, batch.ids)
            sends = (
                partial(self._send, batch.take(rows), [keys[row] for row in rows], settled, applied)
                for rows in split(batch, self._ends.batch_rows, self._ends.batch_bytes)
            )
            await _to_their_ends(sends, settled.errors)

    def _followable(
        self, namespace: str, batch: RecordBatch, keys: list[list[DirtyKey]], settled: _Settled
    ) -> tuple[RecordBatch, list[list[DirtyKey]]]:
        """Without the records whose place on the other side only they themselves name: once they are deleted, nobody
        would know it."""
        rows: list[int] = []
        for row, same in enumerate(keys):
            if self._ends.conversion.target_key(namespace, same[0].key.id) == (batch.namespace, batch.ids[row]):
                rows.append(row)
            else:
                settled.park(same, "its place on the other side depends on its content; a delete could not be followed")
        return (batch, keys) if len(rows) == len(keys) else (batch.take(rows), [keys[row] for row in rows])

    async def _send(self, batch: RecordBatch, keys: list[list[DirtyKey]], settled: _Settled, applied: Applied) -> None:
        """Write records, `keys` row by row; a batch that is refused as a whole is halved until the bad ones are
        alone."""
        try:
            rejects = await self._ends.target.upsert(batch)
        except RateLimited:
            applied.waiting += len(keys)
        except TransientError:
            self._doubt(batch.ids, applied)
        except (RecordsRejected, InvalidRequest) as error:
            if len(keys) == 1:
                settled.park(keys[0], str(error))
                return
            middle = len(keys) // 2
            for rows in (range(middle), range(middle, len(keys))):
                await self._send(batch.take(list(rows)), [keys[row] for row in rows], settled, applied)
        else:
            reasons = {id_key(reject.id): reject.reason for reject in rejects}
            for same, record_id in zip(keys, batch.ids, strict=True):
                reason = reasons.get(id_key(record_id))
                if reason is None:
                    settled.done += same
                    applied.written += 1
                else:
                    settled.park(same, reason)

    async def _delete(self, read: _Read, taken: set[tuple[str, str]], settled: _Settled, applied: Applied) -> None:
        """Delete what the source does not have, unless another record of it is in the same place, or none can be."""
        present, namespace = read.present(), read.found.namespace
        doomed: dict[str, list[tuple[RecordId, list[DirtyKey]]]] = {}
        for key, same in read.due.items():
            if key not in present:
                place, target_id = self._ends.conversion.target_key(namespace, same[0].key.id)
                if (place, id_key(target_id)) in taken or not self._may_hold(target_id):
                    settled.done += same
                else:
                    doomed.setdefault(place, []).append((target_id, same))
        for place, records in doomed.items():
            ids = [record_id for record_id, _ in records]
            try:
                await self._ends.target.delete(ids, place)
            except RateLimited:
                applied.waiting += len(ids)
            except TransientError:
                self._doubt(ids, applied)
            else:
                settled.done += [each for _, same in records for each in same]
                applied.deleted += len(ids)
                if self._after_delete is not None:
                    await self._after_delete(place, ids)

    def _may_hold(self, target_id: RecordId) -> bool:
        """Whether the other side can have a record with such an id at all."""
        return any(kind_fits(kind, target_id) for kind in self._ends.target.capabilities.ids.kinds)

    def _doubt(self, ids: Sequence[RecordId], applied: Applied) -> None:
        self._quarantine.add(ids)
        applied.unknown += len(ids)


def _parts(groups: Mapping[str, list[DirtyKey]]) -> list[dict[str, list[DirtyKey]]]:
    """Keys of one namespace each, as many as are read together."""
    return [
        {name: keys[start : start + AT_ONCE]} for name, keys in groups.items() for start in range(0, len(keys), AT_ONCE)
    ]


async def _to_their_ends(calls: Iterable[Callable[[], Awaitable[None]]], errors: list[AdapterError]) -> None:
    """Make the calls side by side; what databases raise is put into `errors`, and the others end all the same: a write
    that is cut off because another one failed would have an unknown outcome."""

    async def one(call: Callable[[], Awaitable[None]]) -> None:
        try:
            await call()
        except AdapterError as error:
            errors.append(error)

    async with task_group() as tasks:
        for call in calls:
            tasks.start_soon(one, call)
