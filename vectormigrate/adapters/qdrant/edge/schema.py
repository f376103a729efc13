"""Our schema <-> the engine's configuration, as JSON. Pure.

`extras["qdrant"]` holds what only Qdrant reads, in the words of its configuration: `vectors` and `sparse_vectors` (per
name, what VectorField does not hold), `payload_schema` (per indexed path `data_type` and `params`), and `hnsw_config`,
`quantization_config`, `optimizers`, `on_disk_payload`, `payload_memory`, `id_tracker_memory` of the collection.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from vectormigrate.adapters.qdrant.edge.capabilities import CAPABILITIES
from vectormigrate.adapters.qdrant.indexes import GRAPH, graph, neutral_index, quantization_config
from vectormigrate.adapters.qdrant.settings import settings_in
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

EXTRAS = "qdrant"

DISTANCES = {Metric.COSINE: "Cosine", Metric.DOT: "Dot", Metric.L2: "Euclid", Metric.L1: "Manhattan"}
METRICS = {text: metric for metric, text in DISTANCES.items()}

DATATYPES = {DType.FLOAT32: None, DType.FLOAT16: "float16", DType.UINT8: "uint8"}
TURBO = frozenset({"turbo4", "turbo8", "turbo16"})

COLLECTION_SETTINGS = (
    "hnsw_config",
    "quantization_config",
    "optimizers",
    "on_disk_payload",
    "payload_memory",
    "id_tracker_memory",
)

DEFAULTS: Mapping[str, Json] = {"on_disk_payload": True, "payload_memory": "cold"}
"""Written into `edge_config.json` by the engine itself when it loads a shard, so they say nothing about its maker."""

INDEX_TYPES: Mapping[FieldType, str] = {
    FieldType.BOOL: "bool",
    FieldType.INT8: "integer",
    FieldType.INT16: "integer",
    FieldType.INT32: "integer",
    FieldType.INT64: "integer",
    FieldType.FLOAT32: "float",
    FieldType.FLOAT64: "float",
    FieldType.STRING: "keyword",
    FieldType.TEXT: "text",
    FieldType.DATETIME: "datetime",
    FieldType.UUID: "uuid",
    FieldType.GEO: "geo",
}

FIELD_TYPES: Mapping[str, FieldType] = {
    "bool": FieldType.BOOL,
    "integer": FieldType.INT64,
    "float": FieldType.FLOAT64,
    "keyword": FieldType.STRING,
    "text": FieldType.TEXT,
    "datetime": FieldType.DATETIME,
    "uuid": FieldType.UUID,
    "geo": FieldType.GEO,
}


def _extras(schema: CollectionSchema) -> dict[str, Any]:
    extras = schema.extras.get(EXTRAS)
    return extras if isinstance(extras, dict) else {}


def engine_config(schema: CollectionSchema) -> dict[str, Any]:
    """The shard's configuration. Raises InvalidRequest for what the engine cannot hold."""
    extras = _extras(schema)
    config: dict[str, Any] = {key: extras[key] for key in COLLECTION_SETTINGS if extras.get(key) is not None}
    config["vectors"] = {}
    config["sparse_vectors"] = {}
    if not schema.vectors:
        raise _refused("the engine needs at least one vector field")
    if len({item.name for item in schema.vectors}) < len(schema.vectors):
        raise _refused("two vector fields have the same name")
    for item in schema.vectors:
        if len(item.name.encode()) > 200:
            raise _refused(f"vector name {item.name!r} is longer than 200 bytes")
        if item.kind is VectorKind.SPARSE:
            own = extras.get("sparse_vectors", {}).get(item.name, {})
            config["sparse_vectors"][item.name] = dict(own)
        else:
            config["vectors"][item.name] = _dense(item, extras)
    return config


def _dense(item: VectorField, extras: Mapping[str, Any]) -> dict[str, Any]:
    own: Mapping[str, Any] = extras.get("vectors", {}).get(item.name, {})
    if item.metric not in DISTANCES or item.dtype not in DATATYPES:
        raise _refused(f"vector {item.name!r}: {item.dtype} with metric {item.metric} is not supported")
    if item.dim is None or not 0 < item.dim <= CAPABILITIES.vectors.max_dim:
        raise _refused(f"vector {item.name!r}: dimension {item.dim} is not in 1…{CAPABILITIES.vectors.max_dim}")
    config: dict[str, Any] = {**own, "size": item.dim, "distance": DISTANCES[item.metric]}
    if item.dtype is not DType.FLOAT32:
        config["datatype"] = DATATYPES[item.dtype]
    elif own.get("datatype") not in TURBO:
        config.pop("datatype", None)
    if item.kind is VectorKind.MULTI:
        config["multivector_config"] = {"comparator": "max_sim"}
    # What the collection's own settings say already is not said again.
    shared: Mapping[str, Any] = extras.get("hnsw_config") or {}
    effective = {**(GRAPH if extras else {}), **shared, **(own.get("hnsw_config") or {})}
    changed = graph(item.index, effective)
    if changed:
        config["hnsw_config"] = {**own.get("hnsw_config", {}), **changed}
    quantization = quantization_config(item.index)
    if quantization and not (own.get("quantization_config") or extras.get("quantization_config")):
        config["quantization_config"] = quantization
    return config


