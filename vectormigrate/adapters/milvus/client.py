"""Unary calls to a Milvus server on a channel of our own: no SDK retries, every status checked."""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import grpc
import grpc.aio

from vectormigrate.adapter.server_access import grpc_channel, header_values
from vectormigrate.adapters.milvus.capabilities import Server, server_of
from vectormigrate.adapters.milvus.config import DEFAULT_DATABASE, MilvusConfig
from vectormigrate.adapters.milvus.errors import NAME, StatusError, classify
from vectormigrate.adapters.milvus.proto import cp, pb
from vectormigrate.errors import InvalidRequest, TimedOut, Unavailable
from vectormigrate.figures import duration

SERVICE = "/milvus.proto.milvus.MilvusService/"

R = TypeVar("R")


class Client:
    """Calls by message: `call(pb.QueryRequest(...), pb.QueryResults)` is the RPC `Query`."""

    def __init__(self, channel: grpc.aio.Channel, config: MilvusConfig) -> None:
        self._channel = channel
        self._timeout = config.timeout
        self._rpcs: dict[str, Any] = {}
        self._open = True
        self._metadata = list(header_values(config).items())
        if config.database_name() != DEFAULT_DATABASE:
            self._metadata.append(("dbname", config.database_name()))
        token = config.token()
        if token is not None:
            self._metadata.append(("authorization", base64.b64encode(token.encode()).decode()))

    async def call(self, request: Any, answer: type[R], *, timeout: float | None = None) -> R:
        """The answer, which is a success. Raises StatusError or grpc.RpcError (see errors.py), Unavailable when the
        client is closed."""
        if not self._open:
            raise Unavailable("the collection is closed", adapter=NAME)
        name = type(request).__name__.removesuffix("Request")
        rpc = self._rpcs.get(name)
        if rpc is None:
            rpc = self._channel.unary_unary(
                SERVICE + name,
                request_serializer=type(request).SerializeToString,
                response_deserializer=answer.FromString,  # pyright: ignore[reportAttributeAccessIssue]
            )
            self._rpcs[name] = rpc
        result: Any = await rpc(request, metadata=self._metadata, timeout=timeout or self._timeout)
        status = result if isinstance(result, cp.Status) else result.status
        if status.code or status.error_code:
            raise StatusError(status.code, int(status.error_code), status.reason, status.retriable)
        return result  # pyright: ignore[reportReturnType]

    async def server(self, timeout: float) -> Server:
        """Ask who is there. Raises Unavailable, AuthFailed, and InvalidRequest when it is no Milvus."""
        mode = tags = ""
        try:
            request = pb.ConnectRequest(client_info=cp.ClientInfo(sdk_type="vectormigrate"))
            hello = (await self.call(request, pb.ConnectResponse, timeout=timeout)).server_info
            mode, tags = hello.deploy_mode, hello.build_tags
        except grpc.RpcError as error:
            if not unimplemented(error):
                raise
        try:
            version = (await self.call(pb.GetVersionRequest(), pb.GetVersionResponse, timeout=timeout)).version
        except grpc.RpcError as error:
            if not unimplemented(error):
                raise
            message = "the url leads to a server that is no Milvus"
            raise InvalidRequest(message, adapter=NAME, operation="open") from error
        return server_of(version, mode, tags)

    async def databases(self, timeout: float) -> list[str]:
        """Names of the databases; empty where the server has none."""
        try:
            answer = await self.call(pb.ListDatabasesRequest(), pb.ListDatabasesResponse, timeout=timeout)
        except grpc.RpcError as error:
            if not unimplemented(error):
                raise
            return []
        return list(answer.db_names)

    def close(self) -> None:
        """Every later call raises Unavailable."""
        self._open = False


def unimplemented(error: grpc.RpcError) -> bool:
    """Whether the server does not know the call."""
    return getattr(error, "code", lambda: None)() is grpc.StatusCode.UNIMPLEMENTED


def denied(error: grpc.RpcError) -> bool:
    """Whether the user lacks the right to this call."""
    return getattr(error, "code", lambda: None)() is grpc.StatusCode.PERMISSION_DENIED


@asynccontextmanager
async def connected(config: MilvusConfig, address: str) -> AsyncGenerator[tuple[Client, Server], None]:
    """A client of the server at `address`, and who answered. Raises Unavailable when nothing answers within
    `connect_timeout`, AuthFailed, InvalidRequest for an unknown database."""
    channel = grpc_channel(config, address, secure=config.secure)
    client = Client(channel, config)
    try:
        try:
            server = await client.server(config.connect_timeout)
        except grpc.RpcError as error:
            if not isinstance(classify(error, "open"), TimedOut):
                raise
            message = f"no answer from {address} within {duration(config.connect_timeout)}"
            raise Unavailable(message, adapter=NAME, operation="open") from error
        wanted = config.database_name()
        if wanted != DEFAULT_DATABASE and wanted not in (known := await client.databases(config.connect_timeout)):
            message = f"no database {wanted!r} at {address}; it has: {', '.join(sorted(known)) or 'none'}"
            raise InvalidRequest(message, adapter=NAME, operation="open")
        yield client, server
    finally:
        client.close()
        await channel.close()
