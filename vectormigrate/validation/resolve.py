"""The second look: which records of the differing buckets are missing, different or extra.

RESOLVE reads the source again and fetches, for each of its records in a differing bucket, the target's record by id:
no more than a page is held, whether one bucket differs or all of them. It also counts, per bucket, how many records it
found; a bucket in which the target's scan saw more than that holds extras, and only then EXTRAS reads on: it holds the
keys of the source records of at most `GROUP_ROWS` at a time and goes through the target's ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from vectormigrate.adapter import Target
from vectormigrate.mapping.convert.mapper import Mapped, Mapper
from vectormigrate.model.batch import RecordBatch
from vectormigrate.model.ids import RecordId
from vectormigrate.model.position import Page
from vectormigrate.model.status import Difference, DifferenceKind
from vectormigrate.validation.buckets import bucket_of, groups
from vectormigrate.validation.common import Rejected, Scope, WhichWritten, expect, fetch_readable, take
from vectormigrate.validation.compare import Rules
from vectormigrate.validation.digest import key_bytes
from vectormigrate.validation.findings import enter_extras, enter_fetched
from vectormigrate.validation.progress import SOURCE, TARGET, DiffProgress, Stage
from vectormigrate.validation.reading import Reading
from vectormigrate.validation.tally import Tally

GROUP_ROWS = 500_000
"""Source keys held at once while extras are looked for: 16 bytes each, about 45 MB as Python objects."""


@dataclass(frozen=True, slots=True)
class _Look:
    """Some expected records, what the target holds of them, and what could not be read."""

    expected: Mapped
    namespace: str
    actual: list[RecordBatch]
    unreadable: set[RecordId]
    ours: set[RecordId] | None


@dataclass(slots=True, kw_only=True)
class Resolver:
    """Runs the stages after SCAN on the shared progress."""

    reading: Reading
    target: Target
    mapper: Mapper
    rejected: Rejected
    rules: Rules
    scope: Scope
    which_written: WhichWritten

    @property
    def _state(self) -> DiffProgress:
        return self.reading.progress

    async def run(self) -> None:
        """From the current stage to DONE."""
        state = self._state
        if state.stage is Stage.RESOLVE:
            await self._resolve(state.buckets.differing())
            self._count_ambiguous()
            state.enter(Stage.EXTRAS)
        if state.stage is Stage.EXTRAS:
            await self._extras()
            state.enter(Stage.DONE)

    async def _resolve(self, differing: NDArray[np.bool_]) -> None:
        async def handle(page: Page) -> None:
            looks: list[_Look] = []
            for part in expect(self.mapper, page.batch, self.rejected).parts:
                rows = np.flatnonzero(differing[_buckets(part.batch)])
                if len(rows):
                    looks.append(await self._look(take(part, rows.tolist()), page.batch.namespace))
            for look in looks:
                self._enter(look)

        await self.reading.read({SOURCE: handle})

    async def _look(self, part: Mapped, namespace: str) -> _Look:
        ids, place = part.batch.ids, part.batch.namespace
        actual, unreadable = await fetch_readable(self.target, ids, place, page_rows=self.reading.page_rows)
        ours: set[RecordId] | None = None
        if self.scope.ours_only:
            present = [record_id for batch in actual for record_id in batch.ids]
            ours = set(await self.which_written(place, present)) if present else set()
        return _Look(part, namespace, actual, set(unreadable), ours)

    def _enter(self, look: _Look) -> None:
        state, batch = self._state, look.expected.batch
        numbers = _buckets(batch)
        entered = enter_fetched(
            state.tally, look.expected, look.actual, self.rules, namespace=look.namespace, unreadable=look.unreadable
        )
        counted = [row for row in entered.found if look.ours is None or batch.ids[row] in look.ours]
        np.add.at(state.found, numbers[counted], 1)
        state.explained[numbers[entered.flawed]] = True

    def _count_ambiguous(self) -> None:
        """More found than the scan of the target returned: the surplus copies are not verified."""
        state = self._state
        surplus = np.where(state.buckets.differing(), state.found - state.buckets.counts[TARGET], 0)
        state.tally.ambiguous = int(surplus[surplus > 0].sum())
        state.explained |= surplus > 0

    async def _extras(self) -> None:
        """Each group is one piece of work: interrupted, it starts again."""
        state = self._state
        counts = state.buckets.counts
        suspects = state.buckets.differing() & (counts[TARGET] > state.found)
        todo = groups(suspects, counts[SOURCE], GROUP_ROWS)
        for number, group in enumerate(todo):
            if number < state.groups_done:
                continue
            state.positions = {}
            keys = await self._source_keys(group)
            state.positions = {}
            found = await self._extras_of(group, keys)
            state.tally.extra += found.extra
            for _, difference in found.kept:
                state.tally.keep(difference)
            state.explained |= group & bool(found.extra)
            state.groups_done = number + 1
            state.positions = {}

    async def _source_keys(self, group: NDArray[np.bool_]) -> set[bytes]:
        keys: set[bytes] = set()

        async def handle(page: Page) -> None:
            for part in expect(self.mapper, page.batch, self.rejected).parts:
                keys.update(_hashed(part.batch, np.flatnonzero(group[_buckets(part.batch)])))

        await self.reading.read({SOURCE: handle})
        return keys

    async def _extras_of(self, group: NDArray[np.bool_], keys: set[bytes]) -> Tally:
        tally = Tally(self._state.tally.limit)

        async def handle(page: Page) -> None:
            batch = page.batch
            rows = np.flatnonzero(group[_buckets(batch)])
            hashes = _hashed(batch, rows)
            surplus = batch.take([row for row, key in zip(rows.tolist(), hashes, strict=True) if key not in keys])
            if len(surplus) and self.scope.ours_only:
                ours = set(await self.which_written(surplus.namespace, surplus.ids))
                surplus = surplus.take([row for row, item in enumerate(surplus.ids) if item in ours])
            enter_extras(tally, surplus)

        await self.reading.read({TARGET: handle}, vectors=False)
        return tally

    async def attributed(self, differences: Sequence[Difference]) -> tuple[Difference, ...]:
        """The differences, with `written_by_us` filled in for the extras."""
        extras: dict[str, list[RecordId]] = {}
        for item in differences:
            if item.kind is DifferenceKind.EXTRA:
                extras.setdefault(item.namespace, []).append(item.target_id)
        ours = {name: set(await self.which_written(name, ids)) for name, ids in extras.items()}
        return tuple(
            replace(item, written_by_us=item.target_id in ours[item.namespace])
            if item.kind is DifferenceKind.EXTRA
            else item
            for item in differences
        )


def _buckets(batch: RecordBatch) -> NDArray[np.int64]:
    return bucket_of(batch.namespace, [key_bytes(record_id) for record_id in batch.ids])


def _hashed(batch: RecordBatch, rows: NDArray[np.int64]) -> list[bytes]:
    """16 bytes per chosen record that stand for (namespace, id)."""
    start = blake2b(batch.namespace.encode("utf-8", "surrogatepass") + b"\0", digest_size=16)
    hashes: list[bytes] = []
    for row in rows.tolist():
        one = start.copy()
        one.update(key_bytes(batch.ids[row]))
        hashes.append(one.digest())
    return hashes
