"""A collection's schema in neutral words, with everything that only Milvus knows in `extras["milvus"]`. Pure.

`extras["milvus"]`: `pk` (name, auto_id, field), `vectors` and `derived` (name -> Milvus' description), `functions`,
`indexes` (field_name, index_name, params), `dynamic`, `num_partitions`, `shards`, `consistency`, `description`,
`properties`, `aliases`, `unindexed` (vector fields whose metric is therefore a guess). `MetadataField.params` is
Milvus' description of the field.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from google.protobuf.json_format import MessageToDict

from vectormigrate.adapters.milvus.errors import NAME
from vectormigrate.adapters.milvus.indexes import index_params, metric_of, neutral
from vectormigrate.adapters.milvus.layout import SCALARS, Layout, VectorColumn
from vectormigrate.adapters.milvus.proto import cp, pb, sp
from vectormigrate.adapters.milvus.settings import OWN, settings_of
from vectormigrate.adapters.milvus.warnings import notices
from vectormigrate.model.schema import (
    CollectionSchema,
    DType,
    FieldType,
    Json,
    MetadataField,
    Metric,
    VectorField,
    VectorKind,
)

NOTE = "vectormigrate.origin"
"""Collection property with the origin note as JSON. Empty is none: Milvus before 2.5 cannot remove a property."""

FIELDS = "vectormigrate.fields"
"""Collection property that lists known metadata fields of the dynamic field: `[[name, type, indexed, element], …]`."""


def schema_of(
    name: str, layout: Layout, indexes: Sequence[pb.IndexDescription], aliases: Sequence[str], *, lite: bool = False
) -> CollectionSchema:
    """The schema of the collection, called `name`."""
    by_field = {item.field_name: index_params(item) for item in indexes}
    unindexed = [item.name for item in layout.vectors if item.name not in by_field]
    return CollectionSchema(
        name=name,
        id_kinds=frozenset({layout.id_kind}),
        vectors=tuple(_vector(item, by_field.get(item.name)) for item in layout.vectors),
        fields=(*_declared(layout, by_field), *_undeclared(layout)),
        dynamic=layout.dynamic,
        extras={NAME: _extras(layout, indexes, aliases, unindexed)},
        note=_note(layout),
        computed=tuple(sorted(layout.derived)),
        settings=settings_of(layout, aliases, lite=lite),
        warnings=notices(layout, unindexed, lite=lite),
    )


def _vector(item: VectorColumn, params: dict[str, str] | None) -> VectorField:
    default = Metric.COSINE
    if item.kind is VectorKind.SPARSE:
        default = Metric.DOT
    elif item.dtype is DType.BITS:
        default = Metric.HAMMING
    return VectorField(
        name=item.name,
        kind=item.kind,
        dim=item.dim,
        metric=default if params is None else metric_of(params, default),
        dtype=item.dtype,
        index={} if params is None else neutral(params, item.dim),
    )


def _declared(layout: Layout, by_field: dict[str, dict[str, str]]) -> list[MetadataField]:
    return [
        MetadataField(
            name=item.name,
            type=SCALARS[item.type],
            indexed=item.name in by_field,
            declared=True,
            nullable=item.nullable,
            element=SCALARS.get(item.element),
            params=item.field,
        )
        for item in layout.scalars
    ]


def _undeclared(layout: Layout) -> list[MetadataField]:
    listed = _property_json(layout, FIELDS)
    return [
        MetadataField(name=name, type=FieldType(kind), indexed=indexed, element=FieldType(element) if element else None)
        for name, kind, indexed, element in (listed if isinstance(listed, list) else [])
    ]


def fields_property(fields: Sequence[MetadataField]) -> dict[str, str]:
    """The property that `_undeclared` reads."""
    if not fields:
        return {}
    return {FIELDS: json.dumps([[item.name, item.type, item.indexed, item.element] for item in fields])}


def _note(layout: Layout) -> dict[str, Json] | None:
    note = _property_json(layout, NOTE)
    return note if isinstance(note, dict) else None


def note_text(note: Json) -> str:
    """The property value for a note."""
    return "" if note is None else json.dumps(note)


def _property_json(layout: Layout, key: str) -> Any:
    try:
        return json.loads(layout.properties.get(key, "") or "null")
    except ValueError:
        return None


def _extras(
    layout: Layout, indexes: Sequence[pb.IndexDescription], aliases: Sequence[str], unindexed: Sequence[str]
) -> dict[str, Json]:
    answer = layout.answer
    properties = {key: value for key, value in sorted(layout.properties.items()) if not key.startswith(OWN)}
    extras: dict[str, Json] = {
        "pk": {"name": layout.pk.name, "auto_id": layout.auto_id, "field": dict(layout.pk.field)},
        "vectors": {item.name: dict(item.field) for item in layout.vectors},
        "derived": dict(layout.derived),
        "functions": [_function(item) for item in answer.schema.functions],
        "indexes": [
            {"field_name": item.field_name, "index_name": item.index_name, "params": index_params(item)}
            for item in sorted(indexes, key=lambda item: (item.field_name, item.index_name))
        ],
        "unindexed": list(unindexed),
        "dynamic": layout.dynamic,
        "shards": answer.shards_num,
        "consistency": cp.ConsistencyLevel.Name(answer.consistency_level),
        "description": answer.schema.description,
        "properties": properties,
        "aliases": sorted(aliases),
    }
    if layout.partition_key:
        extras["num_partitions"] = answer.num_partitions
    return extras


def _function(item: sp.FunctionSchema) -> dict[str, Json]:
    data: dict[str, Any] = MessageToDict(item, preserving_proto_field_name=True)
    for key in ("id", "input_field_ids", "output_field_ids"):
        data.pop(key, None)
    return data
