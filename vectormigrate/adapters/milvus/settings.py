"""What a collection has beyond fields and records, by name, for plans. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from vectormigrate.adapters.milvus.layout import Layout
from vectormigrate.adapters.milvus.proto import cp
from vectormigrate.figures import plural
from vectormigrate.model.schema import Setting, Weight

OWN = "vectormigrate."
DEFAULT_CONSISTENCY = "Bounded"


def settings_of(layout: Layout, aliases: Sequence[str], *, lite: bool) -> tuple[Setting, ...]:
    """Lite has none of its own but the properties."""
    return tuple(_settings(layout, aliases, lite=lite))


def expiries(properties: Mapping[str, str]) -> dict[str, str]:
    """The properties after which records expire."""
    return {
        key: value
        for key, value in sorted(properties.items())
        if "ttl" in key.lower().replace("_", ".").split(".") and value not in ("", "0", "-1")
    }


def _settings(layout: Layout, aliases: Sequence[str], *, lite: bool) -> Iterator[Setting]:
    answer = layout.answer
    expiring = expiries(layout.properties)
    if expiring:
        told = ", ".join(f"{key}={value}" for key, value in expiring.items())
        yield Setting(name="ttl", weight=Weight.BEHAVIOUR, detail=f"records expire ({told})")
    for function in answer.schema.functions:
        detail = f"Milvus fills {', '.join(function.output_field_names)} itself (function {function.name})"
        yield Setting(name=f"function:{function.name}", weight=Weight.BEHAVIOUR, detail=detail)
    if layout.auto_id:
        detail = "Milvus makes the ids (autoID); they are kept, and a copy on Milvus has no autoID"
        yield Setting(name="auto-id", weight=Weight.NOTICE, detail=detail)
    if aliases:
        detail = f"the collection is also known as {', '.join(sorted(aliases))}; aliases are not moved"
        yield Setting(name="aliases", weight=Weight.NOTICE, detail=detail)
    if layout.partition_key:
        keys = [item.name for item in answer.schema.fields if item.is_partition_key]
        detail = f"the collection is divided by the field {', '.join(keys)}"
        yield Setting(name="partition-key", weight=Weight.SETTING, detail=detail)
    rest = {key: value for key, value in layout.properties.items() if not key.startswith(OWN) and key not in expiring}
    if rest:
        told = ", ".join(f"{key}={value}" for key, value in sorted(rest.items()))
        yield Setting(name="properties", weight=Weight.SETTING, detail=f"properties: {told}")
    if answer.schema.description:
        yield Setting(name="description", weight=Weight.SETTING, detail="the collection has a description")
    if lite:
        return
    if answer.shards_num > 1:
        yield Setting(name="shards", weight=Weight.SETTING, detail=f"{plural(answer.shards_num, 'shard')}")
    consistency = cp.ConsistencyLevel.Name(answer.consistency_level)
    if consistency != DEFAULT_CONSISTENCY:
        yield Setting(name="consistency", weight=Weight.SETTING, detail=f"reads are {consistency} by default")
