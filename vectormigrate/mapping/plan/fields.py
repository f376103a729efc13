"""Metadata fields: the operator's renames and exclusions, the fields to index, and the table of field mappings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from vectormigrate.adapter import Capabilities, ValueKind
from vectormigrate.errors import PlanError, did_you_mean, listed, option
from vectormigrate.mapping.convert.metadata import MetadataEncoder
from vectormigrate.mapping.limits import OWN_FIELDS
from vectormigrate.mapping.losses import RecordRejected
from vectormigrate.mapping.paths import format_path, parse_path
from vectormigrate.mapping.plan.context import LossList, PlanContext
from vectormigrate.mapping.plan.filters import as_seen, name_losses, path_of, unlisted, warn_of_odd_names
from vectormigrate.mapping.profile import Profile
from vectormigrate.model.schema import FieldType, MetadataField


@dataclass(frozen=True, slots=True, kw_only=True)
class RenameChoice:
    """`renames` and `excludes` in path syntax, as the Mapper gets them; `asked` are the operator's own renames."""

    renames: Mapping[str, str]
    excludes: tuple[str, ...]
    asked: Mapping[str, str]


def plan_renames(context: PlanContext) -> RenameChoice:
    """Check the renames and excludes against what the source holds. Raises PlanError with one clear line."""
    known = _known_paths(context)
    asked = {_resolve(old, known, "renames"): new for old, new in context.spec.renames.items()}
    excludes = tuple(_resolve(path, known, "excludes") for path in context.spec.excludes)
    _check_excludes(excludes)
    renames = dict(asked)
    if context.home and context.note is not None:
        back = {name: original for name, original in context.note.fields.items() if name not in asked}
        renames |= {name: original for name, original in back.items() if original not in renames.values()}
    _check_renames(asked, excludes, known)
    return RenameChoice(renames=renames, excludes=excludes, asked=asked)


def _known_paths(context: PlanContext) -> set[str] | None:
    """Every path that the source is known to have; None while that is not known."""
    profile = context.complete
    if profile is None or profile.more_paths:
        return None
    return {*profile.fields, *(item.name for item in context.source_schema.fields)}


def _resolve(path: str, known: set[str] | None, name: str) -> str:
    """The path as it is known: `a.b` may be written for the one key `a\\.b`."""
    asked = option(f"request.{name}")
    if not path:
        raise PlanError(f"{asked}: a field name is missing")
    if parse_path(path)[0] in OWN_FIELDS:
        raise PlanError(f"{asked} {path!r}: this name belongs to vectormigrate")
    if known is None or path in known:
        return path
    literal = format_path([path])
    if literal in known:
        return literal
    names = listed(sorted(known), 20)
    raise PlanError(f"{asked} {path!r}: the source has no such field; it has: {names}{did_you_mean(path, known)}")


def _check_excludes(excludes: tuple[str, ...]) -> None:
    twice = {path for path in excludes if excludes.count(path) > 1}
    if twice:
        raise PlanError(f"{option('request.excludes')} {min(twice)!r} is given twice")


def _check_renames(asked: Mapping[str, str], excludes: tuple[str, ...], known: set[str] | None) -> None:
    targets = list(asked.values())
    for old, new in asked.items():
        rename = option("request.renames", {old: new})
        if not new:
            raise PlanError(f"{rename}: the new name is missing")
        if parse_path(new)[0] in OWN_FIELDS:
            raise PlanError(f"{rename}: the name {new!r} belongs to vectormigrate")
        if targets.count(new) > 1:
            raise PlanError(f"{rename}: two fields cannot both become {new!r}")
        if known is not None and new in known and new not in asked and new not in excludes:
            raise PlanError(f"{rename}: the source already has a field {new!r}; rename or exclude that one too")
        for other in (*asked, *excludes):
            if other != old and _overlap(old, other):
                raise PlanError(f"{rename}: the fields {old!r} and {other!r} overlap; name only one of them")
        if old in excludes:
            raise PlanError(f"{rename}: the field is also excluded")


def _overlap(one: str, other: str) -> bool:
    a, b = parse_path(one), parse_path(other)
    shorter = min(len(a), len(b))
    return a[:shorter] == b[:shorter]


def renamed(path: str, renames: Mapping[str, str]) -> str:
    """Where a path ends up after the renames; a renamed object takes its inner fields along."""
    keys = parse_path(path)
    for old, new in renames.items():
        old_keys = parse_path(old)
        if keys[: len(old_keys)] == old_keys:
            return format_path((*parse_path(new), *keys[len(old_keys) :]))
    return path


def excluded(path: str, excludes: Iterable[str]) -> bool:
    """Whether the field or an object around it is excluded."""
    keys = parse_path(path)
    return any(keys[: len(rule)] == rule for rule in map(parse_path, excludes))


