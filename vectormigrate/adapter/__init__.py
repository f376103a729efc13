"""The contract that every database implements, and what the authors of adapters share.

The contract is loaded on first use: the child processes of embedded engines need none of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vectormigrate.adapter.contract import (
        AdapterSpec,
        AnySpec,
        Capabilities,
        CollectionCapabilities,
        ConnectionConfig,
        Eventual,
        Hits,
        IdCapabilities,
        IndexReport,
        Listing,
        MetadataCapabilities,
        NamespaceCapabilities,
        Queries,
        Reject,
        Source,
        SparseQuery,
        Target,
        TypeWord,
        ValueKind,
        VectorCapabilities,
        WriteCapabilities,
        editions,
        lister,
        type_words,
        unreported,
    )

__all__ = [
    "AdapterSpec",
    "AnySpec",
    "Capabilities",
    "CollectionCapabilities",
    "ConnectionConfig",
    "Eventual",
    "Hits",
    "IdCapabilities",
    "IndexReport",
    "Listing",
    "MetadataCapabilities",
    "NamespaceCapabilities",
    "Queries",
    "Reject",
    "Source",
    "SparseQuery",
    "Target",
    "TypeWord",
    "ValueKind",
    "VectorCapabilities",
    "WriteCapabilities",
    "editions",
    "lister",
    "type_words",
    "unreported",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from vectormigrate.adapter import contract

    return getattr(contract, name)
