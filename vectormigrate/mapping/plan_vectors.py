"""Which vector field goes where: name, storage type, metric, normalisation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from vectormigrate.adapter import Capabilities
from vectormigrate.errors import IncompatibleSchema
from vectormigrate.mapping.names import legal_name, matcher
from vectormigrate.mapping.plan_context import LossList, PlanContext
from vectormigrate.mapping.vectors import NARROWING_BOUND, WIDENS
from vectormigrate.model.plan import CompareClass, VectorMapping
from vectormigrate.model.schema import DType, Metric, VectorField, VectorKind

UNIT_BOUND = 1e-6
"""Components of a unit vector that the target may have normalised once more (facts: at most 1.5e-8 off)."""

_NARROWS: Mapping[DType, tuple[DType, ...]] = {
    DType.FLOAT32: (DType.FLOAT16, DType.BFLOAT16),
    DType.FLOAT16: (DType.BFLOAT16,),
    DType.BFLOAT16: (DType.FLOAT16,),
}

_NEXT_BEST: Mapping[Metric, tuple[Metric, ...]] = {
    Metric.COSINE: (Metric.DOT, Metric.L2),
    Metric.DOT: (Metric.COSINE, Metric.L2),
    Metric.L2: (Metric.COSINE, Metric.DOT, Metric.L1),
    Metric.L1: (Metric.L2, Metric.COSINE, Metric.DOT),
    Metric.HAMMING: (Metric.L1, Metric.JACCARD, Metric.L2, Metric.COSINE, Metric.DOT),
    Metric.JACCARD: (Metric.HAMMING, Metric.L1, Metric.COSINE, Metric.L2, Metric.DOT),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorPlan:
    """`fields`: the target's vector fields; `originals`: target name -> original name where they differ."""

    fields: tuple[VectorField, ...]
    mappings: tuple[VectorMapping, ...]
    originals: Mapping[str, str]


def plan_vectors(context: PlanContext, losses: LossList) -> VectorPlan:
    """Decide each source vector field. Raises IncompatibleSchema when the target can hold none of them."""
    fields: list[VectorField] = []
    mappings: list[VectorMapping] = []
    originals: dict[str, str] = {}
    for source in context.source_schema.vectors:
        original = _original(context, source)
        target = _target_field(context, source, original, fields, losses)
        if target is None:
            losses.add(f"vector-field:{source.name}", _present(context, source.name))
            continue
        fields.append(target)
        mappings.append(_mapping(context, source, original, target, losses))
        if target.name != original.name:
            originals[target.name] = original.name
            losses.add(f"vector-name:{source.name}", detail=f"the vector field is called {target.name!r} on the target")
    if not fields and context.source_schema.vectors:
        raise IncompatibleSchema("the target can hold none of the source's vector fields")
    if context.home and context.note is not None:
        held = {item.name for item in fields}
        for item in context.note.schema.vectors:
            if item.name in held:
                continue
            if item.kind not in context.target_caps.vectors_required:
                fields.append(item)
                continue
            losses.warnings.append(
                f"the vector field {item.name!r} was lost on the way here; it is not made again, because the target "
                "would require a value in every record"
            )
    return VectorPlan(fields=tuple(fields), mappings=tuple(mappings), originals=originals)


def _original(context: PlanContext, source: VectorField) -> VectorField:
    """The field as it first was: kind and dimension are the source's, name, type, metric and index the original's."""
    if context.note is None:
        return source
    name = context.note.vectors.get(source.name, source.name)
    found = context.note.schema.vector(name)
    if found is None or (found.kind, found.dim) != (source.kind, source.dim):
        return source
    return found


def _present(context: PlanContext, name: str) -> int | None:
    profile = context.complete
    vectors = profile.vectors.get(name) if profile else None
    return vectors.present if profile and vectors and vectors.records == profile.records else None


def _target_field(
    context: PlanContext, source: VectorField, original: VectorField, taken: list[VectorField], losses: LossList
) -> VectorField | None:
    """The field on the target, None when it cannot be there."""
    if context.existing is not None:
        return existing_vector(context, source, original)
    caps = context.target_caps
    full = caps.max_vectors is not None and len(taken) >= caps.max_vectors
    too_big = source.dim is not None and source.dim > caps.max_dim
    if full or too_big or source.kind not in caps.vector_kinds:
        return None
    metric, exact = _metric(caps, context, original)
    dtype = _dtype(caps, original, metric) if source.kind is not VectorKind.SPARSE else original.dtype
    if dtype is None:
        return None
    if not exact:
        losses.add(f"metric:{source.name}", detail=f"the target has no metric {original.metric}; it gets {metric}")
    name = _name(caps, original.name, [item.name for item in taken])
    return replace(original, name=name, metric=metric, dtype=dtype)


