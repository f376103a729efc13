"""Calls of the REST interface: raw JSON in and out, because the client's models drop fields that they do not know."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import httpx
import orjson

from vectormigrate.adapter.server_access import header_values, http_options
from vectormigrate.adapters.qdrant.config import QdrantConfig
from vectormigrate.adapters.qdrant.errors import NAME, HttpError, seconds
from vectormigrate.errors import InvalidRequest, Unavailable

JSON_OPTIONS = orjson.OPT_SERIALIZE_NUMPY


def segment(text: str) -> str:
    """A part of a path."""
    return quote(text, safe="")


class Rest:
    """`call("GET", "/collections/c")` is the `result` of the answer."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self._open = True

    async def call(
        self, method: str, path: str, body: Any = None, params: Mapping[str, str | int] | None = None, **extra: Any
    ) -> Any:
        """The result. Raises HttpError, httpx errors (see errors.py), Unavailable when closed. `extra`: of httpx."""
        content = body if body is None or isinstance(body, bytes) else orjson.dumps(body, option=JSON_OPTIONS)
        answer = await self._send(method, path, content, params, **extra)
        return answer["result"]

    async def hello(self, timeout: float) -> str:
        """The server's version. Raises InvalidRequest when it is no Qdrant."""
        try:
            answer = await self._send("GET", "/", None, None, timeout=timeout)
        except HttpError as error:
            if error.status in (401, 403, 408, 429) or error.status >= 500:
                raise
            answer: dict[str, Any] = {}
        if "qdrant" not in str(answer.get("title", "")).lower() or not isinstance(answer.get("version"), str):
            message = "the url leads to a server that is no Qdrant"
            raise InvalidRequest(message, adapter=NAME, operation="open")
        return answer["version"]

    async def _send(
        self, method: str, path: str, content: bytes | None, params: Mapping[str, str | int] | None, **extra: Any
    ) -> dict[str, Any]:
        if not self._open:
            raise Unavailable("the collection is closed", adapter=NAME)
        headers = {"content-type": "application/json"} if content is not None else {}
        answer = await self._client.request(method, path, content=content, params=params, headers=headers, **extra)
        if answer.is_success:
            data = _json(answer.content)
            if isinstance(data, dict):
                return data
            message = "the url leads to a server that is no Qdrant"
            raise InvalidRequest(message, adapter=NAME)
        raise HttpError(answer.status_code, _reason(answer.content), seconds(answer.headers.get("retry-after")))

    def close(self) -> None:
        """Every later call raises Unavailable."""
        self._open = False


def _json(content: bytes) -> Any:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        return None


def _reason(content: bytes) -> str:
    """The error text of an answer: Qdrant's JSON, or the start of whatever a proxy says."""
    data = _json(content)
    if isinstance(data, dict):
        status = data.get("status")
        if isinstance(status, dict) and "error" in status:
            return str(status["error"])
    return content[:300].decode(errors="replace").strip() or "no details"


@asynccontextmanager
async def connected(config: QdrantConfig) -> AsyncGenerator[Rest, None]:
    """A client of the REST interface."""
    headers = header_values(config)
    if not config.compression:
        headers["accept-encoding"] = "identity"
    if config.api_key is not None:
        headers["api-key"] = config.api_key.get_secret_value()
    timeout = httpx.Timeout(config.timeout, connect=config.connect_timeout, pool=None)
    async with httpx.AsyncClient(
        base_url=config.base(),
        headers=headers,
        timeout=timeout,
        limits=httpx.Limits(max_connections=config.channels * 2, max_keepalive_connections=config.channels * 2),
        **http_options(config, config.base()),
    ) as client:
        rest = Rest(client)
        try:
            yield rest
        finally:
            rest.close()
