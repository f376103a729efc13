"""The control plane: indexes."""

from __future__ import annotations

import re
from typing import Any

from tests.emulators.pinecone.errors import Refusal, invalid
from tests.emulators.pinecone.faults import Knobs
from tests.emulators.pinecone.state import Index

ON_DEMAND: dict[str, Any] = {"mode": "OnDemand"}
METRICS = ("cosine", "dotproduct", "euclidean")
PROTECTED = "Deletion protection is enabled for this index. Disable deletion protection before retrying."


class Control:
    """All indexes of the project. `base` is the URL under which their data planes are found."""

    def __init__(self, knobs: Knobs, base: str) -> None:
        self.knobs = knobs
        self.base = base
        self.indexes: dict[str, Index] = {}

    def model(self, index: Index) -> dict[str, Any]:
        """An index as describe reports it."""
        managed = index.deployment["deployment_type"] == "managed"
        state = "Ready"
        if index.gone_in is not None:
            state = "Terminating"
        elif index.ready_in:
            state = "Initializing"
        return {
            **({"cmek_id": index.cmek_id} if index.cmek_id else {}),
            "name": index.name,
            "host": f"{self.base}/i/{index.name}",
            "status": {"ready": state == "Ready", "state": state},
            "schema": {"fields": index.fields},
            "deployment": {**index.deployment, **({"environment": "aped-4627-b74a"} if managed else {})},
            "deletion_protection": index.deletion_protection,
            "read_capacity": {**index.read_capacity, "status": {"state": "Ready"}},
            "tags": index.tags,
        }

    def list(self) -> dict[str, Any]:
        return {"indexes": [self.model(index) for _, index in sorted(self.indexes.items())]}

    def describe(self, name: str) -> dict[str, Any]:
        """Raises Refusal when there is none."""
        index = self.indexes.get(name)
        if index is not None and index.gone_in is not None:
            if index.gone_in <= 0:
                del self.indexes[name]
                index = None
            else:
                index.gone_in -= 1
        if index is None:
            raise Refusal(404, f"Resource {name} not found")
        found = self.model(index)
        index.ready_in = max(0, index.ready_in - 1)
        return found

    def data_plane(self, name: str) -> Index:
        """The index behind a host. Raises Refusal for one that is not there or not ready."""
        index = self.indexes.get(name)
        if index is None or index.gone_in is not None:
            raise Refusal(404, "Index not found")
        if index.ready_in:
            raise Refusal(503, "Index is not ready")
        return index

    def create(self, body: Any) -> dict[str, Any]:
        """A vector or document index, by its schema."""
        unknown = set(body) - {
            "name",
            "schema",
            "deployment",
            "deletion_protection",
            "tags",
            "read_capacity",
            "cmek_id",
        }
        if unknown:
            raise Refusal(422, f"unknown field {min(unknown)!r}")
        fields = (body.get("schema") or {}).get("fields")
        if not isinstance(fields, dict) or not fields:
            raise invalid("schema must declare at least one field")
        vector_api = set(fields) <= {"_values", "_sparse_values"}
        for name, config in fields.items():
            _check_field(name, config, vector_api=vector_api)
        index = self._new(body, "vector" if vector_api else "document", fields)
        _slots(index)
        return self._add(index)

    def create_for_model(self, body: Any) -> dict[str, Any]:
        """A legacy integrated index."""
        embed = body["embed"]
        config = {"type": "semantic_text", "model": embed["model"], "metric": embed.get("metric") or "cosine"}
        name = embed["field_map"]["text"]
        deployment = {"deployment_type": "managed", "cloud": body["cloud"], "region": body["region"]}
        index = self._new({**body, "deployment": deployment}, "integrated", {name: config})
        index.dense, index.dimension, index.metric = name, embed.get("dimension") or 8, config["metric"]
        return self._add(index)

    def _new(self, body: Any, kind: Any, fields: dict[str, Any]) -> Index:
        name = body.get("name")
        if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9](?:[a-z0-9-]{0,43}[a-z0-9])?", name):
            raise invalid("Name must consist of lower case alphanumeric characters or '-', at most 45")
        if name in self.indexes:
            raise Refusal(409, f"Resource {name} already exists")
        deployment = body.get("deployment") or {"deployment_type": "managed", "cloud": "aws", "region": "us-east-1"}
        if deployment.get("deployment_type") == "pod":
            raise invalid("Pod indexes cannot be created with this API version")
        _check_deployment(deployment, self.knobs)
        _check_capacity(body.get("read_capacity") or ON_DEMAND)
        key = body.get("cmek_id")
        if key is not None and key not in self.knobs.cmek_ids:
            raise Refusal(404, f"CMEK key {key} not found in this project")
        tags = body.get("tags")
        _check_tags(tags or {})
        most = self.knobs.max_indexes
        if most is not None and len(self.indexes) >= most:
            raise Refusal(403, f"You have reached the maximum of {most} indexes", code="QUOTA_EXCEEDED")
        protection = body.get("deletion_protection") or "disabled"
        return Index(
            name,
            kind,
            fields,
            deployment,
            tags,
            protection,
            cmek_id=key,
            read_capacity=body.get("read_capacity") or ON_DEMAND,
            ready_in=self.knobs.ready_after,
        )

    def _add(self, index: Index) -> dict[str, Any]:
        self.indexes[index.name] = index
        return self.model(index)

    def configure(self, name: str, body: Any) -> dict[str, Any]:
        """Deletion protection and tags."""
        index = self.indexes.get(name)
        if index is None:
            raise Refusal(404, f"Resource {name} not found")
        if set(body) - {"deletion_protection", "tags"}:
            raise invalid("only deletion_protection and tags can be changed here")
        if body.get("tags") is not None:
            merged = {**(index.tags or {}), **body["tags"]}
            _check_tags(merged)
            index.tags = {key: value for key, value in merged.items() if value} or None
        index.deletion_protection = body.get("deletion_protection") or index.deletion_protection
        return self.model(index)

    def delete(self, name: str) -> None:
        """Refused for a protected index."""
        index = self.indexes.get(name)
        if index is None:
            raise Refusal(404, f"Resource {name} not found")
        if index.deletion_protection == "enabled":
            raise Refusal(403, PROTECTED)
        if self.knobs.gone_after:
            index.gone_in = self.knobs.gone_after
        else:
            del self.indexes[name]


