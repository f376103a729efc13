"""The table of field mappings: per field what it is, what it becomes, and how sure that is."""

from __future__ import annotations

from vectormigrate.adapter import Capabilities, ValueKind
from vectormigrate.figures import counted
from vectormigrate.mapping.convert.metadata import MetadataEncoder
from vectormigrate.mapping.losses import RecordRejected
from vectormigrate.mapping.paths import format_path, parse_path
from vectormigrate.mapping.plan.context import PlanContext
from vectormigrate.mapping.plan.fields import RenameChoice, excluded, profiled_paths, renamed, source_fields
from vectormigrate.mapping.profile import FieldProfile
from vectormigrate.model.plan import FieldMapping, Outcome

_EXAMPLES = {
    "null": "left out",
    "nonfinite": "string",
    "bytes": "string",
    "datetime": "string",
    "bool": "string",
    "object": "flat keys",
    "list": "string",
    "list_of_strings": "string",
}


def plan_mappings(
    context: PlanContext, renames: RenameChoice, encoder: MetadataEncoder, caps: Capabilities
) -> tuple[FieldMapping, ...]:
    """One line per field that the profile saw, and per schema field that it did not see."""
    declared = {item.name: str(item.type) for item in source_fields(context)}
    profiled = context.profile.fields if context.profile else {}
    lines = [_line(path, profiled[path], context, renames, encoder, caps) for path in profiled_paths(context.profile)]
    seen = {".".join(parse_path(line.source_field)) for line in lines}
    for name in sorted(declared.keys() - seen):
        target = renamed(name, renames.renames)
        out = excluded(name, renames.excludes)
        lines.append(
            FieldMapping(
                source_field=name,
                target_field="" if out else target,
                source_type=declared[name],
                target_type="" if out else declared[name],
                confidence=0.0,
                conversion_needed=False,
                outcome=Outcome.LOSSY if out else Outcome.EXACT,
                notes="excluded" if out else "no value was seen",
            )
        )
    return tuple(lines)


def _line(
    path: str,
    found: FieldProfile,
    context: PlanContext,
    renames: RenameChoice,
    encoder: MetadataEncoder,
    caps: Capabilities,
) -> FieldMapping:
    kinds = [kind for kind, _ in sorted(found.kinds.items(), key=lambda item: (-item[1], item[0]))]
    source_type = " | ".join(kinds)
    if excluded(path, renames.excludes):
        return FieldMapping(
            source_field=path,
            target_field="",
            source_type=source_type,
            target_type="",
            confidence=0.0,
            conversion_needed=False,
            outcome=Outcome.LOSSY,
            notes="excluded",
        )
    new_path = renamed(path, renames.renames)
    try:
        target, moved = _target(new_path, encoder)
    except RecordRejected as error:
        target, moved = "", error.reason
    unconverted = sum(count for kind, count in found.kinds.items() if _unchanged(kind, found, caps))
    confidence = round(unconverted / found.values, 4) if found.values else 0.0
    conversion = unconverted < found.values or bool(moved)
    outcome = Outcome.EXACT if not conversion else Outcome.REVERSIBLE if context.sidecar else Outcome.LOSSY
    return FieldMapping(
        source_field=path,
        target_field=target,
        source_type=source_type,
        target_type=" | ".join(dict.fromkeys(_target_kind(kind, found, caps) for kind in kinds)),
        confidence=confidence,
        conversion_needed=conversion,
        outcome=outcome,
        notes="; ".join(_notes(found, context, moved)),
    )


def moved_names(context: PlanContext, renames: RenameChoice, encoder: MetadataEncoder) -> dict[str, str]:
    """Path on the target -> path before, of every field that the operator or the target's rules gave another name."""
    names = {new: old for old, new in renames.asked.items()}
    for path in context.profile.fields if context.profile else ():
        keys = parse_path(renamed(path, renames.renames))
        if excluded(path, renames.excludes) or (len(keys) > 1 and not encoder.flattens):
            continue
        try:
            name = encoder.field_name(keys, {})
        except RecordRejected:
            continue
        if name != ".".join(keys):
            names[format_path([name])] = path
    return names


def _target(path: str, encoder: MetadataEncoder) -> tuple[str, str]:
    """(name on the target, why it differs)."""
    keys = parse_path(path)
    plain = ".".join(keys)
    name = encoder.field_name(keys if encoder.flattens else keys[:1], {})
    if not encoder.flattens:
        name = ".".join((name, *keys[1:]))
    moved = "renamed: not a legal key" if name != plain else "flattened" if encoder.flattens and len(keys) > 1 else ""
    return name, moved


def _unchanged(kind: str, found: FieldProfile, caps: Capabilities) -> bool:
    """Whether the values of this kind go over as they are. Integers count as unchanged when all that were seen are in
    range; lists when the target has lists."""
    held = caps.metadata.value_kinds
    if kind == "list_of_strings":
        return bool(held & {ValueKind.LIST, ValueKind.LIST_OF_STRINGS})
    if kind == "int":
        low, high = caps.metadata.int_range
        inside = low <= (found.min_int or 0) and (found.max_int or 0) <= high
        return ValueKind.INT in held and inside
    return kind in {str(item) for item in held}


def _target_kind(kind: str, found: FieldProfile, caps: Capabilities) -> str:
    if _unchanged(kind, found, caps):
        return kind
    if kind == "int":
        return (
            "float"
            if ValueKind.INT not in caps.metadata.value_kinds and ValueKind.FLOAT in caps.metadata.value_kinds
            else "int | string"
        )
    return _EXAMPLES.get(kind, "string")


def _notes(found: FieldProfile, context: PlanContext, moved: str) -> list[str]:
    notes = [moved] if moved else []
    records = context.profile.records if context.profile else 0
    if found.mixed:
        notes.append("mixed types")
    if found.nulls:
        notes.append(f"{found.nulls} null")
    if found.values < records:
        notes.append(f"in {counted(found.values)} of {counted(records)} records")
    return notes
