"""Where a collection is, and what the engine can hold (measured with qdrant-edge-py 0.9.0)."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator

from vectormigrate.adapter import (
    Capabilities,
    CollectionCapabilities,
    ConnectionConfig,
    IdCapabilities,
    MetadataCapabilities,
    NamespaceCapabilities,
    ValueKind,
    VectorCapabilities,
    WriteCapabilities,
)
from vectormigrate.adapter.json_floats import EXACT_FIELD
from vectormigrate.adapter.qdrant_indexes import TURBO_OFFER
from vectormigrate.adapter.qdrant_settings import KNOWN, SERVER_ONLY, carried
from vectormigrate.adapters.qdrant_edge.wire import NAMESPACE_FIELD
from vectormigrate.model.ids import IdKind
from vectormigrate.model.schema import DType, Metric, VectorKind

RESERVED = frozenset({NAMESPACE_FIELD, EXACT_FIELD})

MAX_LEVELS = 110
"""Deepest payload, counting itself. The engine accepts deeper ones but cannot read them back from 128 levels on, and
from 124 on it cannot open the shard again after a crash, because they stand in its log (measured with 0.9.0)."""

AUTO_OPTIMIZE_RECORDS = 200_000
"""From here on an HNSW graph is worth its building time (1.2 ms per record at 384 components). Below it the exact
search that works without a graph takes under 20 ms."""

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


class QdrantEdgeConfig(ConnectionConfig):
    """`url` is the folder (a path or `file://` URL).

    `optimize`: build the HNSW graph in `finalize`. None: when the schema asks for `hnsw` on a vector field and the
    collection holds 200 000 records or more. Search is exact, and works, without it.
    `lock_wait`: seconds to wait for another process to let go of the collection.
    """

    optimize: bool | None = None
    lock_wait: float = Field(default=5.0, ge=0)

    @field_validator("url")
    @classmethod
    def _folder_url(cls, url: str) -> str:
        if not url.removeprefix("file://"):
            raise ValueError("the url must name a folder")
        if "://" in url.removeprefix("file://"):
            raise ValueError("the url must name a folder, not a server")
        return url

    def folder(self) -> Path:
        """The absolute folder, with links resolved."""
        return Path(self.url.removeprefix("file://")).expanduser().resolve()

    def location(self) -> str:
        return f"qdrant_edge:{self.folder()}/{self.collection}"
