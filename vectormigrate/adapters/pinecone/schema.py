"""An index in neutral words. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from vectormigrate.adapters.pinecone.errors import NAME
from vectormigrate.adapters.pinecone.layout import Layout
from vectormigrate.adapters.pinecone.settings import settings_of
from vectormigrate.model.ids import IdKind
from vectormigrate.model.schema import (
    CollectionSchema,
    FieldType,
    Json,
    MetadataField,
)

_TYPES = {
    "float": FieldType.FLOAT64,
    "integer": FieldType.INT64,
    "boolean": FieldType.BOOL,
    "string": FieldType.STRING,
    "string_list": FieldType.LIST,
}


def schema_of(layout: Layout, name: str, note: Mapping[str, Json] | None) -> CollectionSchema:
    """The schema in neutral words. Vectors that the service makes inside a document index are `computed`."""
    return CollectionSchema(
        name=name,
        id_kinds=frozenset({IdKind.STRING}),
        vectors=layout.vectors,
        fields=tuple(_metadata(layout)),
        extras={NAME: dict(layout.settings)},
        note=note,
        computed=tuple(sorted(layout.embedded)) if layout.documents else (),
        settings=settings_of(layout),
    )


def _metadata(layout: Layout) -> list[MetadataField]:
    """Fields that the index knows by name; undeclared metadata is indexed as well, but listed nowhere."""
    found: list[MetadataField] = []
    for name, config in layout.fields.items():
        kind = config.get("type")
        if kind is None:
            found.append(MetadataField(name=name, type=FieldType.STRING, indexed=bool(config.get("filterable"))))
        elif kind in _TYPES:
            text = config.get("full_text_search") is not None
            found.append(
                MetadataField(
                    name=name,
                    type=FieldType.TEXT if text else _TYPES[kind],
                    element=FieldType.STRING if kind == "string_list" else None,
                    indexed=text or bool(config.get("filterable")),
                )
            )
    return found
