"""Pinecone: serverless vector indexes (dense, sparse, hybrid), document indexes, and integrated ones as a source.

Its parts are loaded on first use, so that a child process may import one module of the folder alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vectormigrate.adapters.pinecone.spec import CAPABILITIES, DOCUMENTS, SPEC, PineconeConfig

__all__ = ["CAPABILITIES", "DOCUMENTS", "SPEC", "PineconeConfig"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from vectormigrate.adapters.pinecone import spec

    return getattr(spec, name)