def _refused(message: str) -> InvalidRequest:
    return InvalidRequest(message, adapter="qdrant_edge", operation="create")


def payload_indexes(schema: CollectionSchema) -> list[dict[str, Any]]:
    """Indexes to make: `path`, `data_type` and `params`. Fields of a type without an index (bytes, json) have none."""
    own = _extras(schema).get("payload_schema", {})
    indexes: list[dict[str, Any]] = []
    for item in schema.fields:
        kind = INDEX_TYPES.get(item.element if item.type is FieldType.LIST and item.element else item.type)
        if not item.indexed or kind is None:
            continue
        known = own.get(item.name, {})
        same = known.get("data_type") == kind
        indexes.append({"path": item.name, "data_type": kind, "params": known.get("params") or {} if same else {}})
    return indexes


def description(schema: CollectionSchema) -> dict[str, Any]:
    """What `collection.json` must keep because the engine does not report it."""
    kinds = {item.name: item.type for item in schema.fields}
    fields = [{**index, "list": kinds[index["path"]] is FieldType.LIST} for index in payload_indexes(schema)]
    return {"vectors": [item.name for item in schema.vectors], "fields": fields, "note": schema.note}


def read_schema(name: str, description: Mapping[str, Any], config: Mapping[str, Any]) -> CollectionSchema:
    """The schema of a collection from `collection.json` and the engine's `edge_config.json`."""
    dense = {key: _read_dense(key, item, config) for key, item in sorted((config.get("vectors") or {}).items())}
    sparse = dict(sorted((config.get("sparse_vectors") or {}).items()))
    extras = {
        **_chosen(config),
        "vectors": {key: rest for key, (_, rest) in dense.items() if rest},
        "sparse_vectors": {key: rest for key, rest in sparse.items() if rest},
        "payload_schema": {
            item["path"]: {"data_type": item["data_type"], "params": item["params"] or None}
            for item in description["fields"]
        },
    }
    fields = tuple(_read_field(item) for item in description["fields"])
    vectors = {key: item for key, (item, _) in dense.items()}
    vectors |= {key: VectorField(name=key, kind=VectorKind.SPARSE, dim=None, metric=Metric.DOT) for key in sparse}
    kept = {key: value for key, value in extras.items() if value not in ({}, None)}
    return CollectionSchema(
        name=name,
        id_kinds=CAPABILITIES.ids.kinds,
        vectors=tuple(vectors[key] for key in description["vectors"]),
        fields=fields,
        extras={EXTRAS: kept},
        settings=tuple(settings_in(kept)),
        note=description["note"],
    )


def _chosen(config: Mapping[str, Any]) -> dict[str, Json]:
    """The settings of the collection that are not the engine's own."""
    found = {key: config[key] for key in COLLECTION_SETTINGS if config.get(key) is not None}
    return {key: value for key, value in found.items() if value != DEFAULTS.get(key)}


def _read_dense(
    name: str, config: Mapping[str, Any], collection: Mapping[str, Any]
) -> tuple[VectorField, dict[str, Any]]:
    """The field, and the settings that it cannot say."""
    rest = dict(config)
    item = VectorField(
        name=name,
        kind=VectorKind.MULTI if rest.pop("multivector_config", None) else VectorKind.DENSE,
        dim=rest.pop("size"),
        metric=METRICS[rest.pop("distance")],
    )
    datatype = rest.get("datatype")
    if datatype not in TURBO:
        rest.pop("datatype", None)
        item = replace(item, dtype=next((key for key, text in DATATYPES.items() if text == datatype), DType.FLOAT32))
    return replace(item, index=neutral_index(rest, collection)), rest


def _read_field(item: Mapping[str, Any]) -> MetadataField:
    kind = FIELD_TYPES[item["data_type"]]
    if item["list"]:
        return MetadataField(name=item["path"], type=FieldType.LIST, element=kind, indexed=True)
    return MetadataField(name=item["path"], type=kind, indexed=True)


def wants_graph(schema: CollectionSchema) -> bool:
    """Whether a vector field asks for an HNSW index by name."""
    return any(item.index.get("type") == "hnsw" for item in schema.vectors)
