"""Which vector field goes where: name, storage type, metric, normalisation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from vectormigrate.adapter import Capabilities
from vectormigrate.errors import IncompatibleSchema, PlanError, did_you_mean, option
from vectormigrate.mapping.convert.vectors import NARROWING_BOUND, WIDENS
from vectormigrate.mapping.names import legal_name, matcher
from vectormigrate.mapping.plan.context import LossList, PlanContext
from vectormigrate.mapping.plan.index import plan_index
from vectormigrate.model.plan import CompareClass, VectorMapping
from vectormigrate.model.schema import DType, Metric, VectorField, VectorKind

UNIT_BOUND = 1e-6
"""Components of a unit vector that the target may have normalised once more (facts: at most 1.5e-8 off)."""

_FLOATS = frozenset({DType.FLOAT32, DType.FLOAT16, DType.BFLOAT16})

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
class VectorChoice:
    """`fields`: the target's vector fields; `originals`: target name -> original name where they differ."""

    fields: tuple[VectorField, ...]
    mappings: tuple[VectorMapping, ...]
    originals: Mapping[str, str]


def plan_vectors(context: PlanContext, losses: LossList) -> VectorChoice:
    """Decide each source vector field. Raises IncompatibleSchema when the target can hold none of them."""
    fields: list[VectorField] = []
    mappings: list[VectorMapping] = []
    originals: dict[str, str] = {}
    chosen = _chosen(context)
    for source in context.source_schema.vectors:
        original = _original(context, source)
        if chosen is not None and source.name not in chosen:
            losses.add(
                f"vector-field:{source.name}",
                _present(context, source.name),
                "not among the vector fields that were asked for",
            )
            continue
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
        order = {item.name: number for number, item in enumerate(context.note.schema.vectors)}
        for item in context.note.schema.vectors:
            if item.name in held:
                continue
            if item.kind not in context.target_caps.vectors.required:
                fields.append(item)
                continue
            losses.warnings.append(
                f"the vector field {item.name!r} was lost on the way here; it is not made again, because the target "
                "would require a value in every record"
            )
        fields.sort(key=lambda item: order.get(item.name, len(order)))
    return VectorChoice(fields=tuple(fields), mappings=tuple(mappings), originals=originals)


def _chosen(context: PlanContext) -> frozenset[str] | None:
    """The vector fields that the request names, None for all. Raises PlanError for one that the source lacks."""
    if not context.spec.vectors:
        return None
    names = [item.name for item in context.source_schema.vectors]
    for name in context.spec.vectors:
        if name not in names:
            held = ", ".join(map(repr, names)) or "none"
            hint = did_you_mean(name, names)
            raise PlanError(
                f"{option('request.vectors')} {name!r}: the source has no such vector field; it has: {held}{hint}"
            )
    return frozenset(context.spec.vectors)


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
    most = caps.vectors.max_of_kind.get(source.kind)
    full = caps.vectors.max_fields is not None and len(taken) >= caps.vectors.max_fields
    full = full or (most is not None and sum(item.kind is source.kind for item in taken) >= most)
    too_big = source.dim is not None and source.dim > caps.vectors.max_dim
    if full or too_big or source.kind not in caps.vectors.kinds:
        return None
    metric, exact = _metric(caps, context, original)
    dtype = _dtype(context, original, metric) if source.kind is not VectorKind.SPARSE else original.dtype
    if dtype is None:
        return None
    if not exact:
        losses.add(f"metric:{source.name}", detail=f"the target has no metric {original.metric}; it gets {metric}")
    name = caps.vectors.fixed_names.get(original.kind) or _name(context, original, [item.name for item in taken])
    index = plan_index(context, source.name, original, losses)
    return replace(original, name=name, metric=metric, dtype=dtype, index=index)


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


def _name(context: PlanContext, original: VectorField, taken: list[str]) -> str:
    caps, wanted = context.target_caps, original.name
    reserved = caps.metadata.reserved if caps.metadata.shared_names else frozenset[str]()
    legal = matcher(caps.vectors.names, reserved)
    if wanted == "":
        alone = sum(item.kind is not VectorKind.SPARSE for item in context.source_schema.vectors) == 1
        if caps.vectors.unnamed and (alone or not caps.vectors.unnamed_alone):
            return wanted
        wanted = "vector"
    folded = {name.casefold() for name in taken} if caps.metadata.fold_case else set(taken)
    if legal(wanted) and (wanted.casefold() if caps.metadata.fold_case else wanted) not in folded:
        return wanted
    found = legal_name(wanted, f"v:{wanted}", legal, taken)
    if found is None:
        raise IncompatibleSchema(f"no legal name can be made for the vector field {wanted!r} on the target")
    return found


