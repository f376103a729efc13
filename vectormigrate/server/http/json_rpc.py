"""`POST /`: plain JSON-RPC 2.0 for scripts and curl. The method is the name of a tool, the params are its arguments.

::

    curl http://127.0.0.1:8080/ -H 'Authorization: Bearer KEY' \\
         -d '{"jsonrpc": "2.0", "id": 1, "method": "migration_status", "params": {"migration_id": "docs"}}'

Batches are answered in their order; a notification (no id) is carried out and not answered. Keys, limits and audit are
those of the other transports.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from typing import Any, cast

import anyio
from mcp.server.context import ServerRequestContext
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError, UnexpectedToolError
from mcp.types import CallToolResult
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from vectormigrate.errors import VectorMigrateError
from vectormigrate.model.schema import Json
from vectormigrate.server.access.auth import Forbidden, caller
from vectormigrate.server.app import App
from vectormigrate.server.audit.accounting import FORBIDDEN, METHODS_KEY, Inbound, failure_of
from vectormigrate.server.tools.tool import WrongArguments, cause_of, kind_of

PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS, INTERNAL_ERROR = -32700, -32600, -32601, -32602, -32603
TOOL_FAILED = -32010
"""The call was understood, and could not be carried out; `data.error` names the kind of failure."""

_SHAPE = 'a request is {"jsonrpc": "2.0", "method": "NAME", "params": {...}, "id": 1}'

MOST_IN_BATCH = 50
LONG_BODY = 32 * 1024
"""Bytes."""

AT_ONCE = 4

log = logging.getLogger(__name__)


class Failure(Exception):
    """An error object of JSON-RPC."""

    def __init__(self, code: int, message: str, data: Json = None) -> None:
        super().__init__(message)
        self.code, self.message, self.data = code, message, data

    def document(self, message_id: Json) -> dict[str, Json]:
        """The response that carries it."""
        error: dict[str, Json] = {"code": self.code, "message": self.message}
        if self.data is not None:
            error["data"] = self.data
        return {"jsonrpc": "2.0", "id": message_id, "error": error}


class Rpc:
    """The endpoint."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def serve(self, request: Request) -> Response:
        """Answer a message or a batch of them."""
        try:
            body = await self._parsed(await request.body())
        except (ValueError, RecursionError):
            return JSONResponse(Failure(PARSE_ERROR, "the body is not JSON").document(None))
        if not isinstance(body, list):
            answer = await self._answer(body, request)
            return Response(status_code=204) if answer is None else JSONResponse(answer)
        messages = cast("list[Json]", body)
        if not messages or len(messages) > MOST_IN_BATCH:
            problem = f"a batch holds 1 to {MOST_IN_BATCH} requests"
            return JSONResponse(Failure(INVALID_REQUEST, problem).document(None))
        answers = [answer for answer in await self._batch(messages, request) if answer is not None]
        return JSONResponse(answers) if answers else Response(status_code=204)

    async def _parsed(self, text: bytes) -> Json:
        """The body. A long one on a thread, for others to be answered meanwhile. Raises ValueError, RecursionError."""
        if len(text) <= LONG_BODY:
            return _parse(text)
        return await self.app.context.calculate(lambda: _parse(text))

    async def _batch(self, messages: list[Json], request: Request) -> list[dict[str, Json] | None]:
        answers: list[dict[str, Json] | None] = [None] * len(messages)
        slots = anyio.CapacityLimiter(AT_ONCE)

        async def one(place: int) -> None:
            async with slots:
                answers[place] = await self._answer(messages[place], request)

        async with anyio.create_task_group() as tasks:
            for place in range(len(messages)):
                tasks.start_soon(one, place)
        return answers

    async def _answer(self, message: Json, request: Request) -> dict[str, Json] | None:
        """The response; None for a notification."""
        message_id = _id(message)
        try:
            method, params = _parts(message)
        except Failure as failure:
            return failure.document(message_id)
        notification = "id" not in message
        try:
            if params is None:
                raise Failure(INVALID_PARAMS, "params must be an object: arguments are given by name")
            result = await self._handle(method, params, message_id, request)
        except Failure as failure:
            return None if notification else failure.document(message_id)
        except VectorMigrateError as error:
            return None if notification else Failure(*failure_of(error)).document(message_id)
        return None if notification else {"jsonrpc": "2.0", "id": message_id, "result": result}

    async def _handle(self, method: str, params: Mapping[str, Json], message_id: Json, request: Request) -> Json:
        """Within the caller's limits, and written down, whatever comes of it."""
        inbound = Inbound(
            caller=caller(),
            method="tools/call",
            params={"name": method, "arguments": params},
            client=request.headers.get("user-agent", ""),
            peer=request.client.host if request.client else "",
        )
        outcome: dict[str, str] = {}

        async def run() -> Mapping[str, Json] | Failure:
            try:
                return {"structuredContent": await self._call(method, params, message_id, request)}
            except Failure as failure:
                outcome["word"] = "tool_error" if failure.code == TOOL_FAILED else f"rpc {failure.code}"
                return failure

        request.scope.get(METHODS_KEY, []).append(inbound.method)
        answer = await self.app.accounting.handle(inbound, run, lambda _: outcome.get("word", "ok"))
        if isinstance(answer, Failure):
            raise answer
        return answer["structuredContent"]

    async def _call(self, method: str, params: Mapping[str, Json], message_id: Json, request: Request) -> Json:
        tool = self.app.tools.get(method)
        if tool is None:
            known = ", ".join(sorted(self.app.tools))
            raise Failure(METHOD_NOT_FOUND, f"unknown method {method[:60]!r}; methods: {known}")
        context = ServerRequestContext[Any, Any](
            session=cast("Any", None),
            lifespan_context={},
            protocol_version="2025-11-25",
            method="tools/call",
            params={"name": method, "arguments": params},
            request_id=message_id if isinstance(message_id, str | int) else 0,
            request=request,
        )
        try:
            result: CallToolResult = await tool.run(
                dict(params), Context(request_context=context, mcp_server=self.app.mcp), convert_result=True
            )
        except WrongArguments as error:
            raise Failure(INVALID_PARAMS, str(error)) from error
        except UnexpectedToolError as error:
            log.exception("method %r failed unexpectedly", method)
            raise Failure(INTERNAL_ERROR, "an unexpected error; the server's log has it") from error
        except ToolError as error:
            raise _told(error, method) from error
        return result.structured_content


