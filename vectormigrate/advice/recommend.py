"""`schema describe` and `schema recommend`: what a collection holds and what it would be elsewhere. Reads only.

Confidence of a line, in 0…1, is computed from what was seen:

- each value counts 1 when it arrives as it is, 0.8 when it is reversible (it is kept in
  the origin sidecar), 0.5 when it is only approximately kept, 0 when it is lost; the fidelity is their mean;
- an index can answer for no more than the share of values that are of its type, and a field that the source filters on
  while the target has no index for it counts at most 0.8: the smallest of these and the fidelity counts;
- it is multiplied by n / (n + 2.71 (1 - f)), the 95 % lower bound (Wilson) for "the values not seen are like the n seen
  ones", where f is the share of the collection that was read: 1 when everything was read.

The overall confidence is the mean over the id, the vector fields, and the metadata fields of which a value was seen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

import anyio.to_thread

from vectormigrate import registry
from vectormigrate.advice.evidence import Evidence, Inferred, Shape, deserves_index, inferred
from vectormigrate.advice.indexes import with_field_indexes, with_vector_indexes
from vectormigrate.engine.retry import RetryingSource
from vectormigrate.mapping.convert.mapper import Mapper
from vectormigrate.mapping.losses import ALL
from vectormigrate.mapping.paths import format_path, parse_path
from vectormigrate.mapping.plan.planner import Decision, decide
from vectormigrate.mapping.profile import FieldProfile, Profile
from vectormigrate.model.answers import FieldEvidence, Recommendation
from vectormigrate.model.batch import RecordBatch
from vectormigrate.model.plan import EndpointRef, FieldMapping, Loss, MappingRules, MigrationSpec, Outcome
from vectormigrate.model.schema import CollectionSchema, FieldType, VectorField

SAMPLE_PAGE_ROWS = 2000

REVERSIBLE, ROUNDED = 0.8, 0.5
"""What a value counts that is kept in another form, and one that is kept approximately."""

Z2 = 1.645**2


@dataclass(slots=True)
class Sample:
    """What was read: mapping's profile, the evidence beyond it, and, with a mapper, how many of the records each loss
    concerns."""

    mapper: Mapper | None = None
    profile: Profile = field(default_factory=Profile)
    evidence: Evidence = field(default_factory=Evidence)
    losses: Counter[str] = field(default_factory=Counter[str])

    def add(self, batch: RecordBatch) -> None:
        """Count a batch."""
        self.profile.add(batch)
        self.evidence.add(batch)
        for mapped in self.mapper.convert(batch) if self.mapper else ():
            self.losses.update(mapped.losses)
            self.losses.update(reject.code for reject in mapped.rejects)


async def sample_source(source: RetryingSource, size: int, rules: MappingRules | None = None) -> Sample:
    """A sample of about `size` records, the same share from each namespace, streamed. With `rules`, losses are counted
    by the code that would meet them."""
    sample = Sample(mapper=None if rules is None else Mapper(rules))
    partitions = await source.partitions(1)
    share = -(-size // len(partitions))
    for partition in partitions:
        read = 0
        pages = source.scan(partition, vectors=False, page_rows=min(max(share, 1), SAMPLE_PAGE_ROWS))
        async with aclosing(pages):
            async for page in pages:
                # Wide records take their time, and who serves others must not keep them waiting.
                await anyio.to_thread.run_sync(sample.add, page.batch)
                read += len(page.batch)
                if read >= share:
                    break
    return sample


def decide_for(
    source_type: str,
    target_type: str,
    schema: CollectionSchema,
    namespaces: Mapping[str, int],
    sample: Sample | None,
    *,
    counted: bool = True,
) -> Decision:
    """What a migration of such a collection would be, by what the target database can do at best. Without a sample:
    the rules to take one with. `counted` False: the sample's losses are not to be used."""
    source, target = registry.load(source_type), registry.load(target_type)
    spec = MigrationSpec(
        id="recommendation",
        source=EndpointRef(type=source.name, collection=schema.name, location=f"source:{schema.name}"),
        target=EndpointRef(type=target.name, collection=schema.name, location=f"target:{schema.name}"),
    )
    return decide(
        spec=spec,
        source_schema=schema,
        source_adapter=source.name,
        source_caps=source.capabilities,
        target_adapter=target.name,
        target_caps=target.capabilities,
        namespaces=namespaces,
        profile=None if sample is None else sample.profile,
        loss_counts=sample.losses if sample is not None and counted else None,
    )


