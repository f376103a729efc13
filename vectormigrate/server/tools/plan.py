"""The tool that plans: it reads the source, looks at the target and writes to neither."""

from __future__ import annotations

from typing import Annotated, Any

from mcp.server.mcpserver import Context
from pydantic import Field

from vectormigrate.errors import ConfigError
from vectormigrate.server.access.keys import Scope
from vectormigrate.server.runtime.context import ServerContext
from vectormigrate.server.runtime.tool_errors import as_tool_errors
from vectormigrate.server.tools import answers
from vectormigrate.server.tools.plan_jobs import Planner
from vectormigrate.server.tools.tool import ID_PATTERN, CheckedTool, Collection, Wait, make_tool

Place = Annotated[str | None, Field(max_length=200, description="Name of a connection, as list_connections shows it.")]
Name = Annotated[str, Field(max_length=500)]


class PlanTools:
    """Tools of the scope migrations:read."""

    def __init__(self, context: ServerContext) -> None:
        self.planner = Planner(context)

    def tools(self) -> list[CheckedTool]:
        """All of them."""
        return [make_tool(self.plan_migration, "Plan a migration", Scope.READ, read_only=True)]

    async def plan_migration(
        self,
        ctx: Context,
        source: Place = None,
        source_collection: Collection = None,
        target: Place = None,
        target_collection: Collection = None,
        plan_id: Annotated[
            str | None, Field(max_length=40, description="A plan that was made before, to see it again.")
        ] = None,
        migration_id: Annotated[
            str | None, Field(pattern=ID_PATTERN, max_length=64, description="Name for it; default: generated.")
        ] = None,
        accept_losses: Annotated[
            list[Name] | None, Field(max_length=100, description="Names of losses that the user agreed to.")
        ] = None,
        namespaces: Annotated[
            list[Name] | None, Field(max_length=1000, description="Only these source namespaces.")
        ] = None,
        renames: Annotated[
            dict[Name, Name] | None, Field(max_length=200, description="Metadata fields to rename: {old: new}.")
        ] = None,
        excludes: Annotated[
            list[Name] | None, Field(max_length=200, description="Metadata fields to leave out.")
        ] = None,
        vectors: Annotated[
            list[Name] | None, Field(max_length=100, description="Carry only these vector fields.")
        ] = None,
        plain: Annotated[bool | None, Field(description="No origin sidecar: its effects become losses.")] = None,
        into_existing: Annotated[
            bool | None, Field(description="Allow a target collection that holds records.")
        ] = None,
        overwrite: Annotated[
            bool | None, Field(description="Replace records of the same id; a rollback cannot bring them back.")
        ] = None,
        min_similarity: Annotated[
            float | None, Field(ge=0, le=1, description="Floor of the cosine per vector; default 0.98.")
        ] = None,
        profile_limit: Annotated[
            int | None, Field(ge=1, description="Read about so many records to plan; default all.")
        ] = None,
        fresh: Annotated[bool | None, Field(description="Read the source again, although a plan of today did.")] = None,
        batch_size: Annotated[int | None, Field(ge=1, le=100_000, description="Records per write; 100.")] = None,
        max_retries: Annotated[int | None, Field(ge=0, le=100, description="Tries after the first; 3.")] = None,
        concurrency: Annotated[int | None, Field(ge=1, le=64, description="Most writes in flight.")] = None,
        rate_limit: Annotated[float | None, Field(gt=0, description="Most records per second.")] = None,
        max_rejects: Annotated[
            int | None, Field(ge=0, description="Fail beyond so many refused records; default 0.")
        ] = None,
        max_wait_seconds: Wait = 40.0,
    ) -> answers.PlanAnswer:
        """Plan copying a collection to another database; nothing is written to either. The answer names every loss and
        has a plan_id: show it to the user, then start_migration. With plan_id alone: that plan again."""
        given: dict[str, Any] = {
            "source": source,
            "source_collection": source_collection,
            "target": target,
            "target_collection": target_collection,
            "migration_id": migration_id,
            "accept_losses": accept_losses,
            "namespaces": namespaces,
            "renames": renames,
            "excludes": excludes,
            "vectors": vectors,
            "plain": plain,
            "into_existing": into_existing,
            "overwrite": overwrite,
            "min_similarity": min_similarity,
            "profile_limit": profile_limit,
            "fresh": fresh,
            "batch_size": batch_size,
            "max_retries": max_retries,
            "concurrency": concurrency,
            "rate_limit": rate_limit,
            "max_rejects": max_rejects,
        }
        given = {name: value for name, value in given.items() if value is not None}
        with as_tool_errors():
            if plan_id is None:
                return await self.planner.plan(given, ctx, max_wait_seconds)
            if given:
                raise ConfigError(f"plan_id shows a plan that was made; leave out {', '.join(sorted(given))}")
            return await self.planner.show(plan_id, ctx, max_wait_seconds)
