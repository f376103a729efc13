"""Which ids and namespaces the target gets: one strategy for the whole migration, injective by construction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from vectormigrate.errors import IncompatibleSchema
from vectormigrate.mapping.convert.ids import Strategy
from vectormigrate.mapping.convert.namespaces import namespace_map
from vectormigrate.mapping.limits import Limits, namespace_rule
from vectormigrate.mapping.losses import RecordRejected
from vectormigrate.mapping.plan.context import LossList, PlanContext
from vectormigrate.model.ids import IdKind

_MEETING = (
    "ids are replaced by derived UUIDs, because one id may stand in several namespaces, which share ids on the target"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class IdChoice:
    """`kinds`: id kinds of the target collection. `all_integers`: every original id is an integer below
    2^63, as a field of integers holds them."""

    strategy: Strategy
    kinds: frozenset[IdKind]
    all_integers: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceChoice:
    """`names`: source (and known original) namespace -> target namespace. `originals`: target -> original, where one
    target namespace holds exactly one original of another name. `divided`: the target keeps namespaces apart."""

    names: Mapping[str, str]
    originals: Mapping[str, str]
    divided: bool
    several: bool
    restored: Mapping[str, str]
    """Source -> original, where an earlier migration renamed it."""
    named: bool
    """A target namespace has a name."""


def plan_namespaces(context: PlanContext) -> NamespaceChoice:
    """Identity where legal, else an injective rename; everything in one namespace where the target has none. Raises
    IncompatibleSchema when two namespaces would become one."""
    original = _original_names(context)
    held = context.profile.namespaces if context.profile else ()
    known = sorted({*original.values(), *(original.get(name, name) for name in held)})
    divided = _divided(context, known)
    names = _target_names(context, known, divided)
    names |= {name: names[original[name]] for name in context.namespaces}
    if divided and len({names[name] for name in known}) < len(known):
        raise IncompatibleSchema("two namespaces would get the same name on the target")
    one_each = divided or len(known) == 1
    return NamespaceChoice(
        names=names,
        originals={names[name]: name for name in known if names[name] != name} if one_each else {},
        divided=divided,
        # Which namespaces the sidecars name is known once all of them were read.
        several=len(known) > 1 or (context.note is not None and context.complete is None),
        restored={name: old for name, old in original.items() if name != old},
        named=any(names.values()),
    )


def _original_names(context: PlanContext) -> dict[str, str]:
    """Source namespace -> what it was called at the origin, as far as that name is free."""
    back = context.note.namespaces if context.note else {}
    original: dict[str, str] = {}
    for name in context.namespaces:
        old = back.get(name, name)
        # A namespace goes back to its old name only where nothing else has taken that name meanwhile.
        original[name] = name if old in context.namespaces else old
    return original


def _divided(context: PlanContext, known: Sequence[str]) -> bool:
    """Whether the target keeps these namespaces apart; an existing collection has decided that already."""
    caps = context.target_caps
    if caps.namespaces.declared and context.existing is not None:
        return context.existing.divided
    return caps.namespaces.supported and (caps.namespaces.max_count is None or len(known) <= caps.namespaces.max_count)


def _target_names(context: PlanContext, known: Sequence[str], divided: bool) -> dict[str, str]:
    """Each namespace's name on the target. Raises IncompatibleSchema for one that has none there."""
    names = namespace_rule(context.target_caps, divided=divided)
    limits = Limits.of(namespaces={"supported": divided, "names": names})
    must_have_name = context.existing is not None and context.existing.divided
    target = namespace_map(limits, {"": ""} if known == [""] and not must_have_name else {})
    try:
        return {name: target(name) for name in known}
    except RecordRejected as error:
        raise IncompatibleSchema(error.reason) from None


def changed_names(plan: NamespaceChoice, *, legal: bool) -> dict[str, str]:
    """The part of `names` that the Mapper needs: names that differ, and a "" that must stay."""
    return {name: new for name, new in sorted(plan.names.items()) if name != new or (name == "" and not legal)}


