"""Search parity: the same queries on both sides, judged by brute force over one scan of each side.

Raw overlap mixes data errors with index differences, so four figures are reported: the recall of either engine against
the exact answer on its own data, the overlap of the two engines' answers, and the overlap of the two exact answers,
which is 1 (up to ties) when the data agrees, whatever the indexes do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from vectormigrate.adapter import Source, Target
from vectormigrate.engine.events import Checking, Listener, ignore
from vectormigrate.errors import AdapterError, AuthFailed, CollectionNotFound, TransientError
from vectormigrate.mapping.convert.mapper import Mapper
from vectormigrate.mapping.convert.origin import restore
from vectormigrate.model.batch import BoolMask, DenseColumn, RecordBatch
from vectormigrate.model.plan import MigrationPlan, VectorMapping
from vectormigrate.model.position import Page
from vectormigrate.model.schema import VectorKind
from vectormigrate.model.status import SearchCheck
from vectormigrate.validation.common import PAGE_ROWS, read_all
from vectormigrate.validation.exact import Key, Nearest, Queries
from vectormigrate.validation.queries import make_queries
from vectormigrate.validation.sample import sample_ids

Scored = tuple[Key, float | None, float | None]
"""A record of an answer: its key, and its exact scores on the source and on the target, if it was seen there."""

SOURCE_ID = "source id"
"""Keys are (target namespace, target id); a source record is (SOURCE_ID, id) until its place on the target is known."""

K = 10
MAX_NAMESPACES = 8
"""Namespaces searched, the largest first."""


@dataclass(slots=True, kw_only=True)
class _Trial:
    """One vector field in one source namespace, the two engines' answers, and the exact ones."""

    mapping: VectorMapping
    namespace: str
    place: str
    note: str
    from_source: list[list[Key]]
    from_target: list[list[Key]]
    at_source: Nearest
    at_target: Nearest
    target_keys: dict[Key, Key] = field(default_factory=dict[Key, Key])
    """Where the source records of the answers are on the target."""


async def search_parity(
    *,
    source: Source,
    target: Target,
    mapper: Mapper,
    plan: MigrationPlan,
    queries: int = 50,
    k: int = K,
    seed: int = 0,
    listener: Listener = ignore,
    page_rows: int = PAGE_ROWS,
    max_namespaces: int = MAX_NAMESPACES,
) -> tuple[SearchCheck, ...]:
    """One check per vector field and namespace (the `max_namespaces` largest). `queries` per check, fewer where fewer
    records hold the field. A field that one side cannot search is reported with a note and 0 queries."""
    sizes = await _sizes(source, plan)
    names = [name for name, _ in sizes[:max_namespaces]]
    left_out = f"{len(sizes) - len(names)} smaller namespaces were not searched" if len(sizes) > len(names) else ""
    checks: list[SearchCheck] = []
    for number, name in enumerate(names):
        trials, notes = await _ask(source, target, mapper, plan, name, queries, k, seed, page_rows)
        if trials:
            await _judge(source, target, mapper, name, trials, k, page_rows)
        checks += sorted([*notes, *(_check(trial, k) for trial in trials)], key=lambda check: check.vector)
        listener(Checking(stage="search", done=number + 1, total=len(names)))
    return tuple(replace(check, note="; ".join(filter(None, (check.note, left_out)))) for check in checks)


async def _sizes(source: Source, plan: MigrationPlan) -> list[tuple[str, int]]:
    """The namespaces to search with their sizes, the largest first, without the empty ones."""
    wanted = plan.spec.namespaces
    names = [name for name in await source.namespaces() if wanted is None or name in wanted]
    sizes = list((await source.counts(names)).items())
    return sorted((item for item in sizes if item[1]), key=lambda item: (-item[1], item[0]))


