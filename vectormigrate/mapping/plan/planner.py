"""From two collections and the evidence to a decision: what is exact, what is reversible, what is lossy.

Pure and deterministic. The service calls `decide` twice: first without a profile, for rules to run the Mapper with over
the source's metadata (these accept every loss, so that each is counted), then with the finished profile and counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from vectormigrate.adapter import Capabilities
from vectormigrate.errors import PlanError, did_you_mean, listed, option
from vectormigrate.figures import counted
from vectormigrate.mapping.convert.metadata import MetadataEncoder
from vectormigrate.mapping.limits import ORIGIN_ID, Limits, limits_of, namespace_rule
from vectormigrate.mapping.losses import ALL, EFFECTS, RECORD_EFFECTS, SCHEMA_EFFECTS, explain
from vectormigrate.mapping.names import matcher
from vectormigrate.mapping.plan.columns import case_doubles, plan_columns
from vectormigrate.mapping.plan.context import LossList, PlanContext
from vectormigrate.mapping.plan.existing import check_existing
from vectormigrate.mapping.plan.fields import RenameChoice, plan_renames, target_fields
from vectormigrate.mapping.plan.ids import IdChoice, NamespaceChoice, changed_names, plan_ids, plan_namespaces
from vectormigrate.mapping.plan.mappings import moved_names, plan_mappings
from vectormigrate.mapping.plan.settings import empty_namespaces, plan_empty, plan_settings
from vectormigrate.mapping.plan.vectors import VectorChoice, plan_vectors
from vectormigrate.mapping.profile import Profile
from vectormigrate.model.note import OriginNote
from vectormigrate.model.plan import FieldMapping, Loss, MappingRules, MigrationSpec
from vectormigrate.model.schema import CollectionSchema, FieldType, MetadataField


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What `decide` decided. `target_schema.note` is the origin note to store on the target."""

    target_schema: CollectionSchema
    rules: MappingRules
    field_mappings: tuple[FieldMapping, ...]
    losses: tuple[Loss, ...]
    warnings: tuple[str, ...]


def decide(
    *,
    spec: MigrationSpec,
    source_schema: CollectionSchema,
    source_adapter: str,
    source_caps: Capabilities,
    target_adapter: str,
    target_caps: Capabilities,
    namespaces: Mapping[str, int],
    existing: CollectionSchema | None = None,
    profile: Profile | None = None,
    loss_counts: Mapping[str, int] | None = None,
    ids_meet: bool | None = None,
    whole: bool = False,
) -> Decision:
    """The decision for one migration. `namespaces`: records per source namespace; `existing`: the target's schema when
    the collection exists; `loss_counts`: names and reject codes that the Mapper counted with the preliminary rules;
    `ids_meet`: whether records would share a key on the target if they kept their ids (None: not known). `whole`: the
    profile covers every record that there was when they were read, however many were counted before.

    Raises PlanError for a bad rename, exclusion or loss name, IncompatibleSchema when the target cannot hold this.
    """
    note = OriginNote.from_json(source_schema.note) if source_schema.note else None
    context = PlanContext(
        spec=spec,
        source_schema=source_schema,
        source_adapter=source_adapter,
        source_caps=source_caps,
        target_adapter=target_adapter,
        target_caps=target_caps,
        namespaces=namespaces,
        existing=existing,
        profile=profile,
        note=note,
        ids_meet=ids_meet,
        whole=whole,
    )
    losses = LossList(sidecar=context.sidecar)
    if source_schema.note and note is None:
        losses.warnings.append("the source carries an origin note of a newer version, which is not used")
    renames = plan_renames(context)
    if existing is not None:
        check_existing(context, existing, renames)
    losses.warnings += source_schema.warnings
    origin, origin_adapter = (note.schema, note.adapter) if note else (source_schema, source_adapter)
    if origin_adapter != target_adapter:
        for name in origin.computed:
            losses.add(f"vector-field:{name}", detail="its database computes this vector field; no other one does")
    vectors = plan_vectors(context, losses)
    plan_settings(context, losses)
    spaces = plan_namespaces(context)
    empty = plan_empty(context, spaces, losses)
    ids = plan_ids(context, spaces, losses)
    limits, schema = _schema(context, renames, vectors, spaces, ids, losses)
    _count(losses, renames, loss_counts)
    accepted = _accepted(context, losses, renames)
    rules = _rules(context, vectors, spaces, ids, renames, limits, accepted)
    encoder = MetadataEncoder(limits)
    if not context.spec.plain:
        names = moved_names(context, renames, encoder)
        exact_home = context.home and not losses.losses
        schema = replace(schema, note=None if exact_home else _note(context, vectors, spaces, names))
    if existing is None:
        schema = replace(schema, namespaces=empty)
    mappings = plan_mappings(context, renames, encoder, target_caps)
    return Decision(
        target_schema=schema,
        rules=rules,
        field_mappings=mappings,
        losses=losses.sorted(),
        warnings=tuple(losses.warnings),
    )


