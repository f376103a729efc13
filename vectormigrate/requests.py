"""What the verbs of the service are asked for and what they answer, beyond the model."""

from __future__ import annotations

from dataclasses import dataclass

from vectormigrate.model.plan import FieldMapping, Loss
from vectormigrate.model.schema import CollectionSchema
from vectormigrate.settings import Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationRequest:
    """What `plan` and `migrate` are asked for; the fields of MigrationSpec with endpoints that may hold keys."""

    id: str
    source: Endpoint
    target: Endpoint
    namespaces: tuple[str, ...] | None = None
    partitions: int | None = None
    plain: bool = False
    into_existing: bool = False
    overwrite: bool = False
    renames: tuple[tuple[str, str], ...] = ()
    excludes: tuple[str, ...] = ()
    accepted_losses: tuple[str, ...] = ()
    min_similarity: float = 0.98
    profile_limit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectRow:
    """A rejected record as listed."""

    id: str
    namespace: str
    code: str
    reason: str
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackResult:
    """What `rollback` removed."""

    migration_id: str
    dropped_collection: bool
    deleted_records: int
    kept_records: int
    """Records this migration overwrote (`--overwrite`), which cannot be brought back and stay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionReport:
    """`schema describe`: shape, counts per namespace, and what a sample of the data says about each metadata field."""

    location: str
    server: str
    collection: CollectionSchema
    namespaces: dict[str, int]
    sampled: int
    fields: tuple[FieldMapping, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """`schema recommend`: the original tool's answer plus a ready target schema and every loss."""

    source_type: str
    target_type: str
    field_mappings: tuple[FieldMapping, ...]
    overall_confidence: float
    warnings: tuple[str, ...]
    losses: tuple[Loss, ...] = ()
    target_schema: CollectionSchema | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorCheck:
    """One line of `doctor`: what was looked at, whether it is fine, and what to do if not."""

    name: str
    ok: bool
    detail: str
