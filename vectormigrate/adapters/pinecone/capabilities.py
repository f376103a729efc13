"""What an index can hold: a vector index made here, a document index made here, and an existing one.

Limits: Pinecone's documentation and OpenAPI files (API 2026-07); see errors.py for how a breach is reported.
"""

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
from vectormigrate.adapters.pinecone.config import CLOUD, NO_KEY, REGION, PineconeConfig
from vectormigrate.adapters.pinecone.layout import DENSE, SPARSE, Layout
from vectormigrate.model.ids import IdKind
from vectormigrate.model.schema import DType, FieldType, Metric, VectorKind, Weight

NOTE_NAMESPACE = "__vectormigrate_note__"
"""Holds the origin note: tags are too small for it (20 of 120 characters)."""

DEFAULT_NAMESPACE = "__default__"
"""How the service lists the default namespace, which is `""` here."""

MAX_DIM = 20_000
MAX_METADATA = 40_960
MAX_SPARSE = 1_000
MAX_RECORDS = 1_000
MAX_REQUEST = 2_000_000
INT_MAX = 2**53
"""Numbers are doubles, whatever they were sent as."""

MAX_ID = 512
NAMESPACES = rf"(?s)(?!(?:{DEFAULT_NAMESPACE}|{NOTE_NAMESPACE})\Z)[\x01-\x7f]{{0,512}}"

CAPABILITIES = Capabilities(
    ids=IdCapabilities(
        kinds=frozenset({IdKind.STRING}),
        max_bytes=MAX_ID,
        ascii=True,
        per_namespace=True,
    ),
    vectors=VectorCapabilities(
        kinds=frozenset({VectorKind.DENSE, VectorKind.SPARSE}),
        dtypes=frozenset({DType.FLOAT32}),
        metrics=frozenset({Metric.COSINE, Metric.DOT, Metric.L2}),
        max_dim=MAX_DIM,
        max_fields=2,
        max_of_kind={VectorKind.DENSE: 1, VectorKind.SPARSE: 1},
        fixed_names={VectorKind.DENSE: DENSE, VectorKind.SPARSE: SPARSE},
        required=frozenset({VectorKind.DENSE}),
        zeros=False,
        metrics_with_sparse=frozenset({Metric.DOT}),
        max_sparse=MAX_SPARSE,
        empty_sparse=False,
        # The service chooses its own index.
        index_params=frozenset(),
        indexes={},
    ),
    metadata=MetadataCapabilities(
        value_kinds=frozenset(
            {ValueKind.BOOL, ValueKind.INT, ValueKind.FLOAT, ValueKind.STRING, ValueKind.LIST_OF_STRINGS}
        ),
        int_range=(-INT_MAX, INT_MAX),
        index_types=frozenset({FieldType.BOOL, FieldType.INT64, FieldType.FLOAT64, FieldType.STRING, FieldType.LIST}),
        filters_all=True,
        names=r"(?s)(?!\$).*",
        max_bytes=MAX_METADATA,
    ),
    namespaces=NamespaceCapabilities(
        supported=True,
        empty=True,
        names=NAMESPACES,
    ),
    writes=WriteCapabilities(
        rows=MAX_RECORDS,
        # float32 components are about three times as long in JSON.
        bytes=MAX_REQUEST // 3,
        writers=16,
        readable_before_finalize=False,
    ),
    collection=CollectionCapabilities(
        names=r"[a-z0-9](?:[a-z0-9-]{0,43}[a-z0-9])?",
        readers=8,
        known_settings={
            **dict.fromkeys(("byoc", "cmek", "deletion-protection"), Weight.SAFETY),
            **dict.fromkeys(("filterable", "embedding"), Weight.BEHAVIOUR),
            **dict.fromkeys(("read-capacity", "tags"), Weight.SETTING),
            "text": Weight.RECORDS,
        },
        settings=frozenset({"byoc", "cmek", "deletion-protection", "read-capacity", "tags"}),
    ),
)

DOCUMENTS = CAPABILITIES.changed(
    vectors={
        "fixed_names": {},
        "metrics_with_sparse": None,
        # Of at most 64 bytes; the sidecar's own names are spelled without the underscore there (see codec).
        "names": r"(?![_$])(?:[\x20-\x7e]{1,64}|.{1,16})",
    },
    metadata={
        "names": r"(?s)(?:(?![_$]).+|_vm_origin|_vm_id)",
        "reserved": frozenset({"vm_origin", "vm_id"}),
        "shared_names": True,
    },
)

EDITIONS = {"a Pinecone document index": DOCUMENTS}
"""The other kind of index, which the option `index_kind` chooses."""


def chosen(caps: Capabilities, config: PineconeConfig) -> Capabilities:
    """Without the settings that the operator chose otherwise for an index that is created, and where that will be."""
    without = {
        "byoc": bool(config.cloud or config.region),
        "cmek": config.cmek_id == NO_KEY,
        "deletion-protection": config.deletion_protection is False,
        "read-capacity": not config.dedicated_reads,
    }
    settings = caps.collection.settings - {name for name, left_out in without.items() if left_out}
    return caps.changed(collection={"settings": settings, "defaults": _place(config)})


def _place(config: PineconeConfig) -> tuple[str, ...]:
    if config.environment or config.cloud:
        return ()
    return (
        f"the index is made in {CLOUD} {REGION}; another place is chosen with the target's options cloud and region",
    )


def narrowed(layout: Layout) -> Capabilities:
    """The capabilities of an existing index."""
    kinds = {VectorKind.DENSE} if layout.dense is not None else set[VectorKind]()
    kinds |= {VectorKind.SPARSE} if layout.sparse is not None else set[VectorKind]()
    base = DOCUMENTS if layout.documents else CAPABILITIES
    required = VectorKind.DENSE if VectorKind.DENSE in kinds else VectorKind.SPARSE
    # With a list of filterable fields, made by an older interface, the others are not indexed.
    filters_all = all(config.get("type") for config in layout.fields.values())
    return base.changed(
        vectors={
            "kinds": frozenset(kinds),
            "max_fields": len(kinds),
            "max_of_kind": dict.fromkeys(kinds, 1),
            "fixed_names": {kind: name for kind, name in base.vectors.fixed_names.items() if kind in kinds},
            "required": frozenset({required} & kinds),
        },
        metadata={"filters_all": filters_all},
        collection={"keeps_note": bool(kinds)},
    )
