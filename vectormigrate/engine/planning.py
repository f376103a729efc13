"""Plan before copy: look at both ends, read the source's metadata once, decide. Writes nothing anywhere."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace

import anyio

from vectormigrate.engine.collisions import Collisions, count_collisions, refuse_doubles
from vectormigrate.engine.connect import Ends
from vectormigrate.engine.events import Listener, Profiled
from vectormigrate.engine.ownership import with_token
from vectormigrate.engine.retry import RetryingSource, RetryingTarget
from vectormigrate.engine.way_home import lost_on_the_way_home
from vectormigrate.errors import CollectionNotFound, PlanError, TargetNotEmpty
from vectormigrate.mapping.apply import Mapped, Mapper
from vectormigrate.mapping.keys import TargetKeys, same_keys
from vectormigrate.mapping.losses import ALL
from vectormigrate.mapping.planner import Decision, decide
from vectormigrate.mapping.profile import Profile
from vectormigrate.model.batch import RecordBatch
from vectormigrate.model.plan import MappingRules, MigrationPlan, MigrationSpec
from vectormigrate.model.position import Partition
from vectormigrate.model.schema import CollectionSchema, Json, VectorKind

PROFILE_PAGE_ROWS = 4000
TIMING_ROWS = 1000


async def make_plan(
    spec: MigrationSpec,
    ends: Ends,
    listener: Listener,
    *,
    source_note: Json = None,
    target_note: Json = None,
    profile_limit: int | None = None,
) -> MigrationPlan:
    """The whole decision. `source_note`, `target_note`: the origin notes of collections that cannot carry them.
    `profile_limit`: read at most so many records (default: all) to count losses; a loss that only later records need
    is then met as a reject while copying, never silently.

    Raises PlanError and its kin for anything that cannot be done as asked, CollectionNotFound for a missing source.
    """
    schema = await ends.source.describe()
    if schema.note is None and source_note is not None:
        schema = replace(schema, note=source_note)
    namespaces = await _count_namespaces(ends.source, spec)
    existing = await _existing_target(ends.target, spec)
    if existing is not None and existing.note is None and target_note is not None:
        existing = replace(existing, note=target_note)
    if existing is None:
        _check_collection_name(ends.target, spec)
        if ends.source_adapter != ends.target_adapter:
            _check_dimensions(schema)

    def decision(profile: Profile | None, losses: Mapping[str, int] | None, ids_meet: bool | None = None) -> Decision:
        return decide(
            spec=spec,
            source_schema=schema,
            source_adapter=ends.source_adapter,
            source_caps=ends.source.capabilities,
            target_adapter=ends.target_adapter,
            target_caps=ends.target.capabilities,
            namespaces=namespaces,
            existing=existing,
            profile=profile,
            loss_counts=losses,
            ids_meet=ids_meet,
        )

    total = sum(namespaces.values())
    wanted = spec.partitions or ends.source.capabilities.readers
    partitions = await ends.source.partitions(wanted, list(namespaces))
    reading = _Reading(ends.source, partitions, total, profile_limit, listener)
    first = decision(None, None).rules
    keys = TargetKeys(per_namespace=ends.target.capabilities.ids_per_namespace) if schema.note is not None else None
    profile, losses = await _profile(reading, first, keys)
    ids_meet = bool(keys.doubles()) if keys is not None and profile.records >= total else None
    if not ends.target.capabilities.dynamic:
        # Only now is it known which columns there are, and so which values do not fit theirs.
        columns = replace(decision(profile, None, ids_meet).rules, accepted_losses=(ALL,))
        _, losses = await _profile(reading, columns)
    final = decision(profile, losses, ids_meet)
    if keys is not None or profile.restored:
        known = keys if same_keys(first, final.rules) else None
        await refuse_doubles(ends.source, partitions, Mapper(final.rules), ends.target.capabilities, known)
    collisions = Collisions()
    if existing is not None and await ends.target.count():
        collisions = await count_collisions(ends.source, partitions, Mapper(final.rules), ends.target)
    rate, bytes_per_record = await _time_reading(ends.source, partitions, profile)
    return MigrationPlan(
        spec=spec,
        source_schema=schema,
        target_schema=_owned(final.target_schema, existing),
        target_exists=existing is not None,
        rules=final.rules,
        field_mappings=final.field_mappings,
        losses=final.losses,
        namespaces=namespaces,
        partitions=tuple(partitions),
        total_records=total,
        bytes_per_record=bytes_per_record,
        profiled_records=profile.records,
        seconds_estimate=total / rate if rate else None,
        warnings=(*final.warnings, *collisions.warnings(spec.overwrite)),
        collisions=collisions.found,
    )


def _owned(schema: CollectionSchema, existing: CollectionSchema | None) -> CollectionSchema:
    """The schema with a token of ours in its note, unless the collection keeps the note that it has."""
    keeps = existing is not None and existing.note is not None
    return schema if keeps else replace(schema, note=with_token(schema.note))


async def _count_namespaces(source: RetryingSource, spec: MigrationSpec) -> dict[str, int]:
    known = await source.namespaces()
    unknown = sorted(set(spec.namespaces or ()) - set(known))
    if unknown:
        raise PlanError(f"no namespace {unknown[0]!r} in the source; there are: {', '.join(map(repr, known[:20]))}")
    wanted = [name for name in known if spec.namespaces is None or name in spec.namespaces]
    return {name: await source.count(name) for name in wanted}


async def _existing_target(target: RetryingTarget, spec: MigrationSpec) -> CollectionSchema | None:
    try:
        schema = await target.describe()
    except CollectionNotFound:
        return None
    held = await target.count()
    if held and not spec.into_existing:
        raise TargetNotEmpty(
            f"the target collection {spec.target.collection!r} exists and holds {held:,} records; "
            "choose another --target-index, or add to it with --into-existing"
        )
    return schema


def _check_collection_name(target: RetryingTarget, spec: MigrationSpec) -> None:
    name = spec.target.collection
    rule = target.capabilities.collection_names
    if not re.fullmatch(rule, name):
        legal = re.sub(r"\W", "_", name, flags=re.ASCII)
        legal = legal if re.fullmatch(rule, legal) else f"c_{legal}"
        hint = f"; try --target-index {legal}" if re.fullmatch(rule, legal) else f" (rule: {rule})"
        raise PlanError(f"{name!r} is not a legal collection name on the target{hint}")


def _check_dimensions(schema: CollectionSchema) -> None:
    for vector in schema.vectors:
        if vector.dim is None and vector.kind is not VectorKind.SPARSE:
            raise PlanError(
                f"the source's vector field {vector.name!r} holds no vector yet, so its dimension is unknown; write a "
                "record to the source, or make the target collection yourself and use --into-existing"
            )


@dataclass(frozen=True, slots=True)
class _Reading:
    """What to profile: every record, or the first `limit` spread over the partitions."""

    source: RetryingSource
    partitions: list[Partition]
    total: int
    limit: int | None
    listener: Listener


async def _profile(
    reading: _Reading, rules: MappingRules, keys: TargetKeys | None = None
) -> tuple[Profile, Counter[str]]:
    """Read ids and metadata and run the real mapping over them, so that losses are counted by the code that will meet
    them."""
    profile = Profile()
    losses: Counter[str] = Counter()
    mapper = Mapper(rules)
    share = None if reading.limit is None else -(-reading.limit // len(reading.partitions))
    for partition in reading.partitions:
        read = 0
        pages = reading.source.scan(partition, vectors=False, page_rows=PROFILE_PAGE_ROWS)
        async with aclosing(pages):
            async for page in pages:
                profile.add(page.batch)
                for mapped in mapper.apply_all(page.batch):
                    _check_way_home(page.batch, mapped, rules)
                    losses.update(mapped.losses)
                    if keys is not None:
                        keys.add(mapped)
                    losses.update(reject.code for reject in mapped.rejects)
                read += len(page.batch)
                reading.listener(Profiled(records=profile.records, total=reading.total))
                if share is not None and read >= share:
                    break
    return profile, losses


def _check_way_home(batch: RecordBatch, mapped: Mapped, rules: MappingRules) -> None:
    for row, fields in lost_on_the_way_home(batch, mapped, rules):
        raise PlanError(
            f"the record {mapped.source_ids[row]!r} of namespace {batch.namespace!r} would not come back as it is: "
            f"{', '.join(fields[:5])}. This is a mistake of vectormigrate; nothing was written. Until it is mended, "
            "leave the field out with --exclude or rename it with --map"
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
