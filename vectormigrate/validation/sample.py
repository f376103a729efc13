"""Sampled comparison: uniform over the source's records, seeded, with an honest statement of what it proves."""

from __future__ import annotations

import time
from hashlib import blake2b
from heapq import heappush, heappushpop

from vectormigrate.adapter import Source, Target
from vectormigrate.engine.events import Checking, Listener, ignore
from vectormigrate.figures import counted, percent, percent_above
from vectormigrate.mapping.convert.mapper import Mapper
from vectormigrate.model.ids import RecordId, id_key
from vectormigrate.model.plan import MigrationPlan
from vectormigrate.model.position import Page
from vectormigrate.model.status import DiffCheck
from vectormigrate.validation.common import PAGE_ROWS, Rejected, expect, fetch_readable, read_all
from vectormigrate.validation.compare import Rules
from vectormigrate.validation.digest import key_bytes
from vectormigrate.validation.findings import enter_fetched, enter_lost, enter_unmappable
from vectormigrate.validation.tally import Tally

LIMIT = 1000


class BottomK:
    """The `k` records with the smallest keyed hash: a uniform sample without replacement that depends on the seed and
    on which records exist, but not on the order in which they are offered."""

    def __init__(self, k: int, seed: int) -> None:
        self._k = k
        self._key = seed.to_bytes(8, "little", signed=True)
        self._heap: list[tuple[int, str, str, RecordId]] = []
        self.offered = 0

    def offer(self, namespace: str, ids: list[RecordId]) -> None:
        """Consider these records."""
        self.offered += len(ids)
        prefix = blake2b(namespace.encode("utf-8", "surrogatepass") + b"\0", digest_size=8, key=self._key)
        for record_id in ids:
            one = prefix.copy()
            one.update(key_bytes(record_id))
            rank = -int.from_bytes(one.digest(), "little")
            if len(self._heap) < self._k:
                heappush(self._heap, (rank, namespace, id_key(record_id), record_id))
            elif self._k and rank > self._heap[0][0]:
                heappushpop(self._heap, (rank, namespace, id_key(record_id), record_id))

    def chosen(self) -> dict[str, list[RecordId]]:
        """The sample by namespace, in a fixed order."""
        found: dict[str, list[RecordId]] = {}
        for _, namespace, _, record_id in sorted(self._heap, reverse=True, key=lambda item: item[:3]):
            found.setdefault(namespace, []).append(record_id)
        return found


async def sample_ids(
    source: Source, size: int, seed: int, namespaces: tuple[str, ...] | None, rejected: Rejected, page_rows: int
) -> BottomK:
    """A uniform sample of the source's ids, known rejects left out, from one scan without vectors."""
    sample = BottomK(size, seed)

    async def handle(page: Page) -> None:
        namespace, ids = page.batch.namespace, page.batch.ids
        sample.offer(namespace, [item for item in ids if (namespace, id_key(item)) not in rejected])

    await read_all(source, namespaces, handle, vectors=False, page_rows=page_rows)
    return sample


async def sample_diff(
    *,
    source: Source,
    target: Target,
    mapper: Mapper,
    plan: MigrationPlan,
    size: int,
    seed: int = 0,
    rejected: Rejected = frozenset(),
    min_similarity: float | None = None,
    listener: Listener = ignore,
    page_rows: int = PAGE_ROWS,
    limit: int = LIMIT,
) -> DiffCheck:
    """Compare `size` records of the source, chosen uniformly and reproducibly, with the target. Cannot see extras."""
    started = time.monotonic()
    rules = Rules.of(mapper.rules, plan.spec.min_similarity if min_similarity is None else min_similarity)
    sample = await sample_ids(source, size, seed, plan.spec.namespaces, rejected, page_rows)
    tally = Tally(limit)
    chosen = sample.chosen()
    total = sum(map(len, chosen.values()))
    for namespace, ids in chosen.items():
        for start in range(0, len(ids), page_rows):
            piece = ids[start : start + page_rows]
            await compare_ids(source, target, mapper, rules, tally, namespace, piece, rejected, page_rows)
            listener(Checking(stage="diff", done=tally.population, total=total))
    return DiffCheck(
        full=False,
        compared=tally.compared,
        identical=tally.identical,
        within_bound=tally.within_bound,
        missing=tally.missing,
        extra=0,
        different=tally.different,
        unreadable=tally.unreadable,
        population=sample.offered,
        statement=statement(tally, sample.offered, seed),
        vectors=tally.vector_checks(rules.vectors, rules.default),
        metadata_fields=tally.field_checks(mapper.rules.renames),
        differences=tuple(item for _, item in tally.kept),
        seconds=time.monotonic() - started,
    )


async def compare_ids(
    source: Source,
    target: Target,
    mapper: Mapper,
    rules: Rules,
    tally: Tally,
    namespace: str,
    ids: list[RecordId],
    rejected: Rejected,
    page_rows: int,
) -> None:
    """Read these source records on both sides and enter what differs. An id that the source no longer holds is passed
    over; one that it cannot read is unreadable."""
    batches, unreadable = await fetch_readable(source, ids, namespace, page_rows=page_rows)
    tally.population += len(unreadable)
    tally.unreadable += len(unreadable)
    for batch in batches:
        expected = expect(mapper, batch, rejected)
        for item in expected.unmappable:
            enter_unmappable(tally, mapper.target_namespace(item[0]), *item)
        for part in expected.parts:
            ids, place = part.batch.ids, part.batch.namespace
            actual, bad = await fetch_readable(target, ids, place, page_rows=page_rows)
            tally.expect(part.batch)
            enter_lost(tally, batch, part, mapper.rules)
            enter_fetched(tally, part, actual, rules, namespace=namespace, unreadable=set(bad))


def statement(tally: Tally, population: int, seed: int) -> str:
    """What the sample proves (zero-defect sampling, "rule of three": with 0 bad of n, fewer than 3/n are bad with 95 %
    confidence; drawing without replacement only makes that safer)."""
    n = tally.population
    bad = tally.missing + tally.different + tally.unreadable
    drawn = f"{counted(n)} of {counted(population)} source records, drawn uniformly (seed {seed}), were compared"
    blind = "Records that only the target has cannot be seen this way."
    if n == 0:
        return f"Nothing was compared: the source holds no records to sample. {blind}"
    if n >= population:
        result = "every one agrees" if not bad else f"{counted(bad)} do not agree"
        return f"All {counted(population)} source records were compared: {result}. {blind}"
    if bad:
        return f"{drawn}: {counted(bad)} do not agree ({percent(bad, n)} of the sample). {blind}"
    return (
        f"{drawn} and none is bad: with 95 % confidence fewer than {percent_above(min(3, n), n)} of all records are"
        f" bad. That bounds a rate; it does not prove that no record was lost. {blind}"
    )
