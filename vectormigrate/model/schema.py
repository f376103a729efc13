"""The shape of a collection, in words that hold for every database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from vectormigrate.model.ids import IdKind

Json = Any
"""A JSON value. Used for vendor settings and opaque positions, which only their adapter reads."""


class Metric(StrEnum):
    """How two vectors are compared."""

    COSINE = "cosine"
    DOT = "dot"
    L2 = "l2"
    L1 = "l1"
    HAMMING = "hamming"
    JACCARD = "jaccard"


class VectorKind(StrEnum):
    """One vector per record, (index, value) pairs, or several vectors per record."""

    DENSE = "dense"
    SPARSE = "sparse"
    MULTI = "multi"


class DType(StrEnum):
    """Storage type of a vector's components. `BFLOAT16` travels as uint16, `BITS` as packed uint8."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"
    INT8 = "int8"
    UINT8 = "uint8"
    BITS = "bits"


class FieldType(StrEnum):
    """Type of a declared or indexed metadata field."""

    BOOL = "bool"
    INT8 = "int8"
    INT16 = "int16"
    INT32 = "int32"
    INT64 = "int64"
    FLOAT32 = "float32"
    FLOAT64 = "float64"
    STRING = "string"
    TEXT = "text"
    DATETIME = "datetime"
    UUID = "uuid"
    GEO = "geo"
    BYTES = "bytes"
    JSON = "json"
    LIST = "list"


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorField:
    """A vector field. `dim` counts components (bits for BITS); None for sparse.

    `index` holds neutral index parameters that most databases share (`type`, `m`, `ef_construct`); anything that
    only one vendor reads goes into `CollectionSchema.extras`.
    """

    name: str
    kind: VectorKind
    dim: int | None
    metric: Metric
    dtype: DType = DType.FLOAT32
    index: Mapping[str, Json] = field(default_factory=dict[str, Json])


@dataclass(frozen=True, slots=True, kw_only=True)
class MetadataField:
    """A metadata field that the database knows by name.

    `name` is a dot path for nested fields. `declared` fields are part of the schema (typed columns); others are only
    indexed. `params` is vendor detail (max_length, partition_key, …) that only the adapter of that vendor reads.
    """

    name: str
    type: FieldType
    indexed: bool = False
    declared: bool = False
    nullable: bool = True
    element: FieldType | None = None
    params: Mapping[str, Json] = field(default_factory=dict[str, Json])


class Weight(StrEnum):
    """What it means that a setting does not go over. All but SETTING and NOTICE are lost even if the origin note keeps
    them, and must be accepted."""

    SAFETY = "safety"
    """Protects the data: place, encryption, protection from deletion."""
    BEHAVIOUR = "behaviour"
    """Searches give other answers, or records change by themselves (expiry), or not any more (embedding)."""
    RECORDS = "records"
    """Records, or parts of them, cannot be read at all."""
    SETTING = "setting"
    """How the collection is kept; the origin note brings it back."""
    NOTICE = "notice"
    """Only to be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Something that a collection has beyond its vectors and fields, and that another one may not get. `name` is
    stable; a part after a colon names what it concerns. `detail` is a phrase for people."""

    name: str
    weight: Weight
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionSchema:
    """A collection's shape.

    `dynamic`: records may hold undeclared fields. `divided`: made with namespaces, where a collection is made either
    with or without (NamespaceCapabilities.declared); False elsewhere. `id_kinds`: what ids may be. `extras[adapter]`:
    settings that only that adapter reads, carried so that a round trip restores them. `note`: the origin note that an
    earlier migration left on this collection, if any (see model/note.py for its shape). `computed`: vector fields that
    the database fills by itself and that are therefore neither read nor written. `namespaces`: those to make with the
    collection though they hold no record; `describe` leaves it empty. `settings`: what must be named when a copy does
    not get it. `warnings`: what the adapter knows it cannot read as it is; shown with the plan.
    """

    name: str
    id_kinds: frozenset[IdKind]
    vectors: tuple[VectorField, ...]
    fields: tuple[MetadataField, ...] = ()
    dynamic: bool = True
    divided: bool = False
    extras: Mapping[str, Json] = field(default_factory=dict[str, Json])
    note: Mapping[str, Json] | None = None
    computed: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    settings: tuple[Setting, ...] = ()
    warnings: tuple[str, ...] = ()

    def vector(self, name: str) -> VectorField | None:
        """The vector field of that name, or None."""
        return next((vector for vector in self.vectors if vector.name == name), None)

    def column(self, name: str) -> MetadataField | None:
        """The declared metadata field of that name, or None."""
        return next((item for item in self.fields if item.declared and item.name == name), None)

    def to_json(self) -> dict[str, Json]:
        """A JSON object that `from_json` reads back; the id kinds are sorted so that equal schemas give equal JSON."""
        data = asdict(self)
        data["id_kinds"] = sorted(self.id_kinds)
        data["vectors"] = list(data["vectors"])
        data["fields"] = list(data["fields"])
        data["computed"] = list(self.computed)
        for name in ("namespaces", "settings"):
            data[name] = list(data[name])
            if not data[name]:  # plans of older versions have none, and their fingerprints must hold
                del data[name]
        data["warnings"] = list(self.warnings)
        return data

    @staticmethod
    def from_json(data: Mapping[str, Json]) -> CollectionSchema:
        """The schema that `to_json` wrote."""
        fixed: dict[str, Any] = dict(data)
        fixed["id_kinds"] = frozenset(IdKind(kind) for kind in data["id_kinds"])
        fixed["vectors"] = tuple(_vector_from_json(vector) for vector in data["vectors"])
        fixed["fields"] = tuple(_field_from_json(item) for item in data["fields"])
        fixed["computed"] = tuple(data.get("computed", ()))
        fixed["namespaces"] = tuple(data.get("namespaces", ()))
        fixed["settings"] = tuple(
            Setting(name=item["name"], weight=Weight(item["weight"]), detail=item["detail"])
            for item in data.get("settings", ())
        )
        fixed["warnings"] = tuple(data.get("warnings", ()))
        return CollectionSchema(**fixed)


def _vector_from_json(data: Mapping[str, Any]) -> VectorField:
    kinds: dict[str, Any] = {
        "kind": VectorKind(data["kind"]),
        "metric": Metric(data["metric"]),
        "dtype": DType(data["dtype"]),
    }
    return VectorField(**{**data, **kinds})


def _field_from_json(data: Mapping[str, Any]) -> MetadataField:
    element = FieldType(data["element"]) if data["element"] else None
    types: dict[str, Any] = {"type": FieldType(data["type"]), "element": element}
    return MetadataField(**{**data, **types})
