"""Answers Envoy's questions on a socket of the file system."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc

from vectormigrate.capture.gateway.admission import Admissions, Collection
from vectormigrate.capture.gateway.envoy_config import PORT_HEADER
from vectormigrate.capture.gateway.exchange import Exchange
from vectormigrate.capture.gateway.messages import passes, pb
from vectormigrate.capture.gateway.protocol import SERVICE

_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.so_reuseport", 0),
]


@asynccontextmanager
async def serve_questions(
    socket: Path, admissions: Admissions, collections: Mapping[str, Collection], nonce: str
) -> AsyncGenerator[None]:
    """Serve while the context is open. `collections` by the name of the port. A socket that an earlier process left is
    replaced."""
    let_through = passes(nonce)

    async def process(messages: Any, context: Any) -> AsyncGenerator[bytes]:
        port = dict(context.invocation_metadata())[PORT_HEADER]
        exchange = Exchange(admissions, collections[port], let_through)
        async for answer in exchange.run(aiter(messages)):
            yield answer

    handler: Any = grpc.stream_stream_rpc_method_handler(process, request_deserializer=pb.ProcessingRequest.FromString)
    server = grpc.aio.server(options=_OPTIONS)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"Process": handler}),))
    before = _free(socket)
    try:
        server.add_insecure_port(f"unix:{socket}")
        await server.start()
    finally:
        os.umask(before)
    try:
        yield
    finally:
        # Requests on their way get the moment to end: what is cut off would be in doubt for a whole quarantine.
        await server.stop(grace=5)


def _free(socket: Path) -> int:
    """Remove what an earlier process left, and let only this user ask; returns the mask to put back."""
    socket.unlink(missing_ok=True)
    return os.umask(0o077)
