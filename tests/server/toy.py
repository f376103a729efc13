"""A small MCP server behind the real guard and accounting, on every HTTP transport, served over a real socket."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import anyio
import anyio.lowlevel
import httpx2
import uvicorn
from mcp import Client
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from vectormigrate.server.access.auth import Forbidden, KeyVerifier, auth_settings, caller, require
from vectormigrate.server.access.keys import Scope
from vectormigrate.server.audit.accounting import Accounting, Inbound, mcp_middleware
from vectormigrate.server.http.guard import SDK_SECURITY, Guard
from vectormigrate.server.http.host_policy import HostPolicy
from vectormigrate.server.http.listener import ConnectionLimits, Listener

Way = Literal["sse", "http"]
Era = Literal["legacy", "auto"]


@dataclass(slots=True)
class Seen:
    """What the tools noticed."""

    entered: anyio.Event = field(default_factory=anyio.Event)
    cancelled: anyio.Event = field(default_factory=anyio.Event)
    release: anyio.Event = field(default_factory=anyio.Event)


def toy_server(accounting: Accounting, seen: Seen, *, local: bool) -> MCPServer:
    auth: dict[str, Any] = {}
    if accounting.ring and not local:
        auth = {"token_verifier": KeyVerifier(accounting.ring), "auth": auth_settings()}
    mcp = MCPServer("toy", version="1", **auth)
    mcp.middleware.insert(0, mcp_middleware(accounting, local=local))

    @mcp.tool()
    async def who() -> str:
        """Tell the caller."""
        found = caller()
        return f"{found.name} {found.fingerprint} {found.transport} {len(found.scopes)}"

    @mcp.tool()
    async def echo(text: str, migration_id: str = "m1") -> str:
        """Give the text back."""
        return text

    @mcp.tool()
    async def write() -> str:
        """Need the scope to write."""
        try:
            return require(Scope.WRITE).name
        except Forbidden as error:
            raise ToolError(str(error)) from error

    @mcp.tool()
    async def boom(text: str) -> str:
        """Fail in a way that nobody expected."""
        raise RuntimeError(text)

    @mcp.tool()
    async def wait() -> str:
        """Wait until the test lets go."""
        seen.entered.set()
        try:
            await seen.release.wait()
        except anyio.get_cancelled_exc_class():
            seen.cancelled.set()
            raise
        return "released"

    return mcp


def toy_app(accounting: Accounting, seen: Seen, **guard: Any) -> Guard:
    mcp = toy_server(accounting, seen, local=False)
    http = mcp.streamable_http_app(transport_security=SDK_SECURITY)
    sse = mcp.sse_app(transport_security=SDK_SECURITY)

    async def healthz(request: Request) -> Response:
        return PlainTextResponse("ok")

    async def rpc(request: Request) -> Response:
        body = await request.json()

        async def run() -> str:
            return f"hello {caller().name}"

        params = {"name": body["method"], "arguments": body.get("params", {})}
        inbound = Inbound(caller=caller(), method="tools/call", params=params)
        return JSONResponse({"jsonrpc": "2.0", "id": body["id"], "result": await accounting.handle(inbound, run)})

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        async with mcp.session_manager.run():
            yield

    routes = [
        *http.routes,
        *sse.routes,
        Route("/healthz", healthz),
        Route("/page", healthz),
        Route("/", rpc, methods=["POST"]),
    ]
    app = Starlette(routes=routes, lifespan=lifespan)
    guard.setdefault("hosts", HostPolicy.of("127.0.0.1"))
    return Guard(app, accounting=accounting, **guard)


@asynccontextmanager
async def listening(app: Any, **more: Any) -> AsyncGenerator[str]:
    """Serve on a free port of the loopback address; its URL."""
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=0,
        http=H11Protocol,
        ws="none",
        proxy_headers=False,
        log_config=None,
        timeout_graceful_shutdown=1,
        lifespan="on",
    )
    server = Listener(config, **more)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.serve)
        while not server.started:
            await anyio.lowlevel.checkpoint()
        try:
            yield f"http://127.0.0.1:{server.listening[0].getsockname()[1]}"
        finally:
            server.should_exit = True


@asynccontextmanager
async def serving(
    accounting: Accounting, seen: Seen | None = None, caps: ConnectionLimits | None = None, **guard: Any
) -> AsyncGenerator[str]:
    refused = accounting.connection_refused
    async with listening(toy_app(accounting, seen or Seen(), **guard), caps=caps, refused=refused) as url:
        yield url


def bearer(key: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"} if key else {}


@asynccontextmanager
async def connected(url: str, way: Way, era: Era = "legacy", key: str | None = None) -> AsyncGenerator[Client]:
    """The SDK's client on a transport."""
    headers: Mapping[str, str] = bearer(key)
    transport: AbstractAsyncContextManager[Any]
    if way == "sse":
        transport = sse_client(f"{url}/sse", headers=dict(headers), timeout=30)
        async with Client(transport, mode=era) as client:
            yield client
        return
    async with (
        httpx2.AsyncClient(headers=dict(headers), timeout=30) as http,
        Client(streamable_http_client(f"{url}/mcp", http_client=http), mode=era) as client,
    ):
        yield client


async def text_of(client: Client, tool: str, arguments: dict[str, Any] | None = None) -> str:
    """The text that a tool answers."""
    result = await client.call_tool(tool, arguments or {})
    return " ".join(getattr(block, "text", "") for block in result.content)
