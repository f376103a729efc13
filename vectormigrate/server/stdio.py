"""`vectormigrate serve`: a process that speaks MCP on stdin and stdout, until the end of stdin, SIGTERM or SIGINT.

It ends in order: jobs stop with a checkpoint, within 5 seconds, and the exit code is 0; 130 after a second signal.
Nothing of HTTP is loaded: hosts give a server little time to answer.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable

import anyio

from vectormigrate.server.app import App

STDIO_GRACE_SECONDS = 1.2
"""Hosts wait two seconds after they close stdin, then signal, then kill."""

log = logging.getLogger(__name__)


async def serve_stdio(app: App) -> None:
    """Serve the process that started this one. Ends the process itself: a thread may still be reading stdin."""
    ending = anyio.Event()

    async def serve() -> None:
        await app.mcp.run_stdio_async()
        ending.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(on_signal, ending.set)
        async with app.run(STDIO_GRACE_SECONDS):
            tasks.start_soon(serve)
            await ending.wait()
        leave(0)


async def on_signal(act: Callable[[], None]) -> None:
    """The first SIGTERM or SIGINT acts, a second one leaves at once. Nothing where signals cannot be waited for."""
    if sys.platform == "win32":
        return
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        seen = 0
        async for _ in signals:
            seen += 1
            if seen > 1:
                leave(130)
            log.info("stopping")
            act()


def leave(code: int) -> None:
    """End the process without waiting for threads; what matters is on disk by now."""
    logging.shutdown()
    os._exit(code)