def existing_vector(context: PlanContext, source: VectorField, original: VectorField) -> VectorField | None:
    """The field of the existing target that this one goes to: of the same name, or, when either is unnamed, the only
    one of this kind."""
    assert context.existing is not None
    for name in (source.name, original.name):
        found = context.existing.vector(name)
        if found is not None and found.kind is source.kind:
            return found
    ours = [item for item in context.source_schema.vectors if item.kind is source.kind]
    theirs = [item for item in context.existing.vectors if item.kind is source.kind]
    if len(ours) == len(theirs) == 1 and "" in (source.name, theirs[0].name):
        return theirs[0]
    return None


def _name(caps: Capabilities, wanted: str, taken: list[str]) -> str:
    reserved = caps.reserved_fields if caps.shared_names else frozenset[str]()
    legal = matcher(caps.vector_names, reserved)
    if wanted == "":
        if caps.unnamed_vector:
            return wanted
        wanted = "vector"
    if legal(wanted) and wanted not in taken:
        return wanted
    found = legal_name(wanted, f"v:{wanted}", legal, taken)
    if found is None:
        raise IncompatibleSchema(f"no legal name can be made for the vector field {wanted!r} on the target")
    return found


def _metric(caps: Capabilities, context: PlanContext, original: VectorField) -> tuple[Metric, bool]:
    """The target's metric and whether it gives the same scores."""
    wanted = original.metric
    if wanted in caps.metrics:
        return wanted, True
    for metric in _NEXT_BEST[wanted]:
        if metric in caps.metrics:
            units = wanted is Metric.COSINE and context.source_caps.normalises_cosine and context.note is None
            same = (units and metric is Metric.DOT) or (wanted is Metric.HAMMING and metric is Metric.L1)
            return metric, same
    raise IncompatibleSchema(f"the target has no metric for the vector field {original.name!r} ({wanted})")


def _dtype(caps: Capabilities, original: VectorField, metric: Metric) -> DType | None:
    """The same type, else a wider one, else a narrower one (float32 where lengths must be kept)."""
    wanted = original.dtype
    lengths = caps.normalises_cosine and metric is Metric.COSINE
    if lengths and wanted in (DType.FLOAT16, DType.BFLOAT16) and DType.FLOAT32 in caps.dtypes:
        return DType.FLOAT32
    if wanted in caps.dtypes:
        return wanted
    wider = (DType.FLOAT32,) if wanted is DType.BITS else WIDENS[wanted][::-1]
    return next((dtype for dtype in (*wider, *_NARROWS.get(wanted, ())) if dtype in caps.dtypes), None)


def _mapping(
    context: PlanContext, source: VectorField, original: VectorField, target: VectorField, losses: LossList
) -> VectorMapping:
    caps = context.target_caps
    mapping = VectorMapping(source=source.name, target=target.name, dtype=str(target.dtype))
    fill = source.kind in caps.vectors_required
    if fill and source.kind not in context.source_caps.vectors_required:
        losses.add("vector-missing")
    if source.kind is VectorKind.SPARSE:
        return replace(mapping, dtype=str(DType.FLOAT32), fill=fill)
    floats = target.dtype in (DType.FLOAT32, DType.FLOAT16, DType.BFLOAT16)
    units = caps.normalises_cosine and target.metric is Metric.COSINE and floats
    normalise = units and not (context.source_caps.normalises_cosine and context.note is None)
    if normalise:
        losses.add("vector-length" if target.dtype is DType.FLOAT32 else "vector-rounding")
    compare, tolerance = (CompareClass.UNIT, UNIT_BOUND) if units else (CompareClass.EXACT, 0.0)
    if target.dtype is not original.dtype:
        if target.dtype in WIDENS[original.dtype] or original.dtype is DType.BITS:
            losses.add(f"vector-type:{source.name}", detail=f"{original.dtype} is stored, exactly, as {target.dtype}")
        else:
            losses.add(f"vector-dtype:{source.name}", detail=f"{original.dtype} is rounded to {target.dtype}")
            compare, tolerance = CompareClass.TOL, NARROWING_BOUND.get(target.dtype, 0.5)
    return replace(mapping, fill=fill, normalise=normalise, compare=compare, tolerance=tolerance)
