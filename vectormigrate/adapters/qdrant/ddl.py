"""Our schema -> the requests that make the collection. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vectormigrate.adapters.qdrant.capabilities import Server
from vectormigrate.adapters.qdrant.config import MAX_DIM, QdrantConfig
from vectormigrate.adapters.qdrant.errors import NAME
from vectormigrate.adapters.qdrant.indexes import GRAPH, graph, quantization_config
from vectormigrate.adapters.qdrant.layout import FIELD, METRICS, NOTE_KEY, SHAPE_KEY, ShardKey
from vectormigrate.adapters.qdrant.schema import EXTRAS, SPARSE_INDEX, set_values
from vectormigrate.adapters.qdrant.settings import SINCE, TURBO
from vectormigrate.errors import InvalidRequest
from vectormigrate.model.schema import CollectionSchema, DType, FieldType, VectorField, VectorKind

DISTANCES = {metric: text for text, metric in METRICS.items()}
DATATYPES = {DType.FLOAT16: "float16", DType.UINT8: "uint8"}

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Creation:
    """`body` of the PUT; `indexes`: path and field_schema; `params`: settings that only a PATCH takes; `strict`: the
    strict mode, which would be in the way of a bulk load; `texts`: what must be kept on the collection."""

    body: dict[str, Any]
    indexes: list[tuple[str, Any]]
    params: dict[str, Any]
    strict: dict[str, Any]
    texts: dict[str, str]
    shard_keys: tuple[ShardKey, ...]


SETTINGS: Mapping[str, str] = {
    "hnsw_config": "hnsw_config",
    "optimizers": "optimizers_config",
    "wal_config": "wal_config",
    "quantization_config": "quantization_config",
}
"""Groups of settings in the extras, and what the server calls them."""

PLAIN_SETTINGS = ("shard_number", "replication_factor", "write_consistency_factor", "on_disk_payload")


def creation(schema: CollectionSchema, config: QdrantConfig, server: Server) -> Creation:
    """Raises InvalidRequest for what the server cannot hold."""
    extras: Mapping[str, Any] = schema.extras.get(EXTRAS) or {}
    indexes = _indexes(schema, extras, server)
    shape: dict[str, Any] = {
        "vectors": [item.name for item in schema.vectors],
        "fields": [path for path, _ in indexes],
        "lists": [item.name for item in schema.fields if item.type is FieldType.LIST],
    }
    field: Mapping[str, Any] = extras.get(FIELD) or {}
    own = config.namespace_field or field.get("name")
    if own and config.divide_by != "shard_key" and config.shard_key is None:
        shape[FIELD] = own
        if field.get("data_type"):
            indexes.append((own, _field_schema(field["data_type"], field.get("params"), server)))
    texts = {SHAPE_KEY: json.dumps(shape)}
    if schema.note is not None:
        texts[NOTE_KEY] = json.dumps(schema.note)
    keys = _shard_keys(schema, extras, config)
    body = {
        **extras.get("params", {}),
        **extras.get("config", {}),
        **_vectors(schema, extras, server),
        **_settings(extras, server),
        **({} if keys is None else {"sharding_method": "custom"}),
    }
    fan_out = {key: extras[key] for key in ("read_fan_out_factor", "read_fan_out_delay_ms") if key in extras}
    return Creation(
        body=body,
        indexes=indexes,
        params=set_values(fan_out),
        strict=dict(extras.get("strict_mode_config", {})),
        texts=texts,
        shard_keys=keys or (),
    )


def _settings(extras: Mapping[str, Any], server: Server) -> dict[str, Any]:
    """The settings of the collection that this server knows."""
    body: dict[str, Any] = {word: _supported(extras[key], server) for key, word in SETTINGS.items() if extras.get(key)}
    body |= {key: extras[key] for key in PLAIN_SETTINGS if extras.get(key) is not None}
    if extras.get("payload_memory") and server.since(19):
        body["payload"] = {"memory": extras["payload_memory"]}
    if extras.get("id_tracker_memory") and server.since(20):
        body["id_tracker"] = {"memory": extras["id_tracker_memory"]}
    if extras.get("metadata") and server.since(16):
        body["metadata"] = dict(extras["metadata"])
    return body


def _shard_keys(
    schema: CollectionSchema, extras: Mapping[str, Any], config: QdrantConfig
) -> tuple[ShardKey, ...] | None:
    """The shard keys to make with the collection; None where it has none."""
    if config.shard_key is not None:
        return (config.shard_key,)
    if config.divide_by != "shard_key":
        return None
    kept: list[ShardKey] = extras.get("shard_keys", [])
    return (*kept, *(name for name in schema.namespaces if name not in map(str, kept)))


def _supported(settings: Any, server: Server) -> Any:
    """The settings (nested) without those that the server does not know yet."""
    if isinstance(settings, dict):
        return {
            key: _supported(value, server)
            for key, value in settings.items()
            if value is not None and server.since(SINCE.get(key, 0))
        }
    return settings


def _vectors(schema: CollectionSchema, extras: Mapping[str, Any], server: Server) -> dict[str, Any]:
    if len({item.name for item in schema.vectors}) < len(schema.vectors):
        raise refused("two vector fields have the same name")
    dense: dict[str, Any] = {}
    sparse: dict[str, Any] = {}
    for item in schema.vectors:
        if len(item.name.encode()) > 200:
            raise refused(f"vector name {item.name!r} is longer than 200 bytes")
        if item.kind is VectorKind.SPARSE:
            if not item.name:
                raise refused("a sparse vector must have a name")
            sparse[item.name] = _sparse(extras.get("sparse_vectors", {}).get(item.name, {}), server)
        else:
            dense[item.name] = _dense(item, extras, server)
    body: dict[str, Any] = {"vectors": dense[""] if list(dense) == [""] else dense}
    return {**body, "sparse_vectors": sparse} if sparse else body


def _dense(item: VectorField, extras: Mapping[str, Any], server: Server) -> dict[str, Any]:
    own: Mapping[str, Any] = extras.get("vectors", {}).get(item.name, {})
    if item.metric not in DISTANCES or item.dtype not in {*DATATYPES, DType.FLOAT32}:
        raise refused(f"vector {item.name!r}: {item.dtype} with metric {item.metric} is not supported")
    if item.dim is None or not 0 < item.dim <= MAX_DIM:
        raise refused(f"vector {item.name!r}: dimension {item.dim} is not in 1…{MAX_DIM}")
    config: dict[str, Any] = {**_supported(own, server), "size": item.dim, "distance": DISTANCES[item.metric]}
    turbo = own.get("datatype")
    config.pop("datatype", None)
    if item.dtype is not DType.FLOAT32:
        config["datatype"] = DATATYPES[item.dtype]
    elif turbo in TURBO and server.since(TURBO[turbo]):
        config["datatype"] = turbo
    if item.kind is VectorKind.MULTI:
        config["multivector_config"] = {"comparator": "max_sim"}
    # What the collection's own settings say already is not said again.
    shared: Mapping[str, Any] = extras.get("hnsw_config") or {}
    effective = {**(GRAPH if extras else {}), **shared, **(own.get("hnsw_config") or {})}
    changed = graph(item.index, effective)
    if changed:
        config["hnsw_config"] = {**config.get("hnsw_config", {}), **changed}
    quantization = quantization_config(item.index)
    if quantization and not (own.get("quantization_config") or extras.get("quantization_config")):
        config["quantization_config"] = quantization
    return config


def _sparse(own: Mapping[str, Any], server: Server) -> dict[str, Any]:
    own = _supported(own, server)
    index = {**own.get("index", {}), **{key: own[key] for key in SPARSE_INDEX if key in own}}
    rest = {key: value for key, value in own.items() if key not in SPARSE_INDEX and key != "index"}
    return {**rest, "index": index} if index else rest


def _indexes(schema: CollectionSchema, extras: Mapping[str, Any], server: Server) -> list[tuple[str, Any]]:
    """Fields of a type without an index (bytes, json) have none; an index of a type unknown here is made as it was."""
    own: Mapping[str, Any] = extras.get("payload_schema", {})
    found: list[tuple[str, Any]] = []
    for item in schema.fields:
        kind = INDEX_TYPES.get(item.element if item.type is FieldType.LIST and item.element else item.type)
        if item.indexed and kind is not None:
            known = own.get(item.name, {})
            params = known.get("params") if known.get("data_type") == kind else None
            found.append((item.name, _field_schema(kind, params, server)))
    made = {path for path, _ in found}
    for path, known in own.items():
        if known["data_type"] not in INDEX_TYPES.values() and path not in made:
            found.append((path, _field_schema(known["data_type"], known.get("params"), server)))
    return found


def _field_schema(kind: str, params: Mapping[str, Any] | None, server: Server) -> Any:
    supported = _supported(dict(params or {}), server)
    return {"type": kind, **supported} if supported else kind


def refused(message: str) -> InvalidRequest:
    return InvalidRequest(message, adapter=NAME, operation="create")
