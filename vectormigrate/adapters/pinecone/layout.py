"""What kind of index this is and where its vectors are, from its description. Pure.

By its schema's fields: `_values` and `_sparse_values` make a vector index, `semantic_text` a legacy index with
integrated embedding, anything else a document index (facts of the SDK, API 2026-07).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from vectormigrate.adapters.pinecone.errors import NAME
from vectormigrate.errors import InvalidRequest
from vectormigrate.model.schema import (
    Json,
    Metric,
    VectorField,
    VectorKind,
)

DENSE = "values"
SPARSE = "sparse_values"

PROTECT_TAG = "vectormigrate-protect"
"""On an index that gets its deletion protection when it is complete: until then a migration can be rolled back."""

METRICS = {"cosine": Metric.COSINE, "dotproduct": Metric.DOT, "euclidean": Metric.L2}


Kind = Literal["vector", "integrated", "document"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """One index. `dense` and `sparse` are the vector fields that records bring themselves; `embedded` names the text
    fields from which the service makes vectors. `settings` is what only Pinecone reads."""

    name: str
    host: str
    kind: Kind
    ready: bool
    state: str
    dense: VectorField | None
    sparse: VectorField | None
    embedded: tuple[str, ...]
    fields: Mapping[str, Mapping[str, Json]]
    settings: Mapping[str, Json]

    @property
    def documents(self) -> bool:
        """Read and written through the documents API."""
        return self.kind == "document"

    @property
    def vectors(self) -> tuple[VectorField, ...]:
        """Dense before sparse."""
        return tuple(item for item in (self.dense, self.sparse) if item is not None)


def layout_of(data: Mapping[str, Any]) -> Layout:
    """The layout of a described index. Raises InvalidRequest for pods, whose records cannot be listed."""
    name, deployment = data["name"], data["deployment"]
    if deployment.get("deployment_type") == "pod":
        message = (
            f"{name!r} is a pod index, of which no complete list of records can be had; make a serverless index of it "
            "first (a collection of the pod index, then a new index from that collection)"
        )
        raise InvalidRequest(message, adapter=NAME, operation="describe")
    fields: dict[str, dict[str, Any]] = data["schema"]["fields"]
    kind = _kind(fields)
    dense, sparse, embedded = _vector_fields(fields, kind)
    capacity = {key: value for key, value in (data.get("read_capacity") or {}).items() if key != "status"}
    tags = dict(data.get("tags") or {})
    # What a new index of ours still gets in `finalize`.
    protected = "enabled" if tags.pop(PROTECT_TAG, None) else data["deletion_protection"]
    settings = {
        "kind": kind,
        "schema": fields,
        "deployment": deployment,
        "tags": tags,
        "deletion_protection": protected,
        "read_capacity": capacity,
        **({"cmek_id": data["cmek_id"]} if data.get("cmek_id") else {}),
    }
    return Layout(
        name=name,
        host=data.get("host") or "",
        kind=kind,
        ready=data["status"]["ready"],
        state=data["status"]["state"],
        dense=dense,
        sparse=sparse,
        embedded=tuple(embedded),
        fields=fields,
        settings=settings,
    )


def _kind(fields: Mapping[str, Mapping[str, Any]]) -> Kind:
    if any(config.get("type") == "semantic_text" for config in fields.values()):
        return "integrated"
    return "vector" if fields.keys() & {"_values", "_sparse_values"} else "document"


def _vector_fields(
    fields: Mapping[str, Mapping[str, Any]], kind: Kind
) -> tuple[VectorField | None, VectorField | None, list[str]]:
    """The dense and the sparse field that records bring themselves, and the texts from which vectors are made."""
    dense = sparse = None
    embedded: list[str] = []
    for field, config in fields.items():
        if config.get("type") == "dense_vector":
            dense = _dense(DENSE if kind == "vector" else field, config["dimension"], config["metric"])
        elif config.get("type") == "sparse_vector":
            sparse = _sparse(SPARSE if kind == "vector" else field)
        elif config.get("type") == "semantic_text" or config.keys() & {"embed", "sparse_embed"}:
            embedded.append(field)
    return dense, sparse, embedded


def _dense(name: str, dim: int, metric: str) -> VectorField:
    return VectorField(name=name, kind=VectorKind.DENSE, dim=dim, metric=METRICS.get(metric, Metric.COSINE))


def _sparse(name: str) -> VectorField:
    return VectorField(name=name, kind=VectorKind.SPARSE, dim=None, metric=Metric.DOT)


def with_statistics(layout: Layout, stats: Mapping[str, Any]) -> Layout:
    """The layout of an integrated index, whose description lacks the form of its vectors."""
    if stats.get("vectorType") == "sparse":
        return replace(layout, sparse=_sparse(SPARSE))
    dimension = stats.get("dimension")
    if not dimension:
        message = f"{layout.name!r} does not tell the dimension of the vectors that it makes"
        raise InvalidRequest(message, adapter=NAME, operation="describe")
    metric = next((str(item["metric"]) for item in layout.fields.values() if item.get("metric")), "")
    return replace(layout, dense=_dense(DENSE, int(dimension), metric or str(stats.get("metric", ""))))