async def _ask(
    source: Source,
    target: Target,
    mapper: Mapper,
    plan: MigrationPlan,
    name: str,
    most: int,
    k: int,
    seed: int,
    page_rows: int,
) -> tuple[list[_Trial], list[SearchCheck]]:
    """Make the queries of a namespace and put them to both engines."""
    # records may lack a sparse or optional vector, so more of them are drawn than queries are needed
    sample = await sample_ids(source, 4 * most, seed, (name,), frozenset(), page_rows)
    batch = await source.fetch(sample.chosen().get(name, []), name)
    places = [part.batch.namespace for part in mapper.convert(batch)]
    trials: list[_Trial] = []
    notes: list[SearchCheck] = []
    for mapping in mapper.rules.vectors:
        item = plan.source_schema.vector(mapping.source)
        if item is None:
            continue
        if len(places) != 1:
            notes.append(_unsearched(mapping, name, k, "its records go to several target namespaces"))
            continue
        if item.kind is VectorKind.MULTI:
            notes.append(_unsearched(mapping, name, k, "multi-vector fields are compared by the diff only"))
            continue
        rng = np.random.default_rng([seed, *name.encode("utf-8", "surrogatepass")])
        made = make_queries(batch, item, plan.target_schema.vector(mapping.target), most, rng)
        if made is None:
            continue
        try:
            ours = await _search("source", source, mapping.source, made[0], k, name, SOURCE_ID)
            theirs = await _search("target", target, mapping.target, made[1], k, places[0], places[0])
        except _Unsearchable as refused:
            notes.append(_unsearched(mapping, name, k, str(refused)))
            continue
        trials.append(
            _Trial(
                mapping=mapping,
                namespace=name,
                place=places[0],
                note=_metric_note(plan, mapping),
                from_source=ours,
                from_target=theirs,
                at_source=Nearest(made[0], k, [{*a, *b} for a, b in zip(ours, theirs, strict=True)]),
                at_target=Nearest(made[1], k, [set(answer) for answer in theirs]),
            )
        )
    return trials, notes


def _metric_note(plan: MigrationPlan, mapping: VectorMapping) -> str:
    ours, theirs = plan.source_schema.vector(mapping.source), plan.target_schema.vector(mapping.target)
    if ours is None or theirs is None or ours.metric is theirs.metric:
        return ""
    return f"the metric changes from {ours.metric} to {theirs.metric}, so the answers may differ"


class _Unsearchable(Exception):
    """One side cannot search this field."""


async def _search(
    side: str, engine: Source, name: str, queries: Queries, k: int, namespace: str, tag: str
) -> list[list[Key]]:
    try:
        hits = await engine.search(name, queries.values, k, namespace)
    except (TransientError, AuthFailed, CollectionNotFound):
        raise
    except AdapterError as error:
        raise _Unsearchable(f"the {side} cannot search this field: {error}") from error
    return [[(tag, record_id) for record_id in hit.ids[:k]] for hit in hits]


async def _judge(
    source: Source, target: Target, mapper: Mapper, name: str, trials: list[_Trial], k: int, page_rows: int
) -> None:
    """Scan both sides once for all trials of a namespace: exact answers and the exact scores of what was answered."""

    wanted = {record_id for trial in trials for answer in trial.from_source for _, record_id in answer}

    async def from_source(page: Page) -> None:
        ids = page.batch.ids
        own: list[Key] = [(SOURCE_ID, item) for item in ids]
        keys = _target_keys(mapper, page.batch, own)
        for trial in trials:
            column = page.batch.vectors[trial.mapping.source]
            real = _real(page.batch, trial.mapping.source, zeros_filled=False)
            trial.at_source.add(keys, column, real, aliases=own)
            trial.target_keys.update((own[row], keys[row]) for row, item in enumerate(ids) if item in wanted)

    async def from_target(page: Page) -> None:
        keys = [(page.batch.namespace, item) for item in page.batch.ids]
        for trial in trials:
            column = page.batch.vectors.get(trial.mapping.target)
            if column is not None:
                guess = trial.mapping.fill and not mapper.rules.sidecar
                trial.at_target.add(keys, column, _real(page.batch, trial.mapping.target, zeros_filled=guess))

    await read_all(source, (name,), from_source, page_rows=page_rows)
    for trial in trials:
        for number, watched in enumerate(trial.at_target.watched):
            watched.update(trial.target_keys.get(key, key) for key in trial.from_source[number])
            watched.update(key for _, key in trial.at_source.best[number])
    await read_all(target, tuple({trial.place for trial in trials}), from_target, page_rows=page_rows)


