"""A class in neutral words, with everything that only Weaviate knows in `extras["weaviate"]`. Pure.

`extras["weaviate"]`: the class JSON without name, properties and our marker, and `tenants`, the states of those that
are not active. `MetadataField.params` is the JSON of the property.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from vectormigrate.adapters.weaviate.errors import NAME
from vectormigrate.adapters.weaviate.indexes import neutral
from vectormigrate.adapters.weaviate.layout import Layout, Property, Vector
from vectormigrate.adapters.weaviate.settings import Around, settings_of
from vectormigrate.model.ids import IdKind
from vectormigrate.model.schema import CollectionSchema, FieldType, Json, MetadataField, VectorField

_LEFT_OUT = ("class", "properties", "description", "moduleConfig")

TYPES: Mapping[str, FieldType] = {
    "text": FieldType.TEXT,
    "string": FieldType.TEXT,
    "int": FieldType.INT64,
    "number": FieldType.FLOAT64,
    "boolean": FieldType.BOOL,
    "date": FieldType.DATETIME,
    "uuid": FieldType.UUID,
    "geoCoordinates": FieldType.GEO,
    "phoneNumber": FieldType.JSON,
    "blob": FieldType.BYTES,
    "blobHash": FieldType.STRING,
    "object": FieldType.JSON,
    "reference": FieldType.STRING,
}


def schema_of(
    name: str, layout: Layout, dims: Mapping[str, int | None], around: Around, *, empty: bool
) -> CollectionSchema:
    """The schema of the collection, called `name`. A vector that no record has ever held is a field without a
    dimension in an empty collection; where there are records, it is left out and named in the warnings."""
    held = [item for item in layout.vectors if dims[item.name] is not None or empty]
    if layout.marker.dims is not None:
        held = [item for item in layout.vectors if dims[item.name] is not None]
    warnings = [*_warnings(layout)]
    if layout.marker.dims is None:
        warnings += [
            f"no record holds a vector {item.name!r}, so its dimension is unknown and it is left out"
            for item in layout.vectors
            if item not in held
        ]
    return CollectionSchema(
        name=name,
        id_kinds=frozenset({IdKind.UUID}),
        vectors=tuple(_vector(item, dims[item.name]) for item in held),
        # By name: a changed class gives its properties in any order.
        fields=tuple(field for _, item in sorted(layout.properties.items()) for field in _fields(item)),
        dynamic=False,
        divided=layout.divided,
        extras={NAME: _extras(layout, around)},
        note=layout.marker.note,
        settings=settings_of(layout, around),
        warnings=tuple(warnings),
    )


def _vector(item: Vector, dim: int | None) -> VectorField:
    return VectorField(name=item.name, kind=item.kind, dim=dim, metric=item.metric, index=neutral(item.json, dim))


def _fields(item: Property) -> Iterator[MetadataField]:
    """The property, and what is inside an object by dot paths."""
    kind, element = _type(item)
    yield MetadataField(
        name=item.name, type=kind, indexed=_indexed(item), declared=True, element=element, params=item.json
    )
    yield from _inside(item, item.name)


def _inside(item: Property, path: str) -> Iterator[MetadataField]:
    for inner in item.nested.values():
        if inner.is_object:
            yield from _inside(inner, f"{path}.{inner.name}")
        elif _indexed(inner):
            kind, element = _type(inner)
            # Inside an object dates and blobs are JSON texts.
            texts = {FieldType.DATETIME: FieldType.STRING, FieldType.BYTES: FieldType.STRING}
            kind, element = texts.get(kind, kind), texts.get(element, element) if element else None
            yield MetadataField(name=f"{path}.{inner.name}", type=kind, indexed=True, element=element)


def _type(item: Property) -> tuple[FieldType, FieldType | None]:
    kind = TYPES[item.kind]
    if kind is FieldType.TEXT and item.json.get("tokenization") == "field":
        kind = FieldType.STRING
    if item.kind == "object" and item.many:
        return FieldType.JSON, None
    return (FieldType.LIST, kind) if item.many else (kind, None)


def _indexed(item: Property) -> bool:
    if item.kind in ("blob", "phoneNumber", "object"):
        return False
    return any(item.json.get(key) for key in ("indexFilterable", "indexSearchable", "indexRangeFilters"))


def _warnings(layout: Layout) -> Iterator[str]:
    for name in layout.dropped:
        yield f"the index of the vector {name!r} was dropped, and Weaviate does not return its vectors any more"
    if layout.later:
        yield f"references wait for their classes: {', '.join(item.name for item in layout.later)}"


def _extras(layout: Layout, around: Around) -> dict[str, Json]:
    extras = {key: value for key, value in layout.raw.items() if key not in _LEFT_OUT}
    if layout.description:
        extras["description"] = layout.description
    if around.switched:
        extras["tenants"] = dict(around.switched)
    return extras
