"""The part of a target's Capabilities that encoding needs, as JSON inside `MappingRules.target_limits`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from vectormigrate.adapter import Capabilities, ValueKind
from vectormigrate.model.ids import IdKind
from vectormigrate.model.schema import CollectionSchema, Json

ORIGIN = "_vm_origin"
"""Metadata key of the origin sidecar."""
ORIGIN_ID = "_vm_id"
"""Metadata key of the original id, for filters, on records whose id was derived."""
ADAPTER_NAMESPACE = "_vm_namespace"
"""Reserved for adapters that store the namespace as a field; mapping never writes it."""
OWN_FIELDS = frozenset({ORIGIN, ORIGIN_ID, ADAPTER_NAMESPACE})

SMALL_SQUARE = 1.19e-7
UNIT_TOLERANCE = 1e-6
"""Normalising targets leave a vector alone whose sum of squares is below SMALL_SQUARE or this close to 1
(Qdrant 1.19, lib/segment cosine_preprocess: f32::EPSILON and is_length_zero_or_normalized)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a record must keep to on the target. `dims`: components per target vector field (absent: any number).

    `declared` are typed columns as `{name: [type, nullable, element]}`; with `dynamic` False nothing else is legal.
    """

    id_kinds: frozenset[IdKind] = frozenset(IdKind)
    id_max_bytes: int | None = None
    id_ascii: bool = False
    value_kinds: frozenset[ValueKind] = frozenset(ValueKind)
    int_range: tuple[int, int] = (-(2**63), 2**63 - 1)
    field_names: str = r"(?s).*"
    reserved: frozenset[str] = frozenset()
    max_metadata_bytes: int | None = None
    namespaces: bool = True
    namespace_names: str = r"(?s).*"
    dims: Mapping[str, int] = field(default_factory=dict[str, int])
    small_square: float = SMALL_SQUARE
    unit_tolerance: float = UNIT_TOLERANCE
    declared: Mapping[str, tuple[str, bool, str | None]] = field(
        default_factory=dict[str, tuple[str, bool, str | None]]
    )
    dynamic: bool = True
    typed: bool = False
    """The target is one of typed columns: what does not fit its column is kept in the sidecar."""
    max_sparse: int | None = None
    empty_sparse: bool = True
    zero_vectors: bool = True
    int_origin_ids: bool = False
    """Original ids in the field `_vm_id` are integers; otherwise they are text, so that the field has one type."""

    def to_json(self) -> dict[str, Json]:
        """A JSON object that `from_json` reads back; sets are sorted, so equal limits give equal JSON."""
        return {
            "id_kinds": sorted(self.id_kinds),
            "id_max_bytes": self.id_max_bytes,
            "id_ascii": self.id_ascii,
            "value_kinds": sorted(self.value_kinds),
            "int_range": list(self.int_range),
            "field_names": self.field_names,
            "reserved": sorted(self.reserved),
            "max_metadata_bytes": self.max_metadata_bytes,
            "namespaces": self.namespaces,
            "namespace_names": self.namespace_names,
            "dims": dict(self.dims),
            "small_square": self.small_square,
            "unit_tolerance": self.unit_tolerance,
            "declared": {name: list(column) for name, column in self.declared.items()},
            "dynamic": self.dynamic,
            "typed": self.typed,
            "max_sparse": self.max_sparse,
            "empty_sparse": self.empty_sparse,
            "zero_vectors": self.zero_vectors,
            "int_origin_ids": self.int_origin_ids,
        }

    @staticmethod
    def from_json(data: Mapping[str, Json]) -> Limits:
        """The limits that `to_json` wrote. Keys left out keep their widest value."""
        fixed: dict[str, Json] = dict(data)
        for name, convert in _FROM_JSON.items():
            if name in fixed:
                fixed[name] = convert(fixed[name])
        return Limits(**fixed)


def _kinds(values: Json) -> frozenset[IdKind]:
    return frozenset(IdKind(value) for value in values)


def _value_kinds(values: Json) -> frozenset[ValueKind]:
    return frozenset(ValueKind(value) for value in values)


def _columns(values: Json) -> dict[str, tuple[str, bool, str | None]]:
    return {name: (column[0], column[1], column[2]) for name, column in values.items()}


_FROM_JSON = {
    "id_kinds": _kinds,
    "value_kinds": _value_kinds,
    "int_range": tuple,
    "reserved": frozenset,
    "declared": _columns,
}


def namespace_rule(capabilities: Capabilities, *, divided: bool) -> str:
    """Regex of the target's namespaces. `divided`: they are kept apart, so each may need a name."""
    rule = capabilities.namespace_names
    return rf"(?=(?s:.))(?:{rule})" if divided and capabilities.namespaces_declared else rule


def limits_of(
    capabilities: Capabilities,
    schema: CollectionSchema,
    *,
    namespaces: bool,
    home: bool,
    int_origin_ids: bool,
    reserved: Collection[str] = (),
) -> Limits:
    """The limits of a collection with this shape. `home`: names that the shape itself holds are legal as they are, and
    so are keys like `_vm_id` that the records held there before (unless a record needs its own sidecar)."""
    caps = capabilities
    taken = {vector.name for vector in schema.vectors} if caps.shared_names else set[str]()
    own = {item.name for item in schema.fields} | (OWN_FIELDS - caps.reserved_fields) if home else set[str]()
    illegal = (caps.reserved_fields | taken | OWN_FIELDS | set(reserved)) - own
    declared = {
        item.name: (str(item.type), item.nullable or "default_value" in item.params, item.element and str(item.element))
        for item in schema.fields
        if item.declared
    }
    return Limits(
        id_kinds=schema.id_kinds,
        id_max_bytes=caps.id_max_bytes,
        id_ascii=caps.id_ascii,
        value_kinds=caps.value_kinds,
        int_range=caps.int_range,
        field_names=caps.field_names,
        reserved=illegal,
        max_metadata_bytes=caps.max_metadata_bytes,
        namespaces=namespaces,
        namespace_names=namespace_rule(caps, divided=namespaces),
        dims={vector.name: vector.dim for vector in schema.vectors if vector.dim is not None},
        declared=declared,
        dynamic=schema.dynamic,
        typed=not caps.dynamic,
        max_sparse=caps.max_sparse,
        empty_sparse=caps.empty_sparse,
        zero_vectors=caps.zero_vectors,
        int_origin_ids=int_origin_ids,
    )
