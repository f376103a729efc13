"""Plan before copy: look at both ends, read the source's metadata, decide. Writes nothing anywhere."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace

import anyio
import anyio.lowlevel

from vectormigrate.engine.collisions import Collisions, count_collisions, refuse_doubles
from vectormigrate.engine.connect import Ends
from vectormigrate.engine.events import Listener, Profiled
from vectormigrate.engine.ownership import with_token
from vectormigrate.engine.profile_cache import Evidence, Memory, source_key
from vectormigrate.engine.retry import RetryingSource, RetryingTarget
from vectormigrate.engine.round_trip import lost_on_the_round_trip
from vectormigrate.engine.source_pages import SourcePages
from vectormigrate.errors import CollectionNotFound, PlanError, TargetNotEmpty, did_you_mean, listed, option
from vectormigrate.figures import counted
from vectormigrate.mapping.convert.keys import TargetKeys, same_keys
from vectormigrate.mapping.convert.mapper import Mapped, Mapper
from vectormigrate.mapping.losses import ALL
from vectormigrate.mapping.plan.planner import Decision, decide
from vectormigrate.mapping.profile import Profile
from vectormigrate.model.batch import RecordBatch
from vectormigrate.model.plan import MappingRules, MigrationPlan, MigrationSpec
from vectormigrate.model.position import Partition
from vectormigrate.model.schema import CollectionSchema, Json, VectorKind

TIMING_ROWS = 1000
LOOK_ROWS = 500
"""Records that are looked at before others on the loop have their turn: a page takes a tenth of a second."""


async def make_plan(
    spec: MigrationSpec,
    ends: Ends,
    listener: Listener,
    *,
    source_note: Json = None,
    target_note: Json = None,
    profile_limit: int | None = None,
    memory: Memory | None = None,
) -> MigrationPlan:
    """The whole decision. `source_note`, `target_note`: the origin notes of collections that cannot carry them.
    `profile_limit`: read about so many records (default: all) to decide and to count losses. A loss that only unread
    records need makes these rejects; a field that only they hold gets neither index nor column, which a warning states.
    `memory`: what an earlier plan learned from the same source is used instead of reading, and kept for a later one.

    Raises PlanError and its kin for anything that cannot be done as asked, CollectionNotFound for a missing source.
    """
    seen = await _look_at_ends(spec, ends, source_note, target_note)
    looks = _Looks(ends.source, seen.partitions, seen.total, profile_limit, listener)
    key = source_key(spec, seen.schema, seen.namespaces, seen.partitions, profile_limit)
    decision = await _decide(seen, looks, memory, key)
    collisions = Collisions()
    if seen.existing is not None and await ends.target.count():
        collisions = await count_collisions(looks.pages, Mapper(decision.rules), ends.target)
    evidence = looks.evidence()
    if looks.remembered is None:
        evidence.rate, evidence.bytes_per_record = await _time_reading(ends.source, seen.partitions, looks.profile)
        if memory is not None:
            await memory.keep(key, evidence)
    return MigrationPlan(
        spec=spec,
        source_schema=seen.schema,
        target_schema=_owned(decision.target_schema, seen.existing),
        target_exists=seen.existing is not None,
        rules=decision.rules,
        field_mappings=decision.field_mappings,
        losses=decision.losses,
        namespaces=seen.namespaces,
        partitions=tuple(seen.partitions),
        total_records=seen.total,
        bytes_per_record=evidence.bytes_per_record,
        profiled_records=looks.profile.records,
        seconds_estimate=seen.total / evidence.rate if evidence.rate else None,
        warnings=(*decision.warnings, *looks.told(), *collisions.warnings(spec.overwrite)),
        collisions=collisions.found,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """Both ends as they look from outside. `existing`: the target collection, None when it will be created."""

    spec: MigrationSpec
    ends: Ends
    schema: CollectionSchema
    existing: CollectionSchema | None
    namespaces: dict[str, int]
    partitions: list[Partition]

    @property
    def total(self) -> int:
        """Records to copy."""
        return sum(self.namespaces.values())

    def decide(
        self,
        profile: Profile | None,
        losses: Mapping[str, int] | None,
        ids_meet: bool | None = None,
        *,
        whole: bool = False,
    ) -> Decision:
        """What the planner decides, knowing this of the records; `whole`: of all that there were."""
        return decide(
            spec=self.spec,
            source_schema=self.schema,
            source_adapter=self.ends.source_adapter,
            source_caps=self.ends.source.capabilities,
            target_adapter=self.ends.target_adapter,
            target_caps=self.ends.target.capabilities,
            namespaces=self.namespaces,
            existing=self.existing,
            profile=profile,
            loss_counts=losses,
            ids_meet=ids_meet,
            whole=whole,
        )


async def _look_at_ends(spec: MigrationSpec, ends: Ends, source_note: Json, target_note: Json) -> _Seen:
    """Describe both collections and divide the source. Raises PlanError for ends that do not go together."""
    schema = await ends.source.describe()
    if schema.note is None and source_note is not None:
        schema = replace(schema, note=source_note)
    namespaces = await _count_namespaces(ends.source, spec)
    existing = await _existing_target(ends.target, spec)
    if existing is None:
        _check_collection_name(ends.target, spec)
        if ends.source_adapter != ends.target_adapter:
            _check_dimensions(schema)
    elif existing.note is None and target_note is not None:
        existing = replace(existing, note=target_note)
    wanted = spec.partitions or ends.source.capabilities.collection.readers
    partitions = await ends.source.partitions(wanted, namespaces)
    return _Seen(spec=spec, ends=ends, schema=schema, existing=existing, namespaces=namespaces, partitions=partitions)


async def _decide(seen: _Seen, looks: _Looks, memory: Memory | None, key: str) -> Decision:
    """Read the source's metadata, as often as it takes until the decision rests on what is in it."""
    caps = seen.ends.target.capabilities
    first = seen.decide(None, None).rules
    # Only of a copy the ids may meet that were apart at the origin.
    keys = TargetKeys(per_namespace=caps.ids.per_namespace) if seen.schema.note is not None else None
    if memory is not None and keys is None:
        looks.remembered = await memory.recall(key)
    losses = await looks.first(first, keys)
    profile = looks.profile
    # A source that is written to may hold fewer than were counted by the time it is read.
    whole = looks.whole or profile.records >= seen.total
    ids_meet = bool(keys.doubles()) if keys is not None and whole else None
    if not caps.metadata.dynamic:
        # Only now is it known which columns there are, and so which values do not fit theirs.
        columns = replace(seen.decide(profile, None, ids_meet, whole=whole).rules, accepted_losses=(ALL,))
        losses = await looks.losses(columns)
    final = seen.decide(profile, losses, ids_meet, whole=whole)
    if keys is not None or profile.restored:
        known = keys if whole and same_keys(first, final.rules) else None
        await refuse_doubles(looks.pages, Mapper(final.rules), caps, known)
    return final


