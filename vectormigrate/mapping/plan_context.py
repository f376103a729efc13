"""What every part of the planner looks at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from vectormigrate.adapter import Capabilities
from vectormigrate.mapping.losses import explain, is_soft
from vectormigrate.mapping.profile import Profile
from vectormigrate.model.note import OriginNote
from vectormigrate.model.plan import Loss, MigrationSpec, Outcome
from vectormigrate.model.schema import CollectionSchema


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

    @property
    def home(self) -> bool:
        """The records came from this kind of database: rebuild the original schema."""
        return self.existing is None and self.note is not None and self.note.adapter == self.target_adapter

    @property
    def same_kind(self) -> bool:
        """Source and target are the same kind of database, and no other one stood at the beginning."""
        return self.source_adapter == self.target_adapter and (self.note is None or self.home)

    @property
    def sidecar(self) -> bool:
        return not self.spec.plain

    @property
    def complete(self) -> Profile | None:
        """The profile, if it covers every record."""
        if self.profile is not None and self.profile.records >= sum(self.namespaces.values()):
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
        outcome = Outcome.RESTORED if self.sidecar and is_soft(name) else Outcome.LOSS
        self.losses[name] = Loss(name=name, outcome=outcome, count=count, detail=detail or explain(name))

    def sorted(self) -> tuple[Loss, ...]:
        """Losses first, then what is restored; by name."""
        return tuple(sorted(self.losses.values(), key=lambda loss: (loss.outcome is not Outcome.LOSS, loss.name)))
