"""What a Qdrant server can hold, in general and narrowed to one version and collection."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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
from vectormigrate.adapters.qdrant.config import MAX_DIM, NAMESPACE_FIELD
from vectormigrate.adapters.qdrant.indexes import OFFER, TURBO_OFFER
from vectormigrate.adapters.qdrant.settings import KNOWN, SHARD_KEYS, TENANT_FIELD, carried
from vectormigrate.model.ids import IdKind
from vectormigrate.model.schema import DType, Metric, VectorKind, Weight

ROWS_PER_WRITE = 1_000

OLDEST = (1, 15)

CAPABILITIES = Capabilities(
    ids=IdCapabilities(kinds=frozenset({IdKind.UINT64, IdKind.UUID}), per_namespace=False),
    vectors=VectorCapabilities(
        kinds=frozenset(VectorKind),
        dtypes=frozenset({DType.FLOAT32, DType.FLOAT16, DType.UINT8}),
        metrics=frozenset({Metric.COSINE, Metric.DOT, Metric.L2, Metric.L1}),
        max_dim=MAX_DIM,
        unnamed=True,
        normalises_cosine=True,
        indexes={"hnsw": TURBO_OFFER, "flat": TURBO_OFFER},
        names=r'(?!\.{1,2}$)[^<>:"/\\|?*\x00-\x1f\x7f]{0,120}',
    ),
    metadata=MetadataCapabilities(
        value_kinds=frozenset(ValueKind) - {ValueKind.NONFINITE, ValueKind.BYTES, ValueKind.DATETIME},
        int_range=(-(2**63), 2**64 - 1),
        list_paths=True,
        reserved=frozenset({NAMESPACE_FIELD, EXACT_FIELD}),
    ),
    namespaces=NamespaceCapabilities(supported=True),
    writes=WriteCapabilities(
        rows=ROWS_PER_WRITE,
        # JSON makes four times as much of them; the REST interface refuses bodies over 32 MiB.
        bytes=6 * 2**20,
    ),
    collection=CollectionCapabilities(
        known_settings={**KNOWN, SHARD_KEYS: Weight.SETTING, TENANT_FIELD: Weight.SETTING, "aliases": Weight.NOTICE},
        settings=carried(lambda minor: True) | {TENANT_FIELD},
        settings_from=frozenset({"qdrant_edge"}),
        # The server's rules (characters, 255 of them for a collection, 200 bytes for a vector), less what a path of the
        # REST interface or a file name on the server's disk cannot be.
        names=r'(?!\.{1,2}$)[^<>:"/\\|?*\x00-\x1f\x7f]{1,80}|(?!\.{1,2}$)[ !#-),-.0-9;=@-\[\]-{}~]{81,200}',
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Who answered, and which of its interfaces is used for records."""

    version: tuple[int, int, int]
    text: str
    grpc: bool

    @property
    def label(self) -> str:
        return f"Qdrant {self.text} ({'gRPC' if self.grpc else 'REST'})"

    def since(self, minor: int) -> bool:
        """Whether the version is 1.`minor` or later."""
        return self.version >= (1, minor, 0)


def parse_version(text: str) -> tuple[int, int, int]:
    """`1.19.0-dev` is (1, 19, 0); what cannot be read counts as the oldest that is supported."""
    found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    if found is None:
        return (*OLDEST, 0)
    return int(found[1]), int(found[2]), int(found[3] or 0)


def narrowed(strict: Mapping[str, Any], server: Server, *, field: str, by_shard: bool) -> Capabilities:
    """`strict`: the strict-mode settings of the collection, empty when off. `field`: the one that holds namespaces;
    `by_shard`: namespaces are shard keys, each with ids of its own."""
    caps = CAPABILITIES.changed(metadata={"reserved": frozenset({field, EXACT_FIELD})})
    caps = caps.changed(collection={"settings": carried(server.since) | {SHARD_KEYS if by_shard else TENANT_FIELD}})
    if not server.since(18):
        caps = caps.changed(vectors={"indexes": {"hnsw": OFFER, "flat": OFFER}})
    if by_shard:
        caps = caps.changed(
            ids={"per_namespace": True},
            metadata={"reserved": frozenset({EXACT_FIELD})},
            namespaces={"empty": True},
        )
    most = strict.get("upsert_max_batchsize")
    if most:
        caps = caps.changed(writes={"rows": min(ROWS_PER_WRITE, most)})
    sparse = [item.get("max_length") for item in (strict.get("sparse_config") or {}).values()]
    if sparse and all(sparse):
        caps = caps.changed(vectors={"max_sparse": min(sparse)})
    return caps
