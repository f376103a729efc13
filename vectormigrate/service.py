"""The verbs that the command line, the library and (later) the MCP server share.

A verb takes and returns plain data and raises errors of `vectormigrate.errors`; long verbs report through a listener.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from vectormigrate.engine.events import Listener, ignore
from vectormigrate.model.plan import FieldMapping, Loss, MigrationPlan, RunOptions
from vectormigrate.model.schema import CollectionSchema
from vectormigrate.model.status import MigrationStatus, Status, ValidationReport
from vectormigrate.settings import Endpoint, Settings


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


class Service:
    """Bound to one state file and one set of connections. Open with `open_service`."""

    async def plan(self, request: MigrationRequest, listener: Listener = ignore) -> MigrationPlan:
        """Decide everything and write nothing."""
        ...

    async def migrate(
        self, request: MigrationRequest, options: RunOptions, listener: Listener = ignore
    ) -> MigrationStatus:
        """Plan, store the plan, copy, finalize. Raises Interrupted when asked to stop, MigrationFailed, LossNotAccepted…"""
        ...

    async def resume(
        self,
        migration_id: str,
        options: RunOptions | None = None,
        listener: Listener = ignore,
        *,
        source_key: str | None = None,
        target_key: str | None = None,
    ) -> MigrationStatus:
        """Go on where the checkpoints stand, with the stored plan. Options None = as stored."""
        ...

    def stop_now(self) -> None:
        """Ask the run of this service to end after the batch in flight (signal handlers call it)."""
        ...

    async def stop(self, migration_id: str, timeout: float = 30.0) -> MigrationStatus:
        """Ask the runner, in whatever process it is, to stop after the batch in flight, and wait until it has."""
        ...

    async def status(self, migration_id: str) -> MigrationStatus: ...

    async def rejects(self, migration_id: str, limit: int = 20, offset: int = 0) -> list[RejectRow]: ...

    async def list(self, status: Status | None = None) -> list[MigrationStatus]: ...

    async def stored_plan(self, migration_id: str) -> MigrationPlan: ...

    async def validate(
        self,
        migration_id: str,
        *,
        sample_size: int | None = None,
        full: bool = False,
        queries: int = 50,
        repair: bool = False,
        min_similarity: float | None = None,
        listener: Listener = ignore,
        source_key: str | None = None,
        target_key: str | None = None,
    ) -> ValidationReport:
        """Compare source and target. Neither `full` nor `sample_size`: 1,000 sampled records. The report is stored."""
        ...

    async def rollback(
        self, migration_id: str, *, listener: Listener = ignore, target_key: str | None = None
    ) -> RollbackResult:
        """Remove exactly what this migration wrote."""
        ...

    async def describe(self, endpoint: Endpoint, sample: int = 10_000) -> CollectionReport: ...

    async def recommend(self, source: Endpoint, target_type: str, sample: int = 10_000) -> Recommendation: ...

    async def doctor(self, endpoints: Sequence[Endpoint] = ()) -> list[DoctorCheck]:
        """Check the state file, the installed vendor packages and each connection (all of the file when none is given)."""
        ...


@asynccontextmanager
async def open_service(settings: Settings | None = None, *, state: Path | None = None) -> AsyncIterator[Service]:
    """A service over the state file of the settings (or `state`)."""
    yield Service()
