"""Ids that an existing target holds already, counted before anything is written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from vectormigrate.engine.retry import RetryingSource, RetryingTarget
from vectormigrate.mapping.apply import Mapper
from vectormigrate.model.ids import RecordId
from vectormigrate.model.position import Partition

PAGE_ROWS = 1000
EXAMPLES = 3


@dataclass(slots=True)
class Collisions:
    """How many source records go to an id that is taken, and some of these ids."""

    found: int = 0
    examples: list[RecordId] = field(default_factory=list[RecordId])

    def warnings(self, overwrite: bool) -> Iterator[str]:
        """What the operator should know beforehand."""
        if self.found:
            examples = ", ".join(map(repr, self.examples)) + (", …" if self.found > len(self.examples) else "")
            fate = "overwritten, and cannot be rolled back" if overwrite else "rejected"
            yield f"{self.found:,} ids are on the target already ({examples}): these records will be {fate}"


async def count_collisions(
    source: RetryingSource, partitions: Sequence[Partition], mapper: Mapper, target: RetryingTarget
) -> Collisions:
    """Ask the target for the id of every source record. Reads ids and metadata only."""
    collisions = Collisions()
    for partition in partitions:
        pages = source.scan(partition, vectors=False, page_rows=PAGE_ROWS)
        async with aclosing(pages):
            async for page in pages:
                for part in mapper.apply_all(page.batch):
                    there = await target.fetch(part.batch.ids, part.batch.namespace, vectors=False)
                    collisions.found += len(there)
                    collisions.examples = (collisions.examples + there.ids)[:EXAMPLES]
    return collisions
