"""Ids that meet, found before anything is written: with those of an existing target, and with each other."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from vectormigrate.adapter import Capabilities
from vectormigrate.engine.retry import RetryingSource, RetryingTarget
from vectormigrate.errors import IncompatibleSchema
from vectormigrate.mapping.apply import Mapped, Mapper
from vectormigrate.mapping.keys import Doubles, TargetKeys
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
    async with aclosing(_mapped(source, partitions, mapper)) as parts:
        async for part, _ in parts:
            there = await target.fetch(part.batch.ids, part.batch.namespace, vectors=False)
            collisions.found += len(there)
            collisions.examples = (collisions.examples + there.ids)[:EXAMPLES]
    return collisions


async def refuse_doubles(
    source: RetryingSource,
    partitions: Sequence[Partition],
    mapper: Mapper,
    target: Capabilities,
    known: TargetKeys | None,
) -> None:
    """Raises IncompatibleSchema when two records of the source would be one on the target. `known`: their keys, where
    these were collected already."""
    keys = known
    if keys is None:
        keys = TargetKeys(per_namespace=target.ids_per_namespace)
        async with aclosing(_mapped(source, partitions, mapper)) as parts:
            async for part, _ in parts:
                keys.add(part)
    hashes = keys.doubles()
    if not hashes:
        return
    doubles = Doubles(keys, hashes)
    async with aclosing(_mapped(source, partitions, mapper)) as parts:
        async for part, namespace in parts:
            doubles.add(part, namespace)
    groups = doubles.groups()
    if groups:
        names = " and ".join(f"{item!r} (namespace {name!r})" for name, item in groups[0][:EXAMPLES])
        raise IncompatibleSchema(
            f"the source holds {len(hashes):,} ids more than once: {names} came from one and the same original record, "
            "so they would be one record on the target; delete or change all but one of them"
        )


async def _mapped(
    source: RetryingSource, partitions: Sequence[Partition], mapper: Mapper
) -> AsyncGenerator[tuple[Mapped, str]]:
    """Every record without its vectors in target form, with the namespace that it was read from."""
    for partition in partitions:
        pages = source.scan(partition, vectors=False, page_rows=PAGE_ROWS)
        async with aclosing(pages):
            async for page in pages:
                for part in mapper.apply_all(page.batch):
                    yield part, page.batch.namespace
