"""What a Milvus collection can hold: the newest server, narrowed by the version that answers.

Measured with Milvus 2.3.5 and Milvus Lite 3.2.2; the numbers for other versions are from Milvus' configuration files.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from vectormigrate.adapter import Capabilities, ValueKind
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
    id_kinds=frozenset({IdKind.INT64, IdKind.STRING}),
    id_max_bytes=VARCHAR_MAX,
    ids_per_namespace=True,
    mixed_ids=False,
    vector_kinds=frozenset({VectorKind.DENSE, VectorKind.SPARSE}),
    dtypes=frozenset({DType.FLOAT32, DType.FLOAT16, DType.BFLOAT16, DType.INT8, DType.BITS}),
    metrics=frozenset({Metric.COSINE, Metric.DOT, Metric.L2, Metric.HAMMING, Metric.JACCARD}),
    max_dim=32_768,
    max_vectors=10,
    vectors_required=frozenset({VectorKind.DENSE, VectorKind.SPARSE}),
    value_kinds=frozenset(ValueKind) - {ValueKind.NONFINITE, ValueKind.BYTES, ValueKind.DATETIME},
    int_range=(-(2**63), 2**64 - 1),
    reserved_fields=frozenset({META, PK}),
    shared_names=True,
    index_types=INDEXED,
    known_settings={
        **dict.fromkeys(("ttl", "function"), Weight.BEHAVIOUR),
        **dict.fromkeys(CARRIED - {"ttl", "function"}, Weight.SETTING),
        **dict.fromkeys(("auto-id", "aliases"), Weight.NOTICE),
    },
    settings=CARRIED,
    index_ranges=RANGES,
    vector_indexes=vector_indexes((99, 0), lite=False),
    max_metadata_bytes=META_MAX,
    namespaces=True,
    empty_namespaces=True,
    max_namespaces=1024,
    # "" is the partition `_default`, which therefore is no name of its own.
    namespace_names=r"(?!_default$)[A-Za-z0-9_]{0,255}",
    collection_names=NAME,
    vector_names=NAME,
    rows_per_write=5_000,
    bytes_per_write=32 * 2**20,
    readable_before_finalize=False,
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
        return replace(
            CAPABILITIES,
            vector_indexes=indexes,
            settings=CAPABILITIES.settings - {"shards", "consistency", "description"},
            ids_per_namespace=False,
            dtypes=frozenset({DType.FLOAT32}),
            metrics=frozenset({Metric.COSINE, Metric.DOT, Metric.L2}),
            writers=1,
            readers=1,
            readable_before_finalize=True,
        )
    caps = replace(CAPABILITIES, vector_indexes=indexes)
    if server.version < (3, 0):
        caps = replace(caps, max_vectors=4)
    if server.version < (2, 5):
        caps = replace(caps, settings=caps.settings - {"function"})
    if server.version < (2, 6):
        caps = replace(caps, dtypes=caps.dtypes - {DType.INT8})
    if server.version < (2, 4):
        caps = replace(
            caps,
            max_vectors=1,
            max_namespaces=4096,
            vector_kinds=frozenset({VectorKind.DENSE}),
            # 2.3 takes FLOAT16, but its query node dies when two inserts reach it together (MergeFieldData).
            dtypes=caps.dtypes - {DType.BFLOAT16, DType.FLOAT16},
        )
    return caps


EDITIONS = {
    "Milvus Lite": narrowed(Server(label="Milvus Lite", version=(3, 2), lite=True)),
    "Milvus 2.3": narrowed(Server(label="Milvus 2.3", version=(2, 3), lite=False)),
}
"""What the embedded edition and the oldest supported server can hold."""
