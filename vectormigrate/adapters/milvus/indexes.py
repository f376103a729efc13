"""Vector indexes: Milvus' parameters <-> the neutral ones, and what to search with. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from vectormigrate.adapters.milvus.capabilities import Server
from vectormigrate.adapters.milvus.index_types import FORMS, RANGES, builds, built
from vectormigrate.adapters.milvus.proto import cp, pb, sp
from vectormigrate.model.quantization import KEY, Quantization, Quantizer, quantization_of
from vectormigrate.model.schema import DType, Json, Metric, VectorField, VectorKind

T = sp.DataType

METRICS = {
    Metric.COSINE: "COSINE",
    Metric.DOT: "IP",
    Metric.L2: "L2",
    Metric.HAMMING: "HAMMING",
    Metric.JACCARD: "JACCARD",
}
_NEUTRAL = {name: metric for metric, name in METRICS.items()}

BINARY_METRICS = frozenset({Metric.HAMMING, Metric.JACCARD})

_RAW_DATA = "with_raw_data"
"""A parameter of SCANN with which 2.3 loads the index for ever."""

SCALAR_BITS = {"SQ4U": 4.0, "SQ6": 6.0, "SQ8": 8.0, "FP16": 16.0, "BF16": 16.0}
"""`sq_type` of HNSW_SQ."""

_SCALAR_SINCE: Mapping[str, tuple[int, int]] = {
    "STL_SORT": (2, 3),
    "TRIE": (2, 3),
    "MARISA-TRIE": (2, 3),
    "AUTOINDEX": (2, 4),
    "INVERTED": (2, 4),
    "HYBRID": (2, 5),
    "BITMAP": (2, 5),
    "NGRAM": (2, 6),
    "RTREE": (2, 6),
}
"""First server that builds an index of this type on a scalar field."""

_NUMBERS = frozenset({T.Int8, T.Int16, T.Int32, T.Int64, T.Float, T.Double})
_INVERTED = _NUMBERS | {T.Bool, T.VarChar, T.Array}


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


def neutral(params: Mapping[str, str], dim: int | None) -> dict[str, Json]:
    """The index as other databases know it: `type`, `m`, `ef_construct`, quantization."""
    kind = params.get("index_type", "").lower()
    if not kind:
        return {}
    found: dict[str, Json] = {"type": FORMS.get(kind, kind)}
    build = build_params(params)
    for name, key in (("m", "M"), ("ef_construct", "efConstruction")):
        if kind.startswith("hnsw") and str(build.get(key, "")).isdigit():
            found[name] = int(build[key])
    quantization = _quantization(kind, build, dim)
    return found if quantization is None else {**found, KEY: quantization.to_json()}


def _quantization(kind: str, build: Mapping[str, Json], dim: int | None) -> Quantization | None:
    match kind:
        case "ivf_sq8":
            return Quantization(kind=Quantizer.SCALAR, bits=8)
        case "hnsw_sq":
            return Quantization(kind=Quantizer.SCALAR, bits=SCALAR_BITS.get(str(build.get("sq_type")).upper(), 8.0))
        case "ivf_rabitq":
            return Quantization(kind=Quantizer.BINARY, bits=1)
        case "ivf_pq" | "hnsw_pq" | "hnsw_prq" | "gpu_ivf_pq":
            parts, width = _number(build.get("m")), _number(build.get("nbits")) or 8
            rounds = (_number(build.get("nrq")) or 1) if kind == "hnsw_prq" else 1
            bits = parts * width * rounds / dim if dim and parts else 1.0
            return Quantization(kind=Quantizer.PRODUCT, bits=bits)
        case _:
            return None


def _number(value: Json) -> int:
    return int(value) if str(value).isdigit() else 0


def _without_raw_data(params: Mapping[str, str]) -> dict[str, str]:
    flat = {key: value for key, value in params.items() if key != _RAW_DATA}
    inner = build_params({"params": params.get("params", "")})
    if inner.pop(_RAW_DATA, None) is not None:
        flat["params"] = json.dumps(inner)
    return flat


def vector_index(item: VectorField, kept: Mapping[str, str] | None, server: Server) -> dict[str, str]:
    """How to index this field: as it was on the Milvus it came from where this server can, else from `item.index`."""
    metric = METRICS[item.metric]
    if (
        kept is not None
        and kept.get("metric_type", "").upper() == metric
        and builds(kept.get("index_type", ""), server.version, lite=server.lite)
    ):
        old = not server.lite and server.version < (2, 4)
        return _without_raw_data(kept) if old else dict(kept)
    if item.kind is VectorKind.SPARSE:
        return {"index_type": "SPARSE_INVERTED_INDEX", "metric_type": metric}
    if item.dtype is DType.BITS:
        return {"index_type": "BIN_FLAT", "metric_type": metric}
    if item.index.get("type") == "flat":
        return {"index_type": "FLAT", "metric_type": metric}
    build: dict[str, Json] = {
        "M": _within(item.index.get("m"), 16, *RANGES["m"]),
        "efConstruction": _within(item.index.get("ef_construct"), 200, *RANGES["ef_construct"]),
    }
    kind = "HNSW"
    wanted, types = quantization_of(item.index), built(server.version, lite=server.lite)
    if wanted is not None and wanted.kind is Quantizer.SCALAR and "HNSW_SQ" in types:
        kind = "HNSW_SQ"
        build["sq_type"] = min(SCALAR_BITS, key=lambda word: abs(SCALAR_BITS[word] - wanted.bits))
    elif wanted is not None and wanted.kind is Quantizer.PRODUCT and "HNSW_PQ" in types and item.dim:
        kind = "HNSW_PQ"
        build |= {"m": _parts(item.dim, wanted.bits), "nbits": 8}
    return {"index_type": kind, "metric_type": metric, "params": json.dumps(build)}


def _parts(dim: int, bits: float) -> int:
    """Sub-vectors of 8 bits each; their number divides the dimension."""
    return min((part for part in range(1, dim + 1) if dim % part == 0), key=lambda part: abs(8 * part / dim - bits))


def scalar_index(kind: int, kept: Mapping[str, str], server: Server) -> dict[str, str] | None:
    """How to index a scalar field of this Milvus type: as it was (`kept`) where this server can, else with what it has
    for the type; None when it cannot index it. Filters work without an index too, only slower."""
    wanted = kept.get("index_type", "").upper()
    if server.lite:
        return {"index_type": "INVERTED"} if kind in _INVERTED - {T.Array} else None
    if wanted and server.version >= _SCALAR_SINCE.get(wanted, (99, 0)):
        return dict(kept)
    if server.version >= (2, 4):
        return {"index_type": "INVERTED"} if kind in _INVERTED else None
    if kind in _NUMBERS:
        return {"index_type": "STL_SORT"}
    return {"index_type": "Trie"} if kind == T.VarChar else None


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
