"""Vector indexes: Weaviate's settings <-> the neutral parameters. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vectormigrate.model.quantization import KEY, Quantization, Quantizer, quantization_of
from vectormigrate.model.schema import Json, VectorField, VectorKind

QUANTIZERS = ("pq", "bq", "sq", "rq")
RANGES: Mapping[str, tuple[int, int]] = {"m": (4, 2047), "ef_construct": (4, 2**31 - 1)}

_GRAPH: Mapping[str, tuple[float, ...]] = {
    Quantizer.SCALAR: (8.0,),
    Quantizer.BINARY: (1.0,),
    Quantizer.PRODUCT: (),
}
_FLAT: Mapping[str, tuple[float, ...]] = {Quantizer.BINARY: (1.0,)}


def vector_indexes(version: tuple[int, int]) -> Mapping[str, Mapping[str, tuple[float, ...]]]:
    """Capabilities.vector_indexes. Rotation: 8 bits since 1.32, 1 bit and flat since 1.34, 4 bits since 1.39."""
    graph, flat = dict(_GRAPH), dict(_FLAT)
    if version >= (1, 32):
        graph[Quantizer.ROTATED] = (8.0,)
    if version >= (1, 34):
        graph[Quantizer.ROTATED] = flat[Quantizer.ROTATED] = (1.0, 8.0)
    if version >= (1, 39):
        graph[Quantizer.ROTATED] = (1.0, 4.0, 8.0)
    offers: dict[str, Mapping[str, tuple[float, ...]]] = {"hnsw": graph, "flat": flat, "dynamic": {}}
    return {**offers, "hfresh": {}} if version >= (1, 36) else offers


def neutral(json: Mapping[str, Json], dim: int | None) -> dict[str, Json]:
    """`type`, `m`, `ef_construct` and quantization of a vector's index."""
    kind = str(json.get("vectorIndexType"))
    config: Mapping[str, Any] = json.get("vectorIndexConfig") or {}
    found: dict[str, Json] = {"type": kind}
    if kind == "hnsw":
        found |= {"m": config.get("maxConnections"), "ef_construct": config.get("efConstruction")}
    quantization = _quantization(config, dim) if kind in ("hnsw", "flat") else None
    return found if quantization is None else {**found, KEY: quantization.to_json()}


def _quantization(config: Mapping[str, Any], dim: int | None) -> Quantization | None:
    name = next((name for name in QUANTIZERS if (config.get(name) or {}).get("enabled")), None)
    match name:
        case "sq":
            return Quantization(kind=Quantizer.SCALAR, bits=8)
        case "bq":
            return Quantization(kind=Quantizer.BINARY, bits=1)
        case "rq":
            return Quantization(kind=Quantizer.ROTATED, bits=float(config["rq"].get("bits") or 8))
        case "pq":
            width = (int(config["pq"].get("centroids") or 256) - 1).bit_length()
            segments = int(config["pq"].get("segments") or 0) or _segments(dim or 1)
            return Quantization(kind=Quantizer.PRODUCT, bits=segments * width / (dim or segments))
        case _:
            return None


def _segments(dim: int) -> int:
    """How many segments Weaviate makes when none are named: its own rule by the dimension."""
    for least, part in ((2048, 8), (768, 6), (256, 4), (1, 2)):
        if dim >= least and dim % part == 0:
            return dim // part
    return dim


def settings(item: VectorField) -> tuple[str, dict[str, Any]]:
    """Type and settings of an index made from the neutral words."""
    multi = item.kind is VectorKind.MULTI
    kind = "flat" if item.index.get("type") == "flat" and not multi else "hnsw"
    config: dict[str, Any] = {"multivector": {"enabled": True}} if multi else {}
    if kind == "hnsw":
        for key, name in (("m", "maxConnections"), ("ef_construct", "efConstruction")):
            value, (low, high) = item.index.get(key), RANGES[key]
            if isinstance(value, int):
                config[name] = min(high, max(low, value))
    return kind, config | _quantizer(item)


def _quantizer(item: VectorField) -> dict[str, Any]:
    wanted = quantization_of(item.index)
    if wanted is None:
        return {}
    match wanted.kind:
        case Quantizer.SCALAR:
            return {"sq": {"enabled": True}}
        case Quantizer.BINARY:
            return {"bq": {"enabled": True}}
        case Quantizer.ROTATED:
            return {"rq": {"enabled": True, "bits": int(wanted.bits)}}
        case Quantizer.PRODUCT:
            dim = item.dim or 1
            divisors = [part for part in range(1, dim + 1) if dim % part == 0]
            return {"pq": {"enabled": True, "segments": min(divisors, key=lambda n: abs(8 * n / dim - wanted.bits))}}
