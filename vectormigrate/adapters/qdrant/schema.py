"""The server's description of a collection -> our schema. Pure.

`extras["qdrant"]` holds what only Qdrant reads, in the words that the adapter of Qdrant Edge uses too: `vectors` and
`sparse_vectors` (per name, what VectorField does not hold), `payload_schema` (per indexed path `data_type` and
`params`), `hnsw_config`, `quantization_config`, `optimizers`, `on_disk_payload`, `payload_memory`, `id_tracker_memory`
of the collection; and beyond Edge `wal_config`, `strict_mode_config`, `metadata`, the sharding settings in PARAMS,
`shard_keys`, `namespace_field` (layout.FIELD), and `config` and `params` for keys that this version does not know.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from vectormigrate.adapters.qdrant.capabilities import CAPABILITIES
from vectormigrate.adapters.qdrant.config import NAMESPACE_FIELD
from vectormigrate.adapters.qdrant.layout import DATATYPES, FIELD, NOTE_KEY, OWN_KEYS, Layout
from vectormigrate.adapters.qdrant.settings import settings_of
from vectormigrate.figures import counted
from vectormigrate.model.schema import CollectionSchema, FieldType, Json, MetadataField, VectorKind

EXTRAS = "qdrant"

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

DEFAULTS: Mapping[str, Mapping[str, Json]] = {
    "hnsw_config": {
        "m": 16,
        "ef_construct": 100,
        "full_scan_threshold": 10_000,
        "max_indexing_threads": 0,
        "on_disk": False,
    },
    "optimizers": {
        "deleted_threshold": 0.2,
        "vacuum_min_vector_number": 1000,
        "default_segment_number": 0,
        "indexing_threshold": 10_000,
        "flush_interval_sec": 5,
    },
    "wal_config": {"wal_capacity_mb": 32, "wal_segments_ahead": 0, "wal_retain_closed": 1},
    "strict_mode_config": {"enabled": False},
}
"""The server's own (`config/config.yaml`): a setting with this value says nothing about the collection's maker."""

OLD_INDEXING_THRESHOLD = 20_000
"""The default of servers before 1.16."""

PARAMS: Mapping[str, Json] = {
    "shard_number": 1,
    "sharding_method": "auto",
    "replication_factor": 1,
    "write_consistency_factor": 1,
    "on_disk_payload": True,
    "read_fan_out_factor": None,
    "read_fan_out_delay_ms": None,
}
"""Settings of `params` that are carried as they are, with their defaults."""

KNOWN_PARAMS = frozenset({*PARAMS, "vectors", "sparse_vectors", "payload", "id_tracker"})
KNOWN_CONFIG = frozenset(
    {
        "params",
        "hnsw_config",
        "optimizer_config",
        "wal_config",
        "quantization_config",
        "strict_mode_config",
        "metadata",
    }
)
SPARSE_INDEX = ("full_scan_threshold", "on_disk", "memory", "datatype")


def set_values(settings: Mapping[str, Any] | None) -> dict[str, Any]:
    """The settings that are not null."""
    return {key: value for key, value in (settings or {}).items() if value is not None}


def schema_of(layout: Layout, aliases: list[str], *, everything: bool) -> CollectionSchema:
    """`everything`: carry all settings, else those that differ from the server's defaults."""
    extras = _extras(layout, everything=everything)
    payload = extras.get("payload_schema", {})
    lists = set(layout.shape.get("lists", []))
    known = {path: FIELD_TYPES[item["data_type"]] for path, item in payload.items() if item["data_type"] in FIELD_TYPES}
    order: list[str] = layout.shape.get("fields", [])
    paths = [*(path for path in order if path in known), *(path for path in known if path not in order)]
    fields = [
        MetadataField(name=path, type=FieldType.LIST, element=known[path], indexed=True)
        if path in lists
        else MetadataField(name=path, type=known[path], indexed=True)
        for path in paths
    ]
    note = layout.texts.get(NOTE_KEY)
    return CollectionSchema(
        name=layout.name,
        id_kinds=CAPABILITIES.ids.kinds,
        vectors=layout.vectors,
        fields=tuple(fields),
        extras={EXTRAS: extras} if extras else {},
        note=None if note is None else json.loads(note),
        settings=settings_of(layout, aliases, extras),
        warnings=tuple(_warnings(layout, payload)),
    )