def source_fields(context: PlanContext) -> tuple[MetadataField, ...]:
    """The fields that the source knows by name, with their original types and under the names that restored records
    have: what an earlier migration turned into something else counts as what it was."""
    note = context.note
    if note is None:
        return context.source_schema.fields
    found: dict[str, MetadataField] = {}
    new_name = {original: name for name, original in note.fields.items()}
    held = context.profile.fields if context.profile else {}
    for item in note.schema.fields:
        name = item.name if item.name in held or context.home else new_name.get(item.name, item.name)
        found[name] = replace(item, name=name)
    # Columns that a typed database on the way had to make are no wish of the operator.
    dynamic = context.source_caps.metadata.dynamic
    for item in (item for item in context.source_schema.fields if dynamic or not item.declared):
        original = note.fields.get(item.name, item.name)
        if item.name not in found and original not in found and item.name not in OWN_FIELDS:
            found[item.name] = replace(item, declared=False) if context.home else item
    return tuple(found.values())


def target_fields(
    context: PlanContext, renames: RenameChoice, encoder: MetadataEncoder, losses: LossList
) -> tuple[MetadataField, ...]:
    """What the new collection declares and indexes, so that every filter of the source works on the target."""
    kept: dict[str, MetadataField] = {}
    listed = source_fields(context)
    if not context.same_kind:
        warn_of_odd_names(context, losses)
    for item in listed if context.same_kind else (*listed, *unlisted(context, listed)):
        path = path_of(item)
        if excluded(path, renames.excludes):
            continue
        if context.same_kind:
            name = ".".join(parse_path(renamed(path, renames.asked)))
            kept.setdefault(name, replace(item, name=name))
            continue
        if not (item.indexed or item.declared) or (item.indexed and not name_losses(context, item, losses)):
            continue
        name = _target_name(renamed(path, renames.renames), encoder)
        field = None if name is None else _indexed(context.target_caps, as_seen(context, item), name)
        if field is not None:
            kept.setdefault(field.name, field)
        elif item.indexed:
            losses.add(f"index:{item.name}", detail=f"the target cannot index {item.name!r} as {item.type}")
    return tuple(kept.values())


def _target_name(path: str, encoder: MetadataEncoder) -> str | None:
    """The name that filters use on the target: the dot path, or the flat key when objects are flattened."""
    keys = parse_path(path)
    try:
        if encoder.flattens:
            return encoder.field_name(keys, {})
        return ".".join((encoder.field_name(keys[:1], {}), *keys[1:]))
    except RecordRejected:
        return None


def _indexed(caps: Capabilities, item: MetadataField, name: str) -> MetadataField | None:
    """The field as an index of the target; None when its values are not there in a form to filter on."""
    kind = _index_type(caps, item)
    if kind is None or kind not in caps.metadata.index_types:
        return None
    element = item.element if kind is FieldType.LIST else None
    return MetadataField(name=name, type=kind, indexed=True, element=element)


_INDEX_BY_VALUE: Mapping[FieldType, tuple[ValueKind, FieldType, FieldType | None]] = {
    FieldType.BOOL: (ValueKind.BOOL, FieldType.BOOL, FieldType.STRING),
    FieldType.INT8: (ValueKind.INT, FieldType.INT8, FieldType.FLOAT64),
    FieldType.INT16: (ValueKind.INT, FieldType.INT16, FieldType.FLOAT64),
    FieldType.INT32: (ValueKind.INT, FieldType.INT32, FieldType.FLOAT64),
    FieldType.INT64: (ValueKind.INT, FieldType.INT64, FieldType.FLOAT64),
    FieldType.FLOAT32: (ValueKind.FLOAT, FieldType.FLOAT64, FieldType.STRING),
    FieldType.FLOAT64: (ValueKind.FLOAT, FieldType.FLOAT64, FieldType.STRING),
    FieldType.GEO: (ValueKind.OBJECT, FieldType.GEO, None),
    FieldType.JSON: (ValueKind.OBJECT, FieldType.JSON, None),
    FieldType.BYTES: (ValueKind.BYTES, FieldType.BYTES, FieldType.STRING),
}
"""What a value must be held as, the index for it then, and the index for the form that it has otherwise."""


def _index_type(caps: Capabilities, item: MetadataField) -> FieldType | None:
    if item.type is FieldType.LIST:
        strings = item.element in (FieldType.STRING, FieldType.TEXT, FieldType.UUID, None)
        fits = ValueKind.LIST in caps.metadata.value_kinds or (
            strings and ValueKind.LIST_OF_STRINGS in caps.metadata.value_kinds
        )
        return FieldType.LIST if fits else None
    if item.type in _INDEX_BY_VALUE:
        kind, held, otherwise = _INDEX_BY_VALUE[item.type]
        return held if kind in caps.metadata.value_kinds else otherwise
    return item.type if item.type in caps.metadata.index_types else FieldType.STRING


def profiled_paths(profile: Profile | None) -> list[str]:
    """The paths to list in a plan: every leaf, sorted."""
    return sorted(path for path, found in (profile.fields if profile else {}).items() if set(found.kinds) != {"object"})