def column_rules(
    source_type: str, target_type: str, schema: CollectionSchema, namespaces: Mapping[str, int], sample: Sample
) -> MappingRules | None:
    """The rules to count losses with once more, where a target declares a column per field: which values do not fit
    theirs is known only when the fields are. None for other targets."""
    if registry.load(target_type).capabilities.metadata.dynamic:
        return None
    decision = decide_for(source_type, target_type, schema, namespaces, sample, counted=False)
    return replace(decision.rules, accepted_losses=(ALL,))


def support(seen: int, share_read: float) -> float:
    """The 95 % lower bound for the share of unseen values that are like `seen` uniform ones."""
    return seen / (seen + Z2 * (1 - min(1.0, share_read))) if seen else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """`kind`: the type that the schema guarantees, None when only the values decide. `indexed`: the source filters on
    it, as `reason` states."""

    kind: Inferred | None = None
    indexed: bool = False
    reason: str = "filtered on the source"


UNKNOWN = Declared()


def declared_fields(schema: CollectionSchema) -> dict[str, Declared]:
    """What a source's schema guarantees. Texts and JSON may hold something narrower, which the values show."""
    vague = (FieldType.STRING, FieldType.TEXT, FieldType.JSON)
    found: dict[str, Declared] = {}
    for item in schema.fields:
        open_list = item.type is FieldType.LIST and item.element in (None, FieldType.STRING)
        kind = None if item.type in vague or open_list else Inferred(type=item.type, element=item.element)
        found[item.name] = Declared(kind=kind, indexed=item.indexed)
    return found


