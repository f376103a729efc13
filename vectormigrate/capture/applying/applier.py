"""Re-reads dirty keys on the side that has the authority and makes the other side equal.

What was written, in which order, and by what operation does not matter: what a key holds is read after all requests
that touched it ended, and the other side gets exactly that. Until its acknowledgement the key stays dirty.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from vectormigrate.capture.applying.fuse import Fuse
from vectormigrate.capture.applying.locks import KeyLocks
from vectormigrate.capture.applying.quarantine import Quarantine
from vectormigrate.capture.journal.records import DirtyKey
from vectormigrate.capture.journal.touched import TouchedKeys
from vectormigrate.engine.batching import split
from vectormigrate.engine.retry import RetryingSource, RetryingTarget
from vectormigrate.errors import InvalidRequest, RateLimited, RecordsRejected, TransientError
from vectormigrate.mapping.convert.mapper import Mapped
from vectormigrate.model.batch import RecordBatch
from vectormigrate.model.ids import RecordId, id_key

T = TypeVar("T")

AT_ONCE = 500
"""Keys of one round."""


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


@dataclass(slots=True)
class Applied:
    """What a round did, in keys."""

    written: int = 0
    deleted: int = 0
    cleared: int = 0
    unknown: int = 0
    parked: int = 0
    waiting: int = 0
    """Dirty keys that were left because their target id is in quarantine, or a request on them is under way."""


@dataclass(slots=True)
class _Settled:
    """Keys of a round by what became of them."""

    done: list[DirtyKey] = field(default_factory=list[DirtyKey])
    parked: list[tuple[DirtyKey, str]] = field(default_factory=list[tuple[DirtyKey, str]])

    def park(self, same: list[DirtyKey], reason: str) -> None:
        """The other side refuses the record of these keys."""
        self.parked += [(each, reason) for each in same]


_Due = dict[str, list[DirtyKey]]
"""By typed id: a record has a key of its own and one of whichever namespace when both were touched."""


class Applier:
    """Rounds over the dirty keys of one side. `journalled` runs the journal's calls; `locks` and `quarantine` are those
    of the backfill too, since both write to the target."""

    def __init__(
        self,
        keys: TouchedKeys,
        ends: Ends,
        *,
        locks: KeyLocks,
        quarantine: Quarantine,
        fuse: Fuse,
        journalled: Journalled[Any],
    ) -> None:
        self._keys = keys
        self._ends = ends
        self._locks = locks
        self._quarantine = quarantine
        self._fuse = fuse
        self._journalled = journalled

    async def round(self, most: int = AT_ONCE) -> Applied:
        """Settle up to so many dirty keys, the oldest first. Raises what the source raises: a key that could not be
        read is not absent. A write with an unknown outcome is not an error: its keys stay dirty and wait."""
        applied = Applied()
        dirty: list[DirtyKey] = await self._journalled(lambda: self._keys.dirty(most))
        groups = await self._by_namespace(dirty)
        settled = _Settled()
        for namespace, keys in groups.items():
            await self._apply(namespace, keys, settled, applied)
        # A key of whichever namespace is settled when it is so in every one.
        left = Counter(each for keys in groups.values() for each in keys)
        left.subtract(settled.done)
        done = [each for each, times in left.items() if not times]
        await self._note(done, settled.parked, applied)
        return applied

    async def _note(self, done: list[DirtyKey], parked: list[tuple[DirtyKey, str]], applied: Applied) -> None:
        if parked:
            await self._journalled(lambda: self._keys.park(parked))
            applied.parked += len(parked)
        if done:
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
            for namespace in await self._ends.source.namespaces():
                groups.setdefault(namespace, []).extend(everywhere)
        return groups

    async def _apply(self, namespace: str, dirty: list[DirtyKey], settled: _Settled, applied: Applied) -> None:
        due: _Due = {}
        for each in dirty:
            _, target_id = self._ends.conversion.target_key(namespace, each.key.id)
            if each.covered or self._quarantine.has(target_id):
                applied.waiting += 1
            else:
                due.setdefault(id_key(each.key.id), []).append(each)
        if not due:
            return
        ids = [same[0].key.id for same in due.values()]
        async with self._locks.hold(ids):
            found = await self._ends.source.fetch(ids, namespace)
            present = {id_key(record_id) for record_id in found.ids}
            absent = {key: same for key, same in due.items() if key not in present}
            unexpected = sum(not any(each.deleted for each in same) for same in absent.values())
            if self._fuse.look(reads=len(ids), absent=unexpected):
                await self._write(found, due, settled, applied)
                await self._delete(namespace, list(absent.values()), settled, applied)

    async def _write(self, found: RecordBatch, due: _Due, settled: _Settled, applied: Applied) -> None:
        for part in self._ends.conversion.convert(found) if len(found) else ():
            for reject in part.rejects:
                settled.park(due[id_key(reject.id)], reject.reason)
            for rows in split(part.batch, self._ends.batch_rows, self._ends.batch_bytes):
                keys = [due[id_key(part.source_ids[row])] for row in rows]
                batch, keys = self._followable(found.namespace, part.batch.take(rows), keys, settled)
                await self._send(batch, keys, settled, applied)

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
        if not keys:
            return
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

    async def _delete(self, namespace: str, absent: list[list[DirtyKey]], settled: _Settled, applied: Applied) -> None:
        if not absent:
            return
        places = [self._ends.conversion.target_key(namespace, same[0].key.id) for same in absent]
        ids = [record_id for _, record_id in places]
        try:
            await self._ends.target.delete(ids, places[0][0])
        except RateLimited:
            applied.waiting += len(ids)
        except TransientError:
            self._doubt(ids, applied)
        else:
            settled.done += [each for same in absent for each in same]
            applied.deleted += len(absent)

    def _doubt(self, ids: Sequence[RecordId], applied: Applied) -> None:
        self._quarantine.add(ids)
        applied.unknown += len(ids)
