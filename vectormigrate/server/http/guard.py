"""The outermost layer of the HTTP server, around every route: who may call from where, how much and how long.

In this order: Host and Origin, credentials (`Authorization: Bearer` or `X-API-Key`), the size of the body and the time
it may take, the number of open streams. Requests that are refused here are in the audit log as well. Pure ASGI: nothing
is buffered but the body of a request.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import AsyncExitStack, contextmanager, nullcontext
from dataclasses import dataclass

import anyio
from mcp.server.auth.middleware.auth_context import auth_context_var
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.transport_security import TransportSecuritySettings
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS as OLDER
from pydantic_core import from_json
from starlette.authentication import AuthCredentials
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vectormigrate.figures import duration
from vectormigrate.model.schema import Json
from vectormigrate.server.access.auth import NOBODY, Caller, Transport, anyone, as_caller, caller_of, token_of
from vectormigrate.server.access.keys import Key
from vectormigrate.server.access.limiter import CHATTER, LimitReached
from vectormigrate.server.access.sessions import HEADER as SESSION
from vectormigrate.server.access.sessions import end_session, noting
from vectormigrate.server.audit.accounting import (
    CALLER_KEY,
    METHODS_KEY,
    RATE_LIMITED,
    Accounting,
)
from vectormigrate.server.http.cross_origin import allow, is_preflight, shared_with
from vectormigrate.server.http.host_policy import HostPolicy
from vectormigrate.server.http.peers import Proxies, peer_of
from vectormigrate.server.http.refusals import END_BYTES, Refused, TooLarge, answer, beyond, unauthorized

BODY_BYTES = 1024 * 1024
BODY_SECONDS = 30.0

READ_PAST = 8
"""How many times its limit a refused body is read, to find out which message to answer."""

PUBLIC_PATHS = frozenset({"/healthz", "/readyz"})
"""Served without a key; they tell nothing but yes or no."""

SDK_SECURITY = TransportSecuritySettings(enable_dns_rebinding_protection=False)
"""For the transports of the SDK: this layer checks Host and Origin, for them and for every other route."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """Where the transports are mounted."""

    mcp: str = "/mcp"
    sse: str = "/sse"
    messages: str = "/messages/"
    rpc: str = "/"

    def transport(self, path: str) -> Transport:
        """The way a request comes in."""
        if path == self.sse or path.startswith(self.messages.rstrip("/")):
            return "sse"
        return "jsonrpc" if path == self.rpc else "http"

    def answers_rpc(self, path: str) -> bool:
        """Whether JSON-RPC messages are posted to this path."""
        return path in (self.mcp, self.rpc) or path.startswith(self.messages.rstrip("/"))


class Guard:
    """ASGI middleware; put it around the whole application."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        accounting: Accounting,
        hosts: HostPolicy,
        proxies: Proxies | None = None,
        paths: Paths | None = None,
        body_bytes: int = BODY_BYTES,
        body_seconds: float = BODY_SECONDS,
    ) -> None:
        self.app = app
        self.accounting = accounting
        self.hosts = hosts
        self.proxies = proxies or Proxies()
        self.paths = paths or Paths()
        self.body_bytes = body_bytes
        self.body_seconds = body_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or refuse it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        began = time.perf_counter()
        caller = NOBODY
        origin = Headers(scope=scope).get("origin")
        if origin is not None and self.hosts.shares_with(origin):
            send = shared_with(send, origin)
        # For everyone below: what the proxy says of the client, if it is trusted.
        scope["client"] = (self.proxies.client(scope), 0)
        async with AsyncExitStack() as held:
            try:
                self._check_hosts(Headers(scope=scope))
                if origin is not None and self.hosts.shares_with(origin) and is_preflight(scope):
                    await self.accounting.limiter.charge(f"address {peer_of(scope)}", kind="request")
                    await allow(scope, send)
                    return
                caller, key = self._authenticate(scope)
                await self._charge_plain(scope, caller)
                if scope["method"] in ("POST", "PUT", "PATCH"):
                    receive = await self._with_body(scope, caller, receive)
                held.enter_context(self._stream_of(scope, caller))
                send = await self._in_session(held, scope, send, caller, key)
            except (Refused, LimitReached) as error:
                refused = error if isinstance(error, Refused) else beyond(error)
                await self._refuse(refused, scope, send, caller, time.perf_counter() - began)
                return
            held.enter_context(_identity(scope, caller, key))
            await self._serve(scope, receive, send, caller)

    def _check_hosts(self, headers: Headers) -> None:
        if not self.hosts.serves_host(headers.get("host")):
            raise Refused(421, "host", "this server is not known by that name; the operator can allow it")
        if not self.hosts.serves_origin(headers.get("origin")):
            raise Refused(403, "origin", "pages of that origin may not call this server; the operator can allow it")

    def _authenticate(self, scope: Scope) -> tuple[Caller, Key | None]:
        """The caller and his key. Raises Refused."""
        path = scope["path"]
        if path in PUBLIC_PATHS:
            return NOBODY, None
        transport = self.paths.transport(path)
        if not self.accounting.ring:
            return anyone(transport), None
        secret = credential(Headers(scope=scope))
        if secret is None:
            raise unauthorized("missing_key", "an API key is needed: Authorization: Bearer KEY, or X-API-Key: KEY")
        key = self.accounting.ring.find(secret)
        if key is None:
            raise unauthorized("wrong_key", "the API key is not valid")
        return caller_of(key, transport), key

    async def _charge_plain(self, scope: Scope, caller: Caller) -> None:
        """Requests that hold no JSON-RPC are charged here, the others message by message. Public ones are charged to
        the address; whether the process lives is always told."""
        path, limiter = scope["path"], self.accounting.limiter
        if path == "/healthz":
            return
        if caller is NOBODY:
            await limiter.charge(f"address {peer_of(scope)}", kind="request")
            return
        if not await limiter.may_send_garbage(caller.name):
            refused = Refused(429, "limit", "too many requests that are none; wait a minute", code=RATE_LIMITED)
            refused.headers["retry-after"] = "60"
            raise refused
        if path in (self.paths.mcp, self.paths.sse) and scope["method"] != "POST":
            # Streams and sessions begin and end with these.
            await limiter.charge(caller.name, kind="message", factor=CHATTER)
        elif not (self.paths.answers_rpc(path) and scope["method"] == "POST"):
            await limiter.charge(caller.name)

    def _stream_of(self, scope: Scope, caller: Caller):
        if scope["method"] == "GET" and scope["path"] in (self.paths.mcp, self.paths.sse):
            return self.accounting.open_stream(caller)
        return nullcontext()

    async def _in_session(
        self, held: AsyncExitStack, scope: Scope, send: Send, caller: Caller, key: Key | None
    ) -> Send:
        """Count the request to its session, or make room for the one that it opens. Raises LimitReached."""
        sessions, headers = self.accounting.sessions, Headers(scope=scope)
        if scope["path"] != self.paths.mcp:
            return send
        name = headers.get(SESSION)
        if name is not None:
            held.enter_context(sessions.used(caller.name, name))
            if scope["method"] == "DELETE":
                return noting(send, lambda _: sessions.ended(caller.name, name))
        elif scope["method"] == "POST" and headers.get("mcp-protocol-version", OLDER[0]) in OLDER:

            async def end(idle: str) -> None:
                with _identity(scope, caller, key):
                    await end_session(self.app, scope, idle)

            await held.enter_async_context(sessions.room(caller.name, end))
            return noting(send, lambda answer: sessions.opened(caller.name, answer.get(SESSION)))
        return send

    async def _with_body(self, scope: Scope, caller: Caller, receive: Receive) -> Receive:
        """The body, read whole; what gives it to the application. Raises Refused, LimitReached. A refused message of an
        SSE session is replaced, because its answer must come over the stream: the client waits there and nowhere
        else."""
        try:
            body = await self._read(Headers(scope=scope), receive)
        except TooLarge as error:
            if error.message_id is None or not scope["path"].startswith(self.paths.messages.rstrip("/")):
                raise
            self.accounting.metrics.refused.labels(error.reason).inc()
            body = error.stand_in()
            _set_length(scope, len(body))
        if self.paths.answers_rpc(scope["path"]) and scope["path"] != self.paths.rpc and _is_answer(body):
            # The SDK takes it for the answer to a question of ours, and no message of it ever comes up.
            await self.accounting.limiter.charge(caller.name, kind="message", factor=CHATTER)
            self.accounting.write(self._line(scope, caller, "answer"))
        return _replay(body, receive)

    async def _read(self, headers: Headers, receive: Receive) -> bytes:
        length = headers.get("content-length", "")
        declared = int(length) if length.isdecimal() else 0
        body, tail, size, more = bytearray(), b"", 0, True
        with anyio.move_on_after(self.body_seconds) as waiting:
            while more and (not size or max(size, declared) <= self.body_bytes * READ_PAST):
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Refused(400, "disconnected", "the request ended before its body")
                chunk: bytes = message.get("body", b"")
                size += len(chunk)
                body += chunk[: self.body_bytes - len(body)]
                tail = (tail + chunk)[-END_BYTES:]
                more = message.get("more_body", False)
        if max(size, declared) > self.body_bytes:
            raise TooLarge(self.body_bytes, bytes(body), b"" if more else tail)
        if waiting.cancelled_caught:
            raise Refused(408, "slow_body", f"the request took longer than {duration(self.body_seconds)} to arrive")
        return bytes(body)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, caller: Caller) -> None:
        """Run the application. The stream of a key that was taken out ends at its next event: the client gets no more,
        and the application is told that the client has gone."""
        streaming = False
        over = anyio.Event()
        methods: list[str] = []
        scope[METHODS_KEY] = methods
        began = time.perf_counter()
        long = scope["method"] == "GET" and scope["path"] in (self.paths.mcp, self.paths.sse)

        async def watched(message: Message) -> None:
            nonlocal streaming
            if message["type"] == "http.response.start":
                streaming = Headers(raw=message["headers"]).get("content-type", "").startswith("text/event-stream")
                if not methods and (long or not streaming):
                    await self._note(scope, caller, message["status"], time.perf_counter() - began, opened=long)
            if over.is_set():
                return
            if message["type"] == "http.response.body" and streaming and self._revoked(caller):
                over.set()
                message = {"type": "http.response.body", "body": b"", "more_body": False}
            await send(message)

        await self.app(scope, _ended_by(over, receive) if long else receive, watched)
        if streaming and not long and not methods:
            # The stream of an answer begins before its message is handled.
            await self._note(scope, caller, 200, time.perf_counter() - began, opened=False)

    async def _note(self, scope: Scope, caller: Caller, status: int, seconds: float, *, opened: bool) -> None:
        """Write down a request that held no message which was: a stream that opens, figures, what is malformed. An
        accepted message (202) is written down when its turn comes; probes are not."""
        path = scope["path"]
        if path in PUBLIC_PATHS or status == 202:
            return
        line = self._line(scope, caller, "opened" if opened and status < 400 else f"http {status}", seconds)
        if status >= 400 or (self.paths.answers_rpc(path) and scope["method"] == "POST"):
            await self.accounting.limiter.count_garbage(caller.name)
            await self.accounting.refused(caller.name, line)
        else:
            self.accounting.write(line)

    def _line(self, scope: Scope, caller: Caller, outcome: str, seconds: float = 0.0) -> dict[str, Json]:
        return self.accounting.http_line(
            caller,
            peer_of(scope),
            client=Headers(scope=scope).get("user-agent", ""),
            method=f"{scope['method']} {scope['path']}",
            outcome=outcome,
            seconds=seconds,
        )

    def _revoked(self, caller: Caller) -> bool:
        return bool(self.accounting.ring) and not self.accounting.ring.holds(caller)

    async def _refuse(self, refused: Refused, scope: Scope, send: Send, caller: Caller, seconds: float) -> None:
        self.accounting.metrics.refused.labels(refused.reason).inc()
        if refused.status == 429:
            self.accounting.metrics.limited.labels(caller.name).inc()
        owner = caller.name if caller is not NOBODY else f"address {peer_of(scope)}"
        line = self._line(scope, caller, f"http {refused.status} {refused.reason}", seconds)
        if not await self.accounting.refused(owner, line) and refused.status != 429:
            refused = Refused(429, "limit", "too many refused requests; wait a minute", code=RATE_LIMITED)
            refused.headers["retry-after"] = "60"
        await answer(refused, scope, send, rpc=self.paths.answers_rpc(scope["path"]) and scope["method"] == "POST")


