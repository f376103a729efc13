"""The engine's configuration objects from JSON, in the child.

The JSON is the one of the engine's own `edge_config.json` and of the server's REST interface; unknown keys of settings
that carry over from another version are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import qdrant_edge as edge

Settings = Mapping[str, Any]


def _member(enum: Any, text: str) -> Any:
    """`X4` for "x4", `Scalar4Bits` for "scalar4bits", `OneAndHalfBits` for "one_and_half_bits"."""
    wanted = text.replace("_", "").lower()
    for name in dir(enum):
        if name.replace("_", "").lower() == wanted:
            return getattr(enum, name)
    raise ValueError(f"Wrong input: {text!r} is not known to this engine")


def _known(settings: Settings, *plain: str, **enums: Any) -> dict[str, Any]:
    """The settings that are set: `plain` ones as they are, `enums` as members."""
    chosen = {key: settings[key] for key in plain if settings.get(key) is not None}
    members = {key: _member(enum, settings[key]) for key, enum in enums.items() if settings.get(key) is not None}
    return {**chosen, **members}


def hnsw(settings: Settings) -> Any:
    filled = {"m": 16, "ef_construct": 100, "full_scan_threshold": 10_000, **settings}
    plain = (
        "m",
        "ef_construct",
        "full_scan_threshold",
        "max_indexing_threads",
        "on_disk",
        "payload_m",
        "inline_storage",
    )
    return edge.HnswIndexConfig(**_known(filled, *plain, memory=edge.Memory))


def quantization(settings: Settings) -> Any:
    """`{"scalar": {...}}`, `{"product": …}`, `{"binary": …}` or `{"turbo": …}`."""
    memory = edge.Memory
    kind, inner = next(iter(settings.items()))
    match kind:
        case "scalar":
            found = _known(inner, "quantile", "always_ram", type=edge.ScalarType, memory=memory)
            return edge.ScalarQuantizationConfig(**found)
        case "product":
            found = _known(inner, "always_ram", compression=edge.CompressionRatio, memory=memory)
            return edge.ProductQuantizationConfig(**found)
        case "binary":
            encodings = {
                "encoding": edge.BinaryQuantizationEncoding,
                "query_encoding": edge.BinaryQuantizationQueryEncoding,
            }
            return edge.BinaryQuantizationConfig(**_known(inner, "always_ram", **encodings, memory=memory))
        case _:
            found = _known(inner, "always_ram", bits=edge.TurboQuantBitSize, memory=memory)
            return edge.TurboQuantQuantizationConfig(**found)


def _nested(settings: Settings) -> dict[str, Any]:
    makers: dict[str, Callable[[Settings], Any]] = {"hnsw_config": hnsw, "quantization_config": quantization}
    return {key: make(settings[key]) for key, make in makers.items() if settings.get(key)}


def dense(settings: Settings) -> Any:
    """One entry of `vectors`."""
    found = _known(
        settings,
        "size",
        "on_disk",
        distance=edge.Distance,
        datatype=edge.VectorStorageDatatype,
        memory=edge.Memory,
    )
    if settings.get("multivector_config"):
        found["multivector_config"] = edge.MultiVectorConfig(edge.MultiVectorComparator.MaxSim)
    return edge.EdgeVectorParams(**found, **_nested(settings))


def sparse(settings: Settings) -> Any:
    """One entry of `sparse_vectors`; the modifier "none" is the engine's default."""
    modifier = {key: value for key, value in settings.items() if (key, value) != ("modifier", "none")}
    enums = {"modifier": edge.Modifier, "datatype": edge.VectorStorageDatatype, "memory": edge.Memory}
    return edge.EdgeSparseVectorParams(**_known(modifier, "full_scan_threshold", "on_disk", **enums))


def edge_config(settings: Settings) -> Any:
    """The whole shard's configuration."""
    optimizers = (
        "deleted_threshold",
        "vacuum_min_vector_number",
        "default_segment_number",
        "max_segment_size",
        "indexing_threshold",
        "prevent_unoptimized",
    )
    chosen = _known(settings, "on_disk_payload", payload_memory=edge.Memory, id_tracker_memory=edge.Memory)
    if settings.get("optimizers"):
        chosen["optimizers"] = edge.EdgeOptimizersConfig(**_known(settings["optimizers"], *optimizers))
    return edge.EdgeConfig(
        vectors={name: dense(item) for name, item in settings["vectors"].items()} or None,
        sparse_vectors={name: sparse(item) for name, item in settings["sparse_vectors"].items()} or None,
        **chosen,
        **_nested(settings),
    )


def index_params(data_type: str, settings: Settings) -> Any:
    """Parameters of a payload index; the bare type when there are none."""
    if not settings:
        return _member(edge.PayloadSchemaType, data_type)
    every = ("on_disk", "enable_hnsw", "nested")
    memory = edge.Memory
    match data_type:
        case "keyword":
            return edge.KeywordIndexParams(**_known(settings, *every, "is_tenant", "prefix", memory=memory))
        case "integer":
            return edge.IntegerIndexParams(**_known(settings, *every, "lookup", "range", "is_principal", memory=memory))
        case "float":
            return edge.FloatIndexParams(**_known(settings, *every, "is_principal", memory=memory))
        case "datetime":
            return edge.DatetimeIndexParams(**_known(settings, *every, "is_principal", memory=memory))
        case "uuid":
            return edge.UuidIndexParams(**_known(settings, *every, "is_tenant", memory=memory))
        case "text":
            plain = ("min_token_len", "max_token_len", "lowercase", "ascii_folding", "phrase_matching")
            return edge.TextIndexParams(**_known(settings, *every, *plain, tokenizer=edge.TokenizerType, memory=memory))
        case "geo":
            return edge.GeoIndexParams(**_known(settings, *every, memory=memory))
        case _:
            return edge.BoolIndexParams(**_known(settings, *every, memory=memory))
