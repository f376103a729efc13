"""What a collection has beyond vectors, fields and records: carried, or named."""

from __future__ import annotations

from collections.abc import Iterator

from vectormigrate.figures import counted
from vectormigrate.mapping.limits import namespace_rule
from vectormigrate.mapping.names import matcher
from vectormigrate.mapping.plan.context import LossList, PlanContext
from vectormigrate.mapping.plan.ids import NamespaceChoice
from vectormigrate.model.schema import Setting, Weight


def plan_settings(context: PlanContext, losses: LossList) -> None:
    """Name every setting that the target collection will not have. What counts is what the *origin* had: a database on
    the way may have lost it long ago."""
    for item, adapter in _settings(context):
        if _held(context, item, adapter):
            continue
        if item.weight is Weight.NOTICE:
            losses.warnings.append(item.detail)
        else:
            losses.add(f"{item.weight}:{item.name}", detail=item.detail)
    origin = context.note.schema if context.note else context.source_schema
    chosen = context.target_adapter in (context.source_schema.extras.keys() | origin.extras.keys())
    if context.existing is None and not chosen:
        losses.warnings += context.target_caps.collection.defaults


def empty_namespaces(context: PlanContext) -> tuple[str, ...]:
    """Namespaces without a record, by their original names: those of the source, and those that the origin had."""
    note = context.note
    back = note.namespaces if note is not None else {}
    found = {back.get(name, name) for name, records in context.namespaces.items() if name and not records}
    noted = note.schema.namespaces if note is not None else ()
    return tuple(sorted(found.union(noted)))


def plan_empty(context: PlanContext, spaces: NamespaceChoice, losses: LossList) -> tuple[str, ...]:
    """Namespaces that the target gets though they are empty; those that it cannot have are named."""
    empty = empty_namespaces(context)
    if context.existing is not None:
        return ()
    holds = context.target_caps.namespaces.empty and spaces.divided
    legal = matcher(namespace_rule(context.target_caps, divided=True))
    names = {name: spaces.names.get(name, name) for name in empty}
    made = {new for new in names.values() if holds and new and legal(new)}
    rest = [name for name, new in names.items() if new not in made]
    if rest:
        some = f"{', '.join(map(repr, rest[:5]))}{', …' if len(rest) > 5 else ''}"
        detail = f"{counted(len(rest))} namespaces hold no record ({some}) and are not made"
        losses.add("setting:empty-namespaces", detail=detail)
    return tuple(sorted(made))


def _settings(context: PlanContext) -> Iterator[tuple[Setting, str]]:
    """Each with the adapter of its database. Of a database on the way counts what it does to records, answers and
    safety; how it kept the collection is its own."""
    origin = context.note.schema if context.note else context.source_schema
    known = {item.name for item in origin.settings}
    for item in origin.settings:
        yield item, context.note.adapter if context.note else context.source_adapter
    for item in context.source_schema.settings:
        if item.name not in known and item.weight not in (Weight.SETTING, Weight.NOTICE):
            yield item, context.source_adapter


def _held(context: PlanContext, item: Setting, adapter: str) -> bool:
    """Whether the target has it. An existing collection was made by the operator, whose choice its own settings are;
    only what protects data or changes answers must be there too."""
    if context.existing is not None:
        chosen = item.weight in (Weight.SETTING, Weight.NOTICE)
        return chosen or item.name in {other.name for other in context.existing.settings}
    own = adapter == context.target_adapter or adapter in context.target_caps.collection.settings_from
    return own and item.name.partition(":")[0] in context.target_caps.collection.settings
