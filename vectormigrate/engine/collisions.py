"""Ids that meet, found before anything is written: with those of an existing target, and with each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from vectormigrate.adapter import Capabilities
from vectormigrate.engine.existing_ids import TakenIds
from vectormigrate.engine.retry import RetryingTarget
from vectormigrate.engine.source_pages import SourcePages
from vectormigrate.errors import IncompatibleSchema
from vectormigrate.figures import counted
from vectormigrate.mapping.convert.keys import Doubles, TargetKeys
from vectormigrate.mapping.convert.mapper import Mapper
from vectormigrate.model.batch import RecordBatch
from vectormigrate.model.ids import RecordId

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
            yield f"{counted(self.found)} ids are on the target already ({examples}): these records will be {fate}"


async def count_collisions(pages: SourcePages, mapper: Mapper, target: RetryingTarget) -> Collisions:
    """Ask the target for the id of every source record. Reads ids and metadata only."""
    collisions, taken = Collisions(), TakenIds(target)

    async def ask(batch: RecordBatch) -> None:
        for part in mapper.convert(batch):
            there = await taken.among(part.batch.ids, part.batch.namespace)
            collisions.found += len(there)
            collisions.examples = (collisions.examples + there)[:EXAMPLES]

    await pages.each(ask)
    return collisions


async def refuse_doubles(pages: SourcePages, mapper: Mapper, target: Capabilities, known: TargetKeys | None) -> None:
    """Raises IncompatibleSchema when two records of the source would be one on the target. `known`: their keys, where
    these were collected already."""
    keys = known
    if keys is None:
        keys = await _keys(pages, mapper, target)
    hashes = keys.doubles()
    if not hashes:
        return
    doubles = Doubles(keys, hashes)

    async def add(batch: RecordBatch) -> None:
        for part in mapper.convert(batch):
            doubles.add(part, batch.namespace)

    await pages.each(add)
    groups = doubles.groups()
    if groups:
        names = " and ".join(f"{item!r} (namespace {name!r})" for name, item in groups[0][:EXAMPLES])
        raise IncompatibleSchema(
            f"the source holds {counted(len(hashes))} ids more than once: {names} came from one and the same original "
            "record, so they would be one record on the target; delete or change all but one of them"
        )


async def _keys(pages: SourcePages, mapper: Mapper, target: Capabilities) -> TargetKeys:
    keys = TargetKeys(per_namespace=target.ids.per_namespace)

    async def add(batch: RecordBatch) -> None:
        for part in mapper.convert(batch):
            keys.add(part)

    await pages.each(add)
    return keys
