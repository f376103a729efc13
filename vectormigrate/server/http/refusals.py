"""Requests that go no further: why, and the answer that their client understands."""

from __future__ import annotations

import json
import re

from starlette.types import Scope, Send

from vectormigrate.figures import plural
from vectormigrate.model.schema import Json
from vectormigrate.server.access.limiter import LimitReached
from vectormigrate.server.audit.accounting import RATE_LIMITED, REFUSED_METHOD, TOO_LARGE, UNAUTHORIZED

END_BYTES = 2048
"""So much of both ends of a refused body is searched for the id."""

_MODERN = re.compile(rb'"io\.modelcontextprotocol/protocolVersion"\s*:\s*"([0-9-]{1,20})"')
"""Which protocol a message says it speaks; messages of the older one say nothing."""

_ID = r'("(?:[^"\\]|\\.){1,128}"|-?\d{1,18})'
_ID_FIRST = re.compile(rf'^\s*\{{(?:\s*"(?:jsonrpc|method)"\s*:\s*"[^"\\]{{1,64}}"\s*,)*\s*"id"\s*:\s*{_ID}\s*,')
_ID_LAST = re.compile(
    rf'[\}}\]"]\s*,(?:\s*"(?:jsonrpc|method)"\s*:\s*"[^"\\]{{1,64}}"\s*,)*\s*"id"\s*:\s*{_ID}\s*\}}\s*$'
)
_ID_BEFORE_LAST = re.compile(rf'[\}}\]"]\s*,\s*"id"\s*:\s*{_ID}\s*,\s*"jsonrpc"\s*:\s*"2\.0"\s*\}}\s*$')


class Refused(Exception):
    """A request that goes no further."""

    def __init__(self, status: int, reason: str, message: str, *, code: int = UNAUTHORIZED) -> None:
        super().__init__(message)
        self.status, self.reason, self.message, self.code = status, reason, message, code
        self.headers: dict[str, str] = {}
        self.data: Json = None
        self.message_id: Json = None


class TooLarge(Refused):
    """The body is longer than allowed. `head` and `tail` are what was read of it."""

    def __init__(self, limit: int, head: bytes, tail: bytes) -> None:
        super().__init__(413, "too_large", f"the request is longer than {plural(limit, 'byte')}", code=TOO_LARGE)
        self.message_id = id_of(head[:END_BYTES], tail)
        version = _MODERN.search(head) or _MODERN.search(tail)
        self.version = None if version is None else version[1].decode()

    def stand_in(self) -> bytes:
        """The message that has itself refused, by the protocol of the one that was too long."""
        params: dict[str, Json] = {"code": self.code, "message": self.message}
        if self.version is not None:
            prefix = "io.modelcontextprotocol"
            params["_meta"] = {f"{prefix}/protocolVersion": self.version, f"{prefix}/clientCapabilities": {}}
        message = {"jsonrpc": "2.0", "id": self.message_id, "method": REFUSED_METHOD, "params": params}
        return json.dumps(message).encode()


def id_of(head: bytes, tail: bytes) -> Json:
    """The id of a JSON-RPC request of which only both ends are known, or None. SDKs write it first or last."""
    first, last = head.decode("utf-8", "replace"), tail.decode("utf-8", "replace")
    found = _ID_FIRST.search(first) or _ID_LAST.search(last) or _ID_BEFORE_LAST.search(last)
    return None if found is None else json.loads(found[1])


def beyond(error: LimitReached) -> Refused:
    """A caller who is over a limit, with the time to wait."""
    refused = Refused(429, "limit", str(error), code=RATE_LIMITED)
    if error.retry_after is not None:
        refused.headers["retry-after"] = str(error.retry_after)
        refused.data = {"retryAfter": error.retry_after}
    return refused


def unauthorized(reason: str, message: str) -> Refused:
    """A caller without a valid key."""
    refused = Refused(401, reason, message)
    refused.headers["www-authenticate"] = 'Bearer error="invalid_token"'
    return refused


async def answer(refused: Refused, scope: Scope, send: Send, *, rpc: bool) -> None:
    """The refusal, as a JSON-RPC error where the client expects one. The connection is closed, for the rest of the body
    may still be on its way."""
    error: dict[str, Json] = {"code": refused.code, "message": refused.message}
    if refused.data is not None:
        error["data"] = refused.data
    document = {"jsonrpc": "2.0", "id": refused.message_id, "error": error} if rpc else {"error": refused.message}
    body = json.dumps(document).encode()
    headers = {
        "content-type": "application/json",
        "content-length": str(len(body)),
        "connection": "close",
        **refused.headers,
    }
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": refused.status, "headers": raw})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
