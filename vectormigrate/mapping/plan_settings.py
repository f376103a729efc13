"""What a collection has beyond vectors, fields and records: carried, or named."""

from __future__ import annotations

from collections.abc import Iterator

from vectormigrate.mapping.plan_context import LossList, PlanContext
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


def _settings(context: PlanContext) -> Iterator[tuple[Setting, str]]:
    """Each with the adapter of its database. A database on the way counts where records or their safety do."""
    origin = context.note.schema if context.note else context.source_schema
    known = {item.name for item in origin.settings}
    for item in origin.settings:
        yield item, context.note.adapter if context.note else context.source_adapter
    for item in context.source_schema.settings:
        if item.name not in known and item.weight in (Weight.SAFETY, Weight.RECORDS):
            yield item, context.source_adapter


def _held(context: PlanContext, item: Setting, adapter: str) -> bool:
    """Whether the target has it. An existing collection was made by the operator, whose choice its own settings are;
    only what protects data or changes answers must be there too."""
    if context.existing is not None:
        chosen = item.weight in (Weight.SETTING, Weight.NOTICE)
        return chosen or item.name in {other.name for other in context.existing.settings}
    return adapter == context.target_adapter and item.name.partition(":")[0] in context.target_caps.settings