def _check_deployment(deployment: dict[str, Any], knobs: Knobs) -> None:
    """Managed ones name cloud and region (the service adds an environment itself), one's own only the environment."""
    keys = set(deployment) - {"deployment_type"}
    if deployment.get("deployment_type") == "byoc":
        if keys != {"environment"} or deployment["environment"] not in knobs.environments:
            raise invalid("deployment.environment must be a BYOC environment of the organization")
    elif deployment.get("deployment_type") != "managed" or keys != {"cloud", "region"}:
        raise invalid("deployment needs cloud and region, and nothing else")


def _check_capacity(capacity: dict[str, Any]) -> None:
    if capacity == ON_DEMAND:
        return
    nodes = capacity.get("dedicated")
    manual = (nodes or {}).get("manual") or {}
    if (
        capacity.get("mode") != "Dedicated"
        or set(capacity) != {"mode", "dedicated"}
        or set(nodes or {}) != {"node_type", "scaling", "manual"}
        or set(manual) != {"shards", "replicas"}
    ):
        raise invalid("read_capacity must be OnDemand, or Dedicated with node_type, scaling and manual")


def _check_field(name: str, config: Any, *, vector_api: bool) -> None:
    kind = config.get("type")
    if not vector_api and (not name or name.startswith(("_", "$")) or len(name.encode()) > 64):
        raise invalid(f"schema.fields.{name}: illegal field name")
    if kind == "dense_vector":
        if type(config.get("dimension")) is not int or not 1 <= config["dimension"] <= 20_000:
            raise invalid(f"schema.fields.{name}.dimension must be between 1 and 20000")
        if config.get("metric") not in METRICS:
            raise invalid(f"schema.fields.{name}.metric must be one of {METRICS}")
        if name == "_sparse_values":
            raise invalid("_sparse_values is a sparse_vector")
    elif kind == "sparse_vector":
        if name == "_values" or set(config) - {"type", "description"}:
            raise invalid(f"schema.fields.{name}: a sparse_vector has no options")
    elif kind == "string" and not vector_api:
        if not any(config.get(key) is not None for key in ("full_text_search", "embed", "sparse_embed")):
            raise invalid(f"schema.fields.{name}: a string must be searchable")
        if config.get("filterable"):
            raise invalid(f"schema.fields.{name}: a search field cannot be filterable")
        if config.get("store_text") is False and config.get("embed") is None and config.get("sparse_embed") is None:
            raise invalid(f"schema.fields.{name}: store_text needs embed or sparse_embed")
    else:
        raise invalid(f"schema.fields.{name}.type: {kind!r} cannot be declared")


def _slots(index: Index) -> None:
    """Fill the one dense and the one sparse slot."""
    for name, config in index.fields.items():
        embed = config.get("embed")
        if config["type"] == "dense_vector" or embed is not None:
            if index.dense is not None:
                raise invalid("An index has at most one dense vector field")
            index.dense = name
            source = config if embed is None else embed
            index.dimension, index.metric = source.get("dimension") or 8, source.get("metric") or "cosine"
        if config["type"] == "sparse_vector" or config.get("sparse_embed") is not None:
            if index.sparse is not None:
                raise invalid("An index has at most one sparse vector field")
            index.sparse = name
        if config["type"] == "string":
            stored = config.get("store_text") is not False
            config["store_text"] = stored
            if stored:
                config["full_text_search"] = {"language": "en", "stemming": False, "stop_words": False} | (
                    config.get("full_text_search") or {}
                )
    if index.kind == "vector" and index.sparse and index.dense and index.metric != "dotproduct":
        raise invalid("Sparse values beside dense ones need the metric dotproduct")


def _check_tags(tags: dict[str, str]) -> None:
    if len(tags) > 20 or any(len(key) > 80 or len(value) > 120 for key, value in tags.items()):
        raise invalid("at most 20 tags, keys of 80 and values of 120 characters")