def plan_ids(context: PlanContext, namespaces: NamespaceChoice, losses: LossList) -> IdChoice:
    """Native where every id is legal and none can collide; text where that is injective; else derived UUIDs."""
    sources = _source_kinds(context)
    allowed = context.existing.id_kinds if context.existing else context.target_caps.ids.kinds
    integers = sources <= {IdKind.INT64}
    count = context.profile.records if context.profile else None
    if context.home and context.note is not None and not _may_meet(context, namespaces):
        return IdChoice(strategy="native", kinds=context.note.schema.id_kinds, all_integers=integers)
    if not _needs_derived(context, namespaces):
        native = _native_kinds(context, sources, allowed)
        if native is not None:
            return IdChoice(strategy="native", kinds=native, all_integers=integers)
        if IdKind.STRING in allowed and IdKind.STRING not in sources:
            losses.add("id-type", count)
            return IdChoice(strategy="text", kinds=_one(context, allowed, IdKind.STRING), all_integers=integers)
    losses.add("id-original", count, _MEETING if context.home else "")
    if IdKind.UUID in allowed:
        return IdChoice(strategy="uuid5", kinds=_one(context, allowed, IdKind.UUID), all_integers=integers)
    if IdKind.STRING in allowed:
        return IdChoice(strategy="uuid5-text", kinds=_one(context, allowed, IdKind.STRING), all_integers=integers)
    raise IncompatibleSchema(
        f"the target takes only integer ids, the source has ids of kind {_words(sources)}, and a hash of 63 bits could "
        "make two records one; choose a target collection with string or UUID ids"
    )


def _one(context: PlanContext, allowed: frozenset[IdKind], kind: IdKind) -> frozenset[IdKind]:
    return allowed if context.existing else frozenset({kind})


def _words(kinds: Iterable[IdKind]) -> str:
    return ", ".join(sorted(kinds))


def _source_kinds(context: PlanContext) -> frozenset[IdKind]:
    """Kinds of the original ids: what a complete profile saw, else what the schemas allow."""
    profile = context.complete
    if profile is not None and profile.id_kinds:
        return frozenset(kind for kind, count in profile.id_kinds.items() if count)
    kinds = context.source_schema.id_kinds
    return kinds | context.note.schema.id_kinds if context.note else kinds


def _may_meet(context: PlanContext, namespaces: NamespaceChoice) -> bool:
    """Whether original ids, each of which was a record of its own, may meet on a target of their own kind: its ids may
    count for the whole collection, the original's per namespace. Asked once the source was read."""
    apart = context.target_caps.ids.per_namespace and namespaces.divided
    return context.profile is not None and namespaces.several and not apart and context.ids_meet is not False


def _needs_derived(context: PlanContext, namespaces: NamespaceChoice) -> bool:
    """Whether the same id in two namespaces would meet on the target."""
    per_namespace = context.source_caps.ids.per_namespace or context.note is not None
    apart = context.target_caps.ids.per_namespace and namespaces.divided
    longest = context.target_caps.ids.max_bytes
    too_long = longest is not None and context.profile is not None and context.profile.max_id_bytes > longest
    strange = context.target_caps.ids.ascii and context.profile is not None and context.profile.strange_ids > 0
    return too_long or strange or (namespaces.several and per_namespace and not apart)


def _native_kinds(
    context: PlanContext, sources: frozenset[IdKind], allowed: frozenset[IdKind]
) -> frozenset[IdKind] | None:
    """The target's kinds that hold every source kind unchanged, None when there are none."""
    profile = context.complete
    chosen: set[IdKind] = set()
    for kind in sorted(sources):
        options = [kind]
        if kind is IdKind.INT64 and profile is not None and not profile.negative_ids:
            options.append(IdKind.UINT64)
        fitting = [option for option in options if option in allowed]
        if not fitting:
            return None
        chosen.add(fitting[0])
    if context.existing is not None:
        return allowed
    declared = context.source_schema.id_kinds & allowed
    if context.target_caps.ids.mixed:
        return frozenset(chosen | declared)
    return frozenset(chosen) if len(chosen) == 1 else None