def _schema(
    context: PlanContext,
    renames: RenameChoice,
    vectors: VectorChoice,
    spaces: NamespaceChoice,
    ids: IdChoice,
    losses: LossList,
) -> tuple[Limits, CollectionSchema]:
    """The limits of the target collection and its schema without a note."""
    base = CollectionSchema(name=context.spec.target.collection, id_kinds=ids.kinds, vectors=vectors.fields)
    if context.existing is not None:
        schema = replace(context.existing, name=base.name)
        return _limits(context, schema, spaces, ids, named=True), schema
    schema, doubles = _new_schema(context, renames, base, spaces, ids, losses)
    named = context.home or context.same_kind
    return _limits(context, schema, spaces, ids, named=named, reserved=doubles), schema


def _new_schema(
    context: PlanContext,
    renames: RenameChoice,
    base: CollectionSchema,
    spaces: NamespaceChoice,
    ids: IdChoice,
    losses: LossList,
) -> tuple[CollectionSchema, frozenset[str]]:
    """The collection that will be created, and the names of fields that differ in case only."""
    keeps_shape = context.home or context.same_kind
    typed = not context.target_caps.metadata.dynamic and not keeps_shape
    doubles: frozenset[str] = frozenset()
    encoder = MetadataEncoder(_limits(context, base, spaces, ids, named=False))
    if typed:
        doubles = case_doubles(context, renames, encoder)
        encoder = MetadataEncoder(_limits(context, base, spaces, ids, named=False, reserved=doubles))
    fields = (plan_columns if typed else target_fields)(context, renames, encoder, losses)
    derived = ids.strategy.startswith("uuid5") and context.sidecar
    if derived:
        kind = FieldType.INT64 if _int_origin_ids(context, ids) else FieldType.STRING
        fields = (*fields, MetadataField(name=ORIGIN_ID, type=kind, indexed=True, declared=typed))
    origin = context.note.schema if context.note is not None else context.source_schema
    schema = replace(
        base,
        fields=fields,
        dynamic=not typed and (origin.dynamic or derived or not keeps_shape),
        divided=_declares_namespaces(context, spaces, origin if keeps_shape else None),
        # On the round trip, what the databases in between added to the settings stays behind.
        extras=dict(origin.extras) if context.home else {**context.source_schema.extras, **origin.extras},
    )
    return schema, doubles


def _declares_namespaces(context: PlanContext, spaces: NamespaceChoice, origin: CollectionSchema | None) -> bool:
    """Whether the collection is made for namespaces: because one has a name, or as the `origin` was that it follows."""
    if not (context.target_caps.namespaces.declared and spaces.divided):
        return False
    return spaces.named or (origin is not None and origin.divided)


def _int_origin_ids(context: PlanContext, ids: IdChoice) -> bool:
    low, high = context.target_caps.metadata.int_range
    return (
        ids.all_integers and "int" in context.target_caps.metadata.value_kinds and low <= -(2**63) and high >= 2**63 - 1
    )


