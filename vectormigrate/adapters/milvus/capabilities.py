"""What a Milvus collection can hold: the newest server, narrowed by the version that answers.

Measured with Milvus 2.3.5 and Milvus Lite 3.2.2; the numbers for other versions are from Milvus' configuration files.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

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
from vectormigrate.adapters.milvus.index_types import RANGES, vector_indexes
from vectormigrate.model.ids import IdKind
from vectormigrate.model.schema import DType, FieldType, Metric, VectorKind, Weight

PK = "id"
"""Name of the id field of a new collection, unless the schema brings one."""

META = "$meta"
"""Milvus' own name for the dynamic field."""

VARCHAR_MAX = 65_535
META_MAX = 65_536
INT64_MAX = 2**63 - 1
NAME = r"[A-Za-z_][A-Za-z0-9_]{0,254}"

INDEXED = frozenset(
    {
        FieldType.BOOL,
        *(FieldType.INT8, FieldType.INT16, FieldType.INT32, FieldType.INT64),
        *(FieldType.FLOAT32, FieldType.FLOAT64),
        *(FieldType.STRING, FieldType.LIST),
    }
)

CARRIED = frozenset({"ttl", "function", "partition-key", "properties", "description", "shards", "consistency"})
"""Settings with which a collection is made again."""

CAPABILITIES = Capabilities(
    ids=IdCapabilities(
        kinds=frozenset({IdKind.INT64, IdKind.STRING}),
        max_bytes=VARCHAR_MAX,
        per_namespace=True,
        mixed=False,
    ),
    vectors=VectorCapabilities(
        kinds=frozenset({VectorKind.DENSE, VectorKind.SPARSE}),
        dtypes=frozenset({DType.FLOAT32, DType.FLOAT16, DType.BFLOAT16, DType.INT8, DType.BITS}),
        metrics=frozenset({Metric.COSINE, Metric.DOT, Metric.L2, Metric.HAMMING, Metric.JACCARD}),
        max_dim=32_768,
        max_fields=10,
        required=frozenset({VectorKind.DENSE, VectorKind.SPARSE}),
        index_ranges=RANGES,
        indexes=vector_indexes((99, 0), lite=False),
        names=NAME,
    ),
    metadata=MetadataCapabilities(
        value_kinds=frozenset(ValueKind) - {ValueKind.NONFINITE, ValueKind.BYTES, ValueKind.DATETIME},
        int_range=(-(2**63), 2**64 - 1),
        reserved=frozenset({META, PK}),
        shared_names=True,
        index_types=INDEXED,
        max_bytes=META_MAX,
    ),
    namespaces=NamespaceCapabilities(
        supported=True,
        empty=True,
        max_count=1024,
        # "" is the partition `_default`, which therefore is no name of its own.
        names=r"(?!_default$)[A-Za-z0-9_]{0,255}",
    ),
    writes=WriteCapabilities(
        rows=5_000,
        bytes=32 * 2**20,
        readable_before_finalize=False,
    ),
    collection=CollectionCapabilities(
        known_settings={
            **dict.fromkeys(("ttl", "function"), Weight.BEHAVIOUR),
            **dict.fromkeys(CARRIED - {"ttl", "function"}, Weight.SETTING),
            **dict.fromkeys(("auto-id", "aliases"), Weight.NOTICE),
        },
        settings=CARRIED,
        names=NAME,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """What answers: `version` is `(major, minor)`, `label` is for people."""

    label: str
    version: tuple[int, int]
    lite: bool

    @property
    def nullable(self) -> bool:
        """Scalar fields may be null and have defaults."""
        return self.lite or self.version >= (2, 5)

    @property
    def nullable_vectors(self) -> bool:
        """Vector fields may be null. Lite accepts such a field and reads zeros from it, so there it does not count."""
        return not self.lite and self.version >= (3, 0)


def server_of(version: str, deploy_mode: str, build_tags: str) -> Server:
    """From the server's own words. `v2.3.5-lite` is a full server; Lite answers `embedded`."""
    found = re.search(r"(\d+)\.(\d+)(\.\d+)*", version)
    number = found.group(0) if found else version
    lite = deploy_mode == "embedded" or build_tags == "milvus_lite"
    mode = "" if lite or not deploy_mode else f" {deploy_mode.lower()}"
    parts = (int(found.group(1)), int(found.group(2))) if found else (99, 0)
    if "zilliz" in version.lower():
        return Server(label=version, version=parts, lite=False)
    return Server(label=f"Milvus {'Lite ' if lite else ''}{number}{mode}", version=parts, lite=lite)


def narrowed(server: Server) -> Capabilities:
    """The capabilities of this server."""
    indexes = vector_indexes(server.version, lite=server.lite)
    if server.lite:
        return CAPABILITIES.changed(
            ids={"per_namespace": False},
            vectors={
                "indexes": indexes,
                "dtypes": frozenset({DType.FLOAT32}),
                "metrics": frozenset({Metric.COSINE, Metric.DOT, Metric.L2}),
            },
            writes={"writers": 1, "readable_before_finalize": True},
            collection={
                "settings": CAPABILITIES.collection.settings - {"shards", "consistency", "description"},
                "readers": 1,
            },
        )
    caps = CAPABILITIES.changed(vectors={"indexes": indexes})
    if server.version < (3, 0):
        caps = caps.changed(vectors={"max_fields": 4})
    if server.version < (2, 5):
        caps = caps.changed(collection={"settings": caps.collection.settings - {"function"}})
    if server.version < (2, 6):
        caps = caps.changed(vectors={"dtypes": caps.vectors.dtypes - {DType.INT8}})
    if server.version < (2, 4):
        caps = caps.changed(
            vectors={
                "max_fields": 1,
                "kinds": frozenset({VectorKind.DENSE}),
                # 2.3 takes FLOAT16, but its query node dies when two inserts reach it together (MergeFieldData).
                "dtypes": caps.vectors.dtypes - {DType.BFLOAT16, DType.FLOAT16},
            },
            namespaces={"max_count": 4096},
        )
    return caps


EDITIONS = {
    "Milvus Lite": narrowed(Server(label="Milvus Lite", version=(3, 2), lite=True)),
    "Milvus 2.3": narrowed(Server(label="Milvus 2.3", version=(2, 3), lite=False)),
}
"""What the embedded edition and the oldest supported server can hold."""
