"""Repair: re-copies exactly the records that are missing or different, deletes the extras that this migration wrote,
and looks at each of them again. Nothing else is touched; what the migration did not write is never deleted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field

from vectormigrate.adapter import Reject, Source, Target
from vectormigrate.engine.events import Checking, Listener, ignore
from vectormigrate.mapping.convert.mapper import Mapped, Mapper
from vectormigrate.model.ids import RecordId
from vectormigrate.model.plan import MigrationPlan
from vectormigrate.model.status import DiffCheck, Difference, DifferenceKind
from vectormigrate.validation.common import PAGE_ROWS, Rejected, WhichWritten, expect, take
from vectormigrate.validation.compare import Rules
from vectormigrate.validation.readback import readback

Announce = Callable[[str, Sequence[RecordId]], Awaitable[None]]
"""Called with (target namespace, target ids) before they are written, or after they were deleted, so that the written
ids are those on the target."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairResult:
    """`repaired` records were written again and found right, `deleted` extras removed. `refused` were not taken by the
    target or still differ. `diff` is the comparison after the last repair: the verdict."""

    repaired: int
    deleted: int
    refused: tuple[Reject, ...]
    diff: DiffCheck


@dataclass(slots=True)
class _Work:
    repaired: int = 0
    deleted: int = 0
    refused: list[Reject] = field(default_factory=list[Reject])


async def repair(
    *,
    source: Source,
    target: Target,
    mapper: Mapper,
    plan: MigrationPlan,
    created: bool,
    first: DiffCheck,
    compare_again: Callable[[], Awaitable[DiffCheck]],
    which_written: WhichWritten,
    min_similarity: float | None = None,
    rejected: Rejected = frozenset(),
    before_write: Announce | None = None,
    after_delete: Announce | None = None,
    listener: Listener = ignore,
    page_rows: int = PAGE_ROWS,
) -> RepairResult:
    """Repair the differences that `first` lists, compare again, and repeat until nothing differs or nothing gets
    better.

    In a collection that was there before (`created` False) a record that this migration did not write is only replaced
    when the plan has `overwrite`. `compare_again` must be a fresh comparison of the same kind (no stored progress): it
    pages through more differences than one result lists and is the judge of the repair.
    """
    repairer = _Repairer(
        source=source,
        target=target,
        mapper=mapper,
        rules=Rules.of(mapper.rules, plan.spec.min_similarity if min_similarity is None else min_similarity),
        rejected=rejected,
        which_written=which_written,
        before_write=before_write,
        after_delete=after_delete,
        spare_foreign=not created and not plan.spec.overwrite,
    )
    total = _problems(first)
    work, diff = repairer.work, first
    while diff.differences:
        before = work.repaired + work.deleted
        for namespace, ids in _by_namespace(diff.differences, (DifferenceKind.MISSING, DifferenceKind.DIFFERENT)):
            for piece in _chunks(ids, page_rows):
                await repairer.copy(namespace, piece)
                listener(Checking(stage="repair", done=work.repaired + work.deleted, total=total))
        for namespace, ids in _extras(diff.differences):
            for piece in _chunks(ids, page_rows):
                await repairer.delete(namespace, piece)
        await target.finalize()
        if work.repaired + work.deleted == before:
            break
        again = await compare_again()
        better = _problems(again) < _problems(diff)
        diff = again
        if not better:
            break
    return RepairResult(repaired=work.repaired, deleted=work.deleted, refused=tuple(work.refused), diff=diff)


def _problems(diff: DiffCheck) -> int:
    return diff.missing + diff.extra + diff.different + diff.unreadable


def _by_namespace(
    differences: Iterable[Difference], kinds: Sequence[DifferenceKind]
) -> list[tuple[str, list[RecordId]]]:
    """The source ids to copy again, by source namespace."""
    found: dict[str, list[RecordId]] = {}
    for item in differences:
        if item.kind in kinds and item.source_id is not None and item.source_namespace is not None:
            found.setdefault(item.source_namespace, []).append(item.source_id)
    return list(found.items())


def _chunks(ids: Sequence[RecordId], size: int) -> list[list[RecordId]]:
    return [list(ids[start : start + size]) for start in range(0, len(ids), size)]


def _extras(differences: Iterable[Difference]) -> list[tuple[str, list[RecordId]]]:
    """The target ids that the source does not have, by target namespace."""
    found: dict[str, list[RecordId]] = {}
    for item in differences:
        if item.kind is DifferenceKind.EXTRA:
            found.setdefault(item.namespace, []).append(item.target_id)
    return list(found.items())


@dataclass(slots=True, kw_only=True)
class _Repairer:
    source: Source
    target: Target
    mapper: Mapper
    rules: Rules
    rejected: Rejected
    which_written: WhichWritten
    before_write: Announce | None
    after_delete: Announce | None
    spare_foreign: bool
    work: _Work = field(default_factory=_Work)

    async def copy(self, namespace: str, ids: list[RecordId]) -> None:
        """Write these source records again and read them back."""
        expected = expect(self.mapper, await self.source.fetch(ids, namespace), self.rejected)
        for name, item, code in expected.unmappable:
            self._refuse(item, name, code, "the record cannot be mapped")
        for part in expected.parts:
            await self._write(await self._ours(part, namespace), namespace)

    async def _ours(self, part: Mapped, namespace: str) -> Mapped:
        """The part without records whose place is taken by somebody else's."""
        ids, place = part.batch.ids, part.batch.namespace
        if not self.spare_foreign or not ids:
            return part
        there = (await self.target.fetch(ids, place, vectors=False)).ids
        foreign = set(there) - set(await self.which_written(place, there))
        for target_id, source_id in zip(ids, part.source_ids, strict=True):
            if target_id in foreign:
                self._refuse(source_id, namespace, "exists", "the target held this id before the migration")
        return take(part, [row for row, target_id in enumerate(ids) if target_id not in foreign])

    async def _write(self, part: Mapped, namespace: str) -> None:
        if not len(part.batch):
            return
        if self.before_write is not None:
            await self.before_write(part.batch.namespace, part.batch.ids)
        refused = await self.target.upsert(part.batch)
        if not self.target.capabilities.writes.readable_before_finalize:
            await self.target.finalize()
        bad = {item.id for item in refused}
        rows = [row for row, target_id in enumerate(part.batch.ids) if target_id not in bad]
        checked = await readback(target=self.target, expected=part, namespace=namespace, rules=self.rules, rows=rows)
        origin = dict(zip(part.batch.ids, part.source_ids, strict=True))
        for item in refused:
            self._refuse(origin[item.id], namespace, item.code, item.reason)
        for wrong in checked.mismatches:
            self._refuse(origin[wrong.target_id], namespace, "differs", "not as written when read back")
        self.work.repaired += checked.checked - len(checked.mismatches)

    async def delete(self, namespace: str, ids: list[RecordId]) -> None:
        """Delete those of these target records that the migration wrote."""
        ours = set(await self.which_written(namespace, ids))
        doomed = [record_id for record_id in ids if record_id in ours]
        if doomed:
            await self.target.delete(doomed, namespace)
            if self.after_delete is not None:
                await self.after_delete(namespace, doomed)
            self.work.deleted += len(doomed)

    def _refuse(self, record_id: RecordId, namespace: str, code: str, reason: str) -> None:
        self.work.refused.append(Reject(record_id, namespace, code, reason))