def _owned(schema: CollectionSchema, existing: CollectionSchema | None) -> CollectionSchema:
    """The schema with a token of ours in its note, unless the collection keeps the note that it has."""
    keeps = existing is not None and existing.note is not None
    return schema if keeps else replace(schema, note=with_token(schema.note))


async def _count_namespaces(source: RetryingSource, spec: MigrationSpec) -> dict[str, int]:
    known = await source.namespaces()
    unknown = sorted(set(spec.namespaces or ()) - set(known))
    if unknown:
        raise PlanError(
            f"no namespace {unknown[0]!r} in the source; there are: {listed([*map(repr, known)], 20)}"
            f"{did_you_mean(unknown[0], known)}"
        )
    wanted = [name for name in known if spec.namespaces is None or name in spec.namespaces]
    return await source.counts(wanted)


async def _existing_target(target: RetryingTarget, spec: MigrationSpec) -> CollectionSchema | None:
    try:
        schema = await target.describe()
    except CollectionNotFound:
        return None
    held = await target.count()
    if held and not spec.into_existing:
        raise TargetNotEmpty(
            f"the target collection {spec.target.collection!r} exists and holds {counted(held)} records; "
            f"choose another {option('request.target.collection')}, or add to it with "
            f"{option('request.into_existing', True)}"
        )
    return schema


def _check_collection_name(target: RetryingTarget, spec: MigrationSpec) -> None:
    name = spec.target.collection
    rule = target.capabilities.collection.names
    if not re.fullmatch(rule, name):
        legal = re.sub(r"\W", "_", name, flags=re.ASCII)
        legal = legal if re.fullmatch(rule, legal) else f"c_{legal}"
        hint = (
            f"; try {option('request.target.collection', legal)}" if re.fullmatch(rule, legal) else f" (rule: {rule})"
        )
        raise PlanError(f"{name!r} is not a legal collection name on the target{hint}")


