"""Collections in a folder, held by the Qdrant engine in a child process (package `qdrant-edge-py`).

Its parts are loaded on first use, so that a child process may import one module of the folder alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vectormigrate.adapters.qdrant.edge.spec import CAPABILITIES, SPEC, QdrantEdgeConfig

__all__ = ["CAPABILITIES", "SPEC", "QdrantEdgeConfig"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from vectormigrate.adapters.qdrant.edge import spec

    return getattr(spec, name)