def _told(error: ToolError, method: str) -> Failure:
    """The failure of a tool, in its own words."""
    text = str(error).removeprefix(f"Error executing tool {method}: ")
    if isinstance(cause_of(error), Forbidden):
        return Failure(FORBIDDEN, text)
    return Failure(TOOL_FAILED, text, {"error": kind_of(error)})


def _id(message: Json) -> Json:
    """The id, if there is a legal one."""
    found = cast("dict[str, Json]", message).get("id") if isinstance(message, dict) else None
    return found if isinstance(found, str | int | float) and not isinstance(found, bool) else None


def _parts(message: Json) -> tuple[str, Mapping[str, Json] | None]:
    """Method, and params or None when they are not an object. Raises Failure for what is no request."""
    if not isinstance(message, dict):
        raise Failure(INVALID_REQUEST, _SHAPE)
    found = cast("dict[str, Json]", message)
    method, params = found.get("method"), found.get("params", {})
    if found.get("jsonrpc") != "2.0" or not isinstance(method, str):
        raise Failure(INVALID_REQUEST, _SHAPE)
    if found.get("id") is not None and _id(found) is None:
        raise Failure(INVALID_REQUEST, "the id must be a text or a number")
    return method, cast("dict[str, Json]", params) if isinstance(params, dict) else None


def _parse(text: bytes) -> Json:
    body = json.loads(text, parse_constant=_no_constant, parse_float=_finite)
    # Half a character, which JSON can write and nothing can be answered with.
    json.dumps(body, ensure_ascii=False).encode()
    return body


def _finite(text: str) -> float:
    found = float(text)
    if not math.isfinite(found):
        raise ValueError(f"{text[:20]} is beyond what a number can be")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
