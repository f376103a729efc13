"""One ASGI application: `/mcp`, `/sse` with `/messages/`, `POST /`, `/healthz`, `/readyz`, `/metrics`.

The guard is around all of it, so Host, Origin, keys, limits and sizes are checked on every route alike. The lifespan
owns the jobs; the application serves one process, for sessions, limits and jobs live in its memory.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vectormigrate.server.app import App
from vectormigrate.server.http.guard import SDK_SECURITY, Guard
from vectormigrate.server.http.host_policy import HostPolicy
from vectormigrate.server.http.json_rpc import Rpc
from vectormigrate.server.http.peers import Proxies
from vectormigrate.server.telemetry.metrics import CONTENT_TYPE

GRACE_SECONDS = 1.5
"""For the jobs to stop at shutdown, after they were asked to when the signal came."""


def http_app(app: App, hosts: HostPolicy, proxies: Proxies | None = None) -> ASGIApp:
    """The application of a server on HTTP."""
    streamable = app.mcp.streamable_http_app(transport_security=SDK_SECURITY)
    sse = app.mcp.sse_app(transport_security=SDK_SECURITY)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        # Loading the engine takes a second, which no answer should wait for.
        await app.context.calculate(app.context.service)
        async with app.run(GRACE_SECONDS), app.mcp.session_manager.run():
            yield

    async def healthz(request: Request) -> Response:
        return JSONResponse({"alive": True})

    async def readyz(request: Request) -> Response:
        ready = app.accounting.audit_is_written and not await app.context.usable()
        return JSONResponse({"ready": ready}, status_code=200 if ready else 503)

    async def metrics(request: Request) -> Response:
        if app.context.only() is not None:
            return JSONResponse({"error": "figures of all migrations need an admin's key here"}, status_code=403)
        text = await app.accounting.metrics.exposition(app.context.service())
        return Response(text, media_type=CONTENT_TYPE)

    routes = [
        *streamable.routes,
        *(_once(route) for route in sse.routes),
        Route("/", Rpc(app).serve, methods=["POST"]),
        Route("/healthz", healthz, methods=["GET"]),
        Route("/readyz", readyz, methods=["GET"]),
        Route("/metrics", metrics, methods=["GET"]),
    ]
    return Guard(Starlette(routes=routes, lifespan=lifespan), accounting=app.accounting, hosts=hosts, proxies=proxies)


def _once(route: BaseRoute) -> BaseRoute:
    """Mend how the SDK ends an event stream: it leaves the answer open, and without keys it answers a second time."""
    if not isinstance(route, Route):
        return route
    inner = route.app

    class Once:
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            starts, open_ = 0, False

            async def first(message: Message) -> None:
                nonlocal starts, open_
                starts += message["type"] == "http.response.start"
                if starts < 2:
                    open_ = message["type"] == "http.response.start" or message.get("more_body", False)
                    await send(message)

            await inner(scope, receive, first)
            if open_:
                await send({"type": "http.response.body", "body": b"", "more_body": False})

    return Route(route.path, endpoint=Once(), methods=list(route.methods or ()))
