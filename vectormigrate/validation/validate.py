"""A whole validation of a stored migration: counts, contents, searches, and repair when asked for."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from vectormigrate.engine.connect import Ends
from vectormigrate.engine.events import Checking, Listener
from vectormigrate.engine.writing import ReadBack
from vectormigrate.errors import AdapterError
from vectormigrate.mapping.convert.mapper import Mapper
from vectormigrate.model.batch import RecordBatch
from vectormigrate.model.ids import RecordId, id_key
from vectormigrate.model.plan import MappingRules
from vectormigrate.model.status import CountCheck, DiffCheck, SearchCheck, ValidationReport
from vectormigrate.state.records import Lease, StoredMigration
from vectormigrate.state.store import Store
from vectormigrate.validation.compare import Rules
from vectormigrate.validation.counts import count_check
from vectormigrate.validation.diff import LIMIT, full_diff
from vectormigrate.validation.readback import readback, written
from vectormigrate.validation.recall import search_parity
from vectormigrate.validation.repair import repair
from vectormigrate.validation.sample import sample_diff

DEFAULT_SAMPLE = 1000
DIFF_KEY = "full-diff"
REPAIR_LIMIT = 50_000
"""Differences listed for a repair: each of its rounds costs a comparison."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to validate. `sample_size` None with `full` False: DEFAULT_SAMPLE records. `queries` 0: no searches."""

    sample_size: int | None
    full: bool
    queries: int
    min_similarity: float
    repair: bool = False


def read_back_check(ends: Ends, rules: MappingRules, min_similarity: float) -> ReadBack:
    """The inline check of a run: the ids of those records that are not on the target as they were written."""
    compare = Rules.of(rules, min_similarity)

    async def check(batch: RecordBatch) -> list[RecordId]:
        found = await readback(target=ends.target, expected=written(batch), namespace=batch.namespace, rules=compare)
        return [difference.target_id for difference in found.mismatches]

    return check


class Validation:
    """One validation over open ends. Reads only, but for `repair`."""

    def __init__(self, store: Store, stored: StoredMigration, ends: Ends, wanted: Wanted, listener: Listener) -> None:
        self._store = store
        self._stored = stored
        self._ends = ends
        self._wanted = wanted
        self._listener = listener
        self._mapper = Mapper(stored.plan.rules)
        self._created = not stored.plan.target_exists
        self._rejected: frozenset[tuple[str, str]] = frozenset()
        self._started = _now()

    async def run(self) -> ValidationReport:
        """Counts, contents, searches. What cannot be read becomes an entry of `errors`, never a pass."""
        await self._load_rejects()
        errors: list[str] = []
        counts: tuple[CountCheck, ...] = ()
        diff: DiffCheck | None = None
        search: tuple[SearchCheck, ...] = ()
        try:
            counts = await self._counts()
            diff = await self._compare(resume=True, limit=REPAIR_LIMIT if self._wanted.repair else LIMIT)
            if self._wanted.queries:
                search = await self._search()
        except AdapterError as error:
            errors.append(str(error))
        return self._report(counts, diff, search, errors)

    async def repair(self, lease: Lease, first: ValidationReport) -> ValidationReport:
        """Put right what `first` found, and judge again. Searches are not repeated."""
        if first.diff is None:
            return first
        partition = self._stored.plan.partitions[0].id

        async def before_write(namespace: str, ids: Sequence[RecordId]) -> None:
            known = await self._which_written(namespace, ids)
            new = [record_id for record_id in ids if record_id not in known]
            there = (await self._ends.target.fetch(new, namespace, vectors=False)).ids if new else []
            ours = [record_id for record_id in new if record_id not in set(there)]
            if ours:
                await self._store.written_ids.announce(lease, partition, namespace, ours)

        async def after_delete(namespace: str, ids: Sequence[RecordId]) -> None:
            await self._store.written_ids.forget(lease, namespace, ids)

        result = await repair(
            source=self._ends.source,
            target=self._ends.target,
            mapper=self._mapper,
            plan=self._stored.plan,
            created=self._created,
            first=first.diff,
            compare_again=lambda: self._compare(limit=REPAIR_LIMIT),
            which_written=self._which_written,
            min_similarity=self._wanted.min_similarity,
            rejected=self._rejected,
            before_write=before_write,
            after_delete=after_delete,
            listener=self._listener,
        )
        refused = [f"{id_key(item.id)}: {item.reason}" for item in result.refused[:20]]
        diff = replace(result.diff, differences=result.diff.differences[:LIMIT])
        report = self._report(await self._counts(), diff, first.search, refused)
        return replace(report, repaired=result.repaired, deleted=result.deleted)

    async def _load_rejects(self) -> None:
        rows = await self._store.rejects.read(self._stored.id)
        self._rejected = frozenset((row.reject.namespace, id_key(row.reject.id)) for row in rows)

    async def _which_written(self, namespace: str, ids: Sequence[RecordId]) -> Collection[RecordId]:
        return await self._store.written_ids.which_written(self._stored.id, namespace, ids)

    async def _counts(self) -> tuple[CountCheck, ...]:
        self._listener(Checking(stage="counts", done=0, total=0))
        return await count_check(
            source=self._ends.source,
            target=self._ends.target,
            mapper=self._mapper,
            plan=self._stored.plan,
            created=self._created,
            which_written=self._which_written,
            rejected=self._rejected,
        )

    async def _compare(self, *, resume: bool = False, limit: int = LIMIT) -> DiffCheck:
        if not self._wanted.full:
            return await sample_diff(
                source=self._ends.source,
                target=self._ends.target,
                mapper=self._mapper,
                plan=self._stored.plan,
                size=self._wanted.sample_size or DEFAULT_SAMPLE,
                rejected=self._rejected,
                min_similarity=self._wanted.min_similarity,
                listener=self._listener,
            )
        key = f"{DIFF_KEY}:{self._stored.counters.written}"
        if not resume:
            await self._store.reports.clear_diff_progress(self._stored.id)
        progress = await self._store.reports.diff_progress(self._stored.id, key) if resume else None

        async def save(data: bytes) -> None:
            await self._store.reports.save_diff_progress(self._stored.id, key, data)

        result = await full_diff(
            source=self._ends.source,
            target=self._ends.target,
            mapper=self._mapper,
            plan=self._stored.plan,
            created=self._created,
            which_written=self._which_written,
            rejected=self._rejected,
            min_similarity=self._wanted.min_similarity,
            listener=self._listener,
            progress=progress,
            save=save,
            limit=limit,
        )
        await self._store.reports.clear_diff_progress(self._stored.id)
        return result

    async def _search(self) -> tuple[SearchCheck, ...]:
        return await search_parity(
            source=self._ends.source,
            target=self._ends.target,
            mapper=self._mapper,
            plan=self._stored.plan,
            queries=self._wanted.queries,
            listener=self._listener,
        )

    def _report(
        self,
        counts: tuple[CountCheck, ...],
        diff: DiffCheck | None,
        search: tuple[SearchCheck, ...],
        errors: Sequence[str],
    ) -> ValidationReport:
        spec = self._stored.plan.spec
        return ValidationReport(
            migration_id=self._stored.id,
            started_at=self._started,
            ended_at=_now(),
            source=spec.source.location,
            target=spec.target.location,
            min_similarity=self._wanted.min_similarity,
            counts=counts,
            diff=diff,
            search=search,
            rejected=len(self._rejected),
            errors=tuple(errors),
        )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
