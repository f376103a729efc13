"""Pages of other origins: what a browser asks before it sends a request, and what lets a page read the answer."""

from __future__ import annotations

import re

from starlette.datastructures import Headers
from starlette.types import Message, Scope, Send

_HEADERS = re.compile(r"[A-Za-z0-9, _-]{0,1000}")
"""Names of headers that a page may ask to send."""


def is_preflight(scope: Scope) -> bool:
    """Whether a browser asks if a page may send what it is about to send; it shows no key with that."""
    return scope["method"] == "OPTIONS" and "access-control-request-method" in Headers(scope=scope)


async def allow(scope: Scope, send: Send) -> None:
    """Answer a preflight request: any origin that came so far may send what it asks for."""
    wanted = Headers(scope=scope).get("access-control-request-headers", "")
    headers = {
        "access-control-allow-methods": "GET, POST, DELETE",
        "access-control-allow-headers": wanted if _HEADERS.fullmatch(wanted) else "authorization, content-type",
        "access-control-max-age": "600",
    }
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": 204, "headers": raw})
    await send({"type": "http.response.body", "body": b""})


def shared_with(send: Send, origin: str) -> Send:
    """`send` that lets pages of this origin read the answer."""
    extra = [
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-expose-headers", b"mcp-session-id, www-authenticate, retry-after"),
        (b"vary", b"origin"),
    ]

    async def shared(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *extra]}
        await send(message)

    return shared