def _limits(
    context: PlanContext,
    schema: CollectionSchema,
    spaces: NamespaceChoice,
    ids: IdChoice,
    *,
    named: bool,
    reserved: frozenset[str] = frozenset(),
) -> Limits:
    return limits_of(
        context.target_caps,
        schema,
        namespaces=spaces.divided,
        home=named,
        int_origin_ids=_int_origin_ids(context, ids),
        reserved=reserved,
    )


def _count(losses: LossList, renames: RenameChoice, counts: Mapping[str, int] | None) -> None:
    """Enter what was counted. Ids are planned anew with each profile, so their counts come from the plan itself."""
    for path in renames.excludes:
        losses.add(f"excluded:{path}", None if counts is None else counts.get(f"excluded:{path}", 0))
    for name, count in sorted((counts or {}).items()):
        known = name in RECORD_EFFECTS or name.partition(":")[0] in SCHEMA_EFFECTS
        if name in ("id-original", "id-type"):
            continue
        if known:
            losses.add(name, count, explain(name))
        else:
            losses.warnings.append(f"{counted(count)} records will be rejected ({name})")


def _accepted(context: PlanContext, losses: LossList, renames: RenameChoice) -> tuple[str, ...]:
    """The losses that records may have. Raises PlanError for a name that this plan does not know."""
    asked = context.spec.accepted_losses
    known = set(losses.losses) | RECORD_EFFECTS
    for name in asked:
        if name not in known:
            base = name.partition(":")[0]
            hint = f" ({base} needs a field's name)" if base in EFFECTS and ":" not in name else ""
            # A record may yet need others of the fixed names, which are too many to be read.
            own = listed([f"{loss.name} ({loss.told()})" for loss in losses.losses.values()])
            raise PlanError(
                f"{option('request.accepted_losses')} {name!r}: this plan knows no such loss{hint}; its losses: {own}"
                f"{did_you_mean(name, known)}"
            )
    if context.profile is None:
        return (ALL,)
    chosen = set[str]()
    if context.spec.vectors:
        others = {item.name for item in context.source_schema.vectors} - {*context.spec.vectors}
        chosen = {f"vector-field:{name}" for name in others}
    return tuple(sorted({*asked, *chosen, *(f"excluded:{path}" for path in renames.excludes)}))


def _rules(
    context: PlanContext,
    vectors: VectorChoice,
    spaces: NamespaceChoice,
    ids: IdChoice,
    renames: RenameChoice,
    limits: Limits,
    accepted: tuple[str, ...],
) -> MappingRules:
    source = context.spec.source
    salt = source.location or f"{context.source_adapter}/{source.url}/{source.collection}"
    return MappingRules(
        id_strategy=ids.strategy,
        id_salt=salt,
        vectors=vectors.mappings,
        namespaces=changed_names(
            spaces, legal=matcher(namespace_rule(context.target_caps, divided=spaces.divided))("")
        ),
        renames=dict(renames.renames),
        excludes=renames.excludes,
        sidecar=context.sidecar,
        accepted_losses=accepted,
        target_limits=limits.to_json(),
        reserved_fields=tuple(sorted(limits.metadata.reserved)),
        restore_vectors=dict(vectors.originals),
        original_namespaces=dict(spaces.restored),
        id_checks=True,
    )


def _note(
    context: PlanContext, vectors: VectorChoice, spaces: NamespaceChoice, names: Mapping[str, str]
) -> dict[str, object] | None:
    """The note for the target: the original's, handed through. A collection that has one keeps its own."""
    if context.existing is not None and context.existing.note is not None:
        return dict(context.existing.note)
    before = context.note
    old = dict(before.fields) if before else {}
    moved = set(names.values())
    fields = {name: original for name, original in old.items() if name not in moved}
    fields |= {name: old.get(previous, previous) for name, previous in names.items()}
    note = OriginNote(
        adapter=before.adapter if before else context.source_adapter,
        migration_id=context.spec.id,
        schema=replace(
            before.schema if before else context.source_schema, note=None, namespaces=empty_namespaces(context)
        ),
        vectors=dict(vectors.originals),
        fields={name: original for name, original in fields.items() if name != original},
        namespaces=dict(spaces.originals),
    )
    return note.to_json()
