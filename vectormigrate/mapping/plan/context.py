"""What every part of the planner looks at."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from vectormigrate.adapter import Capabilities
from vectormigrate.mapping.losses import explain, is_soft
from vectormigrate.mapping.profile import Profile
from vectormigrate.model.note import OriginNote
from vectormigrate.model.plan import Loss, MigrationSpec, Outcome
from vectormigrate.model.schema import CollectionSchema, VectorField, VectorKind


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanContext:
    """The input of `decide`. `note`: the source collection's origin note, if an earlier migration left one."""

    spec: MigrationSpec
    source_schema: CollectionSchema
    source_adapter: str
    source_caps: Capabilities
    target_adapter: str
    target_caps: Capabilities
    namespaces: Mapping[str, int]
    existing: CollectionSchema | None
    profile: Profile | None
    note: OriginNote | None
    ids_meet: bool | None = None
    whole: bool = False
    """Whether records would share a key on the target if they kept their ids; None: not known."""

    @property
    def home(self) -> bool:
        """The records came from this kind of database, and this one can hold the original schema: rebuild it."""
        note = self.note
        if self.existing is not None or note is None or note.adapter != self.target_adapter:
            return False
        return _can_hold(self.target_caps, note.schema)

    @property
    def same_kind(self) -> bool:
        """Source and target are the same kind of database, no other one stood at the beginning, and this target is no
        narrower than the source."""
        if self.note is not None or self.source_adapter != self.target_adapter:
            return self.home
        wide = self.target_caps.metadata.value_kinds >= self.source_caps.metadata.value_kinds
        return wide and _can_hold(self.target_caps, self.source_schema)

    @property
    def sidecar(self) -> bool:
        return not self.spec.plain

    @property
    def complete(self) -> Profile | None:
        """The profile, if it covers every record."""
        counted = sum(self.namespaces.values())
        if self.profile is not None and (self.whole or self.profile.records >= counted):
            return self.profile
        return None


@dataclass(slots=True)
class LossList:
    """Collects the losses and warnings of a plan; a name occurs once."""

    sidecar: bool
    losses: dict[str, Loss] = field(default_factory=dict[str, Loss])
    warnings: list[str] = field(default_factory=list[str])

    def add(self, name: str, count: int | None = None, detail: str = "") -> None:
        """Note an effect; a second call for the same name only adds the count that the first one lacked."""
        known = self.losses.get(name)
        if known is not None:
            self.losses[name] = replace(known, count=known.count if known.count is not None else count)
            return
        outcome = Outcome.REVERSIBLE if self.sidecar and is_soft(name) else Outcome.LOSSY
        self.losses[name] = Loss(name=name, outcome=outcome, count=count, detail=detail or explain(name))

    def sorted(self) -> tuple[Loss, ...]:
        """What is lossy first, then what is reversible; by name."""
        return tuple(sorted(self.losses.values(), key=lambda loss: (loss.outcome is not Outcome.LOSSY, loss.name)))


def _can_hold(caps: Capabilities, schema: CollectionSchema) -> bool:
    """Whether a collection of exactly this shape is legal."""
    legal_field = re.compile(caps.metadata.names).fullmatch
    return (
        schema.id_kinds <= caps.ids.kinds
        and (caps.vectors.max_fields is None or len(schema.vectors) <= caps.vectors.max_fields)
        and all(_can_hold_vector(caps, vector) for vector in schema.vectors)
        and all(legal_field(item.name if item.declared else item.name.split(".")[0]) for item in schema.fields)
    )


def _can_hold_vector(caps: Capabilities, vector: VectorField) -> bool:
    named = re.fullmatch(caps.vectors.names, vector.name) if vector.name else caps.vectors.unnamed
    typed = vector.kind is VectorKind.SPARSE or vector.dtype in caps.vectors.dtypes
    fits = vector.dim is None or vector.dim <= caps.vectors.max_dim
    return (
        bool(named and typed and fits) and vector.kind in caps.vectors.kinds and vector.metric in caps.vectors.metrics
    )
