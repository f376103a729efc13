"""What happens around every request, whatever way it came: the limit is charged, a line is written to the audit log,
the outcome is counted. The MCP transports come here through `mcp_middleware`, `POST /` calls `handle` itself.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import anyio
from mcp import MCPError
from mcp.server.context import CallNext, HandlerResult, ServerMiddleware, ServerRequestContext

from vectormigrate.config.redaction import MASK, clipped, masked
from vectormigrate.errors import VectorMigrateError
from vectormigrate.model.clock import utc_text
from vectormigrate.model.schema import Json
from vectormigrate.server.access.auth import LOCAL, NOBODY, Caller, Forbidden, KeyRing, as_caller
from vectormigrate.server.access.limiter import CHATTER, Limiter, LimitReached
from vectormigrate.server.access.sessions import Sessions
from vectormigrate.server.audit.log import AuditLog, AuditUnwritable
from vectormigrate.server.telemetry.metrics import Metrics

CALLER_KEY = "vectormigrate.caller"
"""Where guard.py leaves the caller in the ASGI scope of a request, for the messages in its body."""

REFUSED_METHOD = "vectormigrate/refused"
"""What guard.py puts in the place of a message that it had to refuse on a transport that answers elsewhere."""

CALLS = frozenset({"tools/call", "resources/read", "prompts/get", "completion/complete", "subscriptions/listen"})
"""Methods that count against the limit of calls."""

CHATTER_METHODS = frozenset(
    {
        *("initialize", "server/discover", "ping", "logging/setLevel", "tools/list", "resources/list", "prompts/list"),
        *("resources/templates/list", "resources/subscribe", "resources/unsubscribe", REFUSED_METHOD),
    }
)

RATE_LIMITED, UNAUTHORIZED, FORBIDDEN, TOO_LARGE, UNAVAILABLE = -32000, -32001, -32003, -32004, -32005
"""Codes of JSON-RPC errors, in the range that is left to servers."""

LINES_KEPT = 1000
"""Audit lines kept in memory while the log cannot be written; meanwhile no request is served, so few ever wait."""

T = TypeVar("T")

BEGAN = "began"
"""The outcome of a call in the line that is written before it is carried out."""

METHODS_KEY = "vectormigrate.methods"
"""Where a list in the ASGI scope of a request notes that its messages were written down."""

_WORDS = (re.compile(r"[^\s/?#&=:;,\"'()<>]{8,}"), re.compile(r"[\w.~+-]{8,}"))
"""What may be a key within a longer text."""

_MIGRATION_URI = re.compile(r"migration://([A-Za-z0-9._-]{1,64})(/|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbound:
    """One request. For a call of a tool `method` is `tools/call` and `params` hold `name` and `arguments`."""

    caller: Caller
    method: str
    params: Mapping[str, Json] = field(default_factory=dict[str, Json])
    client: str = ""
    peer: str = ""

    @property
    def tool(self) -> str | None:
        """Name of the called tool, as the caller wrote it."""
        name = self.params.get("name")
        return name if self.method == "tools/call" and isinstance(name, str) else None

    @property
    def arguments(self) -> Mapping[str, Json]:
        """Arguments of the call; for other methods the parameters without the envelope."""
        if self.method == "tools/call":
            given = self.params.get("arguments")
            return cast("Mapping[str, Json]", given) if isinstance(given, Mapping) else {}
        return {key: value for key, value in self.params.items() if key not in ("_meta", "capabilities")}


def failure_of(error: VectorMigrateError) -> tuple[int, str, Json]:
    """Code, message and data of the JSON-RPC error for a request that was refused."""
    match error:
        case LimitReached():
            return RATE_LIMITED, str(error), None if error.retry_after is None else {"retryAfter": error.retry_after}
        case Forbidden():
            return FORBIDDEN, str(error), None
        case _:
            return UNAVAILABLE, str(error), None


class Accounting:
    """Shared by all transports of one process. `ring`, `limiter`, `metrics`, `audit` may be used on their own too."""

    def __init__(
        self,
        *,
        ring: KeyRing | None = None,
        limiter: Limiter | None = None,
        metrics: Metrics | None = None,
        audit: AuditLog | None = None,
        sessions: Sessions | None = None,
        arguments_of: Callable[[str], frozenset[str] | None] = lambda _: None,
    ) -> None:
        """`arguments_of` names the arguments that a tool knows; the audit log shows the values of no others."""
        self.ring = ring or KeyRing()
        self.limiter = limiter or Limiter()
        self.metrics = metrics or Metrics()
        self.audit = audit
        self.sessions = sessions or Sessions()
        self.arguments_of = arguments_of
        self._unwritten: deque[Mapping[str, Json]] = deque(maxlen=LINES_KEPT)

    async def handle(
        self,
        inbound: Inbound,
        run: Callable[[], Awaitable[T]],
        outcome_of: Callable[[T], str] = lambda _: "ok",
    ) -> T:
        """Run a request as its caller, within their limits, and write down how it went. `outcome_of` returns the
        outcome from the result: `ok` or `tool_error`.

        Raises LimitReached; AuditUnwritable, which refuses every request until the log can be written again; and what
        `run` raises.
        """
        began = time.perf_counter()
        outcome, result = "error", None
        try:
            self._require_audit()
            await self._charge(inbound)
            if inbound.method == "tools/call":
                self._begin(inbound)
            with as_caller(inbound.caller), self._stream(inbound):
                result = await run()
            outcome = outcome_of(result)
            return result
        except LimitReached:
            outcome = "rate_limited"
            self.metrics.limited.labels(inbound.caller.name).inc()
            raise
        except MCPError as error:
            outcome = f"rpc {error.error.code}"
            raise
        except VectorMigrateError as error:
            outcome = f"refused {type(error).__name__}"
            raise
        except anyio.get_cancelled_exc_class():
            outcome = "cancelled"
            raise
        finally:
            seconds = time.perf_counter() - began
            self._count(inbound, outcome, seconds)
            self.write(self._line(inbound, outcome, seconds, result))

    def _begin(self, inbound: Inbound) -> None:
        """Write down what is about to be done, for a kill during it. Raises AuditUnwritable: then it is not done."""
        if self.audit is None:
            return
        try:
            self.audit.append(self._line(inbound, BEGAN, 0.0, None))
        except AuditUnwritable:
            self.metrics.audit_failures.inc()
            raise
        self.metrics.audit_lines.inc()

    async def _charge(self, inbound: Inbound) -> None:
        if inbound.method in CALLS:
            await self.limiter.charge(inbound.caller.name)
        else:
            await self.limiter.charge(inbound.caller.name, kind="message", factor=CHATTER)

    def _stream(self, inbound: Inbound) -> AbstractContextManager[None]:
        return self.open_stream(inbound.caller) if inbound.method == "subscriptions/listen" else nullcontext()

    def open_stream(self, caller: Caller) -> AbstractContextManager[None]:
        """Hold a stream of this caller open. Raises LimitReached on entering."""
        return _Stream(self.limiter.stream(caller.name), self.metrics)

    def _require_audit(self) -> None:
        while self._unwritten and self.audit is not None:
            try:
                self.audit.append(self._unwritten[0])
            except AuditUnwritable:
                self.metrics.audit_failures.inc()
                raise
            self.metrics.audit_lines.inc()
            self._unwritten.popleft()

    @property
    def audit_is_written(self) -> bool:
        """Whether nothing waits for the audit log to become writable."""
        return not self._unwritten

    def write(self, line: Mapping[str, Json]) -> None:
        """Write an audit line; one that cannot be written is kept and stops the service until it can."""
        if self.audit is None:
            return
        try:
            self.audit.append(line)
            self.metrics.audit_lines.inc()
        except AuditUnwritable:
            self.metrics.audit_failures.inc()
            self._unwritten.append(line)

    async def refused(self, owner: str, line: Mapping[str, Json]) -> bool:
        """Write down that a request of this caller or address was refused; False when it had too many of them, which
        are counted only: a flood must not fill the disk."""
        if not await self.limiter.refusable(owner):
            return False
        self.write(line)
        return True

    async def connection_refused(self, peer: str, reason: str) -> None:
        """Count and write down that a connection was not accepted."""
        self.metrics.refused.labels(reason).inc()
        await self.refused(f"address {peer}", self.http_line(NOBODY, peer, outcome=f"refused {reason}"))

    def http_line(
        self,
        caller: Caller,
        peer: str,
        *,
        client: str = "",
        method: str = "",
        outcome: str,
        seconds: float = 0.0,
    ) -> dict[str, Json]:
        """The audit line of what reached the port and was no call."""
        return {
            "time": utc_text(),
            "key": caller.name,
            "fingerprint": caller.fingerprint,
            "peer": peer,
            "transport": caller.transport,
            "client": self._clip(client),
            "method": self._clip(method),
            "tool": None,
            "migration": None,
            "arguments": {},
            "outcome": outcome,
            "ms": round(seconds * 1000, 1),
        }

    def _clip(self, text: str, longest: int = 100) -> str:
        return clipped(self._hide(text[: 4 * longest]), longest)

    def _hide(self, text: str) -> str:
        """The text without valid keys, which callers put in the strangest places."""
        if self.ring.find(text) is not None:
            return MASK
        for words in _WORDS:
            text = words.sub(lambda found: MASK if self.ring.find(found[0]) is not None else found[0], text)
        return text

    def _count(self, inbound: Inbound, outcome: str, seconds: float) -> None:
        if inbound.tool is not None:
            tool = self.metrics.tool_label(inbound.tool)
            self.metrics.calls.labels(tool, inbound.caller.transport, outcome.split(" ")[0]).inc()
            self.metrics.seconds.labels(tool).observe(seconds)
        else:
            method = inbound.method if inbound.method in CALLS | CHATTER_METHODS else "other"
            self.metrics.messages.labels(method, inbound.caller.transport, outcome.split(" ")[0]).inc()

    def _line(self, inbound: Inbound, outcome: str, seconds: float, result: object) -> dict[str, Json]:
        return {
            "time": utc_text(),
            "key": inbound.caller.name,
            "fingerprint": inbound.caller.fingerprint,
            "peer": inbound.peer,
            "transport": inbound.caller.transport,
            "client": self._clip(inbound.client),
            "method": self._clip(inbound.method),
            "tool": None if inbound.tool is None else self._clip(inbound.tool),
            "migration": None if (name := migration_of(inbound, result)) is None else self._clip(name, 64),
            "arguments": self._shown(inbound),
            "outcome": outcome,
            "ms": round(seconds * 1000, 1),
        }

    def _shown(self, inbound: Inbound) -> Json:
        arguments = inbound.arguments
        known = self.arguments_of(inbound.tool) if inbound.tool is not None else None
        kept = {key: value for key, value in arguments.items() if known is None or key in known}
        shown = masked(kept, secret=lambda text: self.ring.find(text) is not None, hide=self._hide)
        return {**shown, "…": f"({len(arguments) - len(kept)} unknown)"} if len(kept) < len(arguments) else shown


class _Stream(AbstractContextManager[None]):
    def __init__(self, slot: AbstractContextManager[None], metrics: Metrics) -> None:
        self._slot, self._metrics = slot, metrics

    def __enter__(self) -> None:
        self._slot.__enter__()
        self._metrics.streams.inc()

    def __exit__(self, *problem: Any) -> None:
        self._metrics.streams.dec()
        self._slot.__exit__(*problem)


def migration_of(inbound: Inbound, result: object) -> str | None:
    """The migration that a request was about: named by an argument, by the URI of a resource, or by the answer."""
    answer: object = result.get("structuredContent") if isinstance(result, Mapping) else None
    for place in (inbound.arguments, answer):
        if isinstance(place, Mapping):
            found = cast("Mapping[str, Json]", place).get("migration_id")
            if isinstance(found, str):
                return found[:64]
    uri = inbound.arguments.get("uri")
    match = _MIGRATION_URI.match(uri) if isinstance(uri, str) else None
    return match[1] if match and match[1] != "index" else None


def mcp_middleware(accounting: Accounting, *, local: bool) -> ServerMiddleware[Any]:
    """The middleware for `MCPServer.middleware.insert(0, …)`: `handle` around each message. `local` means that the
    server speaks over stdio (or in memory), where a message without an HTTP request comes from who started the process;
    on an HTTP server it comes from nobody."""

    async def guard(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        caller = _caller_of(ctx, local)
        notification = ctx.request_id is None
        if caller is NOBODY:
            if notification:
                return None
            raise MCPError(code=UNAUTHORIZED, message="a valid API key is needed")
        if ctx.request is not None:
            ctx.request.scope.get(METHODS_KEY, []).append(ctx.method)
        if ctx.method == REFUSED_METHOD:
            raise _refusal(ctx.params)
        inbound = Inbound(
            caller=caller,
            method=ctx.method,
            params=ctx.params or {},
            client=_client_of(ctx),
            peer=ctx.request.client.host if ctx.request is not None and ctx.request.client else "",
        )
        try:
            return await accounting.handle(inbound, lambda: call_next(ctx), _outcome)
        except VectorMigrateError as error:
            if notification:
                # It is written down as refused, and has no answer.
                return None
            code, message, data = failure_of(error)
            raise MCPError(code=code, message=message, data=data) from None

    return guard


def _caller_of(ctx: ServerRequestContext[Any, Any], local: bool) -> Caller:
    if ctx.request is None:
        return LOCAL if local else NOBODY
    return cast("Caller", ctx.request.scope.get(CALLER_KEY, NOBODY))


def _client_of(ctx: ServerRequestContext[Any, Any]) -> str:
    params = ctx.session.client_params
    return f"{params.client_info.name} {params.client_info.version}" if params else ""


def _outcome(result: object) -> str:
    return "tool_error" if isinstance(result, Mapping) and cast("Mapping[str, Any]", result).get("isError") else "ok"


def _refusal(params: Mapping[str, Any] | None) -> MCPError:
    given = params or {}
    code, message = given.get("code"), given.get("message")
    return MCPError(
        code=code if isinstance(code, int) else TOO_LARGE, message=message if isinstance(message, str) else "refused"
    )


@asynccontextmanager
async def closing(accounting: Accounting) -> AsyncGenerator[Accounting]:
    """The accounting for the time of the server; the audit log is closed at the end."""
    try:
        yield accounting
    finally:
        if accounting.audit is not None:
            accounting.audit.close()
