"""How a migration goes and how a validation ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum

from vectormigrate.model.ids import RecordId
from vectormigrate.model.schema import Json


class Status(StrEnum):
    """The word for outsiders."""

    NOT_STARTED = "not_started"
    IN_PROGRESS = "in_progress"
    STOPPED = "stopped"
    FAILED = "failed"
    COMPLETED = "completed"
    ROLLED_BACK = "rolled_back"


class Phase(StrEnum):
    """The finer step inside a status."""

    PLANNING = "planning"
    PLANNED = "planned"
    CREATING = "creating"
    COPYING = "copying"
    FINALIZING = "finalizing"
    LIVE = "live"
    """Of a live migration: everything is copied, changes are followed until the operator completes it."""
    DONE = "done"
    ROLLING_BACK = "rolling_back"
    ROLLED_BACK = "rolled_back"


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceProgress:
    """Progress of one source namespace, in records."""

    namespace: str
    total: int
    migrated: int
    rejected: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationStatus:
    """One migration as `status` and `list` show it. Times are UTC ISO 8601; rates are records per second.

    `status` IN_PROGRESS without a live runner (`runner_alive` False) means that its process died: resume it.
    """

    id: str
    status: Status
    phase: Phase
    source: str
    target: str
    total_records: int
    migrated_records: int
    rejected_records: int
    batches: int
    retries: int = 0
    created_at: str
    started_at: str | None = None
    ended_at: str | None = None
    runner_alive: bool = False
    stop_requested: bool = False
    error: str | None = None
    rate: float | None = None
    eta_seconds: float | None = None
    checked_records: int = 0
    """Records read back and compared inline."""
    planned_records: int = 0
    """While it is being planned: records of the source that were read for the plan."""
    notices: tuple[str, ...] = ()
    """What the operator should know about the last run although it did not fail: the source changed meanwhile, …"""
    namespaces: tuple[NamespaceProgress, ...] = ()

    @property
    def percentage(self) -> float:
        """Share of records that are settled (migrated or rejected), 0…100, cut to two decimals: 100 is all of them."""
        if not self.total_records:
            return 100.0 if self.status is Status.COMPLETED else 0.0
        settled = self.migrated_records + self.rejected_records
        return min(100.0, 10_000 * settled // self.total_records / 100)

    def to_json(self) -> dict[str, Json]:
        """Every field, and the percentage."""
        return {**asdict(self), "percentage": self.percentage}


class DifferenceKind(StrEnum):
    """What is wrong with one record."""

    MISSING = "missing"
    EXTRA = "extra"
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One record that differs. `fields` are dot paths of metadata or `vector:NAME`; `similarity` is the worst cosine.

    `namespace` is the target's; `source_namespace` the one to fetch `source_id` from. `source_id` is None for an extra
    whose origin is unknown; `written_by_us` is whether this migration wrote it.
    """

    kind: DifferenceKind
    namespace: str
    source_id: RecordId | None
    target_id: RecordId
    source_namespace: str | None = None
    fields: tuple[str, ...] = ()
    similarity: float | None = None
    written_by_us: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CountCheck:
    """Exact counts of one namespace; `rejected` are the known rejects, which are not expected on the target."""

    namespace: str
    source: int
    target: int
    rejected: int

    @property
    def passed(self) -> bool:
        return self.source - self.rejected == self.target


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorCheck:
    """Agreement of one vector field over the compared records. `histogram` counts cosine similarities per bin, best
    first, as (lower edge, vectors); its first bin, of edge 1.0, holds the bit-exact ones."""

    name: str
    compare: str
    compared: int
    exact: int
    within_bound: int
    below_floor: int
    worst_similarity: float | None
    worst_error: float
    histogram: tuple[tuple[float, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffCheck:
    """Comparison of record contents. `full`: every record, both directions. Otherwise `sampled` of `population` were
    compared and `statement` is what that proves. `differences` holds the first few; the counts are exact."""

    full: bool
    compared: int
    identical: int
    within_bound: int
    missing: int
    extra: int
    different: int
    unreadable: int
    population: int
    statement: str
    vectors: tuple[VectorCheck, ...] = ()
    metadata_fields: Mapping[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    """Dot path -> (records holding it on the source, of these equal on the target)."""
    differences: tuple[Difference, ...] = ()
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        return not (self.missing or self.extra or self.different or self.unreadable)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchCheck:
    """Search parity of one vector field and namespace over the same queries. All figures are means in 0…1, tie-aware: a
    hit is any id whose exact score reaches the k-th best. `overlap_exact` compares the two brute-force answers."""

    vector: str
    namespace: str
    queries: int
    k: int
    recall_source: float
    recall_target: float
    overlap: float
    overlap_exact: float
    worst_overlap: float
    per_query_overlap: tuple[float, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationReport:
    """The whole verdict. `passed` needs every check; an error is never counted as verified.

    `diff` is None when only the counts were compared, and a sample proves no more than its `statement`::

        report = await service.validate("orders", full=True)
        if not report.passed and report.diff is not None:
            for item in report.diff.differences:  # the first few; the counts are exact
                print(item.kind, item.source_id, item.fields)  # different 7 ('price', 'vector:text')
    """

    migration_id: str
    started_at: str
    ended_at: str
    source: str
    target: str
    min_similarity: float
    counts: tuple[CountCheck, ...]
    diff: DiffCheck | None
    search: tuple[SearchCheck, ...] = ()
    rejected: int = 0
    repaired: int = 0
    deleted: int = 0
    errors: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        return not self.errors and all(c.passed for c in self.counts) and (self.diff is None or self.diff.passed)