def _target_keys(mapper: Mapper, batch: RecordBatch, own: list[Key]) -> list[Key]:
    """Where the records of a source page are on the target; a record that cannot go there keeps its own key."""
    keys = list(own)
    for part in mapper.convert(batch):
        for row, target_id in zip(part.rows.tolist(), part.batch.ids, strict=True):
            keys[row] = (part.batch.namespace, target_id)
    return keys


def _real(batch: RecordBatch, name: str, *, zeros_filled: bool) -> BoolMask | None:
    """The rows whose vector is a real one (None: as the column says): zeros that stand for a missing vector are no
    neighbours. Sidecars tell them; `zeros_filled`: nothing tells them, so every zero vector is taken for one."""
    column = batch.vectors[name]
    if zeros_filled and isinstance(column, DenseColumn):
        return np.asarray(column.values.any(axis=1))
    return restore(batch).batch.vectors[name].valid


def _check(trial: _Trial, k: int) -> SearchCheck:
    near, far = trial.at_source, trial.at_target
    numbers = range(len(near.queries))
    overlaps: list[float] = []
    for number in numbers:
        tie = None if trial.note else max(near.tolerance(number), far.tolerance(number))
        ours: list[Scored] = []
        for key in trial.from_source[number]:
            place = trial.target_keys.get(key, key)
            ours.append((place, near.scores.get((number, key)), far.scores.get((number, place))))
        theirs: list[Scored] = [
            (key, near.scores.get((number, key)), far.scores.get((number, key))) for key in trial.from_target[number]
        ]
        overlaps.append(overlap(ours, theirs, tie))
    return SearchCheck(
        vector=trial.mapping.target,
        namespace=trial.namespace,
        queries=len(numbers),
        k=k,
        recall_source=_mean([near.recall(number, trial.from_source[number]) for number in numbers]),
        recall_target=_mean([far.recall(number, trial.from_target[number]) for number in numbers]),
        overlap=_mean(overlaps),
        overlap_exact=_mean([_exact_overlap(near, far, number) for number in numbers]),
        worst_overlap=min(overlaps, default=0.0),
        per_query_overlap=tuple(overlaps),
        note=trial.note,
    )


def _exact_overlap(near: Nearest, far: Nearest, number: int) -> float:
    """Share of the source's best records that are among the target's best, ties at the end included."""
    size = max(len(near.best[number]), len(far.best[number]))
    return far.hits(number, [key for _, key in near.best[number]]) / size if size else 1.0


def overlap(ours: Sequence[Scored], theirs: Sequence[Scored], tie: float | None) -> float:
    """Share of two answers that agrees: the same record, or two records whose scores differ by no more than `tie` on
    the source *and* on the target, so that either engine could have returned either (None: no ties). Two empty answers
    agree."""
    size = max(len(ours), len(theirs))
    if not size:
        return 1.0
    common = {key for key, *_ in ours} & {key for key, *_ in theirs}
    left = {item[0]: item for item in theirs if item[0] not in common}
    agreed = len(common)
    for mine in {item[0]: item for item in ours if item[0] not in common}.values():
        twin = next((item[0] for item in left.values() if _tied(mine, item, tie)), None)
        if twin is not None:
            del left[twin]
            agreed += 1
    return agreed / size


def _tied(one: Scored, other: Scored, tie: float | None) -> bool:
    if tie is None:
        return False
    pairs = zip(one[1:], other[1:], strict=True)
    return all(a is not None and b is not None and abs(a - b) <= tie for a, b in pairs)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _unsearched(mapping: VectorMapping, name: str, k: int, note: str) -> SearchCheck:
    return SearchCheck(
        vector=mapping.target,
        namespace=name,
        queries=0,
        k=k,
        recall_source=0.0,
        recall_target=0.0,
        overlap=0.0,
        overlap_exact=0.0,
        worst_overlap=0.0,
        note=note,
    )
