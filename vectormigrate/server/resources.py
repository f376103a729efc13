"""Resources, prompts and completions. Every resource has a tool with the same answer, for hosts that read none."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Annotated, Any

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError
from mcp.types import Completion
from pydantic import Field

from vectormigrate import registry
from vectormigrate.errors import LookupFailed, VectorMigrateError
from vectormigrate.server.access import auth
from vectormigrate.server.access.keys import Scope
from vectormigrate.server.runtime.context import ServerContext
from vectormigrate.server.runtime.remedies import in_tool_words
from vectormigrate.server.runtime.subscriptions import INDEX
from vectormigrate.server.runtime.tool_errors import error_text
from vectormigrate.server.runtime.untrusted import compact, shown
from vectormigrate.server.tools import presenters

JSON = "application/json"
MOST_LISTED = 200
MOST_OF_PLAN = 400_000
"""Characters."""
MOST_COMPLETIONS = 100


@contextmanager
def _reading() -> Generator[None]:
    """As a caller who may read; failures as the SDK tells them."""
    try:
        auth.require(Scope.READ)
        yield
    except LookupFailed as error:
        raise ResourceNotFoundError(error_text(error)) from error
    except (VectorMigrateError, OSError) as error:
        raise ResourceError(error_text(error)) from error


def add_resources(mcp: MCPServer, context: ServerContext) -> None:
    """`migration://index` and, per migration, `status`, `report` and `plan`."""

    @mcp.resource(INDEX, name="index", title="All migrations", mime_type=JSON)
    async def index() -> str:
        """The newest migrations with their progress."""
        with _reading():
            found = (await context.migrations())[::-1]
        items = [presenters.list_item(item).model_dump() for item in found[:MOST_LISTED]]
        return compact(shown({"migrations": items, "total": len(found)}))

    @mcp.resource("migration://{migration_id}/status", name="status", title="Migration status", mime_type=JSON)
    async def status(migration_id: str) -> str:
        """How far a migration is, and what to do next."""
        with _reading():
            found = await context.seen(await context.status(migration_id))
        return compact(shown(presenters.status_answer(*found).model_dump()))

    @mcp.resource("migration://{migration_id}/report", name="report", title="Validation report", mime_type=JSON)
    async def report(migration_id: str) -> str:
        """The last validation of a migration, in short, and its refused records by code."""
        with _reading():
            await context.require_access(migration_id)
            service = context.service()
            last = await service.last_validation(migration_id)
            counts = await service.reject_counts(migration_id)
        summary = None if last is None else presenters.report_summary(last).model_dump()
        whole = {"migration_id": migration_id, "validation": summary, "rejects_by_code": presenters.by_code(counts)}
        return compact(shown(whole))

    @mcp.resource("migration://{migration_id}/plan", name="plan", title="Migration plan", mime_type=JSON)
    async def plan(migration_id: str) -> str:
        """The whole plan of a migration, or of a plan_id: schemas, field mappings, every loss."""
        with _reading():
            found = await context.plan(migration_id)
        whole = found.to_json()
        # Positions inside the source mean something to its adapter only, and there may be thousands.
        whole["partitions"] = len(found.partitions)
        whole["warnings"] = [in_tool_words(text) for text in found.warnings]
        return await context.calculate(lambda: compact(shown({**whole, "unaccepted": found.unaccepted}, MOST_OF_PLAN)))


def add_prompts(mcp: MCPServer, context: ServerContext) -> None:
    """Ways to go about the two things that people ask for."""

    @mcp.prompt(title="Plan a migration")
    def plan_migration(
        source: Annotated[str, Field(description="Connection to copy from.")],
        target: Annotated[str, Field(description="Connection to copy to.")],
        source_collection: Annotated[str, Field(description="Collection; empty: the connection's own.")] = "",
    ) -> str:
        """Plan moving a collection to another database, with every loss explained before anything is written."""
        what = f"the collection {source_collection!r}" if source_collection else "the default collection"
        return (
            f"Plan moving {what} of connection {source!r} to connection {target!r}.\n"
            "1. list_connections: check that both exist and that agents may touch these collections.\n"
            "2. list_collections shows what there is; describe_collection on the source: size, vectors, fields.\n"
            "3. plan_migration. Explain each loss of the answer in plain words: what is reversible "
            "(kept aside, and restored on the round trip), what is gone.\n"
            "4. If unaccepted_losses is not empty, ask me which I accept, and plan again with accept_losses.\n"
            "5. Show records, estimated time and warnings, and ask me before start_migration with the plan_id.\n"
            "6. Then wait_migration until it is finished, and validate_migration with full=true. Tell me what was "
            "proved."
        )

    @mcp.prompt(title="Diagnose a stuck migration")
    async def diagnose_migration(
        migration_id: Annotated[str, Field(description="Id of the migration.")],
    ) -> str:
        """Find out why a migration does not get on, and what to do about it."""
        try:
            found = presenters.status_answer(*await context.seen(await context.status(migration_id)))
            now = compact(shown(found.model_dump()))
        except VectorMigrateError as error:
            now = error_text(error)
        return (
            f"Find out why migration {migration_id!r} does not get on. Its status now:\n{now}\n"
            "1. in_progress with runner_alive false: its process died; resume_migration continues from the "
            "checkpoint.\n"
            "2. failed: error and job.error have the reason; a database that cannot be reached is the operator's to "
            "fix, then resume_migration.\n"
            "3. rejects above 0: list_rejects groups them by code; explain the codes, and resume_migration with "
            "retry_rejects=true once the cause is gone.\n"
            "4. Running with rate 0: wait_migration for a minute and compare; retries and rate limits of a database "
            "slow it down.\n"
            "Say what you found and what you propose, and ask me before you stop or roll back anything."
        )


def add_completions(mcp: MCPServer, context: ServerContext) -> None:
    """Ids, connections and types, by what was typed so far."""

    @mcp.completion()
    async def complete(ref: Any, argument: Any, _: Any) -> Completion | None:
        values: Iterable[str]
        match argument.name:
            case "migration_id":
                values = [item.id for item in (await context.migrations())[::-1]]
            case "source" | "target" | "connection":
                values = context.settings.connections.names
            case "source_type" | "target_type":
                values = registry.offered()
            case "source_collection" | "target_collection":
                values = sorted({item.collection for item in context.access.connections() if item.collection})
            case _:
                return None
        found = [value for value in values if value.startswith(argument.value)]
        return Completion(values=found[:MOST_COMPLETIONS], total=len(found), has_more=len(found) > MOST_COMPLETIONS)
