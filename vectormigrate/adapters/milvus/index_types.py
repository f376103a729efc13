"""Which vector indexes a Milvus builds, and what they are in neutral words. Pure, without Milvus' package."""

from __future__ import annotations

from collections.abc import Mapping

from vectormigrate.model.quantization import Quantizer

OLD_TYPES = frozenset(
    {"FLAT", "IVF_FLAT", "IVF_SQ8", "IVF_PQ", "HNSW", "DISKANN", "AUTOINDEX", "BIN_FLAT", "BIN_IVF_FLAT", "SCANN"}
    | {"GPU_IVF_FLAT", "GPU_IVF_PQ"}
)
"""What 2.3 builds (measured with 2.3.5)."""

LITE_TYPES = frozenset({"FLAT", "HNSW", "HNSW_SQ", "IVF_FLAT", "IVF_SQ8", "AUTOINDEX", "SPARSE_INVERTED_INDEX"})

FORMS: Mapping[str, str] = {
    "hnsw": "hnsw",
    "hnsw_sq": "hnsw",
    "hnsw_pq": "hnsw",
    "hnsw_prq": "hnsw",
    "flat": "flat",
    "bin_flat": "flat",
    "ivf_flat": "ivf",
    "ivf_sq8": "ivf",
    "ivf_pq": "ivf",
    "ivf_rabitq": "ivf",
    "bin_ivf_flat": "ivf",
}
"""Milvus' types by what they are without their quantization; others keep their name."""

RANGES: Mapping[str, tuple[int, int]] = {"m": (4, 64), "ef_construct": (8, 512)}
"""Of a graph's parameters, within which every version takes them."""


def built(version: tuple[int, int], *, lite: bool) -> frozenset[str]:
    """The types that this server builds from neutral words."""
    if lite:
        return LITE_TYPES
    return OLD_TYPES | ({"HNSW_SQ", "HNSW_PQ"} if version >= (2, 5) else set[str]())


def builds(kind: str, version: tuple[int, int], *, lite: bool) -> bool:
    """Whether this server builds an index of the type with the parameters that Milvus reported for it."""
    if lite:
        return kind in LITE_TYPES
    return bool(kind) and (version >= (2, 4) or kind in OLD_TYPES)


def vector_indexes(version: tuple[int, int], *, lite: bool) -> Mapping[str, Mapping[str, tuple[float, ...]]]:
    """Capabilities.vector_indexes. Types that only Milvus has come from its own collections alone."""
    types = built(version, lite=lite)
    graph: dict[str, tuple[float, ...]] = {}
    if "HNSW_SQ" in types:
        graph[Quantizer.SCALAR] = (8.0,) if lite else (6.0, 8.0)
    if "HNSW_PQ" in types:
        graph[Quantizer.PRODUCT] = ()
    offers: dict[str, Mapping[str, tuple[float, ...]]] = {FORMS.get(kind.lower(), kind.lower()): {} for kind in types}
    if not lite and version >= (2, 4):
        offers |= {kind: {} for kind in ("gpu_cagra", "gpu_brute_force")}
    return {**offers, "hnsw": graph}
