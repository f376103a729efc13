"""Indexes of a recommended schema: on the metadata fields that deserve one, and on the vectors. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from vectormigrate.adapter import Capabilities, ValueKind
from vectormigrate.advice.evidence import Inferred
from vectormigrate.mapping.paths import parse_path
from vectormigrate.mapping.plan.planner import Decision
from vectormigrate.model.schema import CollectionSchema, FieldType, Json, MetadataField, VectorKind

_SERVES: Mapping[FieldType, tuple[FieldType, ...]] = {
    FieldType.BOOL: (FieldType.BOOL,),
    **dict.fromkeys(
        (FieldType.INT8, FieldType.INT16, FieldType.INT32, FieldType.INT64), (FieldType.INT64, FieldType.FLOAT64)
    ),
    **dict.fromkeys((FieldType.FLOAT32, FieldType.FLOAT64), (FieldType.FLOAT64,)),
    FieldType.STRING: (FieldType.STRING, FieldType.TEXT),
    FieldType.TEXT: (FieldType.TEXT, FieldType.STRING),
    FieldType.DATETIME: (FieldType.DATETIME, FieldType.STRING),
    FieldType.UUID: (FieldType.UUID, FieldType.STRING),
    FieldType.GEO: (FieldType.GEO,),
}
"""Index types that answer filters on values of a type, the best one first."""

MANY = 1_000_000
"""Records from which a graph gets more links."""


class Advice(Protocol):
    """A field's type and whether it deserves an index."""

    @property
    def kind(self) -> Inferred: ...
    @property
    def index(self) -> bool: ...


def index_type(caps: Capabilities, kind: Inferred) -> FieldType | None:
    """The target's best index for values of this type (for a list: of its elements), None when it has none."""
    held = kind.element if kind.type is FieldType.LIST else kind.type
    if held is None or (kind.type is FieldType.LIST and FieldType.LIST not in caps.metadata.index_types):
        return None
    texts = held in (FieldType.STRING, FieldType.TEXT, FieldType.DATETIME, FieldType.UUID)
    if (
        kind.type is FieldType.LIST
        and caps.metadata.dynamic
        and ValueKind.LIST not in caps.metadata.value_kinds
        and not texts
    ):
        return None
    for option in _SERVES.get(held, ()):
        if option is FieldType.INT64 and ValueKind.INT not in caps.metadata.value_kinds:
            continue
        if option in caps.metadata.index_types:
            return option
    return None


def with_field_indexes(
    decision: Decision, advised: Mapping[str, Advice], caps: Capabilities
) -> tuple[CollectionSchema, dict[str, FieldType]]:
    """The target schema with an index on every field that deserves one, and by source path the type of that index."""
    fields = {item.name: item for item in decision.target_schema.fields if item.declared or _can_be(item, caps)}
    names = {line.source_field: line.target_field for line in decision.field_mappings}
    served: dict[str, FieldType] = {}
    for path, item in advised.items():
        kind = index_type(caps, item.kind) if item.index else None
        name = _name_of(path, names, fields, caps)
        if not name or kind is None:
            continue
        served[path] = kind
        old = fields.get(name)
        if old is not None and old.declared:
            fields[name] = replace(old, indexed=True)
        elif item.kind.type is FieldType.LIST:
            fields[name] = MetadataField(name=name, type=FieldType.LIST, element=kind, indexed=True)
        else:
            fields[name] = MetadataField(name=name, type=kind, indexed=True)
    return replace(decision.target_schema, fields=tuple(fields.values())), served


def _name_of(
    path: str, names: Mapping[str, str], fields: Mapping[str, MetadataField], caps: Capabilities
) -> str | None:
    """What the field at this source path is called on the target: as mapped, else by its path where objects are kept
    or a field of that name is there."""
    plain = ".".join(parse_path(path))
    name = names.get(path) or names.get(plain)
    if name is None and (ValueKind.OBJECT in caps.metadata.value_kinds or plain in fields):
        return plain
    return name


def _can_be(item: MetadataField, caps: Capabilities) -> bool:
    kinds = {item.type, item.element} - {None}
    return kinds <= caps.metadata.index_types


def with_vector_indexes(schema: CollectionSchema, caps: Capabilities, records: int) -> CollectionSchema:
    """Parameters for every vector field that brings none: a graph (HNSW) with 16 links per record, 32 from a million
    records on, and eight times as many candidates while it is built. Only what the target takes."""
    links = 32 if records >= MANY else 16
    graph: dict[str, Json] = {"type": "hnsw", "m": links, "ef_construct": 8 * links}
    wanted = {key: value for key, value in graph.items() if key in caps.vectors.index_params}
    vectors = tuple(
        item if item.index or item.kind is VectorKind.SPARSE else replace(item, index=wanted) for item in schema.vectors
    )
    return replace(schema, vectors=vectors)
