"""The last check before the authority moves: nobody writes, so whatever differs now is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import anyio

from vectormigrate.capture.journal.records import SideFigures
from vectormigrate.capture.journal.touched import TouchedKeys
from vectormigrate.capture.keys import Key
from vectormigrate.capture.proving.confirming import EXAMPLES, Confirmer
from vectormigrate.capture.proving.full_pass import named
from vectormigrate.capture.proving.rounds import VerifyRounds
from vectormigrate.capture.proving.sides import Found, Sides, found_in, known_namespaces, owner
from vectormigrate.engine.events import Listener, ignore
from vectormigrate.errors import AdapterError
from vectormigrate.figures import counted, percent_above, plural
from vectormigrate.model.clock import steady_seconds
from vectormigrate.model.ids import RecordId, id_key
from vectormigrate.model.position import Page
from vectormigrate.validation.common import PAGE_ROWS, read_all, scope_of
from vectormigrate.validation.counts import count_check
from vectormigrate.validation.diff import full_diff
from vectormigrate.validation.sample import BottomK

SAMPLE = 1000
"""Untouched records of the audit, of each side."""

COUNT_SECONDS = 1.5
"""How long the counts may take, which some services can only do by listing every id."""

LISTED = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether both sides hold the same: how many records were compared, what is wrong, and what exactly was shown. An
    error is a problem. `unrepaired`: records differ that nobody has marked for the applier."""

    passed: bool
    compared: int
    problems: tuple[str, ...] = ()
    statement: str = ""
    seconds: float = 0.0
    unrepaired: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """Records drawn uniformly from each side while traffic ran, and out of how many."""

    source: Sequence[Key] = ()
    target: Sequence[Found] = ()
    source_rows: int = 0
    target_rows: int = 0


async def draw(sides: Sides, *, size: int = SAMPLE, seed: int = 0, page_rows: int = PAGE_ROWS) -> Audit:
    """Draw the records that `fast` compares; lists the ids of both sides, so it is done before the freeze. Raises what
    the adapters raise."""
    scope = scope_of(sides.plan, sides.mapper, created=sides.created)
    ours, theirs = BottomK(size, seed), BottomK(size, seed)
    kept: dict[tuple[str, str], Found] = {}

    async def from_source(page: Page) -> None:
        name = page.batch.namespace
        ours.offer(name, [item for item in page.batch.ids if (name, id_key(item)) not in sides.rejected])

    async def from_target(page: Page) -> None:
        batch = page.batch
        if scope.ours_only:
            written = set(await sides.which_written(batch.namespace, batch.ids))
            batch = batch.take([row for row, item in enumerate(batch.ids) if item in written])
        theirs.offer(batch.namespace, batch.ids)
        chosen = {(place, id_key(item)) for place, ids in theirs.chosen().items() for item in ids}
        for key in kept.keys() - chosen:
            del kept[key]
        for found in found_in(batch):
            if (found.place, id_key(found.id)) in chosen:
                kept[found.place, id_key(found.id)] = found

    await read_all(sides.source, scope.source, from_source, vectors=False, page_rows=page_rows)
    await read_all(sides.target, scope.target, from_target, vectors=False, page_rows=page_rows)
    drawn = [Key(name, record_id) for name, ids in ours.chosen().items() for record_id in ids]
    return Audit(source=drawn, target=list(kept.values()), source_rows=ours.offered, target_rows=theirs.offered)


@dataclass(slots=True)
class _Findings:
    """What a check has found so far."""

    compared: int = 0
    unrepaired: bool = False
    problems: list[str] = field(default_factory=list[str])
    said: list[str] = field(default_factory=list[str])
    started: float = field(default_factory=steady_seconds)

    def verdict(self) -> Verdict:
        return Verdict(
            passed=not self.problems,
            compared=self.compared,
            problems=tuple(self.problems[:EXAMPLES]),
            statement=" ".join(self.said),
            seconds=steady_seconds() - self.started,
            unrepaired=self.unrepaired,
        )


async def strict(
    sides: Sides, touched: TouchedKeys, *, listener: Listener = ignore, count_seconds: float = COUNT_SECONDS
) -> Verdict:
    """Compare every record of both sides, in both directions, and the counts, since a scan that leaves a record out
    while it is copied may do so again. Relies on nothing that captured or copied: only on the fence, on reads that are
    fresh, and on the mapping. Takes as long as both sides take to be read; the counts are given up after
    `count_seconds`."""
    found = _Findings()
    try:
        diff = await full_diff(
            source=sides.source,
            target=sides.target,
            mapper=sides.mapper,
            plan=sides.plan,
            created=sides.created,
            which_written=sides.which_written,
            rejected=sides.rejected,
            listener=listener,
            limit=LISTED,
        )
        parked = {key for key, _ in touched.parked(LISTED)}
        names = await known_namespaces(sides)
        found.compared = diff.compared
        excused = 0
        for item in diff.differences:
            original = item.target_id if item.source_id is None else item.source_id
            key: Key | None = Key(item.source_namespace or "", original)
            if item.source_id is None or item.source_namespace is None:
                where = Found(item.namespace, item.target_id, original, item.source_namespace)
                key = await owner(sides, where, names)
            if key is not None and _is_parked(key, parked):
                excused += 1
            else:
                found.unrepaired = True
                at = Key(item.namespace, item.target_id)
                found.problems.append(named(at, f"{item.kind} {' '.join(item.fields)}".strip()))
        unlisted = diff.missing + diff.extra + diff.different - len(diff.differences)
        if unlisted:
            found.problems.append(f"{plural(unlisted, 'further difference')} that no list has room for")
        if diff.unreadable:
            found.problems.append(f"{plural(diff.unreadable, 'record')} could not be read")
        found.said.append(diff.statement)
        if excused:
            found.said.append(f"{plural(excused, 'difference')} of parked records are not counted.")
        await _counted(sides, len(parked), found, count_seconds)
    except AdapterError as error:
        found.problems.append(f"a side could not be read: {error}")
    return found.verdict()


