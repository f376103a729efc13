"""Enters what was found out about records into the running result."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from vectormigrate.engine.round_trip import lost_on_the_round_trip
from vectormigrate.mapping.convert.mapper import Mapped
from vectormigrate.mapping.convert.origin import restore
from vectormigrate.model.batch import RecordBatch
from vectormigrate.model.ids import RecordId
from vectormigrate.model.plan import MappingRules
from vectormigrate.model.status import Difference, DifferenceKind
from vectormigrate.validation.common import take
from vectormigrate.validation.compare import Rules, compare
from vectormigrate.validation.tally import Tally, leaves

MAX_FIELDS = 40
"""Field names kept per difference."""


class Entered(NamedTuple):
    """Rows of the expected batch that the target holds, and rows about which something was entered: lost, unreadable,
    different, or equal only within the bound."""

    found: list[int]
    flawed: list[int]


def enter_fetched(
    tally: Tally,
    part: Mapped,
    actual: Sequence[RecordBatch],
    rules: Rules,
    *,
    namespace: str,
    unreadable: Collection[RecordId] = (),
) -> Entered:
    """Compare records that `tally.expect` has counted with what was fetched for them, and enter all that is wrong.

    `namespace`: the source's. `unreadable`: target ids that could not be read, which is not the same as missing.
    """
    batch = part.batch
    found: list[int] = []
    flawed: list[int] = []
    where = {record_id: row for row, record_id in enumerate(batch.ids)}
    for some in actual:
        theirs = [row for row, record_id in enumerate(some.ids) if record_id in where]
        ours = [where[some.ids[row]] for row in theirs]
        found += ours
        flawed += _enter_compared(tally, take(part, ours), some.take(theirs), rules, namespace, ours)
    lost = sorted(set(range(len(batch))).difference(found))
    unread = [row for row in lost if batch.ids[row] in unreadable]
    tally.absent(batch.take(unread), unreadable=True)
    _enter_missing(tally, take(part, [row for row in lost if batch.ids[row] not in unreadable]), namespace)
    return Entered(found, flawed + lost)


def _enter_compared(
    tally: Tally, part: Mapped, actual: RecordBatch, rules: Rules, namespace: str, rows: Sequence[int]
) -> list[int]:
    expected = part.batch
    comparison = compare(expected, actual, rules)
    for name, agreement in comparison.vectors.items():
        if name in tally.vectors:
            tally.vectors[name].add(agreement)
    flawed: list[int] = []
    for i, verdict in enumerate(comparison.verdicts):
        tally.within_bound += verdict.loose
        if verdict.fields or verdict.loose:
            flawed.append(rows[i])
        if not verdict.fields:
            continue
        tally.different += 1
        tally.unequal({path for path, _ in leaves(expected.metadata[i])}.intersection(verdict.fields))
        tally.keep(
            Difference(
                kind=DifferenceKind.DIFFERENT,
                namespace=expected.namespace,
                source_id=part.source_ids[i],
                target_id=expected.ids[i],
                source_namespace=namespace,
                fields=verdict.fields[:MAX_FIELDS],
                similarity=verdict.similarity,
            )
        )
    return flawed


def _enter_missing(tally: Tally, part: Mapped, namespace: str) -> None:
    """Count expected records of a source namespace that the target lacks."""
    tally.absent(part.batch)
    for target_id, source_id in zip(part.batch.ids, part.source_ids, strict=True):
        if tally.would_keep(part.batch.namespace, target_id):
            tally.keep(
                Difference(
                    kind=DifferenceKind.MISSING,
                    namespace=part.batch.namespace,
                    source_id=source_id,
                    target_id=target_id,
                    source_namespace=namespace,
                )
            )


def enter_unmappable(tally: Tally, namespace: str, source_namespace: str, source_id: RecordId, code: str) -> None:
    """Count a source record that cannot be on the target although no reject accounts for it: it is missing there."""
    tally.population += 1
    tally.missing += 1
    tally.keep(
        Difference(
            kind=DifferenceKind.MISSING,
            namespace=namespace,
            source_id=source_id,
            target_id=source_id,
            source_namespace=source_namespace,
            fields=(f"(cannot be mapped: {code})",),
        )
    )


def enter_lost(tally: Tally, source: RecordBatch, part: Mapped, rules: MappingRules) -> None:
    """Count the records of a mapped source batch whose form on the target would not come home as the source's record:
    they differ, whatever the target holds."""
    for row, fields in lost_on_the_round_trip(source, part, rules):
        tally.different += 1
        tally.keep(
            Difference(
                kind=DifferenceKind.DIFFERENT,
                namespace=part.batch.namespace,
                source_id=part.source_ids[row],
                target_id=part.batch.ids[row],
                source_namespace=source.namespace,
                fields=tuple(f"{name} (would not come back)" for name in fields[:MAX_FIELDS]),
            )
        )


def enter_extras(tally: Tally, surplus: RecordBatch) -> None:
    """Count target records that the source does not have; a sidecar holds the id that they came from."""
    tally.extra += len(surplus)
    rows = [row for row, record_id in enumerate(surplus.ids) if tally.would_keep(surplus.namespace, record_id)]
    if not rows:
        return
    batch = surplus.take(rows)
    origin = restore(batch)
    for row, target_id in enumerate(batch.ids):
        original = origin.batch.ids[row]
        known = original != target_id or type(original) is not type(target_id)
        tally.keep(
            Difference(
                kind=DifferenceKind.EXTRA,
                namespace=batch.namespace,
                source_id=original if known else None,
                target_id=target_id,
                source_namespace=origin.namespaces[row] if origin.namespaces else None,
            )
        )
