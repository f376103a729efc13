"""Cutting a collection into partitions: ranges of ids, per namespace, at boundaries that depend only on the records.

There is no filter for a range of ids; a scroll starts at an id and the reader stops at the end of its range. Slices
(server 1.19) would be disjoint too, but every slice walks over all ids (a quarter slower with 4, half as fast with
16), so they only serve to sample the boundaries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from vectormigrate.adapters.qdrant.filters import Where
from vectormigrate.adapters.qdrant.ids import MAX_INT, MAX_UUID, PointId, next_id, order
from vectormigrate.adapters.qdrant.layout import Layout
from vectormigrate.adapters.qdrant.session import Session
from vectormigrate.model.ids import RecordId, id_key
from vectormigrate.model.position import Partition

SAMPLE_IDS = 20_000
PAGE_IDS = 10_000


async def cut(
    session: Session, layout: Layout, counts: dict[str, int], wanted: Sequence[str], n: int
) -> list[Partition]:
    """About `n` partitions of these namespaces, each in proportion to its records."""
    total = sum(counts.get(name, 0) for name in wanted) or 1
    found: list[Partition] = []
    for name in wanted:
        rows = counts.get(name, 0)
        parts = min(max(1, n * rows // total), max(1, rows))
        where = session.where(layout, name)
        cuts = [] if where is None or parts == 1 else await _cuts(session, layout, where, rows, parts)
        bounds = [None, *map(id_key, cuts), None]
        parts = len(bounds) - 1
        found.extend(
            Partition(
                id=f"{name}/{part}",
                namespace=name,
                bounds=[bounds[part], bounds[part + 1]],
                rows=rows * (part + 1) // parts - rows * part // parts,
            )
            for part in range(parts)
        )
    return found


async def _cuts(session: Session, layout: Layout, where: Where, rows: int, parts: int) -> list[RecordId]:
    share = max(1, rows // SAMPLE_IDS)
    if share > 1 and not session.server.since(19):
        return await _spread(session, where, parts)
    chosen = where if share == 1 else replace(where, slice=(share, 0))
    page = min(PAGE_IDS, layout.strict.get("max_query_limit") or PAGE_IDS)
    ids: list[RecordId] = []
    offset: RecordId | None = None
    while True:
        records = await session.points.scroll(chosen, offset, page, (), payload=False)
        ids.extend(records.ids)
        offset = records.following
        if offset is None:
            break
    cuts = [ids[len(ids) * part // parts] for part in range(1, parts)] if ids else []
    return sorted(set(cuts), key=order)


async def _spread(session: Session, where: Where, parts: int) -> list[RecordId]:
    """Even cuts of the ranges of numbers and of UUIDs in use, which are found by bisection. Good for running numbers,
    random UUIDs and ids that begin with a time."""

    async def at(offset: RecordId) -> RecordId | None:
        records = await session.points.scroll(where, offset, 1, (), payload=False)
        return records.ids[0] if records.ids else None

    async def last(low: PointId, high: int) -> PointId:
        """The last id of the kind of `low`, which exists."""
        while True:
            number = low.int if isinstance(low, UUID) else low
            if number >= high:
                return low
            middle = number + (high - number + 1) // 2
            found = await at(UUID(int=middle) if isinstance(low, UUID) else middle)
            if found is not None and type(found) is type(low):
                low = found  # pyright: ignore[reportAssignmentType]
            else:
                high = middle - 1

    cuts: list[RecordId] = []
    spans: list[tuple[PointId, PointId]] = []
    first = await at(0)
    if isinstance(first, int):
        spans.append((first, await last(first, MAX_INT)))
        first = await at(UUID(int=0))
    if isinstance(first, UUID):
        spans.append((first, await last(first, MAX_UUID.int)))
        if len(spans) > 1:
            cuts.append(first)
    for low, high in spans:
        share = max(1, parts // len(spans))
        start, end = (item.int if isinstance(item, UUID) else item for item in (low, high))
        places = {start + (end - start + 1) * part // share for part in range(1, share)} - {start}
        cuts.extend(UUID(int=place) if isinstance(low, UUID) else place for place in places)
    return sorted(set(cuts), key=order)


def after(cursor: RecordId | None, first: RecordId | None) -> tuple[RecordId | None, bool]:
    """Where a scan continues: the id to start at (None: the first), and whether anything can follow at all."""
    if cursor is None:
        return first, True
    following = next_id(cursor)
    return following, following is not None