def recommendation(
    source_type: str,
    target_type: str,
    schema: CollectionSchema,
    namespaces: Mapping[str, int],
    sample: Sample,
    declared: Mapping[str, Declared],
    *,
    inner: bool = True,
) -> Recommendation:
    """The answer. `declared`: what the schema declares about fields, by dot path. `inner` False: fields inside objects
    are only examples, represented by the object."""
    decision = decide_for(source_type, target_type, schema, namespaces, sample)
    target = registry.load(target_type).capabilities
    records = sum(namespaces.values())
    advised = {name: _advise(name, sample, declared) for name in sample.profile.fields}
    indexed, served = with_field_indexes(decision, {name: item for name, item in advised.items() if item}, target)
    target_schema = with_vector_indexes(indexed, target, records)
    share = sample.profile.records / records if records else 1.0
    lines = [_id_line(decision), *(_vector_line(item, decision) for item in schema.vectors)]
    judged = list(lines)
    for name, line in _field_lines(decision, sample, inner=inner):
        if name is not None:
            item = advised[name]
            line = _judged(line, sample.profile.fields[name], share, _fit(item, served, name))
            line = replace(line, notes="; ".join(part for part in (line.notes, *_remarks(item, served, name)) if part))
            judged.append(line)
        lines.append(line)
    return Recommendation(
        source_type=source_type,
        target_type=target_type,
        field_mappings=tuple(lines),
        overall_confidence=round(sum(line.confidence for line in judged) / len(judged), 4),
        notices=(*decision.warnings, *_unserved(schema, advised, served)),
        losses=decision.losses,
        target_schema=replace(target_schema, note=None),
        evidence=tuple(_evidence(name, sample, advised[name], served) for name in sorted(advised)),
        rules=decision.rules,
        sampled=sample.profile.records,
        records=records,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Advised:
    """A field's type, and whether it deserves an index."""

    kind: Inferred
    index: bool
    reason: str


def _advise(name: str, sample: Sample, declared: Mapping[str, Declared]) -> Advised | None:
    shape, found = sample.evidence.fields.get(name, Shape()), sample.profile.fields[name]
    known = declared.get(".".join(parse_path(name)), UNKNOWN)
    kind = known.kind or inferred(shape)
    if kind is None:
        return None
    if known.indexed:
        return Advised(kind=kind, index=True, reason=known.reason)
    if _inside_place(name, sample, declared):
        return Advised(kind=kind, index=False, reason="part of a place")
    index, reason = deserves_index(kind, shape, found)
    return Advised(kind=kind, index=index, reason=reason)


def _inside_place(name: str, sample: Sample, declared: Mapping[str, Declared]) -> bool:
    keys = parse_path(name)
    if len(keys) < 2:
        return False
    known = declared.get(".".join(keys[:-1]), UNKNOWN).kind
    kind = known or inferred(sample.evidence.fields.get(format_path(keys[:-1]), Shape()))
    return kind is not None and kind.type is FieldType.GEO


def _field_lines(decision: Decision, sample: Sample, *, inner: bool) -> list[tuple[str | None, FieldMapping]]:
    """The planner's lines with the path of the values that they are about, None where none was seen. An object that the
    schema names gets the line that its inner fields make up together."""
    paths = {".".join(parse_path(name)): name for name in sample.profile.fields}
    nested = [line for line in decision.field_mappings if len(parse_path(line.source_field)) > 1]
    within = _within(nested)
    found: list[tuple[str | None, FieldMapping]] = []
    for line in decision.field_mappings:
        name = line.source_field if line.source_field in sample.profile.fields else paths.get(line.source_field)
        if name is None:
            found.append((None, line))
            continue
        inside = within.get(name, [])
        if inside:
            only_objects = sample.profile.fields[name].kinds.keys() == {"object"}
            line = _merged(line, inside if only_objects else [line, *inside])
        if inner or len(parse_path(name)) == 1:
            found.append((name, line))
    return found


def _within(nested: Sequence[FieldMapping]) -> dict[str, list[FieldMapping]]:
    """The lines of nested fields by each path that they are inside of, at any depth."""
    found: dict[str, list[FieldMapping]] = {}
    for line in nested:
        end = line.source_field.find(".")
        while end >= 0:
            found.setdefault(line.source_field[:end], []).append(line)
            end = line.source_field.find(".", end + 1)
    return found


def _merged(line: FieldMapping, inside: Sequence[FieldMapping]) -> FieldMapping:
    worst = min(inside, key=lambda other: (other.outcome is not Outcome.LOSSY, other.confidence))
    return replace(
        line,
        confidence=min(other.confidence for other in inside),
        conversion_needed=any(other.conversion_needed for other in inside),
        outcome=worst.outcome,
        notes=worst.notes if worst.conversion_needed else "",
    )


def _unserved(
    schema: CollectionSchema, advised: Mapping[str, Advised | None], served: Mapping[str, FieldType]
) -> list[str]:
    """Fields that the source filters on and the target has no index for."""
    paths = {".".join(parse_path(name)): name for name in advised}
    return [
        f"index:{item.name}: the target has no index for {item.type} values, which the source filters on"
        for item in schema.fields
        if item.indexed and item.name in paths and paths[item.name] not in served
    ]


def _fit(item: Advised | None, served: Mapping[str, FieldType], name: str) -> float:
    """The share of the values that filters on the target see as filters on the source did."""
    if item is None or not item.index:
        return 1.0
    return item.kind.share if name in served else REVERSIBLE


def _judged(line: FieldMapping, found: FieldProfile, share_read: float, fit: float) -> FieldMapping:
    """The line with its confidence."""
    kept = REVERSIBLE if line.outcome is not Outcome.LOSSY else 0.0
    fidelity = line.confidence + (1 - line.confidence) * kept
    return replace(line, confidence=round(min(fidelity, fit) * support(found.values, share_read), 4))


def _remarks(item: Advised | None, served: Mapping[str, FieldType], name: str) -> list[str]:
    if item is None:
        return []
    kind = f"{item.kind.type} of {item.kind.element}" if item.kind.element else str(item.kind.type)
    if name in served:
        return [f"{kind}; indexed as {served[name]} ({item.reason})"]
    return [f"{kind}; {'the target has no such index' if item.index else f'not indexed ({item.reason})'}"]


def _id_line(decision: Decision) -> FieldMapping:
    strategy = decision.rules.id_strategy
    kinds = " | ".join(sorted(decision.target_schema.id_kinds))
    notes = {
        "native": "ids are kept",
        "text": "ids become their text",
    }.get(strategy, "ids are replaced by derived UUIDs; the original id is kept in a field that can be filtered on")
    return FieldMapping(
        source_field="id",
        target_field="id",
        source_type="id",
        target_type=kinds,
        confidence=1.0 if strategy == "native" else REVERSIBLE,
        conversion_needed=strategy != "native",
        outcome=Outcome.EXACT if strategy == "native" else Outcome.REVERSIBLE,
        notes=notes,
    )


def _vector_line(source: VectorField, decision: Decision) -> FieldMapping:
    rules = next((item for item in decision.rules.vectors if item.source == source.name), None)
    losses = [loss for loss in decision.losses if _concerns(loss, source, normalised=bool(rules and rules.normalise))]
    target = None if rules is None else decision.target_schema.vector(rules.target)
    outcome, confidence = _vector_outcome(target, losses)
    return FieldMapping(
        source_field=source.name,
        target_field="" if target is None else target.name,
        source_type=_vector_type(source),
        target_type="" if target is None else _vector_type(target),
        confidence=confidence,
        conversion_needed=bool(losses) or target is None,
        outcome=outcome,
        notes="; ".join(loss.detail for loss in losses) or f"{_vector_type(source)}, as it is",
    )


def _vector_outcome(target: VectorField | None, losses: Sequence[Loss]) -> tuple[Outcome, float]:
    """What becomes of a vector field, and the confidence in that; `target` None: the target has none for it."""
    if target is None:
        return Outcome.LOSSY, 0.0
    if any(loss.outcome is Outcome.LOSSY for loss in losses):
        return Outcome.LOSSY, ROUNDED
    return (Outcome.REVERSIBLE, REVERSIBLE) if losses else (Outcome.EXACT, 1.0)


def _concerns(loss: Loss, source: VectorField, *, normalised: bool) -> bool:
    effect, _, name = loss.name.partition(":")
    if effect in ("vector-length", "vector-rounding"):
        return normalised
    return name == source.name and (effect == "metric" or effect.startswith("vector-"))


def _vector_type(item: VectorField) -> str:
    dim = f"[{item.dim}]" if item.dim else ""
    return f"{item.kind} {item.dtype}{dim} {item.metric}"


def _evidence(name: str, sample: Sample, item: Advised | None, served: Mapping[str, FieldType]) -> FieldEvidence:
    found, shape = sample.profile.fields[name], sample.evidence.fields.get(name, Shape())
    return FieldEvidence(
        field=name,
        type=None if item is None else str(item.kind.type),
        element=None if item is None or item.kind.element is None else str(item.kind.element),
        share=0.0 if item is None else round(item.kind.share, 4),
        kinds=dict(sorted(found.kinds.items())),
        records=found.values,
        missing=sample.profile.records - found.values,
        nulls=found.nulls,
        distinct=found.distinct,
        max_bytes=found.max_bytes,
        min_int=found.min_int,
        max_int=found.max_int,
        longest_list=found.longest_list,
        fixed_list=shape.fixed_length,
        nested_lists=found.nested_lists,
        depth=len(parse_path(name)),
        index=str(served[name]) if name in served else None,
        index_reason="" if item is None else item.reason,
    )
