"""The gateway's own HTTP pages: the authority, marks, health, metrics. Not for the application's database traffic."""

from __future__ import annotations

import hmac
from collections.abc import AsyncGenerator, Callable
from typing import Any

import anyio
import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from vectormigrate.capture.gateway.marks import Marks
from vectormigrate.capture.gateway.messages import Refusal
from vectormigrate.errors import ConfigError, JournalError
from vectormigrate.figures import counted
from vectormigrate.model.live import Authority, GatewayInfo

LONGEST_WAIT = 60.0
LARGEST_BODY = 4 * 2**20
LOOK_SECONDS = 0.05
SILENCE_SECONDS = 15.0
"""After which a stream sends a comment, so that what is between keeps it open."""


class Pages:
    """`authority`, `info`, `healthy` and `holding` (writes that are held) give what is true now. `ending`:
    the gateway stops, so nobody waits for an answer any longer. `token`: what callers must show, empty for none."""

    def __init__(
        self,
        authority: Callable[[], Authority],
        info: Callable[[], GatewayInfo],
        healthy: Callable[[], bool],
        holding: Callable[[], int],
        ending: Callable[[], bool],
        marks: Marks,
        token: str,
    ) -> None:
        self._authority = authority
        self._info = info
        self._healthy = healthy
        self._holding = holding
        self._ending = ending
        self._marks = marks
        self._token = token

    def app(self) -> Starlette:
        """As an ASGI application."""
        return Starlette(
            routes=[
                Route("/authority", self._guarded(self._show_authority), methods=["GET"]),
                Route("/intents", self._guarded(self._open), methods=["POST"]),
                Route("/intents/{token}/close", self._guarded(self._close), methods=["POST"]),
                Route("/health", self._health, methods=["GET"]),
                Route("/metrics", self._guarded(self._metrics), methods=["GET"]),
            ]
        )

    def _guarded(self, page: Callable[[Request], Any]) -> Callable[[Request], Any]:
        async def guarded(request: Request) -> Response:
            given = request.headers.get("authorization", "").encode()
            if self._token and not hmac.compare_digest(given, f"Bearer {self._token}".encode()):
                return JSONResponse({"error": "the token is missing or wrong"}, 401)
            # A page of another origin that a person has open in a browser here is nobody who may mark or look.
            if "origin" in request.headers:
                return JSONResponse({"error": "not for web pages"}, 403)
            try:
                return await page(request)
            except ConfigError as error:
                return JSONResponse({"error": str(error)}, 400)
            except JournalError as error:
                return JSONResponse({"error": str(error)}, 503, {"retry-after": "1"})

        return guarded

    async def _show_authority(self, request: Request) -> Response:
        if "text/event-stream" in request.headers.get("accept", ""):
            return StreamingResponse(self._events(), media_type="text/event-stream")
        after, wait = request.query_params.get("after"), request.query_params.get("wait", "0")
        try:
            epoch = None if after is None else int(after)
            seconds = min(LONGEST_WAIT, max(0.0, float(wait)))
        except ValueError:
            raise ConfigError("after is an epoch, wait are seconds") from None
        with anyio.move_on_after(seconds):
            while epoch is not None and self._authority().epoch <= epoch and not self._ending():  # noqa: ASYNC110
                await anyio.sleep(LOOK_SECONDS)  # a file says so, not an event
        return JSONResponse(self._authority().to_json(), headers={"cache-control": "no-store"})

    async def _events(self) -> AsyncGenerator[bytes]:
        shown: tuple[int, str, str] | None = None
        silent = 0.0
        while not self._ending():
            now = self._authority()
            if (now.epoch, now.side, now.writes) != shown:
                shown, silent = (now.epoch, now.side, now.writes), 0.0
                yield b"event: authority\nid: %d\ndata: %s\n\n" % (now.epoch, orjson.dumps(now.to_json()))
            await anyio.sleep(LOOK_SECONDS)
            silent += LOOK_SECONDS
            if silent > SILENCE_SECONDS:
                silent = 0.0
                yield b": still there\n\n"

    async def _open(self, request: Request) -> Response:
        token = await self._marks.open(await _json(request))
        if isinstance(token, Refusal):
            now = self._authority()
            headers = {"retry-after": str(token.retry_after)} if token.retry_after else {}
            epoch = now.epoch if token.epoch is None else token.epoch
            return JSONResponse({"error": token.text, "epoch": epoch}, token.status, headers)
        return JSONResponse({"token": token}, 201)

    async def _close(self, request: Request) -> Response:
        body = await _json(request)
        definite = body.get("definite", True) if isinstance(body, dict) else None
        if not isinstance(definite, bool):
            raise ConfigError('the body is {"definite": true}, or false when the outcome is not known')
        if not self._marks.close(request.path_params["token"], definite=definite):
            return JSONResponse({"error": "no such token"}, 404)
        return JSONResponse({"closed": True})

    async def _health(self, request: Request) -> Response:
        healthy = self._healthy()
        return JSONResponse({"healthy": healthy}, 200 if healthy else 503)

    async def _metrics(self, request: Request) -> Response:
        try:
            from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
        except ImportError:
            return JSONResponse({"error": "the package prometheus-client is not installed"}, 501)
        return Response(metrics(self._info(), self._authority(), self._holding()), media_type=CONTENT_TYPE_PLAIN_0_0_4)


async def _json(request: Request) -> Any:
    if int(request.headers.get("content-length") or 0) > LARGEST_BODY:
        raise ConfigError(f"the body has more than {counted(LARGEST_BODY)} bytes")
    content = b""
    async for chunk in request.stream():
        content += chunk
        if len(content) > LARGEST_BODY:
            raise ConfigError(f"the body has more than {counted(LARGEST_BODY)} bytes")
    try:
        return orjson.loads(content or b"{}")
    except ValueError:
        raise ConfigError("the body is no JSON") from None


def metrics(info: GatewayInfo, authority: Authority, holding: int) -> bytes:
    """What this process knows, for Prometheus."""
    from prometheus_client import CollectorRegistry, Gauge, generate_latest

    registry = CollectorRegistry()
    values: dict[str, tuple[str, float | None]] = {
        "admitted_writes_total": ("Writes that were noted and forwarded.", info.admitted),
        "refused_writes_total": ("Writes that were refused.", info.refused),
        "write_rate": ("Noted writes per second.", info.writes_per_second),
        "gateway_added_ms_p50": ("Milliseconds that this process adds to a write, median.", info.added_ms_p50),
        "gateway_added_ms_p99": ("Milliseconds that this process adds to a write, 99th percentile.", info.added_ms_p99),
        "journal_fsync_ms_p99": ("Milliseconds of a transaction of the journal, 99th percentile.", info.journal_ms_p99),
        "gateway_held_longest_ms": ("Longest time that a write was held.", info.held_longest_ms),
        "held_writes": ("Writes that are held now.", holding),
        "authority_epoch": ("Grows with every switch.", authority.epoch),
        "authority_is_target": ("1 while the target has the authority.", authority.side == "target"),
        "writes_held": ("1 while writes are held.", authority.writes == "held"),
    }
    for name, (text, value) in values.items():
        if value is not None:
            gauge = Gauge(f"vectormigrate_live_{name}", text, ["migration"], registry=registry)
            gauge.labels(authority.migration_id).set(value)
    return generate_latest(registry)
