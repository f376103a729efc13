"""Vector indexes: Qdrant's settings, those of the server and of Edge, <-> the neutral parameters. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vectormigrate.model.quantization import KEY, Quantization, Quantizer, quantization_of
from vectormigrate.model.schema import Json

GRAPH: Mapping[str, int] = {"m": 16, "ef_construct": 100}
"""The server's own defaults."""

BINARY = {"one_bit": 1.0, "one_and_half_bits": 1.5, "two_bits": 2.0}
TURBO = {"bits1": 1.0, "bits1_5": 1.5, "bits2": 2.0, "bits4": 4.0}
PRODUCT = {"x4": 8.0, "x8": 4.0, "x16": 2.0, "x32": 1.0, "x64": 0.5}

OFFER: Mapping[str, tuple[float, ...]] = {
    Quantizer.SCALAR: (8.0,),
    Quantizer.BINARY: tuple(BINARY.values()),
    Quantizer.PRODUCT: tuple(PRODUCT.values()),
}
TURBO_OFFER: Mapping[str, tuple[float, ...]] = {**OFFER, Quantizer.ROTATED: tuple(TURBO.values())}
"""Since 1.18."""


def neutral_index(vector: Mapping[str, Any], collection: Mapping[str, Any]) -> dict[str, Json]:
    """What a vector's index is like: its own settings over those of the collection, as far as somebody chose them."""
    own: Mapping[str, Any] = vector.get("hnsw_config") or {}
    shared: Mapping[str, Any] = collection.get("hnsw_config") or {}
    index: dict[str, Json] = {key: own[key] for key in GRAPH if own.get(key) is not None}
    chosen = {key: shared[key] for key in GRAPH if shared.get(key) not in (None, GRAPH[key])}
    if chosen:
        index = {**{key: shared.get(key, default) for key, default in GRAPH.items()}, **index}
    if index:
        index = {"type": "flat"} if index.get("m") == 0 else {"type": "hnsw", **index}
    quantization = _neutral(vector.get("quantization_config") or collection.get("quantization_config"))
    return index if quantization is None else {**index, KEY: quantization.to_json()}


def _neutral(config: Mapping[str, Any] | None) -> Quantization | None:
    if not isinstance(config, Mapping):
        return None
    for key, inner in config.items():
        match key:
            case "scalar":
                return Quantization(kind=Quantizer.SCALAR, bits=8)
            case "binary":
                bits = BINARY.get((inner or {}).get("encoding") or "one_bit")
                return Quantization(kind=Quantizer.BINARY, bits=bits) if bits else None
            case "turbo":
                bits = TURBO.get((inner or {}).get("bits") or "bits4")
                return Quantization(kind=Quantizer.ROTATED, bits=bits) if bits else None
            case "product":
                bits = PRODUCT.get((inner or {}).get("compression") or "")
                return Quantization(kind=Quantizer.PRODUCT, bits=bits) if bits else None
            case _:
                continue
    return None


def quantization_config(index: Mapping[str, Json]) -> dict[str, Any] | None:
    """Qdrant's settings for the quantization that the neutral parameters ask for."""
    wanted = quantization_of(index)
    if wanted is None:
        return None
    match wanted.kind:
        case Quantizer.SCALAR:
            return {"scalar": {"type": "int8"}}
        case Quantizer.BINARY:
            return {"binary": {} if wanted.bits == 1 else {"encoding": _word(BINARY, wanted.bits)}}
        case Quantizer.ROTATED:
            return {"turbo": {"bits": _word(TURBO, wanted.bits)}}
        case Quantizer.PRODUCT:
            return {"product": {"compression": _word(PRODUCT, wanted.bits)}}


def _word(words: Mapping[str, float], bits: float) -> str:
    return min(words, key=lambda word: abs(words[word] - bits))


def graph(index: Mapping[str, Json], effective: Mapping[str, Any]) -> dict[str, Json]:
    """The vector's own graph settings, where they differ from those in force for it."""
    wanted = {key: index[key] for key in GRAPH if key in index}
    if index.get("type") == "flat":
        wanted = {"m": 0}
    return {key: value for key, value in wanted.items() if effective.get(key) != value}
