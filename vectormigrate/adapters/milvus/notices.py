"""What a reader of a Milvus collection should know before copying it. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from vectormigrate.adapters.milvus.layout import Layout
from vectormigrate.model.schema import VectorKind


def notices(layout: Layout, unindexed: Sequence[str], aliases: Sequence[str], *, lite: bool) -> tuple[str, ...]:
    """Sentences for the plan. `unindexed`: vector fields without an index, which alone knows the metric."""
    found: list[str] = []
    if lite:
        found += [
            f"Milvus Lite gives zeros for a null vector: a record without {item.name!r} looks like one with zeros"
            for item in layout.vectors
            if item.nullable and item.kind is VectorKind.DENSE
        ]
    found += [f"the vector field {name!r} has no index, so its metric is a guess" for name in unindexed]
    if layout.auto_id:
        found.append(
            "Milvus makes the ids of this collection (autoID); they are kept, and a copy on Milvus has no autoID"
        )
    for key, value in sorted(layout.properties.items()):
        if "ttl" in key.lower().replace("_", ".").split(".") and value not in ("", "0", "-1"):
            found.append(
                f"records of this collection expire ({key}={value}): some may vanish while it is copied, and their age "
                "starts again on the copy"
            )
    if aliases:
        names = ", ".join(sorted(aliases))
        found.append(f"the collection is also known as {names}; aliases are not moved")
    return tuple(found)
