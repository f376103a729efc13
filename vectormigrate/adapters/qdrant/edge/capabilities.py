"""What the engine can hold (measured with qdrant-edge-py 0.9.0)."""

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
from vectormigrate.adapter.json_floats import EXACT_FIELD
from vectormigrate.adapters.qdrant.edge.frames import NAMESPACE_FIELD
from vectormigrate.adapters.qdrant.indexes import TURBO_OFFER
from vectormigrate.adapters.qdrant.settings import KNOWN, SERVER_ONLY, carried
from vectormigrate.model.ids import IdKind
from vectormigrate.model.schema import DType, Metric, VectorKind

RESERVED = frozenset({NAMESPACE_FIELD, EXACT_FIELD})

MAX_LEVELS = 110
"""Deepest payload, counting itself. The engine accepts deeper ones but cannot read them back from 128 levels on, and
from 124 on it cannot open the shard again after a crash, because they stand in its log (measured with 0.9.0)."""

CAPABILITIES = Capabilities(
    ids=IdCapabilities(kinds=frozenset({IdKind.UINT64, IdKind.UUID}), per_namespace=False),
    vectors=VectorCapabilities(
        kinds=frozenset(VectorKind),
        dtypes=frozenset({DType.FLOAT32, DType.FLOAT16, DType.UINT8}),
        metrics=frozenset({Metric.COSINE, Metric.DOT, Metric.L2, Metric.L1}),
        max_dim=65_536,
        unnamed=True,
        normalises_cosine=True,
        indexes={"hnsw": TURBO_OFFER, "flat": TURBO_OFFER},
        # The server's rule, plus what Edge cannot turn into a file name.
        names=r'(?!\.{1,2}$)[^<>:"/\\|?*\x00-\x1f\x7f]{0,120}',
    ),
    metadata=MetadataCapabilities(
        list_paths=True,
        value_kinds=frozenset(ValueKind) - {ValueKind.NONFINITE, ValueKind.BYTES, ValueKind.DATETIME},
        int_range=(-(2**63), 2**64 - 1),
        reserved=RESERVED,
    ),
    namespaces=NamespaceCapabilities(supported=True),
    writes=WriteCapabilities(
        rows=2_000,
        bytes=64 * 2**20,
        # One batch is encoded while the engine works on the other.
        writers=2,
    ),
    collection=CollectionCapabilities(
        known_settings={name: weight for name, weight in KNOWN.items() if name not in SERVER_ONLY},
        settings=carried(lambda minor: True) - SERVER_ONLY,
        settings_from=frozenset({"qdrant"}),
        readers=1,
    ),
)
