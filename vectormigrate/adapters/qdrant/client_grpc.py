"""Unary gRPC calls on channels of our own: no SDK retries, no compression unless wanted, one connection per channel."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from itertools import cycle
from typing import Any, TypeVar

import anyio
import grpc
import grpc.aio

from vectormigrate.adapter.server_access import grpc_channel, header_values
from vectormigrate.adapters.qdrant.config import QdrantConfig
from vectormigrate.adapters.qdrant.errors import NAME
from vectormigrate.adapters.qdrant.proto import qd
from vectormigrate.errors import Unavailable

SERVICE = "/qdrant.{}/{}"

NO_COMPRESSION = ("grpc.compression_enabled_algorithms_bitset", 1)
"""Else Python asks for gzip, which costs the server 0.1 ms per vector."""

R = TypeVar("R")


class Channels:
    """Calls of the services `qdrant.Points` and `qdrant.Collections`, spread over the connections."""

    def __init__(self, channels: list[grpc.aio.Channel], config: QdrantConfig) -> None:
        self._next = cycle(range(len(channels)))
        self._channels = channels
        self._timeout = config.timeout
        self._rpcs: list[dict[str, Any]] = [{} for _ in channels]
        self._open = True
        key = {"api-key": config.api_key.get_secret_value()} if config.api_key else {}
        self._metadata = tuple({**header_values(config), **key}.items())

    async def raw(self, name: str, request: Any, *, service: str = "Points") -> bytes:
        """The answer as it came. Raises grpc.RpcError (see errors.py), Unavailable when closed."""
        if not self._open:
            raise Unavailable("the collection is closed", adapter=NAME)
        number = next(self._next)
        path = SERVICE.format(service, name)
        rpc = self._rpcs[number].get(path)
        if rpc is None:
            rpc = self._channels[number].unary_unary(path, request_serializer=_serialised)
            self._rpcs[number][path] = rpc
        return await rpc(request, metadata=self._metadata, timeout=self._timeout)

    async def call(self, name: str, request: Any, answer: type[R], *, service: str = "Points") -> R:
        """The answer as a message."""
        return answer.FromString(await self.raw(name, request, service=service))  # pyright: ignore[reportAttributeAccessIssue]

    def close(self) -> None:
        """Every later call raises Unavailable."""
        self._open = False


def _serialised(message: Any) -> bytes:
    return message if isinstance(message, bytes) else message.SerializeToString()


async def answers(channel: grpc.aio.Channel, seconds: float, metadata: Sequence[tuple[str, str]] = ()) -> bool:
    """Whether a Qdrant answers there in time; not being let in is an answer too."""
    rpc: Any = channel.unary_unary(
        "/qdrant.Qdrant/HealthCheck",
        request_serializer=qd.HealthCheckRequest.SerializeToString,
        response_deserializer=qd.HealthCheckReply.FromString,
    )
    try:
        with anyio.move_on_after(seconds):
            await rpc(qd.HealthCheckRequest(), metadata=tuple(metadata), timeout=seconds)
            return True
    except grpc.RpcError as error:
        code: Any = getattr(error, "code", lambda: None)()
        return code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
    return False


def _channel(config: QdrantConfig) -> grpc.aio.Channel:
    options = () if config.compression else (NO_COMPRESSION,)
    return grpc_channel(config, config.grpc_address(), secure=config.secure, options=options)


@asynccontextmanager
async def connected(config: QdrantConfig) -> AsyncGenerator[Channels | None, None]:
    """The connections, None when nothing answers on the gRPC port."""
    channels = [_channel(config)]
    try:
        seconds = min(config.connect_timeout, config.timeout)
        if not await answers(channels[0], seconds, tuple(header_values(config).items())):
            yield None
            return
        channels += [_channel(config) for _ in range(config.channels - 1)]
        found = Channels(channels, config)
        try:
            yield found
        finally:
            found.close()
    finally:
        for channel in channels:
            await channel.close()
