"""Qdrant servers (1.15 and later), self-hosted or in the cloud.

Its parts are loaded on first use, so that a child process may import one module of the folder alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vectormigrate.adapters.qdrant.spec import CAPABILITIES, SPEC, QdrantConfig

__all__ = ["CAPABILITIES", "SPEC", "QdrantConfig"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from vectormigrate.adapters.qdrant import spec

    return getattr(spec, name)
