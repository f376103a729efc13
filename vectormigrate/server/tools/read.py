"""The tools that look: migrations from the state file, collections through connections. They change nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

import anyio
from mcp.server.mcpserver import Context
from pydantic import Field

from vectormigrate import registry
from vectormigrate.errors import ConfigError
from vectormigrate.figures import counted
from vectormigrate.model.status import MigrationStatus, Status, ValidationReport
from vectormigrate.server.access.auth import caller
from vectormigrate.server.access.keys import Scope
from vectormigrate.server.runtime.context import ServerContext, result_of, wait_for_job
from vectormigrate.server.runtime.remedies import in_tool_words
from vectormigrate.server.runtime.tool_errors import as_tool_errors
from vectormigrate.server.tools import answers, presenters
from vectormigrate.server.tools.tool import (
    CheckedTool,
    Collection,
    Connection,
    MigrationId,
    Wait,
    make_tool,
    report,
)

SortKey = Literal["created_at", "migration_id", "status", "percent"]
Limit = Annotated[int, Field(ge=1, le=200, description="Most entries to return.")]
FieldName = Annotated[str, Field(max_length=300)]
FieldWord = Annotated[str, Field(max_length=60)]
Offset = Annotated[int, Field(ge=0, le=10_000_000, description="Entries to skip.")]

POLL_SECONDS = 1.0

_SORTED: Mapping[SortKey, Callable[[MigrationStatus], Any]] = {
    "created_at": lambda item: (item.created_at, item.id),
    "migration_id": lambda item: item.id,
    "status": lambda item: (str(item.status), item.created_at),
    "percent": lambda item: (item.percentage, item.created_at),
}


class ReadTools:
    """Tools of the scope migrations:read."""

    def __init__(self, context: ServerContext) -> None:
        self.context = context

    def tools(self) -> list[CheckedTool]:
        """All of them, in the order in which they are listed."""
        return [
            make_tool(self.list_migrations, "List migrations", Scope.READ, read_only=True, idempotent=True),
            make_tool(self.migration_status, "Migration status", Scope.READ, read_only=True, idempotent=True),
            make_tool(self.wait_migration, "Wait for a migration", Scope.READ, read_only=True, idempotent=True),
            make_tool(self.migration_report, "Migration report", Scope.READ, read_only=True, idempotent=True),
            make_tool(self.list_rejects, "List refused records", Scope.READ, read_only=True, idempotent=True),
            make_tool(self.list_connections, "List connections", Scope.READ, read_only=True, idempotent=True),
            make_tool(self.describe_collection, "Describe a collection", Scope.READ, read_only=True, idempotent=True),
            make_tool(self.schema_recommendation, "Recommend a schema", Scope.READ, read_only=True, idempotent=True),
            make_tool(self.validate_migration, "Validate a migration", Scope.READ, read_only=True, idempotent=True),
        ]

    async def list_migrations(
        self,
        status: Annotated[Status | None, Field(description="Only those in this status.")] = None,
        limit: Limit = 20,
        offset: Offset = 0,
        sort_by: SortKey = "created_at",
        sort_order: Literal["asc", "desc"] = "desc",
    ) -> answers.ListAnswer:
        """List migrations, newest first, also those that the command line runs."""
        with as_tool_errors():
            found = await self.context.migrations(status)
        found.sort(key=_SORTED[sort_by], reverse=sort_order == "desc")
        page = [presenters.list_item(item) for item in found[offset : offset + limit]]
        return answers.ListAnswer(migrations=page, total=len(found), limit=limit, offset=offset)

    async def migration_status(self, migration_id: MigrationId) -> answers.StatusAnswer:
        """Show how far a migration is, whoever runs it, and what to do next."""
        with as_tool_errors():
            seen = await self.context.seen(await self.context.status(migration_id))
        return presenters.status_answer(*seen)

    async def wait_migration(
        self, migration_id: MigrationId, ctx: Context, max_wait_seconds: Wait = 45.0
    ) -> answers.WaitAnswer:
        """Wait until nothing runs on a migration any more (copy, validation, rollback), at most 50 seconds; then its
        status. Reports progress. Call again while `finished` is false."""
        seen = -1.0
        with as_tool_errors():
            status = await self.context.status(migration_id)
            with anyio.move_on_after(max_wait_seconds):
                while not presenters.finished(status, self.context.jobs.find(migration_id)):
                    if status.percentage > seen:
                        seen = status.percentage
                        await report(ctx, seen, 100.0, _progress_text(status))
                    await self._pause(migration_id)
                    status = await self.context.status(migration_id)
            status, job, live = await self.context.seen(await self.context.status(migration_id))
        answer = presenters.status_answer(status, job, live)
        return answers.WaitAnswer(**dict(answer), finished=presenters.finished(status, job))

    async def _pause(self, migration_id: str) -> None:
        """Until the next look: a job of this process says when it ends, another process does not."""
        job = self.context.jobs.find(migration_id)
        with anyio.move_on_after(POLL_SECONDS):
            if job is not None and job.running:
                await job.ended.wait()
            else:
                await anyio.sleep(POLL_SECONDS)

    async def migration_report(
        self,
        migration_id: MigrationId,
        details: Annotated[bool, Field(description="Also the whole last validation report.")] = False,
    ) -> answers.ReportAnswer:
        """Show the plan with its losses, the refused records by code, and the last validation of a migration."""
        with as_tool_errors():
            service = self.context.service()
            plan = await self.context.require_access(migration_id)
            status = await service.status(migration_id)
            last = await service.last_validation(migration_id)
            counts = await service.reject_counts(migration_id)
            whole = None
            if details and last is not None:
                from vectormigrate.validation.report import report_to_json

                whole = await self.context.calculate(lambda: report_to_json(last))
        return answers.ReportAnswer(
            migration_id=migration_id,
            status=str(status.status),
            plan=presenters.plan_summary(plan),
            rejects_by_code=presenters.by_code(counts),
            validation=presenters.report_summary(last) if last is not None else None,
            details=whole,
        )

    async def list_rejects(
        self, migration_id: MigrationId, limit: Limit = 20, offset: Offset = 0
    ) -> answers.RejectsAnswer:
        """List records that the target refused, oldest first, each with a code and the reason. Once the cause is fixed,
        resume_migration(retry_rejects=true) tries them again."""
        with as_tool_errors():
            await self.context.require_access(migration_id)
            service = self.context.service()
            rows = await service.rejects(migration_id, limit, offset)
            counts = await service.reject_counts(migration_id)
        return answers.RejectsAnswer(
            rejects=[answers.RejectLine.of(row, reason=in_tool_words(row.reason)) for row in rows],
            by_code=presenters.by_code(counts),
            total=sum(counts.values()),
            limit=limit,
            offset=offset,
        )

    async def list_connections(self) -> answers.ConnectionsAnswer:
        """List the connections that the other tools can name, with the collections that agents may touch. Nothing is
        connected to; keys stay on the server."""
        with as_tool_errors():
            found = self.context.access.connections()
        return answers.ConnectionsAnswer(
            connections=[
                answers.ConnectionLine(
                    name=item.name,
                    type=item.type,
                    default_collection=item.collection or None,
                    collections=list(item.patterns),
                    problem=None if item.problem is None else in_tool_words(item.problem),
                )
                for item in found
            ],
            database_types=registry.offered(),
        )

    async def describe_collection(
        self,
        connection: Connection,
        collection: Collection = None,
        sample: Annotated[int, Field(ge=0, le=10_000, description="Records to look at for the fields.")] = 1000,
    ) -> answers.CollectionAnswer:
        """Show the vectors, metadata fields, namespaces and record counts of a collection."""
        with as_tool_errors():
            endpoint = self.context.access.endpoint(connection, collection)
            found = await self.context.service().describe(endpoint, sample)
        return presenters.collection_answer(connection, found)

    async def schema_recommendation(
        self,
        target_type: Annotated[str, Field(max_length=60, description="Database type to move to.")],
        source_type: Annotated[
            str | None, Field(max_length=60, description="Database type of source_schema; not needed with source.")
        ] = None,
        source_schema: Annotated[
            dict[FieldName, FieldWord] | None,
            Field(max_length=500, description='Fields and types instead of a collection: {"year": "integer"}.'),
        ] = None,
        source: Annotated[
            str | None, Field(max_length=200, description="Connection whose collection is looked at.")
        ] = None,
        source_collection: Collection = None,
        sample: Annotated[int, Field(ge=0, le=10_000, description="Records to look at.")] = 1000,
    ) -> answers.SchemaAnswer:
        """Recommend how fields go to another database: name, confidence (0 to 1) and conversion per field, and every
        loss as a warning. From a collection (source), or from field names and types alone (source_schema)."""
        with as_tool_errors():
            service = self.context.service()
            if source is not None:
                if source_schema is not None:
                    raise ConfigError("give either source or source_schema, not both")
                endpoint = self.context.access.endpoint(source, source_collection, "source")
                return presenters.schema_answer(await service.recommend(endpoint, target_type, sample))
            if source_type is None:
                raise ConfigError("give source (a connection), or source_type with source_schema")
            fields, kind = source_schema or {}, source_type
            return await self.context.calculate(
                lambda: presenters.schema_answer(service.recommend_offline(kind, target_type, fields))
            )

    async def validate_migration(
        self,
        migration_id: MigrationId,
        ctx: Context,
        full: Annotated[bool, Field(description="Compare every record in both directions, not a sample.")] = False,
        sample_size: Annotated[
            int | None, Field(ge=1, le=1_000_000, description="Records of the sample; default 1000.")
        ] = None,
        queries: Annotated[int, Field(ge=0, le=1000, description="Searches to compare per vector field.")] = 50,
        min_similarity: Annotated[
            float | None, Field(ge=0, le=1, description="Floor of the cosine per vector; default as planned.")
        ] = None,
        max_wait_seconds: Wait = 30.0,
    ) -> answers.ValidateAnswer:
        """Compare source and target of a completed migration: exact counts, record contents, searches. A long one
        continues in the background: wait_migration, then migration_report. The report is stored."""
        with as_tool_errors():
            if full and sample_size is not None:
                raise ConfigError("full compares every record: leave out sample_size")
            await self.context.require_access(migration_id)
            job = self.context.validate(
                migration_id,
                caller().name,
                full=full,
                sample_size=sample_size,
                queries=queries,
                min_similarity=min_similarity,
            )
            done = 0

            async def tick() -> None:
                nonlocal done
                done += 1
                await report(
                    ctx, done, max_wait_seconds, f"{job.stage or 'begins'}: {job.done or 0} of {job.total or 0}"
                )

            await wait_for_job(job, max_wait_seconds, tick)
            verdict: ValidationReport | None = result_of(job)
        if verdict is None:
            return answers.ValidateAnswer(
                migration_id=migration_id,
                state="running",
                passed=None,
                report=None,
                stage=job.stage,
                next_step=f"wait_migration(migration_id={migration_id!r}), then migration_report",
            )
        return answers.ValidateAnswer(
            migration_id=migration_id,
            state="finished",
            passed=verdict.passed,
            report=presenters.report_summary(verdict),
            stage=None,
            next_step=_after(verdict),
        )


def _progress_text(status: MigrationStatus) -> str:
    settled = status.migrated_records + status.rejected_records
    return f"{status.phase}: {counted(settled)} of {counted(status.total_records)} records"


def _after(verdict: ValidationReport) -> str:
    migration_id = verdict.migration_id
    if not verdict.passed:
        return (
            f"look at migration_report(migration_id={migration_id!r}, details=true); the operator can repair it with: "
            f"vectormigrate validate {migration_id} --full --repair"
        )
    if verdict.diff is None or not verdict.diff.full:
        return f"a sample agrees; validate_migration(migration_id={migration_id!r}, full=true) compares every record"
    return "source and target agree"
