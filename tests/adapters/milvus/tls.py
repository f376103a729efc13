"""TLS in front of a server that speaks plain gRPC, as a cloud's load balancer does it."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from anyio.abc import ByteReceiveStream, ByteSendStream, ByteStream, SocketAttribute
from anyio.streams.tls import TLSListener


def certificate(folder: Path) -> Path:
    """A new self-signed certificate of `localhost`, with its key beside it as `key.pem`."""
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem"), "-days", "2"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "cert.pem"


@asynccontextmanager
async def tls(port: int, certificate: Path) -> AsyncGenerator[int, None]:
    """The port on loopback behind which `port` is reached by TLS."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    context.set_alpn_protocols(["h2"])
    plain = await anyio.create_tcp_listener(local_host="127.0.0.1")
    listener = TLSListener(plain, context, standard_compatible=False)

    async def forward(client: ByteStream) -> None:
        async with client, await anyio.connect_tcp("127.0.0.1", port) as server, anyio.create_task_group() as group:
            group.start_soon(_pump, client, server, group.cancel_scope)
            group.start_soon(_pump, server, client, group.cancel_scope)

    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, forward)
        yield plain.extra(SocketAttribute.local_port)
        group.cancel_scope.cancel()


async def _pump(source: ByteReceiveStream, target: ByteSendStream, scope: anyio.CancelScope) -> None:
    try:
        async for data in source:
            await target.send(data)
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        pass
    scope.cancel()