async def fast(
    confirmer: Confirmer,
    touched: TouchedKeys,
    audit: Audit,
    *,
    count_seconds: float = COUNT_SECONDS,
) -> Verdict:
    """Compare what was touched and not compared since, the counts, and a sample of what was never touched, from both
    sides. Costs as much as there is to compare, whatever the size of the collections; the counts are given up after
    `count_seconds`. Relies on the gateway having seen every write, which the sample tests at its rate."""
    found = _Findings()
    await _touched(confirmer, touched, found)
    figures: SideFigures = await confirmer.journalled(touched.figures)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_counted, confirmer.sides, figures.parked, found, count_seconds)
        tasks.start_soon(_sampled, confirmer, touched, audit, found)
    return found.verdict()


async def _touched(confirmer: Confirmer, touched: TouchedKeys, found: _Findings) -> None:
    """Every settled key that was not compared since; a dirty one cannot be."""
    rounds, verified = VerifyRounds(confirmer), 0
    while True:
        result = await rounds.round()
        verified += result.verified
        found.problems += [named(key, what) for key, what in {**result.diverged, **result.errors}.items()]
        if result.waiting or result.hot:
            found.problems.append(f"{plural(result.waiting + result.hot, 'key')} still moved")
        if result.ended:
            break
    figures: SideFigures = await confirmer.journalled(touched.figures)
    if figures.dirty > figures.parked:
        found.problems.append(f"{plural(figures.dirty - figures.parked, 'key')} are dirty")
    if figures.scopes:
        found.problems.append(f"{plural(len(figures.scopes), 'change')} of unknown keys are not reconciled")
    found.compared += verified
    found.said.append(f"{counted(verified)} touched records were compared after their last write, and the rest before.")
    if figures.parked:
        found.said.append(f"{plural(figures.parked, 'parked record')} were not compared.")


async def _counted(sides: Sides, parked: int, found: _Findings, seconds: float) -> None:
    """Equal counts prove no content; unequal ones prove that something is wrong."""
    try:
        with anyio.move_on_after(seconds) as scope:
            counts = await count_check(
                source=sides.source,
                target=sides.target,
                mapper=sides.mapper,
                plan=sides.plan,
                created=sides.created,
                which_written=sides.which_written,
                rejected=sides.rejected,
            )
            for each in counts:
                # A parked record may be on the target, in an older form, or not.
                if abs(each.source - each.rejected - each.target) > parked:
                    found.unrepaired = True
                    theirs = f"the other {counted(each.target)}"
                    found.problems.append(
                        f"{each.namespace or 'the default namespace'}: one side has {counted(each.source)} records, of"
                        f" which {counted(each.rejected)} are rejected, {theirs}"
                    )
            found.said.append(f"The records of {plural(len(counts), 'namespace')} were counted.")
        if scope.cancelled_caught:
            found.said.append("The counts were not compared: they would take too long here.")
    except AdapterError as error:
        found.problems.append(f"the counts could not be read: {error}")


async def _sampled(confirmer: Confirmer, touched: TouchedKeys, audit: Audit, found: _Findings) -> None:
    """Those of the drawn records that nothing has touched, by now."""
    sides = confirmer.sides
    try:
        names = await known_namespaces(sides)
        keys: dict[Key, None] = dict.fromkeys(audit.source)
        for item in audit.target:
            key = await owner(sides, item, names)
            if key is None:
                found.problems.append(named(Key(item.place, item.id), "on the target, and nobody's"))
            else:
                keys[key] = None
        untouched = await _untouched(confirmer, touched, list(keys))
    except AdapterError as error:
        found.problems.append(f"the sample could not be read: {error}")
        return
    confirmed = await confirmer.confirm(untouched)
    found.problems += [named(key, what) for key, what in {**confirmed.diverged, **confirmed.errors}.items()]
    if confirmed.hot or confirmed.pending > confirmed.parked:
        moved = confirmed.hot + confirmed.pending - confirmed.parked
        found.problems.append(f"{plural(moved, 'untouched record')} moved")
    n = confirmed.equal
    found.compared += n
    text = f"{counted(n)} records that no request touched, drawn from both sides, were compared"
    if not n:
        text = "There was no untouched record to draw"
    elif not confirmed.diverged and not confirmed.errors:
        text += f" and agree: with 95 % confidence fewer than {percent_above(min(3, n), n)} of those are bad"
    found.said.append(f"{text}.")


async def _untouched(confirmer: Confirmer, touched: TouchedKeys, keys: Sequence[Key]) -> list[Key]:
    by_namespace: dict[str, list[RecordId]] = {}
    for key in keys:
        by_namespace.setdefault(key.namespace or "", []).append(key.id)
    left: list[Key] = []
    for name, ids in by_namespace.items():
        gone: set[RecordId] = await confirmer.journalled(lambda name=name, ids=ids: touched.ever_touched(name, ids))
        left += [Key(name, record_id) for record_id in ids if record_id not in gone]
    return left


def _is_parked(key: Key, parked: set[Key]) -> bool:
    return key in parked or Key(None, key.id) in parked
