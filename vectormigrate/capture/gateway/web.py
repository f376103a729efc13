"""Serves the gateway's own pages."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import uvicorn

from vectormigrate.errors import ConfigError

GRACE_SECONDS = 1


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Nothing: signals are the gateway's."""
        yield


@asynccontextmanager
async def serve_pages(app: Any, host: str, number: int) -> AsyncGenerator[str]:
    """Serve while the context is open; yields the URL. Raises ConfigError when the address cannot be listened on."""
    try:
        listening = socket.create_server((host, number), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise ConfigError(f"the gateway's own page cannot listen on {host}:{number}: {error.strerror}") from error
    with listening:
        config = uvicorn.Config(
            app,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        server = _Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            shown = f"[{host}]" if ":" in host else host
            yield f"http://{shown}:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            await asyncio.gather(serving, return_exceptions=True)
