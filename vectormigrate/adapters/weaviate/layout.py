"""The shape of an existing class as Weaviate describes it, read once and used by codec, reader and writer. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vectormigrate.adapters.weaviate.errors import NAME
from vectormigrate.adapters.weaviate.note import Marker, split
from vectormigrate.errors import InvalidRequest
from vectormigrate.model.schema import Json, Metric, VectorKind

METRICS: Mapping[str, Metric] = {
    "cosine": Metric.COSINE,
    "cosine-dot": Metric.COSINE,
    "dot": Metric.DOT,
    "l2-squared": Metric.L2,
    "manhattan": Metric.L1,
    "hamming": Metric.HAMMING,
}

PRIMITIVES = frozenset({"text", "string", "int", "number", "boolean", "date", "uuid"})
"""Types that also exist as lists."""

SINGLES = frozenset({"geoCoordinates", "phoneNumber", "blob", "blobHash"})

DROPPED = "none"
"""Index type of a named vector whose index was dropped: its vectors are gone."""

REFERENCE = "reference"


@dataclass(frozen=True, slots=True, kw_only=True)
class Property:
    """A property, or one inside an object. `kind` is Weaviate's type without `[]`, or REFERENCE with the `targets`."""

    name: str
    kind: str
    many: bool
    nested: Mapping[str, Property]
    targets: tuple[str, ...]
    json: Mapping[str, Json]

    @property
    def is_reference(self) -> bool:
        return self.kind == REFERENCE

    @property
    def is_object(self) -> bool:
        return self.kind == "object"

    @property
    def hides_members(self) -> bool:
        """Whether gRPC leaves out members: it lowers the first letter of the names that are asked for (1.39.0)."""
        return any(name[:1].isupper() or inner.hides_members for name, inner in self.nested.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Vector:
    """A vector; the legacy one of a class has the name "". `json`: vectorIndexType, vectorIndexConfig, vectorizer."""

    name: str
    kind: VectorKind
    metric: Metric
    json: Mapping[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """`name` is the class itself, also when it was opened by an alias. `dropped`: vectors without an index, which
    Weaviate does not return any more. `later`: references among the properties that do not exist yet (marker.py)."""

    name: str
    properties: Mapping[str, Property]
    vectors: tuple[Vector, ...]
    dropped: tuple[str, ...]
    later: tuple[Property, ...]
    divided: bool
    description: str
    marker: Marker
    raw: Mapping[str, Json]

    @property
    def plain(self) -> list[Property]:
        """The properties that are no references."""
        return [item for item in self.properties.values() if not item.is_reference]

    @property
    def references(self) -> list[Property]:
        return [item for item in self.properties.values() if item.is_reference]

    @property
    def by_rest(self) -> list[Property]:
        """The properties that only REST returns in full."""
        return [item for item in self.properties.values() if item.is_reference or item.hides_members]

    def vector(self, name: str) -> Vector | None:
        return next((item for item in self.vectors if item.name == name), None)


def layout_of(raw: Mapping[str, Json]) -> Layout:
    """Read a class as `GET /schema/CLASS` gives it. Raises InvalidRequest for a type that is not known here: skipping
    it would lose data."""
    name = str(raw["class"])
    description, marker = split(raw.get("description") or "")
    vectors, dropped = _vectors(name, raw)
    properties = [_property(name, item) for item in raw.get("properties") or ()]
    known = {item.name for item in properties}
    later = [item for item in (_property(name, json) for json in marker.later) if item.name not in known]
    return Layout(
        name=name,
        properties={item.name: item for item in (*properties, *later)},
        vectors=tuple(_as_made(vectors, marker)),
        dropped=tuple(dropped),
        later=tuple(later),
        divided=bool((raw.get("multiTenancyConfig") or {}).get("enabled")),
        description=description,
        marker=marker,
        raw=raw,
    )


def _property(owner: str, item: Mapping[str, Any]) -> Property:
    types: Sequence[str] = item["dataType"]
    name = str(item["name"])
    json = {key: value for key, value in item.items() if key not in ("name", "moduleConfig")}
    # Class names begin with a capital (after the `namespace:` of servers that have such), types do not.
    if all(kind.rpartition(":")[2][:1].isupper() for kind in types):
        return Property(name=name, kind=REFERENCE, many=True, nested={}, targets=tuple(types), json=json)
    kind, many = (types[0][:-2], True) if types[0].endswith("[]") else (types[0], False)
    if not (kind in PRIMITIVES or kind == "object" or (kind in SINGLES and not many)):
        message = f"property {name!r} of class {owner!r} has the type {types[0]!r}, which vectormigrate cannot move"
        raise InvalidRequest(message, adapter=NAME, operation="describe")
    nested = [_property(owner, inner) for inner in item.get("nestedProperties") or ()]
    return Property(
        name=name, kind=kind, many=many, nested={inner.name: inner for inner in nested}, targets=(), json=json
    )


def _vectors(owner: str, raw: Mapping[str, Any]) -> tuple[list[Vector], list[str]]:
    vectors: list[Vector] = []
    dropped: list[str] = []
    if raw.get("vectorIndexType"):
        json = {key: raw[key] for key in ("vectorizer", "vectorIndexType", "vectorIndexConfig") if key in raw}
        vectors.append(_vector(owner, "", json))
    for name, json in (raw.get("vectorConfig") or {}).items():
        if json.get("vectorIndexType") == DROPPED:
            dropped.append(name)
        else:
            vectors.append(_vector(owner, name, json))
    return vectors, dropped


def _as_made(vectors: list[Vector], marker: Marker) -> list[Vector]:
    """In the order in which they were declared, which Weaviate forgets."""
    order = {name: number for number, name in enumerate(marker.dims or ())}
    return sorted(vectors, key=lambda item: order.get(item.name, len(order)))


def _vector(owner: str, name: str, json: Mapping[str, Any]) -> Vector:
    config: Mapping[str, Any] = json.get("vectorIndexConfig") or {}
    # The dynamic index keeps the settings of its two forms inside, and its distance beside them.
    distance = config.get("distance") or (config.get("hnsw") or {}).get("distance") or "cosine"
    multi = (config.get("multivector") or (config.get("hnsw") or {}).get("multivector") or {}).get("enabled")
    if distance not in METRICS:
        message = f"vector {name!r} of class {owner!r} has the distance {distance!r}, which vectormigrate does not know"
        raise InvalidRequest(message, adapter=NAME, operation="describe")
    return Vector(
        name=name, kind=VectorKind.MULTI if multi else VectorKind.DENSE, metric=METRICS[distance], json=dict(json)
    )
