"""The schema of a new index. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from vectormigrate.adapter import Capabilities
from vectormigrate.adapters.pinecone.config import CLOUD, NO_KEY, REGION, PineconeConfig
from vectormigrate.adapters.pinecone.errors import NAME
from vectormigrate.adapters.pinecone.layout import METRICS, PROTECT_TAG
from vectormigrate.errors import InvalidRequest
from vectormigrate.model.ids import IdKind
from vectormigrate.model.schema import CollectionSchema, Json, VectorField, VectorKind

MAX_TAGS = 20
_METRIC_NAMES = {metric: name for name, metric in METRICS.items()}


def creation(config: PineconeConfig, schema: CollectionSchema, caps: Capabilities) -> dict[str, Any]:
    """Arguments of the SDK's `indexes.create`. Raises InvalidRequest for what no index can be.

    A vector index that is to hold dense and sparse vectors must declare both fields: since API 2026-07 the metric
    dotproduct alone no longer makes room for sparse values, and fields cannot be added later.
    """
    _check(config.collection, schema, caps)
    kept: Mapping[str, Json] = schema.extras.get(NAME) or {}
    found: dict[str, Any] = {
        "name": config.collection,
        "schema": {"fields": _fields(config, schema, kept)},
        "deployment": _deployment(config, kept),
    }
    tags: dict[str, str] = dict(kept.get("tags") or {})
    if protected(config, schema) and len(tags) < MAX_TAGS:
        tags[PROTECT_TAG] = "yes"
    if tags:
        found["tags"] = tags
    key = "" if config.cmek_id == NO_KEY else config.cmek_id or kept.get("cmek_id")
    if key:
        found["cmek_id"] = key
    capacity: Mapping[str, Json] = kept.get("read_capacity") or {}
    if config.dedicated_reads and capacity.get("mode") == "Dedicated":
        found["read_capacity"] = dict(capacity)
    return found


def _fields(config: PineconeConfig, schema: CollectionSchema, kept: Mapping[str, Json]) -> dict[str, dict[str, Any]]:
    """The vector fields, and in a document index the text fields that it had."""
    documents = config.index_kind == "document"
    fields: dict[str, dict[str, Any]] = {}
    for item in schema.vectors:
        if item.kind is VectorKind.SPARSE:
            fields[item.name if documents else "_sparse_values"] = {"type": "sparse_vector"}
        else:
            declared = {"type": "dense_vector", "dimension": item.dim, "metric": _METRIC_NAMES[item.metric]}
            fields[item.name if documents else "_values"] = declared
    if documents and kept.get("kind") == "document":
        fields |= {name: text for name, text in _texts(kept).items() if name not in fields}
    return fields


def protected(config: PineconeConfig, schema: CollectionSchema) -> bool:
    """Whether the index gets deletion protection: as the operator chose, else as it was."""
    kept: Mapping[str, Json] = schema.extras.get(NAME) or {}
    if config.deletion_protection is None:
        return kept.get("deletion_protection") == "enabled"
    return config.deletion_protection


def _texts(kept: Mapping[str, Json]) -> dict[str, dict[str, Any]]:
    """Full-text fields of the index that comes home. A description cannot be created again as it is: it holds fields
    and options that the service only reports, and embedding would make new vectors."""
    found: dict[str, dict[str, Any]] = {}
    for name, config in kept.get("schema", {}).items():
        search = config.get("full_text_search")
        if config.get("type") == "string" and search is not None:
            found[name] = {"type": "string", "full_text_search": {k: v for k, v in search.items() if v is not None}}
    return found


def _deployment(config: PineconeConfig, kept: Mapping[str, Json]) -> dict[str, Any]:
    """Where the operator wants it, else where it was, else in CLOUD and REGION, which the plan says."""
    old: Mapping[str, Json] = kept.get("deployment") or {}
    own = config.environment or (old.get("environment") if old.get("deployment_type") == "byoc" else "")
    if own and not (config.cloud or config.region):
        return {"deployment_type": "byoc", "environment": own}
    old = old if old.get("deployment_type") == "managed" and not (config.cloud or config.region) else {}
    return {
        "deployment_type": "managed",
        "cloud": config.cloud or old.get("cloud") or CLOUD,
        "region": config.region or old.get("region") or REGION,
    }


def _check(name: str, schema: CollectionSchema, caps: Capabilities) -> None:
    if re.fullmatch(caps.collection.names, name) is None:
        raise _impossible(f"{name!r} is no legal index name (a-z, 0-9 and - inside, at most 45)")
    if schema.id_kinds != frozenset({IdKind.STRING}):
        raise _impossible("ids are strings")
    if not schema.vectors:
        raise _impossible("an index needs a vector field")
    for kind in VectorKind:
        if sum(item.kind is kind for item in schema.vectors) > caps.vectors.max_of_kind.get(kind, 0):
            raise _impossible(f"an index has at most {caps.vectors.max_of_kind.get(kind, 0)} {kind} vector field")
    beside = len(schema.vectors) > 1
    for item in schema.vectors:
        _check_vector(item, caps, beside=beside)


def _check_vector(item: VectorField, caps: Capabilities, *, beside: bool) -> None:
    fixed = caps.vectors.fixed_names.get(item.kind)
    if fixed is not None and item.name != fixed:
        raise _impossible(f"the {item.kind} vector field of a vector index is called {fixed!r}, not {item.name!r}")
    if re.fullmatch(caps.vectors.names, item.name) is None or len(item.name.encode()) > 64:
        raise _impossible(f"{item.name!r} is no legal field name (at most 64 bytes, not starting with _ or $)")
    if item.kind is VectorKind.SPARSE:
        return
    if item.dtype not in caps.vectors.dtypes or item.metric not in caps.vectors.metrics:
        raise _impossible(f"vector field {item.name!r}: no {item.metric} distance for vectors of {item.dtype}")
    if item.dim is None or not 1 <= item.dim <= caps.vectors.max_dim:
        raise _impossible(
            f"vector field {item.name!r}: dimension {item.dim} is not possible (1 … {caps.vectors.max_dim})"
        )
    if beside and caps.vectors.metrics_with_sparse is not None and item.metric not in caps.vectors.metrics_with_sparse:
        raise _impossible("beside a sparse field the dense one needs the metric dotproduct")


def _impossible(text: str) -> InvalidRequest:
    return InvalidRequest(text, adapter=NAME, operation="create")
