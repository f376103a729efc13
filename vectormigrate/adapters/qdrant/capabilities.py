"""What a Qdrant server can hold, in general and narrowed to one version and collection."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from vectormigrate.adapter import Capabilities, ValueKind
from vectormigrate.adapter.json_floats import EXACT_FIELD
from vectormigrate.adapter.qdrant_indexes import OFFER, TURBO_OFFER
from vectormigrate.adapter.qdrant_settings import KNOWN, carried
from vectormigrate.adapters.qdrant.config import MAX_DIM, NAMESPACE_FIELD
from vectormigrate.adapters.qdrant.settings import SHARD_KEYS, TENANT_FIELD
from vectormigrate.model.ids import IdKind
from vectormigrate.model.schema import DType, Metric, VectorKind, Weight

ROWS_PER_WRITE = 1_000

OLDEST = (1, 15)

CAPABILITIES = Capabilities(
    id_kinds=frozenset({IdKind.UINT64, IdKind.UUID}),
    ids_per_namespace=False,
    vector_kinds=frozenset(VectorKind),
    dtypes=frozenset({DType.FLOAT32, DType.FLOAT16, DType.UINT8}),
    metrics=frozenset({Metric.COSINE, Metric.DOT, Metric.L2, Metric.L1}),
    max_dim=MAX_DIM,
    unnamed_vector=True,
    normalises_cosine=True,
    value_kinds=frozenset(ValueKind) - {ValueKind.NONFINITE, ValueKind.BYTES, ValueKind.DATETIME},
    int_range=(-(2**63), 2**64 - 1),
    known_settings={**KNOWN, SHARD_KEYS: Weight.SETTING, TENANT_FIELD: Weight.SETTING, "aliases": Weight.NOTICE},
    settings=carried(lambda minor: True) | {TENANT_FIELD},
    settings_from=frozenset({"qdrant_edge"}),
    vector_indexes={"hnsw": TURBO_OFFER, "flat": TURBO_OFFER},
    list_paths=True,
    reserved_fields=frozenset({NAMESPACE_FIELD, EXACT_FIELD}),
    namespaces=True,
    # The server's rules (characters, 255 characters of a collection, 200 bytes of a vector), less what a path of the
    # REST interface or a file name on the server's disk cannot be.
    collection_names=r'(?!\.{1,2}$)[^<>:"/\\|?*\x00-\x1f\x7f]{1,80}|(?!\.{1,2}$)[ !#-),-.0-9;=@-\[\]-{}~]{81,200}',
    vector_names=r'(?!\.{1,2}$)[^<>:"/\\|?*\x00-\x1f\x7f]{0,120}',
    rows_per_write=ROWS_PER_WRITE,
    # JSON makes four times as much of them; the REST interface refuses bodies over 32 MiB.
    bytes_per_write=6 * 2**20,
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
    caps = replace(CAPABILITIES, reserved_fields=frozenset({field, EXACT_FIELD}))
    caps = replace(caps, settings=carried(server.since) | {SHARD_KEYS if by_shard else TENANT_FIELD})
    if not server.since(18):
        caps = replace(caps, vector_indexes={"hnsw": OFFER, "flat": OFFER})
    if by_shard:
        caps = replace(caps, ids_per_namespace=True, empty_namespaces=True, reserved_fields=frozenset({EXACT_FIELD}))
    most = strict.get("upsert_max_batchsize")
    if most:
        caps = replace(caps, rows_per_write=min(ROWS_PER_WRITE, most))
    sparse = [item.get("max_length") for item in (strict.get("sparse_config") or {}).values()]
    if sparse and all(sparse):
        caps = replace(caps, max_sparse=min(sparse))
    return caps
