"""Sessions of Streamable HTTP: how many one caller may have open, and which one makes way for a new one.

Clients of the older protocol open a session and seldom end it: the SDK keeps each for half an hour. Beyond the limit
the session that was idle longest ends, for it is most likely of a client that is gone; its id then answers 404, on
which clients open a new one. Where all are in use there is no room. A session of SSE is its stream, and counts as that;
clients of the newer protocol have none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Scope, Send

from vectormigrate.server.access.limiter import LimitReached

SESSIONS = 64

HEADER = "mcp-session-id"


@dataclass(slots=True)
class _Session:
    in_use: int = 0


class Sessions:
    """The sessions of each caller, the one that was used last at the end. 0: no limit."""

    def __init__(self, most: int = SESSIONS) -> None:
        self.most = most
        self._open: dict[str, dict[str, _Session]] = {}
        self._opening: Counter[str] = Counter()

    def of(self, owner: str) -> int:
        """How many this caller has open."""
        return len(self._open.get(owner, ()))

    @asynccontextmanager
    async def room(self, owner: str, end: Callable[[str], Awaitable[None]]) -> AsyncGenerator[None]:
        """While one more is opened; those that are too many and idle are ended first. Raises LimitReached where none
        is."""
        mine = self._open.setdefault(owner, {})
        self._opening[owner] += 1
        try:
            while self.most and len(mine) + self._opening[owner] > self.most:
                idle = next((name for name, session in mine.items() if not session.in_use), None)
                if idle is None:
                    raise LimitReached(
                        f"{self.most} sessions are in use for {owner!r}, no more are allowed; close one of them"
                    )
                del mine[idle]
                await end(idle)
            yield
        finally:
            self._opening[owner] -= 1

    def opened(self, owner: str, session_id: str | None) -> None:
        """A session was made, or none."""
        if session_id is not None:
            self._open.setdefault(owner, {}).setdefault(session_id, _Session())

    def ended(self, owner: str, session_id: str) -> None:
        """Its client ended it."""
        self._open.get(owner, {}).pop(session_id, None)

    @contextmanager
    def used(self, owner: str, session_id: str) -> Generator[None]:
        """A request of this session is being answered."""
        mine = self._open.get(owner, {})
        session = mine.get(session_id)
        if session is None:
            yield
            return
        session.in_use += 1
        try:
            yield
        finally:
            session.in_use -= 1
            # It may have been ended meanwhile; if not, it was used last of all.
            if mine.pop(session_id, None) is not None:
                mine[session_id] = session


def noting(send: Send, succeeded: Callable[[Headers], None]) -> Send:
    """`send` that reports when an answer begins which is no error."""

    async def noted(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] < 400:
            succeeded(Headers(raw=message["headers"]))
        await send(message)

    return noted


async def end_session(app: ASGIApp, scope: Scope, session_id: str) -> None:
    """End a session as its client would, in the place of whoever sent the request of this scope."""
    kept = [(name, value) for name, value in scope["headers"] if name in (b"host", b"authorization")]
    headers = [*kept, (HEADER.encode(), session_id.encode()), (b"mcp-protocol-version", b"2025-11-25")]

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        pass

    await app({**scope, "method": "DELETE", "headers": headers}, receive, send)