def _extras(layout: Layout, *, everything: bool) -> dict[str, Any]:
    config, params = layout.config, layout.config["params"]
    sparse = {key: _sparse(item) for key, item in sorted((params.get("sparse_vectors") or {}).items())}
    extras: dict[str, Any] = {
        "vectors": {name: rest for name, rest in _vectors(layout).items() if rest},
        "sparse_vectors": {name: rest for name, rest in sparse.items() if rest},
        "payload_schema": _payload_schema(layout),
        "hnsw_config": _explicit("hnsw_config", config.get("hnsw_config"), everything),
        "optimizers": _explicit("optimizers", config.get("optimizer_config"), everything),
        "wal_config": _explicit("wal_config", config.get("wal_config"), everything),
        "strict_mode_config": _explicit("strict_mode_config", config.get("strict_mode_config"), everything),
        "quantization_config": config.get("quantization_config"),
        "payload_memory": (params.get("payload") or {}).get("memory"),
        "id_tracker_memory": (params.get("id_tracker") or {}).get("memory"),
        "metadata": _without(config.get("metadata"), OWN_KEYS),
        "shard_keys": list(layout.shard_keys),
        FIELD: _namespace_field(layout),
        "params": _without(params, KNOWN_PARAMS),
        "config": _without(config, KNOWN_CONFIG),
    }
    if extras["payload_memory"] == "cold" and not everything:
        extras["payload_memory"] = None
    extras |= {key: params.get(key) for key, default in PARAMS.items() if everything or params.get(key) != default}
    return {key: value for key, value in extras.items() if value is not None and value not in ({}, [])}


def _without(settings: Mapping[str, Any] | None, known: Collection[str]) -> dict[str, Any]:
    """The settings that are set, without those that are read elsewhere."""
    return {key: value for key, value in set_values(settings).items() if key not in known}


def _explicit(group: str, settings: Mapping[str, Any] | None, everything: bool) -> dict[str, Any]:
    found = set_values(settings)
    if everything:
        return found
    defaults = DEFAULTS[group]
    if group == "optimizers" and found.get("indexing_threshold") == OLD_INDEXING_THRESHOLD:
        found.pop("indexing_threshold")
    changed = {key: value for key, value in found.items() if value != defaults.get(key)}
    # Edge needs these two of a graph's settings together.
    both = {"m", "ef_construct"}
    if group == "hnsw_config" and both & changed.keys():
        changed = {key: found[key] for key in found if key in changed or key in both}
    return changed


def _vectors(layout: Layout) -> dict[str, Any]:
    found: dict[str, Any] = {}
    dense = layout.config["params"].get("vectors") or {}
    for item in layout.vectors:
        if item.kind is VectorKind.SPARSE:
            continue
        rest = set_values(dense if layout.single else dense[item.name])
        for key in ("size", "distance", "multivector_config"):
            rest.pop(key, None)
        if rest.get("datatype") in DATATYPES:
            rest.pop("datatype")
        if rest.get("hnsw_config"):
            rest["hnsw_config"] = set_values(rest["hnsw_config"])
        found[item.name] = rest
    return found


def _sparse(item: Mapping[str, Any]) -> dict[str, Any]:
    index = set_values(item.get("index"))
    rest = {key: value for key, value in index.items() if key not in SPARSE_INDEX}
    found = {key: index[key] for key in SPARSE_INDEX if key in index}
    if item.get("modifier") not in (None, "none"):
        found["modifier"] = item["modifier"]
    found |= {key: value for key, value in set_values(item).items() if key not in ("index", "modifier")}
    return found | ({"index": rest} if rest else {})


def _payload_schema(layout: Layout) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path, item in sorted((layout.info.get("payload_schema") or {}).items()):
        if layout.divided and path == layout.namespace_field:
            continue
        params = {key: value for key, value in set_values(item.get("params")).items() if key != "type"}
        found[path] = {"data_type": item["data_type"], "params": params or None}
    return found


def _namespace_field(layout: Layout) -> dict[str, Any] | None:
    """The people's own field that divides the collection, with its index."""
    if not layout.divided or layout.namespace_field == NAMESPACE_FIELD:
        return None
    index: Mapping[str, Any] = (layout.info.get("payload_schema") or {}).get(layout.namespace_field) or {}
    params = {key: value for key, value in set_values(index.get("params")).items() if key != "type"}
    return {"name": layout.namespace_field, "data_type": index.get("data_type"), "params": params or None}


def _warnings(layout: Layout, payload: Mapping[str, Any]) -> list[str]:
    warnings: list[str] = []
    unknown = sorted(path for path, item in payload.items() if item["data_type"] not in FIELD_TYPES)
    if unknown:
        warnings.append(f"payload indexes of a type that is not known here: {', '.join(map(repr, unknown))}")
    if layout.deferred:
        warnings.append(f"{counted(layout.deferred)} records are hidden until the server has optimised them")
    own = [
        path
        for path, item in payload.items()
        if (item["params"] or {}).get("is_tenant") and path != layout.namespace_field and not layout.by_shard
    ]
    if own and not layout.divided:
        warnings.append(
            f"the collection is partitioned by {own[0]!r}; it is read as one namespace unless namespace_field names it"
        )
    params = layout.config["params"].get("vectors") or {}
    for item in layout.vectors:
        datatype = (params if layout.single else params.get(item.name, {})).get("datatype")
        if str(datatype).startswith("turbo"):
            warnings.append(f"vector {item.name!r} is stored as {datatype}; only these rounded values can be read")
    return warnings
