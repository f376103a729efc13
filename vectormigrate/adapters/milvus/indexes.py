"""Vector indexes: Milvus' parameters <-> the neutral ones, and what to search with. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from vectormigrate.adapters.milvus.capabilities import Server
from vectormigrate.adapters.milvus.proto import cp, pb
from vectormigrate.model.schema import DType, Json, Metric, VectorField, VectorKind

METRICS = {
    Metric.COSINE: "COSINE",
    Metric.DOT: "IP",
    Metric.L2: "L2",
    Metric.HAMMING: "HAMMING",
    Metric.JACCARD: "JACCARD",
}
_NEUTRAL = {name: metric for metric, name in METRICS.items()}

BINARY_METRICS = frozenset({Metric.HAMMING, Metric.JACCARD})

_OLD_TYPES = frozenset(
    {"FLAT", "IVF_FLAT", "IVF_SQ8", "IVF_PQ", "HNSW", "DISKANN", "AUTOINDEX", "BIN_FLAT", "BIN_IVF_FLAT"}
)
"""What 2.3 builds. SCANN is not among them: with the parameters of newer clients it loads for ever."""

_LITE_TYPES = frozenset({"FLAT", "HNSW", "IVF_FLAT", "IVF_SQ8", "AUTOINDEX", "SPARSE_INVERTED_INDEX"})

KeyValues = Sequence[Any]


def pairs(values: Mapping[str, Any]) -> list[cp.KeyValuePair]:
    """As Milvus' list of key and value."""
    return [cp.KeyValuePair(key=key, value=str(value)) for key, value in values.items()]


def index_params(found: pb.IndexDescription) -> dict[str, str]:
    """The parameters of an index as Milvus reports them."""
    return {item.key: item.value for item in found.params}


def metric_of(params: Mapping[str, str], default: Metric) -> Metric:
    """The metric; `default` for one that only Milvus has (BM25 …) or none."""
    return _NEUTRAL.get(params.get("metric_type", "").upper(), default)


def build_params(params: Mapping[str, str]) -> dict[str, Json]:
    """The parameters of the index algorithm; servers send them flat or as one JSON text."""
    inner: Any = {}
    with suppress(ValueError):
        inner = json.loads(params.get("params", "") or "{}")
    flat = {key: value for key, value in params.items() if key not in ("params", "index_type", "metric_type")}
    return {**flat, **(inner if isinstance(inner, dict) else {})}


def neutral(params: Mapping[str, str]) -> dict[str, Json]:
    """`type`, `m` and `ef_construct` as other databases know them."""
    kind = params.get("index_type", "").lower()
    if not kind:
        return {}
    found: dict[str, Json] = {"type": kind}
    build = build_params(params)
    for name, key in (("m", "M"), ("ef_construct", "efConstruction")):
        if kind == "hnsw" and str(build.get(key, "")).isdigit():
            found[name] = int(build[key])
    return found


def vector_index(item: VectorField, kept: Mapping[str, str] | None, server: Server) -> dict[str, str]:
    """How to index this field: as it was on the Milvus it came from where this server can, else from `item.index`."""
    metric = METRICS[item.metric]
    if (
        kept is not None
        and kept.get("metric_type", "").upper() == metric
        and _builds(kept.get("index_type", ""), server)
    ):
        return dict(kept)
    if item.kind is VectorKind.SPARSE:
        return {"index_type": "SPARSE_INVERTED_INDEX", "metric_type": metric}
    if item.dtype is DType.BITS:
        return {"index_type": "BIN_FLAT", "metric_type": metric}
    if item.index.get("type") == "flat":
        return {"index_type": "FLAT", "metric_type": metric}
    build = {
        "M": _within(item.index.get("m"), 16, 4, 64),
        "efConstruction": _within(item.index.get("ef_construct"), 200, 8, 512),
    }
    return {"index_type": "HNSW", "metric_type": metric, "params": json.dumps(build)}


def _builds(kind: str, server: Server) -> bool:
    if server.lite:
        return kind in _LITE_TYPES
    return bool(kind) and (server.version >= (2, 4) or kind in _OLD_TYPES)


def _within(value: Json, default: int, low: int, high: int) -> int:
    return min(high, max(low, value)) if isinstance(value, int) and value > 0 else default


def search_params(params: Mapping[str, str], k: int) -> dict[str, int]:
    """Parameters that an index needs to answer `k` hits well."""
    kind = params.get("index_type", "")
    if kind.startswith("HNSW"):
        return {"ef": min(32_768, max(2 * k, 128))}
    if "IVF" in kind:
        lists = str(build_params(params).get("nlist", ""))
        return {"nprobe": min(64, int(lists)) if lists.isdigit() else 16}
    if kind == "DISKANN":
        return {"search_list": max(2 * k, 100)}
    return {}
