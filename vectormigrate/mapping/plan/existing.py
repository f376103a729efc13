"""Whether an existing target collection can take the records as planned."""

from __future__ import annotations

from collections.abc import Mapping

from vectormigrate.errors import IncompatibleSchema, option
from vectormigrate.mapping.convert.vectors import WIDENS
from vectormigrate.mapping.limits import ORIGIN
from vectormigrate.mapping.plan.context import PlanContext
from vectormigrate.mapping.plan.fields import RenameChoice, renamed
from vectormigrate.mapping.plan.vectors import existing_vector
from vectormigrate.mapping.profile import FieldProfile, Profile
from vectormigrate.model.schema import CollectionSchema, MetadataField, VectorField, VectorKind

_WAY_OUT = "choose another target collection, or let vectormigrate make a new one"


def check_existing(context: PlanContext, existing: CollectionSchema, renames: RenameChoice) -> None:
    """Raises IncompatibleSchema with every mismatch and the way out."""
    wrong = [problem for source in context.source_schema.vectors for problem in _vector(context, source)]
    wrong += _unfilled(context, existing)
    wrong += _fields(context, existing, renames)
    if wrong:
        raise IncompatibleSchema(
            f"the target collection {existing.name!r} does not fit: {'; '.join(wrong)}; {_WAY_OUT}"
        )


def _vector(context: PlanContext, source: VectorField) -> list[str]:
    found = existing_vector(context, source, source)
    if found is None:
        held = (
            ", ".join(f"{item.name!r} ({item.kind})" for item in context.existing.vectors) if context.existing else ""
        )
        return [f"it has no {source.kind} vector field {source.name!r}, only: {held or 'none'}"]
    wrong: list[str] = []
    name = f"vector field {source.name!r}"
    unset = found.dim is None  # nothing was written there yet: the first record will say
    if not unset and found.dim != source.dim and source.kind is not VectorKind.SPARSE:
        wrong.append(f"{name} has {source.dim} dimensions, the target's {found.name!r} has {found.dim}")
    if found.metric is not source.metric:
        wrong.append(f"{name} has the metric {source.metric}, the target's {found.name!r} has {found.metric}")
    wider = found.dtype is source.dtype or found.dtype in WIDENS[source.dtype]
    original = context.note.schema.vector(context.note.vectors.get(source.name, source.name)) if context.note else None
    if source.kind is not VectorKind.SPARSE and not wider and (original is None or original.dtype is not found.dtype):
        wrong.append(f"{name} holds {source.dtype}, the target's {found.name!r} only {found.dtype}")
    return wrong


def _unfilled(context: PlanContext, existing: CollectionSchema) -> list[str]:
    """Dense and sparse fields of the target that no source field fills, where the target requires a value."""
    required = context.target_caps.vectors.required
    sources = context.source_schema.vectors
    filled = {item.name for source in sources if (item := existing_vector(context, source, source)) is not None}
    return [
        f"it requires a vector in {item.name!r}, which the source does not have"
        for item in existing.vectors
        if item.kind in required and item.name not in filled
    ]


def _fields(context: PlanContext, existing: CollectionSchema, renames: RenameChoice) -> list[str]:
    """What is wrong with the metadata fields, which only a profile of every record and field can show."""
    profile = context.complete
    if profile is None or profile.more_paths:
        return []
    declared = {item.name: item for item in existing.fields if item.declared}
    present = {renamed(path, renames.renames): found for path, found in profile.fields.items()}
    extra = sorted({path.split(".")[0] for path in present} - declared.keys())
    wrong = _unset(profile, declared, present)
    if context.sidecar and not context.target_caps.metadata.dynamic and ORIGIN not in declared:
        wrong += _unkept(profile, existing, extra)
    if extra and context.target_caps.metadata.dynamic and not existing.dynamic:
        names = ", ".join(map(repr, extra))
        wrong.append(f"it has no field {names} and takes no undeclared ones (or use {option('request.excludes')})")
    return wrong


def _unkept(profile: Profile, existing: CollectionSchema, extra: list[str]) -> list[str]:
    """What a sidecar would have to keep where the target has no place for one."""
    foreign_ids = profile.id_kinds and not set(profile.id_kinds) <= existing.id_kinds
    if not extra and not foreign_ids:
        return []
    what = f"the fields {', '.join(map(repr, extra))}" if extra else "the ids"
    without = option("request.plain", True)
    return [f"it has no text field {ORIGIN!r}, which must keep {what}; add it, or use {without}"]


def _unset(profile: Profile, declared: Mapping[str, MetadataField], present: Mapping[str, FieldProfile]) -> list[str]:
    """Fields that the target requires and that source records lack."""
    wrong: list[str] = []
    for name, item in declared.items():
        if item.nullable or "default_value" in item.params:
            continue
        found = present.get(name)
        missing = profile.records - (found.values - found.nulls if found else 0)
        if missing:
            wrong.append(f"it requires a value in the field {name!r}, which {missing} source records lack")
    return wrong
