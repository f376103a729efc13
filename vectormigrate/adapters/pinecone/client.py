"""Requests to the data plane over our own HTTP client.

Not through the SDK's index client: that one retries writes by itself and cannot be made not to, shares a budget of
retries and a gate between all clients of the process, turns NaN into null, and drops the LSN of a delete. It is no
slower, but sends vectors as decimals of doubles, twice as long.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
import orjson

from vectormigrate.adapter.server_access import header_values, is_local, tls_context
from vectormigrate.adapters.pinecone.config import PineconeConfig
from vectormigrate.adapters.pinecone.errors import NAME, HttpError
from vectormigrate.errors import Unavailable

API_VERSION = "2026-07"

WRITTEN = ("x-pinecone-request-lsn", "x-pinecone-lsn-committed")
INDEXED = ("x-pinecone-max-indexed-lsn", "x-pinecone-lsn-reconciled")
"""Response headers with the LSN of a write, and the LSN up to which a query saw writes."""

MESSAGE_LENGTH = 500


@dataclass(frozen=True, slots=True)
class Reply:
    """A successful answer. `written` and `indexed` are LSNs of the request's namespace, None when not given."""

    json: Any
    written: int | None
    indexed: int | None


class Client:
    """One connection pool. Every failure is an exception that errors.py knows."""

    def __init__(self, config: PineconeConfig, key: str) -> None:
        self._key = key
        limits = httpx.Limits(max_connections=config.pool_size, max_keepalive_connections=config.pool_size)
        self._http = httpx.AsyncClient(
            headers={
                **header_values(config),
                "Api-Key": key,
                "X-Pinecone-Api-Version": API_VERSION,
                "Content-Type": "application/json",
            },
            timeout=httpx.Timeout(config.timeout, connect=config.connect_timeout, pool=None),
            limits=limits,
            verify=tls_context(config),
            proxy=config.proxy,
            trust_env=not is_local(urlsplit(config.url).hostname or ""),
        )

    async def get(self, url: str) -> Reply:
        """A read by GET; the query is part of the URL."""
        return await self._send("GET", url, None)

    async def post(self, url: str, body: Any) -> Reply:
        """`body` is JSON data, or bytes that are JSON already."""
        content = body if isinstance(body, bytes) else orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
        return await self._send("POST", url, content)

    async def delete(self, url: str) -> Reply:
        """DELETE without a body."""
        return await self._send("DELETE", url, None)

    async def _send(self, method: str, url: str, content: bytes | None) -> Reply:
        if self._http.is_closed:
            raise Unavailable("the index is closed", adapter=NAME)
        response = await self._http.request(method, url, content=content)
        if not response.is_success:
            raise self._refusal(response)
        try:
            data = orjson.loads(response.content) if response.content else {}
        except orjson.JSONDecodeError as error:
            raise Unavailable("the answer is no JSON", adapter=NAME) from error
        return Reply(data, _lsn(response.headers, WRITTEN), _lsn(response.headers, INDEXED))

    def _refusal(self, response: httpx.Response) -> HttpError:
        message, code = response.text, ""
        try:
            data = orjson.loads(response.content)
        except orjson.JSONDecodeError:
            data = None
        if isinstance(data, dict):
            inner = data.get("error")
            if isinstance(inner, dict):
                message, code = str(inner.get("message", "")), str(inner.get("code", ""))
            else:
                message = str(data.get("message") or data.get("detail") or message)
        message = self.redacted(message)[:MESSAGE_LENGTH] or response.reason_phrase
        return HttpError(response.status_code, message, code=code, retry_after=_seconds(response.headers))

    def redacted(self, text: str) -> str:
        """The text without the API key, should a server send it back."""
        return text.replace(self._key, "***") if self._key else text

    async def close(self) -> None:
        """Every later call raises Unavailable."""
        await self._http.aclose()


def _lsn(headers: httpx.Headers, names: tuple[str, ...]) -> int | None:
    text = next((headers[name] for name in names if name in headers), "")
    return int(text) if text.isdecimal() else None


def _seconds(headers: httpx.Headers) -> float | None:
    """Retry-After in seconds; a date is not read (the service sends none)."""
    text = headers.get("retry-after", "")
    return float(text) if text.isdecimal() else None


def base_url(host: str) -> str:
    """The data plane's URL from the host that the control plane names, with https unless it has another scheme."""
    url = host if "://" in host else f"https://{host}"
    parts = urlsplit(url)
    if not parts.hostname:
        raise Unavailable("the index has no host yet", adapter=NAME)
    return url.rstrip("/")
