"""The tool that lists what a server holds, within what agents may touch."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from vectormigrate.model.answers import HeldCollection
from vectormigrate.server.access.keys import Scope
from vectormigrate.server.runtime.context import ServerContext
from vectormigrate.server.runtime.tool_errors import as_tool_errors, error_text
from vectormigrate.server.tools import answers
from vectormigrate.server.tools.tool import CheckedTool, Connection, make_tool

Limit = Annotated[int, Field(ge=1, le=100, description="Most collections to return.")]


class CollectionTools:
    """Tools of the scope migrations:read."""

    def __init__(self, context: ServerContext) -> None:
        self.context = context

    def tools(self) -> list[CheckedTool]:
        """All of them."""
        return [make_tool(self.list_collections, "List collections", Scope.READ, read_only=True, idempotent=True)]

    async def list_collections(self, connection: Connection, limit: Limit = 50) -> answers.CollectionsAnswer:
        """List the collections of a connection that agents may touch, by name, with their records and vectors. They are
        looked at one by one, so this takes longer the more there are."""
        with as_tool_errors():
            endpoint = self.context.access.place(connection)
            open_to_agents = self.context.access.filter(connection)
            seen = 0

            def wanted(name: str) -> bool:
                nonlocal seen
                seen += open_to_agents(name)
                return open_to_agents(name) and seen <= limit

            found = await self.context.service().collections(endpoint, wanted)
        return answers.CollectionsAnswer(
            connection=connection,
            server=found.server,
            collections=[_line(item) for item in found.collections],
            total=seen,
        )


def _line(item: HeldCollection) -> answers.CollectionLine:
    return answers.CollectionLine.of(
        item,
        vectors=[answers.VectorLine.of(field) for field in item.vectors],
        problem=None if item.problem is None else error_text(ValueError(item.problem)),
    )
