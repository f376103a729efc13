"""The count that ends every migration: the target holds what was written, and the source still holds what was read."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass, field

import anyio

from vectormigrate.engine.retry import RetryingSource, RetryingTarget
from vectormigrate.errors import MigrationFailed, remedy
from vectormigrate.figures import changed, counted
from vectormigrate.model.ids import RecordId
from vectormigrate.model.plan import MigrationPlan
from vectormigrate.state.store import Store

LOOKS = 5
"""How often a count that does not agree is taken again, a little later each time, before it is believed."""

EXAMPLES = 3
NAMED = 5
"""Namespaces named in a notice; the rest are summed up."""


@dataclass(slots=True, kw_only=True)
class Count:
    """What the target holds in one namespace against what was written there. `others` are records that this migration
    did not write, beyond those that were there before it began."""

    namespace: str
    holds: int
    written: int
    distinct: int
    missing: int
    others: int


@dataclass(slots=True)
class Foreign:
    """Records of a collection that the migration did not write."""

    records: int = 0
    examples: list[RecordId] = field(default_factory=list[RecordId])


async def count_target(store: Store, plan: MigrationPlan, target: RetryingTarget, *, shared: bool) -> list[str]:
    """Compare, per namespace, what the target holds with what was written there, by the state file.

    Raises MigrationFailed when a written record is not there, when two source records went to one id, and, unless the
    collection is `shared` with others, for records that this migration did not write. Returns notices on the rest.
    Never asks the mapping what should be there: the answer comes from the target and the acknowledged writes.
    """
    migration_id = plan.spec.id
    found = await _doubtful(store, plan, target)
    problems = [text for count in found for text in _problems(count, shared)]
    if problems:
        raise MigrationFailed(
            f"the target does not hold what was written to it: {'; '.join(problems[:NAMED])}"
            f"{_more(len(problems))}. Compare all with: {remedy('validate', migration_id, full=True)}, put it right "
            f"with: {remedy('validate', migration_id, full=True, repair=True)}, then resume; or undo it with: "
            f"{remedy('rollback', migration_id)}"
        )
    return _summed_up(
        [
            f"the target's {_name(count.namespace)} changed while it was copied to: beside what this migration "
            f"wrote it holds {changed(count.others)} records against before"
            for count in found
            if count.others and shared
        ]
    )


async def _doubtful(store: Store, plan: MigrationPlan, target: RetryingTarget) -> list[Count]:
    """The namespaces whose number of records is not the one expected, or proves nothing, counted id by id."""
    migration_id = plan.spec.id
    written = await store.written_ids.counts(migration_id)
    held: dict[str, int] = {}
    names = sorted({*written, *await target.namespaces()})
    if plan.target_exists:
        held = await store.progress.held(migration_id)
        names = [name for name in names if name in written]
    counts = await target.counts(names)
    # A migration that an older version began into an existing collection knows no counts from before.
    known = not plan.target_exists or bool(held)
    # What a crash or a repair left unsettled may make up for what is missing.
    unsettled = await store.written_ids.open_namespaces(migration_id)
    found: list[Count] = []
    for name in names:
        before, ours = held.get(name, 0), written.get(name, 0)
        if not known or name in unsettled or counts[name] != before + ours:
            found.append(await _look_closer(store, target, name, migration_id, before, ours))
    return found


async def count_source(store: Store, plan: MigrationPlan, source: RetryingSource) -> list[str]:
    """Compare what the source holds now with what was read from it; return by how much it changed meanwhile."""
    read: dict[str, int] = dict.fromkeys(plan.namespaces, 0)
    for item in await store.progress.partitions(plan.spec.id):
        read[item.partition.namespace] = read.get(item.partition.namespace, 0) + item.read
    there = await source.namespaces()
    wanted = [name for name in there if plan.spec.namespaces is None or name in plan.spec.namespaces]
    counts = {**dict.fromkeys(read, 0), **await source.counts(wanted)}
    return _summed_up(
        [
            f"the source changed while it was copied: its {_name(name)} holds {counted(counts[name])} records, of "
            f"which {counted(before)} were read ({changed(counts[name] - before)}); copy the difference with: "
            f"{remedy('validate', plan.spec.id, full=True, repair=True)}"
            for name in sorted(counts)
            if counts[name] != (before := read.get(name, 0))
        ]
    )


async def foreign_records(store: Store, migration_id: str, target: RetryingTarget) -> Foreign:
    """The records of the whole collection that this migration did not write. Reads every id."""
    found = Foreign()
    for name in await target.namespaces():
        await _scan_foreign(store, migration_id, target, name, found)
    return found


async def _look_closer(
    store: Store, target: RetryingTarget, namespace: str, migration_id: str, held: int, written: int
) -> Count:
    """The exact state of a namespace whose count does not agree, from its ids; taken again while it still changes."""
    count = await _exact(store, target, namespace, migration_id, held, written)
    for look in range(1, LOOKS):
        if not count.missing and not count.others:
            break
        await anyio.sleep(0.1 * 2**look)
        before, count = count, await _exact(store, target, namespace, migration_id, held, written)
        if count == before and look > 1:
            break
    return count


async def _exact(
    store: Store, target: RetryingTarget, namespace: str, migration_id: str, held: int, written: int
) -> Count:
    holds = 0
    ours = 0
    settled = 0
    for partition in await target.partitions(1, [namespace]) if namespace in await target.namespaces() else ():
        pages = target.scan(partition, vectors=False)
        async with aclosing(pages):
            async for page in pages:
                known = await store.written_ids.which_written(migration_id, namespace, page.batch.ids)
                sure = await store.written_ids.which_settled(migration_id, namespace, page.batch.ids)
                holds += len(page.batch)
                ours += len(known)
                settled += len(sure)
    distinct = await store.written_ids.distinct(migration_id, namespace)
    return Count(
        namespace=namespace,
        holds=holds,
        written=written,
        distinct=distinct,
        missing=distinct - settled,
        others=holds - ours - held,
    )


async def _scan_foreign(
    store: Store, migration_id: str, target: RetryingTarget, namespace: str, found: Foreign
) -> None:
    for partition in await target.partitions(1, [namespace]):
        pages = target.scan(partition, vectors=False)
        async with aclosing(pages):
            async for page in pages:
                known = await store.written_ids.which_written(migration_id, namespace, page.batch.ids)
                others = [record_id for record_id in page.batch.ids if record_id not in known]
                found.records += len(others)
                found.examples = [*found.examples, *others][:EXAMPLES]


def _problems(count: Count, shared: bool) -> list[str]:
    place = _name(count.namespace)
    problems: list[str] = []
    if count.written > count.distinct:
        merged = count.written - count.distinct
        problems.append(
            f"in {place} {counted(merged)} of {counted(count.written)} written records went to an id of another one"
        )
    if count.missing:
        problems.append(
            f"in {place} {counted(count.missing)} of {counted(count.distinct)} written records are not there"
        )
    if count.others > 0 and not shared:
        problems.append(f"{place} holds {counted(count.others)} records that this migration did not write")
    return problems


def _name(namespace: str) -> str:
    return f"namespace {namespace!r}" if namespace else "default namespace"


def _more(n: int) -> str:
    return f" and {n - NAMED} more" if n > NAMED else ""


def _summed_up(notices: list[str]) -> list[str]:
    if len(notices) <= NAMED:
        return notices
    return [*notices[:NAMED], f"the same holds for {counted(len(notices) - NAMED)} more namespaces"]