def _check_dimensions(schema: CollectionSchema) -> None:
    for vector in schema.vectors:
        if vector.dim is None and vector.kind is not VectorKind.SPARSE:
            raise PlanError(
                f"the source's vector field {vector.name!r} holds no vector yet, so its dimension is unknown; write a "
                "record to the source, or make the target collection yourself and use "
                f"{option('request.into_existing', True)}"
            )


class _Looks:
    """What a plan learns from the source's ids and metadata, each time through all of them."""

    def __init__(
        self, source: RetryingSource, partitions: list[Partition], total: int, limit: int | None, listener: Listener
    ) -> None:
        """`limit`: learn from about so many records; None = from every one."""
        self.profile = Profile()
        self.remembered: Evidence | None = None
        """What an earlier plan learned; None as soon as it does not answer what is asked."""
        self._counted: list[tuple[MappingRules, Counter[str]]] = []
        self.pages = SourcePages(source, partitions, lambda: self.profile.metadata_bytes)
        self._total = total
        self.whole = limit is None
        """Whether every record is read."""
        self._limit = limit
        self._listener = listener

    async def first(self, rules: MappingRules, keys: TargetKeys | None) -> Counter[str]:
        """Fill the profile, and `keys` with the keys that the records would get; returns the losses."""
        if self.remembered is not None and self.remembered.counted(rules) is not None:
            self.profile = self.remembered.profile
        else:
            self.remembered = None

        def add(batch: RecordBatch, parts: list[Mapped]) -> None:
            self.profile.add(batch)
            for part in parts if keys is not None else ():
                keys.add(part)  # pyright: ignore[reportOptionalMemberAccess]
            self._listener(Profiled(records=self.profile.records, total=self._total))

        return await self.losses(rules, add)

    async def losses(
        self, rules: MappingRules, also: Callable[[RecordBatch, list[Mapped]], None] = lambda batch, parts: None
    ) -> Counter[str]:
        """Losses by name, counted by running the real mapping: the code that will meet them counts them."""
        known = None if self.remembered is None else self.remembered.counted(rules)
        if known is not None:
            return known
        losses: Counter[str] = Counter()
        mapper = Mapper(rules)

        def look(batch: RecordBatch) -> None:
            parts = mapper.convert(batch)
            also(batch, parts)
            for mapped in parts:
                _check_round_trip(batch, mapped, rules)
                losses.update(mapped.losses)
                losses.update(reject.code for reject in mapped.rejects)

        async def handle(page: RecordBatch) -> None:
            for start in range(0, len(page), LOOK_ROWS):
                look(page.take(range(start, min(start + LOOK_ROWS, len(page)))))
                await anyio.lowlevel.checkpoint()

        await self.pages.each(handle, limit=self._limit)
        self._counted.append((rules, losses))
        return losses

    def evidence(self) -> Evidence:
        """What was learned here or remembered."""
        if self.remembered is not None:
            return self.remembered
        found = Evidence(profile=self.profile)
        for rules, losses in self._counted:
            found.count(rules, losses)
        return found

    def told(self) -> Iterator[str]:
        """What the operator should know about what the plan rests on."""
        if self.remembered is not None:
            yield self.remembered.told()
        read = self.profile.records
        if read < self._total and not self.whole:
            yield (
                f"the plan rests on {counted(read)} of {counted(self._total)} records: losses are counted in these "
                "only; a record that needs a loss that none of them needs becomes a reject; a field that none of them "
                "holds gets no index, and of a target with typed columns no column: only the sidecar keeps it"
            )


def _check_round_trip(batch: RecordBatch, mapped: Mapped, rules: MappingRules) -> None:
    for row, fields in lost_on_the_round_trip(batch, mapped, rules):
        raise PlanError(
            f"the record {mapped.source_ids[row]!r} of namespace {batch.namespace!r} would not come back as it is: "
            f"{', '.join(fields[:5])}. This is a mistake of vectormigrate; nothing was written. Until it is fixed, "
            f"leave the field out with {option('request.excludes')} or rename it with {option('request.renames')}"
        )


async def _time_reading(
    source: RetryingSource, partitions: list[Partition], profile: Profile
) -> tuple[float | None, int]:
    """Records per second and bytes per record of the first full page, vectors included."""
    for partition in partitions:
        started = anyio.current_time()
        pages = source.scan(partition, page_rows=TIMING_ROWS)
        async with aclosing(pages):
            async for page in pages:
                seconds = anyio.current_time() - started
                rows = len(page.batch)
                size = page.batch.vector_nbytes // rows + profile.metadata_bytes // max(1, profile.records)
                profile.add_vectors(page.batch)
                return rows / seconds, size
    return None, 0
