"""How a tool is made from a method: who may call it, what hosts see of it, and how its failures read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeAlias

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.tools import Tool
from mcp.types import CallToolResult, ContentBlock, InputRequiredResult, TextContent, ToolAnnotations
from pydantic import BaseModel, Field, ValidationError

from vectormigrate.server.access import auth
from vectormigrate.server.access.keys import Scope
from vectormigrate.server.runtime.tool_errors import arguments_text, as_tool_errors
from vectormigrate.server.runtime.untrusted import compact, shown

LONGEST_WAIT = 50.0
"""Seconds that one call may take: some hosts give up after 60."""

ID_PATTERN = r"^[.]*[A-Za-z0-9_-][A-Za-z0-9._-]*$"
"""Not of dots alone: they mean something in the paths of URIs."""

MigrationId: TypeAlias = Annotated[
    str,
    Field(pattern=ID_PATTERN, max_length=64, description="Id of a migration, as list_migrations shows it."),
]
Connection: TypeAlias = Annotated[
    str, Field(min_length=1, max_length=200, description="Name of a connection, as list_connections shows it.")
]
Collection: TypeAlias = Annotated[
    str | None, Field(max_length=300, description="Collection; default: the connection's own.")
]
Wait: TypeAlias = Annotated[
    float,
    Field(
        ge=0, le=LONGEST_WAIT, description="Wait at most so many seconds for the end; the work continues regardless."
    ),
]

PlanId: TypeAlias = Annotated[str, Field(max_length=40, description="Id of a plan, from plan_migration.")]


class WrongArguments(ToolError):
    """The caller's arguments do not fit the tool."""


class CheckedTool(Tool):
    """A tool that asks for a scope, refuses arguments that it does not know, and answers with every expected failure.

    The SDK ignores unknown arguments; a misspelled `namespaces` would then copy all of them.
    """

    scope: Scope
    hint: str = ""
    """What to do instead, after word of an unknown argument."""

    @property
    def argument_names(self) -> frozenset[str]:
        """The arguments that it takes."""
        return frozenset(self.parameters.get("properties", {}))

    def check_arguments(self, arguments: Mapping[str, Any]) -> None:
        """Raise WrongArguments for those that it does not know."""
        unknown = sorted(set(arguments) - self.argument_names)
        if unknown:
            known = ", ".join(sorted(self.argument_names)) or "none"
            raise WrongArguments(
                f"unknown argument {unknown[0][:60]!r}; known arguments: {known}{self.hint and '; '}{self.hint}"
            )

    async def run(self, arguments: dict[str, Any], context: Context[Any, Any], convert_result: bool = False) -> Any:
        """Run as the caller of the message at hand. `convert_result`: the answer as it goes to a client, else the
        model. Raises ToolError, whose text never repeats a value."""
        with as_tool_errors():
            auth.require(self.scope)
        self.check_arguments(arguments)
        try:
            found = await super().run(arguments, context, False)
        except ToolError as error:
            if isinstance(error.__cause__, ValidationError):
                raise WrongArguments(f"wrong arguments: {arguments_text(error.__cause__)}") from error.__cause__
            raise
        if not convert_result or not isinstance(found, BaseModel) or isinstance(found, InputRequiredResult):
            return found
        answer = shown(found.model_dump(mode="json", by_alias=True))
        return CallToolResult(content=[TextContent(type="text", text=compact(answer))], structured_content=answer)


def failed(error: ToolError) -> CallToolResult:
    """The failure of a tool as it goes to a client: the text, and for programs its kind."""
    document: dict[str, Any] = {"error": {"kind": kind_of(error), "message": str(error)}}
    content: list[ContentBlock] = [TextContent(type="text", text=str(error))]
    return CallToolResult(content=content, structured_content=document, is_error=True)


def cause_of(error: ToolError) -> BaseException:
    """What made a tool fail, below the SDK's and our own wrapping."""
    found: BaseException = error
    while isinstance(found, ToolError) and found.__cause__ is not None:
        found = found.__cause__
    return found


def kind_of(error: ToolError) -> str:
    """The name of the failure."""
    inner: BaseException | None = error
    while isinstance(inner, ToolError):
        if isinstance(inner, WrongArguments):
            return "WrongArguments"
        inner = inner.__cause__
    return type(cause_of(error)).__name__


def make_tool(
    function: Callable[..., Any],
    title: str,
    scope: Scope,
    *,
    read_only: bool = False,
    destructive: bool = False,
    idempotent: bool = False,
) -> CheckedTool:
    """The tool of a function, whose name, docstring, parameters and result it takes over, with MCP's annotations."""
    plain = Tool.from_function(
        function,
        title=title,
        description=" ".join((function.__doc__ or "").split()),
        annotations=ToolAnnotations(
            title=title,
            read_only_hint=read_only,
            destructive_hint=destructive,
            idempotent_hint=idempotent,
            open_world_hint=True,
        ),
        structured_output=True,
    )
    fields: dict[str, Any] = {name: getattr(plain, name) for name in type(plain).model_fields}
    fields["parameters"] = {**plain.parameters, "additionalProperties": False}
    return CheckedTool(scope=scope, **fields)


async def report(context: Context[Any, Any], done: float, total: float, message: str) -> None:
    """Progress to a caller who asked for it and whose transport can carry it."""
    if has_session(context):
        await context.report_progress(done, total, message)


def form_wanted(context: Context[Any, Any]) -> bool:
    """Whether the caller's host can ask the user a question."""
    capabilities = context.client_capabilities if has_session(context) else None
    return capabilities is not None and capabilities.elicitation is not None


def has_session(context: Context[Any, Any]) -> bool:
    """Whether there is a client to talk to during the call; a plain JSON-RPC request has none."""
    session: Any = context.request_context.session
    return session is not None
