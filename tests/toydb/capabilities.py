"""What such a file can hold."""

from __future__ import annotations

from vectormigrate.adapter import (
    Capabilities,
    CollectionCapabilities,
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
    ids=IdCapabilities(kinds=frozenset({IdKind.STRING}), per_namespace=False),
    vectors=VectorCapabilities(
        kinds=frozenset({VectorKind.DENSE}),
        dtypes=frozenset({DType.FLOAT32}),
        metrics=frozenset({Metric.COSINE, Metric.DOT, Metric.L2}),
        max_dim=4096,
    ),
    metadata=MetadataCapabilities(
        value_kinds=frozenset(ValueKind) - {ValueKind.NONFINITE, ValueKind.BYTES, ValueKind.DATETIME},
        int_range=(-(2**63), 2**64 - 1),
    ),
    namespaces=NamespaceCapabilities(supported=False),
    writes=WriteCapabilities(rows=1000, bytes=2**24, writers=1),
    collection=CollectionCapabilities(names=r"[a-z][a-z0-9_]{0,62}", readers=2),
)
