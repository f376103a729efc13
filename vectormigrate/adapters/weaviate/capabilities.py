"""What a Weaviate collection can hold: measured with 1.39.0, name rules from `entities/schema/validation.go`."""

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
from vectormigrate.adapters.weaviate.indexes import RANGES, vector_indexes
from vectormigrate.adapters.weaviate.settings import CARRIED, KNOWN, TENANT_STATES
from vectormigrate.model.ids import IdKind
from vectormigrate.model.schema import DType, FieldType, Metric, VectorKind

MAX_INT = 2**53
"""Weaviate keeps every integer as a float64."""

RESERVED = frozenset({"id", "_id", "_additional"})
SUFFIXES = ("_searchable", "_rangeable", "_temp", "__meta_count", "_propertyLength", "_nullState")
"""Endings that a new property must not have: Weaviate's own index folders end so."""

VECTOR_NAME = r"[_A-Za-z][_0-9A-Za-z]{0,229}"
TENANT_NAME = r"[A-Za-z0-9_-]{1,64}"
PROPERTY_NAME = rf"(?!.*(?:{'|'.join(SUFFIXES)})$)[_a-z][_0-9A-Za-z]{{0,230}}"
"""Weaviate lowers the first letter of a property, so only such names come back as they were."""

CAPABILITIES = Capabilities(
    ids=IdCapabilities(kinds=frozenset({IdKind.UUID}), per_namespace=True),
    vectors=VectorCapabilities(
        kinds=frozenset({VectorKind.DENSE, VectorKind.MULTI}),
        dtypes=frozenset({DType.FLOAT32}),
        metrics=frozenset({Metric.COSINE, Metric.DOT, Metric.L2, Metric.L1, Metric.HAMMING}),
        max_dim=65_535,
        unnamed=True,
        index_ranges=RANGES,
        indexes=vector_indexes((99, 0)),
        names=rf"|{VECTOR_NAME}",
    ),
    metadata=MetadataCapabilities(
        value_kinds=frozenset(
            {
                *(ValueKind.BOOL, ValueKind.INT, ValueKind.FLOAT, ValueKind.WHOLE),
                *(ValueKind.STRING, ValueKind.LIST_OF_STRINGS, ValueKind.DATETIME),
            }
        ),
        int_range=(-MAX_INT, MAX_INT),
        names=PROPERTY_NAME,
        fold_case=True,
        dynamic=False,
        column_types=frozenset(
            {
                *(FieldType.BOOL, FieldType.INT64, FieldType.FLOAT64, FieldType.STRING, FieldType.TEXT),
                *(FieldType.DATETIME, FieldType.UUID, FieldType.GEO, FieldType.LIST),
            }
        ),
        reserved=RESERVED,
    ),
    namespaces=NamespaceCapabilities(
        supported=True,
        declared=True,
        empty=True,
        # "" is the one namespace of a collection without multi-tenancy.
        names=r"[A-Za-z0-9_-]{0,64}",
    ),
    writes=WriteCapabilities(rows=1_000, bytes=16 * 2**20),
    collection=CollectionCapabilities(
        known_settings=KNOWN,
        settings=CARRIED,
        names=r"[A-Z][_0-9A-Za-z]{0,254}",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """What answers. `message_bytes`: the largest gRPC message in either direction."""

    label: str
    version: tuple[int, int]
    message_bytes: int


def narrowed(server: Server, *, activate_tenants: bool) -> Capabilities:
    """The capabilities of this server. Tenants can only be inactive where they can be activated to be read again."""
    states = {TENANT_STATES} if activate_tenants else set[str]()
    return CAPABILITIES.changed(
        vectors={"indexes": vector_indexes(server.version)},
        collection={"settings": CARRIED | states},
    )


DEFAULT_MESSAGE_BYTES = 104_858_000
OLDEST = (1, 27)


def server_of(version: str, message_bytes: int | None) -> Server:
    """From the answer of `/v1/meta`."""
    found = re.match(r"v?(\d+)\.(\d+)", version)
    parts = (int(found.group(1)), int(found.group(2))) if found else (99, 0)
    return Server(label=f"Weaviate {version}", version=parts, message_bytes=message_bytes or DEFAULT_MESSAGE_BYTES)