def credential(headers: Headers) -> str | None:
    """The key that a request carries: of `Authorization: Bearer KEY`, else of `X-API-Key: KEY`."""
    scheme, _, given = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and given.strip():
        return given.strip()
    return headers.get("x-api-key", "").strip() or None


def _is_answer(body: bytes) -> bool:
    """Whether this is what clients send to answer a question."""
    try:
        message = from_json(body)
    except ValueError:
        return False
    return isinstance(message, dict) and ("result" in message or "error" in message)


def _set_length(scope: Scope, length: int) -> None:
    others = [(name, value) for name, value in scope["headers"] if name != b"content-length"]
    scope["headers"] = [*others, (b"content-length", str(length).encode())]


def _replay(body: bytes, receive: Receive) -> Receive:
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _ended_by(over: anyio.Event, receive: Receive) -> Receive:
    """`receive` that tells of a disconnection once `over` is set."""

    async def ended() -> Message:
        got: list[Message] = []
        async with anyio.create_task_group() as tasks:

            async def wait() -> None:
                await over.wait()
                tasks.cancel_scope.cancel()

            tasks.start_soon(wait)
            got.append(await receive())
            tasks.cancel_scope.cancel()
        return got[0] if got else {"type": "http.disconnect"}

    return ended


@contextmanager
def _identity(scope: Scope, caller: Caller, key: Key | None) -> Generator[None]:
    """Tell everyone below who is asking: our own code, the SDK's sessions, Starlette."""
    scope[CALLER_KEY] = caller
    if key is None:
        with as_caller(caller):
            yield
        return
    user = AuthenticatedUser(token_of(key))
    scope["user"], scope["auth"] = user, AuthCredentials(user.scopes)
    token = auth_context_var.set(user)
    try:
        with as_caller(caller):
            yield
    finally:
        auth_context_var.reset(token)
