"""What a reader of a Milvus collection should know before copying it. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from vectormigrate.adapters.milvus.layout import Layout
from vectormigrate.adapters.milvus.settings import expiries
from vectormigrate.model.schema import VectorKind


def notices(layout: Layout, unindexed: Sequence[str], *, lite: bool) -> tuple[str, ...]:
    """Sentences for the plan. `unindexed`: vector fields without an index, which alone knows the metric."""
    found: list[str] = []
    if lite:
        found += [
            f"Milvus Lite gives zeros for a null vector: a record without {item.name!r} looks like one with zeros"
            for item in layout.vectors
            if item.nullable and item.kind is VectorKind.DENSE
        ]
    found += [f"the vector field {name!r} has no index, so its metric is a guess" for name in unindexed]
    for key, value in expiries(layout.properties).items():
        found.append(
            f"records of this collection expire ({key}={value}): some may vanish while it is copied, and their age "
            "starts again on the copy"
        )
    return tuple(found)
