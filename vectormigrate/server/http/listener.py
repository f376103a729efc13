"""Accepting connections: how many, how many of one address, and how long one may stay without a whole request.

asyncio's own accepting answers a lack of file descriptors with a traceback per attempt and knows no limits. Here some
descriptors always stay free for the engine, whose migrations must not end because of callers.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import ssl
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import anyio
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from vectormigrate.errors import VectorMigrateError
from vectormigrate.server.http.peers import Proxies

CONNECTIONS = 1000
HEADER_SECONDS = 10.0
HANDSHAKE_SECONDS = 10.0
BACKLOG = 512

NO_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
QUIET_SECONDS = 60.0
"""Between two lines of the log about the same trouble."""

BUSY = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """Open connections in all and of one address, which trusted proxies may exceed; seconds that a connection may stay
    without a whole request header."""

    total: int
    per_peer: int
    header_seconds: float = HEADER_SECONDS

    @staticmethod
    def of(total: int = CONNECTIONS, header_seconds: float = HEADER_SECONDS) -> ConnectionLimits:
        """At most `total`, and no more than leaves a quarter of the process's descriptors, at least 64, free. One
        address may hold half of them."""
        limit = _descriptors()
        if limit is not None:
            total = max(1, min(total, limit - max(64, limit // 4)))
        return ConnectionLimits(total=total, per_peer=max(1, total // 2), header_seconds=header_seconds)


class Connection(H11Protocol):
    """uvicorn's, which also knows when it has ended and since when it waits for a request."""

    def __init__(self, *, lost: Callable[[], None], **given: Any) -> None:
        super().__init__(**given)
        self._lost = lost
        self.waiting_since = time.monotonic()

    @property
    def serving(self) -> bool:
        """Whether a request is being answered."""
        return self.cycle is not None and not self.cycle.response_complete  # pyright: ignore[reportUnnecessaryComparison]

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self.waiting_since = time.monotonic()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Make room."""
        self._lost()
        super().connection_lost(exc)


async def ignore(peer: str, reason: str) -> None:
    """For a listener whose refusals nobody writes down."""


class Listener(uvicorn.Server):
    """uvicorn with its own accepting. `refused` hears of every connection that was not accepted."""

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        caps: ConnectionLimits | None = None,
        proxies: Proxies | None = None,
        refused: Callable[[str, str], Awaitable[None]] = ignore,
    ) -> None:
        super().__init__(config)
        self.caps = caps or ConnectionLimits.of()
        self.proxies = proxies or Proxies()
        self.refused = refused
        self.listening: Sequence[socket.socket] = ()
        self.servers = []
        self._held: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._spare = -1
        self._quiet_until = 0.0

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Nothing: uvicorn's way would end the process with the signal and skip what follows."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept. Raises VectorMigrateError when the address cannot be had."""
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            raise VectorMigrateError("the server could not start; see the log above")
        try:
            self.listening = sockets or _bound(self.config.host, self.config.port)
        except OSError as error:
            await self.lifespan.shutdown()
            where = f"{self.config.host}:{self.config.port}"
            raise VectorMigrateError(f"cannot listen on {where}: {error.strerror or error}") from error
        self._spare = os.open(os.devnull, os.O_RDONLY)
        for sock in self.listening:
            sock.setblocking(False)
            self._begin(self._accept(sock))
        self._begin(self._sweep())
        self.started = True

    async def main_loop(self) -> None:
        """Serve until asked to end. One that is cancelled ends in order as well: uvicorn would leave everything
        open."""
        try:
            await super().main_loop()
        except asyncio.CancelledError:
            with anyio.CancelScope(shield=True):
                await self.shutdown()
            raise

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more, then let open requests end."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for sock in self.listening:
            sock.close()
        self._let_spare_go()
        await super().shutdown([])

    def _begin(self, work: Any) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, address = await loop.sock_accept(listening)
            except OSError as error:
                lacking = error.errno in NO_DESCRIPTORS
                if lacking:
                    self._turn_away(listening)
                    self._say("connections are turned away: %s", error.strerror or str(error))
                # An error that stays must not keep the loop for itself.
                await asyncio.sleep(0.1 if lacking else 0)
                continue
            peer = str(address[0])
            reason = self._no_room(peer)
            if reason is None:
                self._held[peer] += 1
                # One that is cancelled before its first step never gets to close anything itself.
                self._begin(self._connect(accepted, peer)).add_done_callback(
                    lambda task, accepted=accepted: accepted.close() if task.cancelled() else None
                )
                continue
            with suppress(OSError):
                accepted.send(b"" if self.config.is_ssl else BUSY)
            accepted.close()
            self._say("connections are turned away: %s", reason)
            await self.refused(peer, reason)

    def _no_room(self, peer: str) -> str | None:
        if self._held.total() >= self.caps.total:
            return "connections"
        if self._held[peer] >= self.caps.per_peer and not self.proxies.trusts(peer):
            return "connections_of_address"
        return None

    def _turn_away(self, listening: socket.socket) -> None:
        """Without a descriptor nothing can be accepted, not even to be closed: a spare one makes way for that."""
        self._let_spare_go()
        with suppress(OSError):
            listening.accept()[0].close()
        # Another thread may have been quicker; then there is none until the next time.
        with suppress(OSError):
            self._spare = os.open(os.devnull, os.O_RDONLY)

    def _let_spare_go(self) -> None:
        if self._spare >= 0:
            os.close(self._spare)
            self._spare = -1

    def _say(self, text: str, reason: str) -> None:
        if time.monotonic() >= self._quiet_until:
            self._quiet_until = time.monotonic() + QUIET_SECONDS
            log.error(text, reason)

    async def _connect(self, accepted: socket.socket, peer: str) -> None:
        released = False

        def release() -> None:
            nonlocal released
            if not released:
                released = True
                self._held[peer] -= 1
                if not self._held[peer]:
                    del self._held[peer]

        def made() -> Connection:
            return Connection(
                lost=release, config=self.config, server_state=self.server_state, app_state=self.lifespan.state
            )

        context = self.config.ssl if self.config.is_ssl else None
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                made, accepted, ssl=context, ssl_handshake_timeout=HANDSHAKE_SECONDS if context else None
            )
        except (OSError, ssl.SSLError):
            release()
            accepted.close()
        except BaseException:
            release()
            accepted.close()
            raise

    async def _sweep(self) -> None:
        """End connections that keep their place without asking for anything."""
        while True:
            await asyncio.sleep(min(1.0, self.caps.header_seconds / 2))
            now = time.monotonic()
            for connection in list(self.server_state.connections):
                assert isinstance(connection, Connection)
                if not connection.serving and now - connection.waiting_since > self.caps.header_seconds:
                    connection.transport.abort()


def _bound(host: str, port: int) -> list[socket.socket]:
    """Listening sockets on every address of the host; port 0 is the same free one for all of them."""
    made: list[socket.socket] = []
    for family, kind, protocol, _, address in socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    ):
        if any(sock.family == family and sock.getsockname()[0] == address[0] for sock in made):
            continue
        sock = socket.socket(family, kind, protocol)
        try:
            if os.name == "posix" and sys.platform != "cygwin":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind((address[0], port or (made[0].getsockname()[1] if made else 0), *address[2:]))
            sock.listen(BACKLOG)
        except OSError:
            for other in (sock, *made):
                other.close()
            raise
        made.append(sock)
    return made


def _descriptors() -> int | None:
    """How many files this process may have open, None where that is not limited or not known."""
    if sys.platform == "win32":
        return None
    import resource

    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return None if soft == resource.RLIM_INFINITY else soft
