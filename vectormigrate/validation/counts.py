"""Exact counts per namespace, with the known rejects accounted for. A smoke test: equal counts prove no content."""

from __future__ import annotations

from collections.abc import Sequence

from vectormigrate.adapter import Source, Target
from vectormigrate.mapping.convert.mapper import Mapper
from vectormigrate.model.ids import RecordId, parse_id_key
from vectormigrate.model.plan import MigrationPlan
from vectormigrate.model.position import Page
from vectormigrate.model.status import CountCheck
from vectormigrate.validation.common import (
    PAGE_ROWS,
    Rejected,
    Scope,
    WhichWritten,
    expect,
    read_all,
    scope_of,
)

EVERYTHING = "(all namespaces)"


async def count_check(
    *,
    source: Source,
    target: Target,
    mapper: Mapper,
    plan: MigrationPlan,
    created: bool,
    which_written: WhichWritten,
    rejected: Rejected = frozenset(),
    page_rows: int = PAGE_ROWS,
) -> tuple[CountCheck, ...]:
    """One check per target namespace, named after the source's; merged namespaces share one.

    In a collection that was there before the migration only its own records count, which needs a scan of the ids.
    Where sidecars may move records to other namespaces, one check covers everything.
    """
    scope = scope_of(plan, mapper, created=created)
    existing = set(await source.namespaces())
    wanted = existing | set(plan.namespaces) if scope.source is None else set(scope.source)
    groups: dict[str, list[str]] = {}
    for name in sorted(wanted):
        groups.setdefault(mapper.target_namespace(name), []).append(name)
    ours = {**dict.fromkeys(sorted(wanted), 0), **await source.counts(sorted(wanted & existing))}
    lost = {name: await _rejects_left(source, name, rejected, page_rows) for name in sorted(wanted & existing)}
    theirs = await _target_counts(source, target, mapper, plan, scope, rejected, which_written, page_rows)
    if plan.source_schema.note is not None and theirs.keys() - groups.keys():
        return (
            CountCheck(
                namespace=EVERYTHING,
                source=sum(ours.values()),
                target=sum(theirs.values()),
                rejected=sum(lost.values()),
            ),
        )
    checks = [
        CountCheck(
            namespace=_label(place, names),
            source=sum(ours[name] for name in names),
            target=theirs.pop(place, 0),
            rejected=sum(lost.get(name, 0) for name in names),
        )
        for place, names in groups.items()
    ]
    surplus = [CountCheck(namespace=name, source=0, target=n, rejected=0) for name, n in sorted(theirs.items()) if n]
    return (*checks, *surplus)


def _label(place: str, names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{place} ({len(names)} merged)"


async def _rejects_left(source: Source, namespace: str, rejected: Rejected, page_rows: int) -> int:
    """How many of the known rejects the source still holds."""
    ids = [parse_id_key(key) for name, key in rejected if name == namespace]
    chunks = [ids[start : start + page_rows] for start in range(0, len(ids), page_rows)]
    return sum([len(await source.fetch(chunk, namespace, vectors=False)) for chunk in chunks])


async def _target_counts(
    source: Source,
    target: Target,
    mapper: Mapper,
    plan: MigrationPlan,
    scope: Scope,
    rejected: Rejected,
    which_written: WhichWritten,
    page_rows: int,
) -> dict[str, int]:
    if not scope.ours_only:
        names = [name for name in await target.namespaces() if scope.target is None or name in scope.target]
        return await target.counts(names)
    counts: dict[str, int] = {}

    async def count_ours(page: Page) -> None:
        # The await stands alone: several readers share these counts, and what was read before it would be stale after.
        written = len(await which_written(page.batch.namespace, page.batch.ids))
        counts[page.batch.namespace] = counts.get(page.batch.namespace, 0) + written

    async def count_overwritten(page: Page) -> None:
        for part in expect(mapper, page.batch, rejected).parts:
            place, ids = part.batch.namespace, part.batch.ids
            found = (await target.fetch(ids, place, vectors=False)).ids if ids else list[RecordId]()
            written = len(await which_written(place, found)) if found else 0
            counts[place] = counts.get(place, 0) + len(found) - written

    await read_all(target, scope.target, count_ours, vectors=False, page_rows=page_rows)
    if plan.spec.overwrite:  # the written ids leave out records that were overwritten
        await read_all(source, scope.source, count_overwritten, vectors=True, page_rows=page_rows)
    return counts
