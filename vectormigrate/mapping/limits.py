"""The part of a target's Capabilities that encoding needs, as JSON inside `MappingRules.target_limits`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from vectormigrate.adapter import (
    Capabilities,
    IdCapabilities,
    MetadataCapabilities,
    NamespaceCapabilities,
    ValueKind,
    VectorCapabilities,
    WriteCapabilities,
)
from vectormigrate.model.ids import IdKind
from vectormigrate.model.schema import CollectionSchema, DType, Json, Metric, VectorKind

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


WIDEST = Capabilities(
    ids=IdCapabilities(kinds=frozenset(IdKind), per_namespace=True),
    vectors=VectorCapabilities(
        kinds=frozenset(VectorKind), dtypes=frozenset(DType), metrics=frozenset(Metric), max_dim=2**31
    ),
    metadata=MetadataCapabilities(value_kinds=frozenset(ValueKind)),
    namespaces=NamespaceCapabilities(supported=True),
    writes=WriteCapabilities(rows=2**31, bytes=2**63),
)
"""Where nothing is said, anything is legal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a record must keep to on the target: the groups of its Capabilities, narrowed to one collection.

    Of the groups, only the fields in STORED come back from JSON; encoding reads no others. `metadata.reserved` holds
    everything that no key may be called, `namespaces.names` is `namespace_rule`. `dims`: components per target vector
    field (absent: any number). `declared` are typed columns as `{name: [type, nullable, element]}`; with
    `metadata.dynamic` False nothing else is legal.
    """

    ids: IdCapabilities = WIDEST.ids
    vectors: VectorCapabilities = WIDEST.vectors
    metadata: MetadataCapabilities = WIDEST.metadata
    namespaces: NamespaceCapabilities = WIDEST.namespaces
    dims: Mapping[str, int] = field(default_factory=dict[str, int])
    small_square: float = SMALL_SQUARE
    unit_tolerance: float = UNIT_TOLERANCE
    declared: Mapping[str, tuple[str, bool, str | None]] = field(
        default_factory=dict[str, tuple[str, bool, str | None]]
    )
    typed: bool = False
    """The target is one of typed columns: what does not fit its column is kept in the sidecar."""
    int_origin_ids: bool = False
    """Original ids in the field `_vm_id` are integers; otherwise they are text, so that the field has one type."""

    @staticmethod
    def of(*, dims: Mapping[str, int] | None = None, **groups: Mapping[str, Any]) -> Limits:
        """The widest limits, but for these fields of groups: `Limits.of(metadata={"int_range": (0, 9)})`."""
        caps = WIDEST.changed(**groups)
        return Limits(
            ids=caps.ids, vectors=caps.vectors, metadata=caps.metadata, namespaces=caps.namespaces, dims=dims or {}
        )

    def reserving(self, names: Collection[str]) -> Limits:
        """With further names that no metadata key may have."""
        return replace(self, metadata=replace(self.metadata, reserved=self.metadata.reserved | set(names)))

    def to_json(self) -> dict[str, Json]:
        """A JSON object that `from_json` reads back; sets are sorted, so equal limits give equal JSON."""
        groups = {key: _plain(getattr(getattr(self, group), name)) for key, (group, name) in STORED.items()}
        return groups | {
            "dims": dict(self.dims),
            "small_square": self.small_square,
            "unit_tolerance": self.unit_tolerance,
            "declared": {name: list(column) for name, column in self.declared.items()},
            "typed": self.typed,
            "int_origin_ids": self.int_origin_ids,
        }

    @staticmethod
    def from_json(data: Mapping[str, Json]) -> Limits:
        """The limits that `to_json` wrote. Keys left out keep their widest value."""
        own = {key: value for key, value in data.items() if key not in STORED}
        if "declared" in own:
            own["declared"] = {name: tuple(column) for name, column in own["declared"].items()}
        groups: dict[str, dict[str, Any]] = {}
        for key, (group, name) in STORED.items():
            if key in data:
                groups.setdefault(group, {})[name] = _READ[key](data[key]) if key in _READ else data[key]
        widest = Limits()
        changed = {group: replace(getattr(widest, group), **fields) for group, fields in groups.items()}
        return Limits(**changed, **own)


STORED: Mapping[str, tuple[str, str]] = {
    "id_kinds": ("ids", "kinds"),
    "id_max_bytes": ("ids", "max_bytes"),
    "id_ascii": ("ids", "ascii"),
    "value_kinds": ("metadata", "value_kinds"),
    "int_range": ("metadata", "int_range"),
    "field_names": ("metadata", "names"),
    "reserved": ("metadata", "reserved"),
    "max_metadata_bytes": ("metadata", "max_bytes"),
    "dynamic": ("metadata", "dynamic"),
    "namespaces": ("namespaces", "supported"),
    "namespace_names": ("namespaces", "names"),
    "max_sparse": ("vectors", "max_sparse"),
    "empty_sparse": ("vectors", "empty_sparse"),
    "zero_vectors": ("vectors", "zeros"),
}
"""The names in plans of the fields that encoding reads. They are part of the fingerprints of plans."""


def _id_kinds(values: Json) -> frozenset[IdKind]:
    return frozenset(IdKind(value) for value in values)


def _value_kinds(values: Json) -> frozenset[ValueKind]:
    return frozenset(ValueKind(value) for value in values)


_READ = {"id_kinds": _id_kinds, "value_kinds": _value_kinds, "int_range": tuple[int, ...], "reserved": frozenset[str]}


def _plain(value: Any) -> Json:
    if isinstance(value, frozenset):
        return sorted(value)
    return list(value) if isinstance(value, tuple) else value


def namespace_rule(capabilities: Capabilities, *, divided: bool) -> str:
    """Regex of the target's namespaces. `divided`: they are kept apart, so each may need a name."""
    rule = capabilities.namespaces.names
    return rf"(?=(?s:.))(?:{rule})" if divided and capabilities.namespaces.declared else rule


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
    caps, never = capabilities, capabilities.metadata.reserved
    taken = {vector.name for vector in schema.vectors} if caps.metadata.shared_names else set[str]()
    own = {item.name for item in schema.fields} | (OWN_FIELDS - never) if home else set[str]()
    illegal = (never | taken | OWN_FIELDS | set(reserved)) - own
    declared = {
        item.name: (str(item.type), item.nullable or "default_value" in item.params, item.element and str(item.element))
        for item in schema.fields
        if item.declared
    }
    return Limits(
        ids=replace(caps.ids, kinds=schema.id_kinds),
        vectors=caps.vectors,
        metadata=replace(caps.metadata, reserved=frozenset(illegal), dynamic=schema.dynamic),
        namespaces=replace(caps.namespaces, supported=namespaces, names=namespace_rule(caps, divided=namespaces)),
        dims={vector.name: vector.dim for vector in schema.vectors if vector.dim is not None},
        declared=declared,
        typed=not caps.metadata.dynamic,
        int_origin_ids=int_origin_ids,
    )
