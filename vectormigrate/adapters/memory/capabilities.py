"""What a memory collection can hold: everything that the data model can express."""

from __future__ import annotations

from vectormigrate.adapter import (
    Capabilities,
    IdCapabilities,
    MetadataCapabilities,
    NamespaceCapabilities,
    ValueKind,
    VectorCapabilities,
    WriteCapabilities,
)
from vectormigrate.model.ids import IdKind
from vectormigrate.model.schema import DType, Metric, VectorKind

CAPABILITIES = Capabilities(
    ids=IdCapabilities(kinds=frozenset(IdKind), per_namespace=True),
    vectors=VectorCapabilities(
        kinds=frozenset(VectorKind),
        dtypes=frozenset(DType),
        metrics=frozenset(Metric),
        max_dim=1_000_000,
        unnamed=True,
    ),
    metadata=MetadataCapabilities(
        list_paths=True,
        value_kinds=frozenset(ValueKind),
        int_range=(-(2**63), 2**64 - 1),
    ),
    namespaces=NamespaceCapabilities(supported=True),
    writes=WriteCapabilities(rows=10_000, bytes=256 * 2**20),
)
"""Everything that the data model can express."""
