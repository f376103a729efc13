"""Full comparison: every record, both directions, in constant memory, resumable at any page.

SCAN reads both sides once, concurrently, and adds a digest per record to the buckets (buckets.py). Where all buckets
agree, everything is proven equal and the work is done. Otherwise RESOLVE and EXTRAS (resolve.py) look only at records
of differing buckets.
"""

from __future__ import annotations

from collections.abc import Mapping

from vectormigrate.adapter import Source, Target
from vectormigrate.engine.events import Listener, ignore
from vectormigrate.figures import counted, small
from vectormigrate.mapping.convert.mapper import Mapper
from vectormigrate.model.batch import RecordBatch
from vectormigrate.model.plan import MigrationPlan
from vectormigrate.model.position import Page
from vectormigrate.model.status import DiffCheck, Difference
from vectormigrate.validation.buckets import bucket_of
from vectormigrate.validation.common import (
    PAGE_ROWS,
    Rejected,
    Scope,
    WhichWritten,
    expect,
    partitions,
    readers_of,
    scope_of,
)
from vectormigrate.validation.compare import Rules
from vectormigrate.validation.digest import key_bytes, record_digests
from vectormigrate.validation.findings import enter_lost, enter_unmappable
from vectormigrate.validation.progress import SOURCE, TARGET, DiffProgress, Stage, basis_of
from vectormigrate.validation.reading import Reading, Save
from vectormigrate.validation.resolve import Resolver
from vectormigrate.validation.tally import Tally

LIMIT = 1000
"""Differences kept in the result."""


async def full_diff(
    *,
    source: Source,
    target: Target,
    mapper: Mapper,
    plan: MigrationPlan,
    created: bool,
    which_written: WhichWritten,
    rejected: Rejected = frozenset(),
    min_similarity: float | None = None,
    listener: Listener = ignore,
    progress: bytes | None = None,
    save: Save | None = None,
    save_every: float = 5.0,
    page_rows: int = PAGE_ROWS,
    limit: int = LIMIT,
    moving: bool = False,
) -> DiffCheck:
    """Compare every record of the plan's namespaces on both sides.

    `created`: this migration made the target collection, so a record on it that the source lacks is extra whoever wrote
    it; otherwise only what `which_written` names can be extra. `rejected`: records that are known not to be there.
    `progress`: what `save` was given last (ignored when the plan, the rejects or an option changed since); discard it
    when either side was written to, unless `moving`: then both are, and what seems to be there twice is not counted as
    unreadable, since it may have come meanwhile. `save` is called about every `save_every` seconds and once more on the
    way out when the comparison is cancelled or fails. Any error of an adapter that is not about single records is
    raised: an unread page is never counted as compared.
    """
    floor = plan.spec.min_similarity if min_similarity is None else min_similarity
    basis = basis_of(plan, rejected, created=created, min_similarity=floor, limit=limit)
    scope = scope_of(plan, mapper, created=created)
    state = DiffProgress.from_bytes(progress, basis) if progress else None
    if state is None:
        state = await _begin(source, target, scope, basis, limit)
    reading = Reading(
        sides=(source, target),
        progress=state,
        listener=listener,
        save=save,
        save_every=save_every,
        page_rows=page_rows,
    )
    rules = Rules.of(mapper.rules, floor)
    resolver = Resolver(
        reading=reading,
        target=target,
        mapper=mapper,
        rejected=rejected,
        rules=rules,
        scope=scope,
        which_written=which_written,
    )
    try:
        if state.stage is Stage.SCAN:
            await _scan(reading, mapper, rejected, scope, which_written)
            state.enter(Stage.RESOLVE if state.buckets.differing().any() else Stage.DONE)
        await resolver.run()
        differences = await resolver.attributed([item for _, item in state.tally.kept])
    except BaseException:
        await reading.save_last()
        raise
    if moving:
        state.tally.ambiguous = 0
    return _result(state, rules, mapper.rules.renames, len(rejected), differences, reading.seconds())


async def _begin(source: Source, target: Target, scope: Scope, basis: str, limit: int) -> DiffProgress:
    ours = await partitions(source, scope.source, readers_of(source))
    theirs = await partitions(target, scope.target, readers_of(target))
    return DiffProgress(basis=basis, partitions=(ours, theirs), tally=Tally(limit))


async def _scan(
    reading: Reading, mapper: Mapper, rejected: Rejected, scope: Scope, which_written: WhichWritten
) -> None:
    state = reading.progress

    async def from_source(page: Page) -> None:
        expected = expect(mapper, page.batch, rejected)
        for part in expected.parts:
            _add(state, SOURCE, part.batch)
            state.tally.expect(part.batch)
            enter_lost(state.tally, page.batch, part, mapper.rules)
        for item in expected.unmappable:
            enter_unmappable(state.tally, mapper.target_namespace(item[0]), *item)

    async def from_target(page: Page) -> None:
        batch = page.batch
        if scope.ours_only:
            ours = set(await which_written(batch.namespace, batch.ids))
            batch = batch.take([row for row, record_id in enumerate(batch.ids) if record_id in ours])
        _add(state, TARGET, batch)

    await reading.read({SOURCE: from_source, TARGET: from_target})


def _add(state: DiffProgress, side: int, batch: RecordBatch) -> None:
    if len(batch):
        keys = [key_bytes(record_id) for record_id in batch.ids]
        state.buckets.add(side, bucket_of(batch.namespace, keys), record_digests(batch, keys))


def _result(
    state: DiffProgress,
    rules: Rules,
    renames: Mapping[str, str],
    rejected: int,
    differences: tuple[Difference, ...],
    seconds: float,
) -> DiffCheck:
    tally = state.tally
    return DiffCheck(
        full=True,
        compared=tally.compared,
        identical=tally.identical,
        within_bound=tally.within_bound,
        missing=tally.missing,
        extra=tally.extra,
        different=tally.different,
        unreadable=tally.unreadable + tally.ambiguous,
        population=tally.population,
        statement=_statement(state, rejected),
        vectors=tally.vector_checks(rules.vectors, rules.default),
        metadata_fields=tally.field_checks(renames),
        differences=differences,
        seconds=seconds,
    )


def _statement(state: DiffProgress, rejected: int) -> str:
    """What the comparison proves, in words that claim no more."""
    tally = state.tally
    worst = max((figures.worst_error for figures in tally.vectors.values()), default=0.0)
    bound = f" (largest error {small(worst)})" if tally.within_bound else ""
    text = (
        f"Every record was compared, in both directions: of {counted(tally.population)} expected records"
        f" {counted(tally.identical)} are identical, {counted(tally.within_bound)} agree within the declared bound"
        f"{bound}, {counted(tally.different)} differ, {counted(tally.missing)} are missing;"
        f" {counted(tally.extra)} are extra on the target."
    )
    if rejected:
        text += f" {counted(rejected)} known rejects are not expected there."
    if tally.unreadable:
        text += f" {counted(tally.unreadable)} could not be read and are not verified."
    if tally.ambiguous:
        text += (
            f" {counted(tally.ambiguous)} more records were found by id than the target's own scan returned: two source"
            " records share a target id, or the target changed meanwhile."
        )
    if state.buckets.differing().any() and not _all_explained(state):
        text += " Some records differed at first and no longer when looked at again: the data changed meanwhile."
    return text + " Identity rests on 128-bit BLAKE2b digests: a wrong answer has a probability below 2^-112."


def _all_explained(state: DiffProgress) -> bool:
    return bool((state.explained | ~state.buckets.differing()).all())
