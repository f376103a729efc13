"""From a neutral schema to the class JSON that creates a collection. Pure.

Nothing is left to the server's defaults that its environment can change (vectorizer, index type, distance,
quantization).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vectormigrate.adapter import Capabilities
from vectormigrate.adapters.weaviate.beacons import short
from vectormigrate.adapters.weaviate.errors import NAME
from vectormigrate.adapters.weaviate.indexes import QUANTIZERS, settings
from vectormigrate.adapters.weaviate.note import Marker, joined
from vectormigrate.adapters.weaviate.settings import TENANT_STATES
from vectormigrate.errors import InvalidRequest
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

DISTANCES: Mapping[Metric, str] = {
    Metric.COSINE: "cosine",
    Metric.DOT: "dot",
    Metric.L2: "l2-squared",
    Metric.L1: "manhattan",
    Metric.HAMMING: "hamming",
}

_SCALARS: Mapping[FieldType, str] = {
    FieldType.BOOL: "boolean",
    **dict.fromkeys((FieldType.INT8, FieldType.INT16, FieldType.INT32, FieldType.INT64), "int"),
    **dict.fromkeys((FieldType.FLOAT32, FieldType.FLOAT64), "number"),
    **dict.fromkeys((FieldType.STRING, FieldType.TEXT), "text"),
    FieldType.DATETIME: "date",
    FieldType.UUID: "uuid",
    FieldType.GEO: "geoCoordinates",
    FieldType.BYTES: "blob",
}

_KEPT = ("invertedIndexConfig", "replicationConfig", "shardingConfig", "multiTenancyConfig", "objectTtlConfig")
_COUNTED = ("actualCount", "actualVirtualCount")

ORIGIN = "_vm_origin"
"""The sidecar's column: long texts that nobody searches for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Creation:
    """`body` makes the class; `added` are named vectors next to a legacy one, which Weaviate only takes afterwards."""

    body: dict[str, Json]
    added: dict[str, Json]


def referenced(schema: CollectionSchema) -> set[str]:
    """The classes that reference properties of this schema lead to."""
    kept = schema.extras.get(NAME) or {}
    types = [item.params.get("dataType") or [] for item in schema.fields if item.declared] if kept else []
    return {short(name) for names in types for name in names if _is_class(name)}


def creation(name: str, schema: CollectionSchema, caps: Capabilities, classes: Collection[str]) -> Creation:
    """How to create the class. References to classes that are not among `classes` are put off (marker). Raises
    InvalidRequest for a shape that Weaviate cannot hold."""
    _check(name, schema, caps)
    kept: Mapping[str, Any] = schema.extras.get(NAME) or {}
    properties = [_property(item, home=bool(kept)) for item in schema.fields if "." not in item.name]
    later = [item for item in properties if not _targets_exist(item, {*classes, name})]
    body = _body(name, schema, kept, _marker(schema, kept, later, caps))
    body["properties"] = [item for item in properties if item not in later]
    vectors = {item.name: _vector(item, kept) for item in schema.vectors if item.name}
    legacy = next((item for item in schema.vectors if not item.name), None)
    if legacy is not None or not vectors:
        body |= _legacy(legacy, kept)
        return Creation(body=body, added=vectors)
    body["vectorConfig"] = vectors
    return Creation(body=body, added={})


def _marker(
    schema: CollectionSchema, kept: Mapping[str, Any], later: Sequence[dict[str, Json]], caps: Capabilities
) -> Marker:
    return Marker(
        note=schema.note,
        dims={item.name: item.dim for item in schema.vectors if item.dim is not None},
        later=tuple(later),
        states=_states(kept, caps) if schema.divided else {},
    )


def _body(name: str, schema: CollectionSchema, kept: Mapping[str, Any], marker: Marker) -> dict[str, Json]:
    """The class without its properties and vectors."""
    body: dict[str, Json] = {
        **{key: kept[key] for key in _KEPT if kept.get(key)},
        "class": name,
        "description": joined(str(kept.get("description") or ""), marker),
        "multiTenancyConfig": {**(kept.get("multiTenancyConfig") or {}), "enabled": schema.divided},
    }
    _tidy(body, divided=schema.divided)
    return body


def _states(kept: Mapping[str, Any], caps: Capabilities) -> dict[str, str]:
    """The states that tenants get back. Offloading needs a store of the server's own, so it is left to people."""
    if TENANT_STATES not in caps.collection.settings:
        return {}
    return {str(name): "COLD" for name in kept.get("tenants") or {}}


