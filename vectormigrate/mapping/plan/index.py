"""Parameters of a vector index: taken over where the target has the notion, else named."""

from __future__ import annotations

from collections.abc import Mapping

from vectormigrate.adapter import Capabilities
from vectormigrate.mapping.plan.context import LossList, PlanContext
from vectormigrate.model.quantization import KEY, nearest, quantization_of
from vectormigrate.model.schema import Json, Metric, VectorField, VectorKind

_CHOSEN_BY_SERVER = frozenset({"", "autoindex"})
_QUANTIZABLE = frozenset({Metric.COSINE, Metric.DOT, Metric.L2})


def plan_index(context: PlanContext, name: str, original: VectorField, losses: LossList) -> Mapping[str, Json]:
    """The neutral parameters for the target. What becomes of them is named `index-params:<name>` where it changes. On
    its own kind of database a field keeps its parameters (the adapter has them whole), if the index can be built."""
    if original.kind is VectorKind.SPARSE or not original.index:
        return original.index
    adapter = context.note.adapter if context.note is not None else context.source_adapter
    own = adapter == context.target_adapter
    index, changes = _translated(context.target_caps, original, own=own)
    if changes:
        losses.add(f"index-params:{name}", detail=f"{'; '.join(changes)}; answers stay approximate as before")
    return original.index if own and not changes else index


def _translated(caps: Capabilities, original: VectorField, *, own: bool) -> tuple[dict[str, Json], list[str]]:
    """The target's parameters, and what differs in words."""
    index: dict[str, Json] = {}
    changes: list[str] = []
    kind = str(original.index.get("type") or "")
    offers = caps.vectors.indexes
    built = kind
    if kind not in _CHOSEN_BY_SERVER and offers is not None and kind not in offers:
        built = "hnsw" if "hnsw" in offers else ""
        changes.append(f"the target builds no index {kind}; it gets {built or 'what the target chooses'}")
    if built:
        index["type"] = built
    if not own or changes:
        _translate_graph(caps, original, index, changes)
        _translate_quantization(caps, original, built, index, changes)
    return index, changes


def _translate_graph(caps: Capabilities, original: VectorField, index: dict[str, Json], changes: list[str]) -> None:
    """Links and candidates of a graph, within the target's ranges."""
    for key in ("m", "ef_construct"):
        value = original.index.get(key)
        if not isinstance(value, int):
            continue
        if key not in caps.vectors.index_params:
            changes.append(f"{key} {value} is left to the target")
            continue
        low, high = caps.vectors.index_ranges.get(key, (value, value))
        index[key] = min(high, max(low, value))
        if index[key] != value:
            changes.append(f"{key} {value} becomes {index[key]}")


def _translate_quantization(
    caps: Capabilities, original: VectorField, built: str, index: dict[str, Json], changes: list[str]
) -> None:
    """The nearest quantization that the target's index of this type offers."""
    wanted = quantization_of(original.index)
    if wanted is None:
        return
    got = wanted
    if caps.vectors.indexes is not None:
        # Where nobody chose a type, databases build graphs.
        offer = caps.vectors.indexes.get(built or "hnsw", {})
        got = nearest(wanted, offer) if original.metric in _QUANTIZABLE else None
    if got is not None:
        index[KEY] = got.to_json()
    if got != wanted:
        changes.append(f"{wanted} becomes {got or 'none'}")
