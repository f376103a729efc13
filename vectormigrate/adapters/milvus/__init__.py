"""Milvus: Milvus Lite databases (`*.db` paths) and servers (Milvus, Zilliz Cloud).

Its parts are loaded on first use, so that a child process may import one module of the folder alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vectormigrate.adapters.milvus.spec import CAPABILITIES, SPEC, MilvusConfig

__all__ = ["CAPABILITIES", "SPEC", "MilvusConfig"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from vectormigrate.adapters.milvus import spec

    return getattr(spec, name)
