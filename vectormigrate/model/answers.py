"""What the verbs of the service answer, beyond status and plan."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from vectormigrate.model.live import LiveStatus
from vectormigrate.model.plan import FieldMapping, Loss, MappingRules
from vectormigrate.model.schema import CollectionSchema, Json, VectorField
from vectormigrate.model.status import MigrationStatus, ValidationReport


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
    foreign_records: int = 0
    """Records of others in a collection that this migration made: they, and so the collection, stay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionReport:
    """`schema describe`: shape, counts per namespace, and what a sample of the data shows about each metadata field."""

    location: str
    server: str
    collection: CollectionSchema
    namespaces: dict[str, int]
    sampled: int
    fields: tuple[FieldMapping, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldCollection:
    """A collection of a server. What could not be found out is None or empty, and `problem` is the reason."""

    name: str
    records: int | None = None
    vectors: tuple[VectorField, ...] = ()
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """`collections`: what a server holds. `server`: product and version."""

    type: str
    server: str
    collections: tuple[HeldCollection, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionLine:
    """A setting of a database type: which values it takes, its default (empty: none) and what it means."""

    type: str
    name: str
    value: str
    default: str
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldEvidence:
    """What a sample shows about one metadata field.

    `type` (and `element` of a list) is inferred from the values, `share` of the non-null ones are of it. `kinds` counts
    values by kind. `distinct` stops at 10,000. Sizes are UTF-8 bytes; `longest_list` counts elements, `fixed_list` is
    the length that all lists have; `depth` 1 is a top-level field. `index`: the recommended index on the target.
    """

    field: str
    type: str | None
    element: str | None
    share: float
    kinds: dict[str, int]
    records: int
    missing: int
    nulls: int
    distinct: int
    max_bytes: int
    min_int: int | None
    max_int: int | None
    longest_list: int
    fixed_list: int | None
    nested_lists: int
    depth: int
    index: str | None
    index_reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """`schema recommend`: the original tool's answer (`to_json`), and what it rests on: every loss, a ready target
    schema with its indexes, and the evidence per field. `sampled` of `records` records were read."""

    source_type: str
    target_type: str
    field_mappings: tuple[FieldMapping, ...]
    overall_confidence: float
    notices: tuple[str, ...] = ()
    losses: tuple[Loss, ...] = ()
    target_schema: CollectionSchema | None = None
    evidence: tuple[FieldEvidence, ...] = ()
    sampled: int = 0
    records: int = 0
    rules: MappingRules | None = None
    """How records become those of the target schema (mapping.apply)."""

    @property
    def warnings(self) -> list[str]:
        """Everything to know before starting: the notices, and each loss as a sentence with its name."""
        return [*self.notices, *map(_told, self.losses)]

    def to_json(self) -> dict[str, Json]:
        """The original answer: `source_type`, `target_type`, `field_mappings` (`source_field`, `target_field`,
        `confidence`, `conversion_needed`, `notes`), `overall_confidence`, `warnings`; nothing else."""
        mappings = [{key: getattr(line, key) for key in _LINE} for line in self.field_mappings]
        return {
            "source_type": self.source_type,
            "target_type": self.target_type,
            "field_mappings": mappings,
            "overall_confidence": self.overall_confidence,
            "warnings": self.warnings,
        }

    def details(self) -> dict[str, Json]:
        """The original answer and everything it rests on."""
        mappings = [asdict(line) for line in self.field_mappings]
        return {
            **self.to_json(),
            "field_mappings": mappings,
            "losses": [asdict(loss) for loss in self.losses],
            "target_schema": None if self.target_schema is None else self.target_schema.to_json(),
            "evidence": [asdict(item) for item in self.evidence],
            "sampled": self.sampled,
            "records": self.records,
        }


def _told(loss: Loss) -> str:
    return f"{loss.name}: {loss.detail} ({loss.outcome.word})"


_LINE = ("source_field", "target_field", "confidence", "conversion_needed", "notes")


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeTable:
    """`schema table`: `rows` hold `source`, `target`, `group`, `name` and `outcome` (`exact`, `restored` for
    reversible, `loss`; None where the source has no such thing); `markdown` is the same for people."""

    rows: list[dict[str, str | None]]
    markdown: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One migration as a monitor sees it. `last_commit` is in seconds of the epoch, of the latest run. `live`: None for
    a migration that is not live, or whose journal cannot be read, which `journal_unreadable` is about."""

    status: MigrationStatus
    bytes_per_record: int
    last_commit: float | None
    validation: ValidationReport | None
    live: LiveStatus | None = None
    journal_unreadable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorCheck:
    """One line of `doctor`: what was looked at, whether it is fine, and what to do if not."""

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncResult:
    """What a pass of `sync` found and did. `read`: records of both sides; `added`, `changed` and `removed` on the
    source since the last pass; `written` and `deleted` on the target. `foreign`: records of others on the target, left
    alone. `left`: records that are not equal yet, of which `refused` are not taken by the target, with reasons.
    `problems`: what could not be concluded."""

    migration_id: str
    read: int
    added: int
    changed: int
    removed: int
    written: int
    deleted: int
    foreign: int
    left: int
    refused: tuple[str, ...]
    problems: tuple[str, ...]
    compare_seconds: float
    apply_seconds: float

    @property
    def complete(self) -> bool:
        """Everything was read, and what differed was applied."""
        return not self.problems and not self.left

    @property
    def read_per_second(self) -> float:
        """Records of both sides."""
        return self.read / max(self.compare_seconds, 1e-3)

    @property
    def window_seconds(self) -> float:
        """How long nobody may write in a last pass: both sides are read whole, and as much is applied as this time."""
        return self.compare_seconds + self.apply_seconds
