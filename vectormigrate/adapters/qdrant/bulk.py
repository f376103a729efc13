"""Putting off the building of indexes while a collection that we made is filled. Pure.

What must be restored is stored on the collection before anything is switched, as the body of the PATCH that restores
it, so that `finalize` of any later run can do it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vectormigrate.adapters.qdrant.layout import Layout

Patch = dict[str, Any]


def switches(layout: Layout, how: str, strict: Mapping[str, Any]) -> tuple[Patch, Patch]:
    """The PATCH that puts indexing off, and the one that restores what `layout` (just made) has now.

    `strict`: the strict mode that the collection is to have, which would limit the load.
    """
    now: Patch = {}
    final: Patch = {}
    optimizers: Mapping[str, Any] = layout.info["config"]["optimizer_config"]
    if how == "indexing_threshold":
        # 0 is a choice of the collection's maker (no index at all); only null means the default.
        threshold = optimizers.get("indexing_threshold")
        now["optimizers_config"] = {"indexing_threshold": 0}
        final["optimizers_config"] = {"indexing_threshold": 10_000 if threshold is None else threshold}
    elif how == "hnsw":
        graph: Mapping[str, Any] = layout.info["config"]["hnsw_config"]
        now["hnsw_config"], final["hnsw_config"] = {"m": 0}, {"m": graph.get("m", 16)}
        own = {name: (item.get("hnsw_config") or {}).get("m") for name, item in layout.dense.items()}
        vectors = {name: m for name, m in own.items() if m}
        if vectors:
            now["vectors"] = {name: {"hnsw_config": {"m": 0}} for name in vectors}
            final["vectors"] = {name: {"hnsw_config": {"m": m}} for name, m in vectors.items()}
    if optimizers.get("prevent_unoptimized") and how != "off":
        # Writes would wait for the indexing that is put off.
        now.setdefault("optimizers_config", {})["prevent_unoptimized"] = False
        final.setdefault("optimizers_config", {})["prevent_unoptimized"] = True
    if strict:
        final["strict_mode_config"] = dict(strict)
    return now, final
