"""The columns of a new collection whose every field must be declared: one per field that the profile saw."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from vectormigrate.adapter import Capabilities
from vectormigrate.mapping.convert.metadata import MetadataEncoder
from vectormigrate.mapping.limits import ORIGIN, OWN_FIELDS
from vectormigrate.mapping.losses import RecordRejected
from vectormigrate.mapping.paths import parse_path
from vectormigrate.mapping.plan.context import LossList, PlanContext
from vectormigrate.mapping.plan.fields import RenameChoice, excluded, renamed, source_fields
from vectormigrate.mapping.plan.filters import LIST_STEP, name_losses, path_of, unlisted
from vectormigrate.mapping.profile import FieldProfile
from vectormigrate.model.schema import FieldType, MetadataField

_GROUPS: Mapping[str, str] = {
    "bool": "bool",
    "int": "number",
    "float": "number",
    "nonfinite": "number",
    "string": "text",
    "bytes": "text",
    "datetime": "datetime",
    "list": "list",
    "list_of_strings": "list",
}
"""Kinds of values that can share one column."""

_ELEMENTS: Mapping[frozenset[str], FieldType] = {
    frozenset(): FieldType.STRING,
    frozenset({"string"}): FieldType.STRING,
    frozenset({"bool"}): FieldType.BOOL,
    frozenset({"int"}): FieldType.INT64,
    frozenset({"float"}): FieldType.FLOAT64,
    frozenset({"int", "float"}): FieldType.FLOAT64,
    frozenset({"datetime"}): FieldType.DATETIME,
}


def case_doubles(context: PlanContext, renames: RenameChoice, encoder: MetadataEncoder) -> frozenset[str]:
    """The names that lose to an earlier one (in sorted order) that is the same without case."""
    if not context.target_caps.metadata.fold_case:
        return frozenset()
    first: dict[str, str] = {}
    doubles: set[str] = set()
    for path in _paths(context, renames):
        try:
            name = encoder.field_name(parse_path(path), {})
        except RecordRejected:
            continue
        if first.setdefault(name.casefold(), name) != name:
            doubles.add(name)
    return frozenset(doubles)


def _paths(context: PlanContext, renames: RenameChoice) -> dict[str, FieldProfile | None]:
    """Every field under the name that it has before the target's rules, sorted: what the profile saw, and what the
    source's schema declares or indexes without a value."""
    found: dict[str, FieldProfile | None] = {}
    for item in source_fields(context):
        path = path_of(item)
        reached = context.target_caps.metadata.list_paths or LIST_STEP not in item.name
        if reached and (item.declared or item.indexed) and not excluded(path, renames.excludes):
            found[renamed(path, renames.renames)] = None
    for path, profile in context.profile.fields.items() if context.profile else ():
        if not excluded(path, renames.excludes):
            found[renamed(path, renames.renames)] = profile
    # A field of ours that holds values although the sidecars are undone is the user's own.
    return {path: found[path] for path in sorted(found) if found[path] or parse_path(path)[0] not in OWN_FIELDS}


def plan_columns(
    context: PlanContext, renames: RenameChoice, encoder: MetadataEncoder, losses: LossList
) -> tuple[MetadataField, ...]:
    """A column per field, of the type that suits most of its values; fields that hold only objects have none of their
    own, because objects are flattened. `_vm_origin` is a column too."""
    listed = source_fields(context)
    known = {renamed(path_of(item), renames.renames): item for item in listed}
    for item in (*listed, *unlisted(context, listed)):
        if item.indexed and not excluded(path_of(item), renames.excludes):
            name_losses(context, item, losses)
    columns: dict[str, MetadataField] = {}
    places: list[str] = []
    for path, profile in _paths(context, renames).items():
        if any(path.startswith(f"{place}.") for place in places):
            continue
        source = known.get(path)
        kind, element = _type(profile, source, context.target_caps)
        if kind is None:
            continue
        if kind is FieldType.GEO:
            places.append(path)
        try:
            name = encoder.field_name(parse_path(path), {})
        except RecordRejected as error:
            losses.warnings.append(f"{error.reason}; records with this field will be rejected")
            continue
        columns[name] = MetadataField(name=name, type=kind, element=element, indexed=True, declared=True)
    if context.sidecar:
        columns[ORIGIN] = MetadataField(name=ORIGIN, type=FieldType.STRING, declared=True)
    return tuple(columns.values())


def _type(
    profile: FieldProfile | None, source: MetadataField | None, caps: Capabilities
) -> tuple[FieldType | None, FieldType | None]:
    """The column's type and its element's; None when there is nothing to hold."""
    groups = Counter[str]() if profile is None else _groups(profile)
    if profile is None or not groups:
        return _declared_type(profile, source, caps)
    group = max(sorted(groups), key=lambda name: groups[name])
    if group == "list":
        element = _ELEMENTS.get(frozenset(kind for kind, count in profile.elements.items() if count))
        fits = element in caps.metadata.column_types and FieldType.LIST in caps.metadata.column_types
        return (FieldType.LIST, element) if fits else (FieldType.STRING, None)
    chosen = _scalar_type(group, profile, None if source is None else source.type)
    return (chosen if chosen in caps.metadata.column_types else FieldType.STRING), None


def _declared_type(
    profile: FieldProfile | None, source: MetadataField | None, caps: Capabilities
) -> tuple[FieldType | None, FieldType | None]:
    """The types of a field in which no value was seen: as declared, if it is a place or was not looked at."""
    if source is None:
        return None, None
    if profile is None:
        usable = source.type in caps.metadata.column_types and source.type is not FieldType.JSON
    else:
        usable = source.type is FieldType.GEO and bool(profile.kinds["object"])
    if not usable:
        return None, None
    return source.type, source.element or FieldType.STRING if source.type is FieldType.LIST else None


def _scalar_type(group: str, profile: FieldProfile, wanted: FieldType | None) -> FieldType:
    match group:
        case "bool":
            return FieldType.BOOL
        case "number":
            if profile.kinds["float"] or profile.kinds["nonfinite"]:
                return FieldType.FLOAT64
            # Numbers that a double cannot tell apart are names rather than amounts: text can be matched exactly.
            return FieldType.STRING if profile.wide_ints * 2 > profile.kinds["int"] else FieldType.INT64
        case "datetime":
            return FieldType.DATETIME
        case _:
            if profile.kinds["bytes"] > profile.kinds["string"]:
                return FieldType.BYTES
            same = wanted in (FieldType.TEXT, FieldType.UUID, FieldType.DATETIME)
            return wanted if same and wanted is not None else FieldType.STRING


def _groups(profile: FieldProfile) -> Counter[str]:
    """Values by group; nulls and objects, which no column holds, do not count."""
    found: Counter[str] = Counter()
    for kind, count in profile.kinds.items():
        if count and kind in _GROUPS:
            found[_GROUPS[kind]] += count
    return found
