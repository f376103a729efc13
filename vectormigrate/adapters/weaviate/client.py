"""REST and gRPC calls to a Weaviate server on connections of our own: no retries, every answer checked."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from urllib.parse import quote

import grpc
import grpc.aio
import httpx
import orjson

from vectormigrate.adapter.server_access import grpc_channel, header_values, http_options
from vectormigrate.adapters.weaviate.capabilities import OLDEST, Server, server_of
from vectormigrate.adapters.weaviate.config import WeaviateConfig
from vectormigrate.adapters.weaviate.errors import NAME, RestError, classify
from vectormigrate.errors import InvalidRequest, TimedOut, Unavailable
from vectormigrate.figures import duration
from vectormigrate.model.schema import Json

SERVICE = "/weaviate.v1.Weaviate/"

R = TypeVar("R")

AT_ONCE = 8
"""Calls that one verb makes at the same time."""


class Client:
    """`rest` and `call`; both raise Unavailable when the client is closed."""

    server: Server

    def __init__(self, http: httpx.AsyncClient, channel: grpc.aio.Channel, config: WeaviateConfig) -> None:
        self._http = http
        self._channel = channel
        self._config = config
        self._rpcs: dict[str, Any] = {}
        self._open = True
        token = config.api_key.get_secret_value() if config.api_key is not None else ""
        headers = {**header_values(config), **({"authorization": f"Bearer {token}"} if token else {})}
        self._metadata = tuple(headers.items())
        http.headers.update(headers)

    async def rest(
        self,
        method: str,
        path: str,
        body: Json = None,
        *,
        params: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Json:
        """The JSON of a 2xx answer, None for an empty one. `path` comes after `/v1` and is already quoted. Raises
        RestError or an httpx error."""
        if not self._open:
            raise Unavailable("the collection is closed", adapter=NAME)
        content = None if body is None else orjson.dumps(body)
        answer = await self._http.request(
            method,
            path,
            content=content,
            params=params,
            headers={"content-type": "application/json"} if content is not None else None,
            timeout=timeout or self._config.timeout,
        )
        if answer.is_success:
            return orjson.loads(answer.content) if answer.content else None
        raise RestError(answer.status_code, _error_text(answer), _retry_after(answer))

    async def call(self, name: str, request: Any, answer: type[R], *, timeout: float | None = None) -> R:
        """The answer of an RPC of the service. Raises grpc.RpcError."""
        if not self._open:
            raise Unavailable("the collection is closed", adapter=NAME)
        rpc = self._rpcs.get(name)
        if rpc is None:
            rpc = self._channel.unary_unary(
                SERVICE + name,
                request_serializer=type(request).SerializeToString,
                response_deserializer=answer.FromString,  # pyright: ignore[reportAttributeAccessIssue]
            )
            self._rpcs[name] = rpc
        return await rpc(request, metadata=self._metadata, timeout=timeout or self._config.timeout)

    def close(self) -> None:
        """Every later call raises Unavailable."""
        self._open = False


def _error_text(answer: httpx.Response) -> str:
    """`{"error": [{"message": …}]}`, or what else is in the body."""
    try:
        found: Any = orjson.loads(answer.content)
    except ValueError:
        return answer.text[:500]
    errors = found.get("error") if isinstance(found, dict) else None
    if isinstance(errors, list):
        return "; ".join(str(item.get("message", item)) if isinstance(item, dict) else str(item) for item in errors)
    message = found.get("message") if isinstance(found, dict) else None
    code = f"{found['errorCode']}: " if isinstance(found, dict) and "errorCode" in found else ""
    return f"{code}{message or answer.text[:500]}"


def _retry_after(answer: httpx.Response) -> float | None:
    try:
        return float(answer.headers.get("retry-after", ""))
    except ValueError:
        return None


def class_path(name: str, *rest: str) -> str:
    """`/schema/NAME/…`, quoted."""
    return "/schema/" + "/".join(quote(part, safe="") for part in (name, *rest))


@asynccontextmanager
async def connected(config: WeaviateConfig) -> AsyncGenerator[Client, None]:
    """A client of the server. Raises Unavailable when nothing answers within `connect_timeout`, on REST or on gRPC,
    AuthFailed, InvalidRequest for a server that is no Weaviate or too old."""
    address, secure = config.grpc()
    channel = grpc_channel(config, address, secure=secure)
    limits = httpx.Limits(max_connections=64, max_keepalive_connections=16)
    http = httpx.AsyncClient(base_url=config.rest(), limits=limits, **http_options(config, config.rest()))
    client = Client(http, channel, config)
    try:
        async with http:
            client.server = await _greet(client, config)
            await _check_grpc(channel, client, config, address)
            yield client
    finally:
        client.close()
        await channel.close()


async def _greet(client: Client, config: WeaviateConfig) -> Server:
    try:
        meta = await client.rest("GET", "/meta", timeout=config.connect_timeout)
    except RestError as error:
        if error.status in (404, 405, 501):
            raise InvalidRequest(
                "the url leads to a server that is no Weaviate", adapter=NAME, operation="open"
            ) from error
        raise
    except httpx.TimeoutException as error:
        message = f"no answer from {config.rest()} within {duration(config.connect_timeout)}"
        raise Unavailable(message, adapter=NAME, operation="open") from error
    except ValueError as error:
        raise InvalidRequest("the url leads to a server that is no Weaviate", adapter=NAME, operation="open") from error
    if not isinstance(meta, dict) or "version" not in meta:
        raise InvalidRequest("the url leads to a server that is no Weaviate", adapter=NAME, operation="open")
    server = server_of(str(meta["version"]), meta.get("grpcMaxMessageSize"))
    if server.version < OLDEST:
        message = f"{server.label} is too old; 1.27 and later are known to work"
        raise InvalidRequest(message, adapter=NAME, operation="open")
    return server


async def _check_grpc(channel: grpc.aio.Channel, client: Client, config: WeaviateConfig, address: str) -> None:
    """One call of the standard health service; its answer `1` is SERVING."""
    check = channel.unary_unary("/grpc.health.v1.Health/Check")
    hint = f"gRPC at {address}: set grpc_port or grpc_url if it is elsewhere"
    try:
        answer: Any = await check(b"", timeout=config.connect_timeout, metadata=client._metadata)
    except grpc.RpcError as error:
        ours = _grpc_failure(error, hint)
        raise ours from error
    if answer != b"\x08\x01":
        raise Unavailable(f"the server is not serving yet; {hint}", adapter=NAME, operation="open")


def _grpc_failure(error: grpc.RpcError, hint: str) -> Exception:
    ours = classify(error, "open")
    if isinstance(ours, Unavailable | TimedOut) or ours is None:
        return Unavailable(f"{ours or error}; {hint}", adapter=NAME)
    return ours