def _check(name: str, schema: CollectionSchema, caps: Capabilities) -> None:
    if re.fullmatch(caps.collection.names, name) is None:
        raise _impossible(f"{name!r} is no legal class name (a capital, then letters, digits and _, at most 255)")
    for item in schema.vectors:
        if re.fullmatch(caps.vectors.names, item.name) is None:
            raise _impossible(f"{item.name!r} is no legal name of a vector (letters, digits and _, at most 230)")
        if item.kind not in caps.vectors.kinds or item.dtype is not DType.FLOAT32:
            raise _impossible(f"vector {item.name!r}: Weaviate has no {item.kind} vectors of {item.dtype}")
        if item.metric not in DISTANCES:
            raise _impossible(f"vector {item.name!r}: Weaviate has no {item.metric} distance")
        if item.dim is not None and not 1 <= item.dim <= caps.vectors.max_dim:
            raise _impossible(
                f"vector {item.name!r}: dimension {item.dim} is not possible (1 … {caps.vectors.max_dim})"
            )
    seen: dict[str, str] = {}
    for field in schema.fields:
        if "." in field.name:
            continue
        if re.fullmatch(caps.metadata.names, field.name) is None or field.name in caps.metadata.reserved:
            raise _impossible(f"{field.name!r} is no legal name of a property")
        if seen.setdefault(field.name.lower(), field.name) != field.name:
            raise _impossible(f"{field.name!r} and {seen[field.name.lower()]!r} differ only in case")


def _property(item: MetadataField, *, home: bool) -> dict[str, Json]:
    if home and item.params.get("dataType"):
        kept = {key: value for key, value in item.params.items() if key != "name"}
        if kept["dataType"] == ["blobHash"]:
            kept = {"dataType": ["text"], "tokenization": "field", "indexFilterable": True, "indexSearchable": False}
        return {"name": item.name, **kept}
    indexed = item.indexed and item.name != ORIGIN
    kind = item.element or FieldType.STRING if item.type is FieldType.LIST else item.type
    if kind not in _SCALARS or (item.type is FieldType.LIST and kind in (FieldType.GEO, FieldType.BYTES)):
        raise _impossible(f"{item.name!r}: Weaviate has no property of type {item.type} for foreign values")
    name = _SCALARS[kind]
    found: dict[str, Json] = {
        "name": item.name,
        "dataType": [f"{name}[]" if item.type is FieldType.LIST else name],
        "indexFilterable": indexed and name != "blob",
        "indexSearchable": indexed and kind is FieldType.TEXT,
    }
    if name == "text":
        found["tokenization"] = "word" if kind is FieldType.TEXT else "field"
    return found


def _targets_exist(item: Mapping[str, Json], classes: Collection[str]) -> bool:
    return all(short(name) in classes for name in item["dataType"] if _is_class(name))


def _is_class(name: str) -> bool:
    return short(name)[:1].isupper()


def _vector(item: VectorField, kept: Mapping[str, Any]) -> dict[str, Json]:
    """The configuration of a named vector: as it was on Weaviate, or made from the neutral words."""
    old: Mapping[str, Any] = (kept.get("vectorConfig") or {}).get(item.name) or {}
    return {"vectorizer": {"none": {}}, **_index(item, old)}


def _legacy(item: VectorField | None, kept: Mapping[str, Any]) -> dict[str, Json]:
    if item is None:
        # No vectors at all: Weaviate still wants an index, which stays empty.
        return {"vectorizer": "none", "vectorIndexType": "hnsw", "vectorIndexConfig": {"skipDefaultQuantization": True}}
    return {"vectorizer": "none", **_index(item, kept)}


def _index(item: VectorField, old: Mapping[str, Any]) -> dict[str, Json]:
    kind = old.get("vectorIndexType")
    config: dict[str, Any] = dict(old.get("vectorIndexConfig") or {})
    multi = item.kind is VectorKind.MULTI
    if kind in (None, "none") or bool((config.get("multivector") or {}).get("enabled")) != multi:
        kind, config = settings(item)
    config["distance"] = DISTANCES[item.metric]
    if kind in ("hnsw", "flat") and not any((config.get(name) or {}).get("enabled") for name in QUANTIZERS):
        config["skipDefaultQuantization"] = True
    return {"vectorIndexType": kind, "vectorIndexConfig": config}


def _tidy(body: dict[str, Json], *, divided: bool) -> None:
    """Take out what the server counts itself, and keep objects from expiring while they are being copied."""
    if divided:
        body.pop("shardingConfig", None)
    elif "shardingConfig" in body:
        sharding = {key: value for key, value in body["shardingConfig"].items() if key not in _COUNTED}
        if sharding.get("desiredCount"):
            body["shardingConfig"] = sharding
        else:
            del body["shardingConfig"]
    if "replicationConfig" in body:
        body["replicationConfig"] = {k: v for k, v in body["replicationConfig"].items() if k != "asyncEnabled"}
    if "objectTtlConfig" in body:
        body["objectTtlConfig"] = {**body["objectTtlConfig"], "enabled": False}


def _impossible(text: str) -> InvalidRequest:
    return InvalidRequest(text, adapter=NAME, operation="create")