def _metric(caps: Capabilities, context: PlanContext, original: VectorField) -> tuple[Metric, bool]:
    """The target's metric and whether it gives the same scores."""
    wanted = original.metric
    allowed = caps.vectors.metrics
    sparse = VectorKind.SPARSE in caps.vectors.kinds and _carries_sparse(context)
    if caps.vectors.metrics_with_sparse is not None and sparse and original.kind is not VectorKind.SPARSE:
        allowed &= caps.vectors.metrics_with_sparse
    if wanted in allowed:
        return wanted, True
    for metric in _NEXT_BEST[wanted]:
        if metric in allowed:
            same = _units_for_dot(original, metric) or (wanted is Metric.HAMMING and metric is Metric.L1)
            return metric, same
    raise IncompatibleSchema(f"the target has no metric for the vector field {original.name!r} ({wanted})")


def _carries_sparse(context: PlanContext) -> bool:
    chosen = _chosen(context)
    fields = [item for item in context.source_schema.vectors if chosen is None or item.name in chosen]
    return any(item.kind is VectorKind.SPARSE for item in fields)


def _units_for_dot(original: VectorField, metric: Metric) -> bool:
    """Whether a cosine field becomes a dot-product field: on vectors of unit length both give the same scores."""
    return original.metric is Metric.COSINE and metric is Metric.DOT and original.dtype in _FLOATS


def _units_already(context: PlanContext) -> bool:
    """Whether the original cosine vectors are unit vectors, made so by the database that they first were in."""
    if context.note is None:
        return context.source_caps.vectors.normalises_cosine
    return context.home and context.target_caps.vectors.normalises_cosine


def _makes_units(caps: Capabilities, original: VectorField, metric: Metric) -> bool:
    """Whether the vectors become unit vectors on the target, by its own doing or by ours."""
    return (caps.vectors.normalises_cosine and metric is Metric.COSINE) or _units_for_dot(original, metric)


def _dtype(context: PlanContext, original: VectorField, metric: Metric) -> DType | None:
    """The same type, else a wider one, else a narrower one (float32 where lengths must be kept)."""
    wanted, caps = original.dtype, context.target_caps
    # A vector of 16 bits that was a unit vector before it was rounded is stored as it is (half_units.py).
    kept = wanted is DType.FLOAT16 and metric is Metric.COSINE and _units_already(context)
    lengths = _makes_units(caps, original, metric) and not kept
    if lengths and wanted in (DType.FLOAT16, DType.BFLOAT16) and DType.FLOAT32 in caps.vectors.dtypes:
        return DType.FLOAT32
    if wanted in caps.vectors.dtypes:
        return wanted
    wider = (DType.FLOAT32,) if wanted is DType.BITS else WIDENS[wanted][::-1]
    return next((dtype for dtype in (*wider, *_NARROWS.get(wanted, ())) if dtype in caps.vectors.dtypes), None)


def _mapping(
    context: PlanContext, source: VectorField, original: VectorField, target: VectorField, losses: LossList
) -> VectorMapping:
    mapping = VectorMapping(source=source.name, target=target.name, dtype=str(target.dtype))
    fill = _fills(context, source, losses)
    if source.kind is VectorKind.SPARSE:
        return replace(mapping, dtype=str(DType.FLOAT32), fill=fill)
    normalise = _normalises(context, original, target, losses)
    units = context.target_caps.vectors.normalises_cosine and target.metric is Metric.COSINE and target.dtype in _FLOATS
    compare, tolerance = (CompareClass.UNIT, UNIT_BOUND) if units else (CompareClass.EXACT, 0.0)
    if target.dtype is not original.dtype:
        if target.dtype in WIDENS[original.dtype] or original.dtype is DType.BITS:
            losses.add(f"vector-type:{source.name}", detail=f"{original.dtype} is stored, exactly, as {target.dtype}")
        else:
            losses.add(f"vector-dtype:{source.name}", detail=f"{original.dtype} is rounded to {target.dtype}")
            compare, tolerance = CompareClass.TOL, NARROWING_BOUND.get(target.dtype, 0.5)
    return replace(mapping, fill=fill, normalise=normalise, compare=compare, tolerance=tolerance)


def _fills(context: PlanContext, source: VectorField, losses: LossList) -> bool:
    """Whether records without this vector get zeros, because the target requires one."""
    caps, own = context.target_caps, context.source_caps
    fill = source.kind in caps.vectors.required
    if fill:
        changed = source.kind not in own.vectors.required
    else:
        changed = source.kind is VectorKind.SPARSE and own.vectors.empty_sparse and not caps.vectors.empty_sparse
    if changed:
        losses.add("vector-missing")
    return fill


def _normalises(context: PlanContext, original: VectorField, target: VectorField, losses: LossList) -> bool:
    """Whether unit vectors are written, and their lengths kept in the sidecar."""
    already = _units_already(context)
    normalise = _makes_units(context.target_caps, original, target.metric) and target.dtype in _FLOATS
    # On the round trip there may be records that others have added, whose vectors have any length.
    normalise &= not (already and context.note is None)
    if normalise and target.dtype is DType.FLOAT32:
        losses.add("vector-length")
    elif normalise and not already:
        losses.add("vector-rounding")
    return normalise
