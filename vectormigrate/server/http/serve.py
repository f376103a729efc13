"""`vectormigrate serve --addr`: a process that serves HTTP until SIGTERM or SIGINT.

It ends in order: jobs stop with a checkpoint, within 5 seconds, and the exit code is 0. 1 means that it could not serve
(the address is taken), 2 that it was started wrongly.
"""

from __future__ import annotations

import logging
import os
import signal
from dataclasses import dataclass
from pathlib import Path

import anyio
import uvicorn  # the SDK of MCP loads it anyway
from uvicorn.protocols.http.h11_impl import H11Protocol

from vectormigrate.errors import ConfigError
from vectormigrate.server.access.auth import reread_on_hangup
from vectormigrate.server.app import App
from vectormigrate.server.http.app import http_app
from vectormigrate.server.http.host_policy import HostPolicy, is_loopback
from vectormigrate.server.http.listener import ConnectionLimits, Listener
from vectormigrate.server.http.peers import Proxies
from vectormigrate.server.stdio import on_signal

CONNECTIONS_GRACE_SECONDS = 2
"""For open requests and streams to end at shutdown."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where to listen. Port 0: any free one."""

    host: str
    port: int

    @staticmethod
    def parse(text: str) -> Address:
        """`:8080` (every address), `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080`. Raises ConfigError."""
        host, colon, port = text.rpartition(":")
        if not colon or not port.isdecimal() or int(port) > 65535 or (":" in host and not host.startswith("[")):
            raise ConfigError(f"--addr {text!r}: write it as HOST:PORT or :PORT")
        return Address(host=host.strip("[]") or "0.0.0.0", port=int(port))

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """Certificate chain and private key, PEM files."""

    certificate: Path
    key: Path


async def serve_http(
    app: App,
    address: Address,
    hosts: HostPolicy,
    tls: Tls | None = None,
    proxies: Proxies | None = None,
    caps: ConnectionLimits | None = None,
) -> None:
    """Serve HTTP until a signal comes. Raises ConfigError for a server without keys that others could reach, and
    VectorMigrateError when it cannot listen."""
    if not app.accounting.ring and not address.is_loopback:
        raise ConfigError(
            f"refusing to listen on {address.host!r} without keys, for anyone could run migrations: set --api-key or "
            "VECTORMIGRATE_API_KEYS, or listen on 127.0.0.1"
        )
    server = Listener(
        uvicorn.Config(
            http_app(app, hosts, proxies),
            host=address.host,
            port=address.port,
            http=H11Protocol,
            ws="none",
            proxy_headers=False,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=CONNECTIONS_GRACE_SECONDS,
            ssl_certfile=tls.certificate if tls else None,
            ssl_keyfile=tls.key if tls else None,
            lifespan="on",
        ),
        caps=caps,
        proxies=proxies,
        refused=app.accounting.connection_refused,
    )
    with reread_on_hangup(app.accounting.ring):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(on_signal, lambda: end(app, server))
            tasks.start_soon(_announce, server, "https" if tls else "http")
            try:
                await server.serve()
            finally:
                tasks.cancel_scope.cancel()


def end(app: App, server: Listener) -> None:
    """Begin the end: no new connections, jobs stop at once while the open connections have a moment."""
    for job in app.context.jobs.running:
        job.stop()
    app.subscriptions.close()
    server.handle_exit(signal.SIGTERM, None)


async def _announce(server: Listener, scheme: str) -> None:
    while not server.started:  # noqa: ASYNC110
        await anyio.sleep(0.02)
    for sock in server.listening:
        host, port = sock.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        log.info("listening", extra={"url": f"{scheme}://{shown}:{port}", "pid": os.getpid()})
