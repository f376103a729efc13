"""What can be filtered on: an index of the target for every field that the source can filter by, or a named loss."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from vectormigrate.adapter import Capabilities
from vectormigrate.mapping.paths import format_path, parse_path
from vectormigrate.mapping.plan.context import LossList, PlanContext
from vectormigrate.mapping.profile import FieldProfile
from vectormigrate.model.schema import FieldType, MetadataField

INTEGERS = frozenset({FieldType.INT8, FieldType.INT16, FieldType.INT32, FieldType.INT64})
LIST_STEP = "[]"
"""Marks, at the end of a key, that an index reaches into the objects of a list."""

_SEEN = {
    "bool": FieldType.BOOL,
    "int": FieldType.INT64,
    "float": FieldType.FLOAT64,
    "string": FieldType.STRING,
    "datetime": FieldType.DATETIME,
    "list_of_strings": FieldType.LIST,
}


def path_of(item: MetadataField) -> str:
    """The field in path syntax: a column's name is one key, an index is named by its dot path."""
    return item.name if item.declared else format_path(item.name.split("."))


def found_of(context: PlanContext, item: MetadataField) -> FieldProfile | None:
    """What the profile saw in the field."""
    return context.profile.fields.get(path_of(item)) if context.profile else None


def unlisted(context: PlanContext, listed: tuple[MetadataField, ...]) -> Iterator[MetadataField]:
    """The fields of a source that filters on everything which its schema does not list, by what the profile saw."""
    if context.profile is None or not context.source_caps.metadata.filters_all:
        return
    known = {path_of(item) for item in listed}
    for path, found in sorted(context.profile.fields.items()):
        kind = _seen_type(found)
        if path not in known and kind is not None and _is_plain(path):
            element = FieldType.STRING if kind is FieldType.LIST else None
            yield MetadataField(name=path, type=kind, element=element, indexed=True)


def warn_of_odd_names(context: PlanContext, losses: LossList) -> None:
    """Warn which fields of a source that filters on everything get no index because of their names."""
    if context.profile is None or not context.source_caps.metadata.filters_all:
        return
    odd = [repr(path) for path in sorted(context.profile.fields) if not _is_plain(path)]
    if odd and not context.target_caps.metadata.filters_all:
        names = ", ".join(odd[:20]) + (", …" if len(odd) > 20 else "")
        losses.warnings.append(
            f"no index is made on fields whose names are no plain paths: {names}; filters scan there"
        )


def _is_plain(path: str) -> bool:
    """Whether every key of the path stands in an index path as it is."""
    return all(re.fullmatch(r"[A-Za-z0-9_-]+", key) for key in parse_path(path))


def as_seen(context: PlanContext, item: MetadataField) -> MetadataField:
    """An index of text whose field holds none as an index of what it does hold: some databases name no type."""
    found = found_of(context, item)
    if item.declared or item.type is not FieldType.STRING or found is None or found.kinds["string"]:
        return item
    kind = _seen_type(found)
    if kind is None:
        return item
    return replace(item, type=kind, element=FieldType.STRING if kind is FieldType.LIST else None)


def _seen_type(found: FieldProfile) -> FieldType | None:
    """The type of index that suits most of the values, None where none does."""
    counts = {kind: count for kind, count in found.kinds.items() if count and kind in _SEEN}
    if not counts:
        return None
    kind = max(sorted(counts), key=lambda name: counts[name])
    if kind in ("int", "float"):
        return FieldType.FLOAT64 if "float" in counts else FieldType.INT64
    return _SEEN[kind]


def name_losses(context: PlanContext, item: MetadataField, losses: LossList) -> bool:
    """Name what the target's filters on this field do not do as the source's did; False: there are none at all."""
    caps, found = context.target_caps, found_of(context, item)
    name = f"index:{item.name}"
    if any(key.endswith(LIST_STEP) for key in item.name.split(".")) and not caps.metadata.list_paths:
        losses.add(name, detail=f"the target cannot filter on {item.name!r}, inside the objects of a list")
        return False
    if item.type is FieldType.TEXT and FieldType.TEXT not in _types(caps):
        losses.add(name, detail=f"the target has no full-text search in {item.name!r}: it compares whole texts only")
    low, high = caps.metadata.int_range
    if item.type in INTEGERS and found is not None and ((found.min_int or 0) < low or (found.max_int or 0) > high):
        detail = f"numbers of {item.name!r} beyond {low}…{high} become text or are left out: no ranges, no order"
        losses.add(name, found.wide_ints or None, detail=detail)
    return True


def _types(caps: Capabilities) -> frozenset[FieldType]:
    return caps.metadata.index_types if caps.metadata.dynamic else caps.metadata.column_types
