"""Notifications of changes to the clients that subscribed, whoever makes the change: this server, or a command in a
shell.

The state file is looked at once a second, and only while somebody listens. That is also the throttle: at most one
notification per second and resource. Clients of both protocol eras are served: `subscriptions/listen` reads the bus,
`resources/subscribe` (handshake era) is answered here.
"""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio
from mcp import MCPError
from mcp.server.mcpserver import MCPServer
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ResourceUpdated, ServerEvent
from mcp.types import (
    INVALID_PARAMS,
    EmptyResult,
    SubscribeRequestParams,
    SubscriptionsListenRequestParams,
    UnsubscribeRequestParams,
)

from vectormigrate.errors import VectorMigrateError
from vectormigrate.server.runtime.context import ServerContext

if TYPE_CHECKING:
    from vectormigrate.state.served import Mark
    from vectormigrate.state.store import Store

INDEX = "migration://index"
LOOK_SECONDS = 1.0

MOST_SUBSCRIPTIONS = 200
"""Resources that one connection may subscribe to."""

_OURS = re.compile(rf"{INDEX}|migration://[A-Za-z0-9._-]{{1,64}}/(status|report|plan)")

log = logging.getLogger(__name__)


class Bus(InMemorySubscriptionBus):
    """The SDK's bus, which also reports when the first listener comes."""

    def __init__(self) -> None:
        super().__init__()
        self.listeners = 0
        self.changed: Callable[[], None] = lambda: None

    def subscribe(self, listener: Callable[[ServerEvent], None]) -> Callable[[], None]:
        """Register, and give what unregisters; that may be called more than once."""
        leave = super().subscribe(listener)
        self.listeners += 1
        self.changed()
        left = False

        def unsubscribe() -> None:
            nonlocal left
            if not left:
                left = True
                self.listeners -= 1
                leave()

        return unsubscribe


def _require_ours(uri: str) -> None:
    """Raise MCPError for a resource that this server does not have."""
    if _OURS.fullmatch(uri) is None:
        raise MCPError(code=INVALID_PARAMS, message="only resources of this server can be subscribed to: migration://…")


@dataclass(frozen=True, slots=True)
class Change:
    """A resource that changed, and who began the migration that it is about."""

    uri: str
    owner: str | None


@dataclass(slots=True)
class _Subscriber:
    """A connection of the handshake era. `only`: whose migrations alone it may hear of; None: of all."""

    session: Any
    only: str | None
    uris: set[str] = field(default_factory=set[str])


def _changed_for(only: str | None, changes: Sequence[Change]) -> Iterable[str]:
    return dict.fromkeys(change.uri for change in changes if only is None or change.owner == only)


class Subscriptions:
    """Looks for changes and notifies of them. `bus` is for those who may hear of all migrations; who may hear of their
    own only is on a bus of his."""

    def __init__(self, context: ServerContext, bus: Bus) -> None:
        self.context = context
        self._sessions: dict[int, _Subscriber] = {}
        self._seen: dict[str, Mark] = {}
        self._wanted = anyio.Event()
        self._listening: dict[str | None, tuple[Bus, ListenHandler]] = {}
        self._add_bus(None, bus)

    def _add_bus(self, only: str | None, bus: Bus) -> ListenHandler:
        bus.changed = lambda: self._wanted.set()
        handler = ListenHandler(bus)
        self._listening[only] = bus, handler
        return handler

    @asynccontextmanager
    async def run(self) -> AsyncGenerator[None]:
        """Notify of changes inside the block."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._watch)
            try:
                yield
            finally:
                tasks.cancel_scope.cancel()

    async def _watch(self) -> None:
        while True:
            if not (self._sessions or any(bus.listeners for bus, _ in self._listening.values())):
                self._wanted = anyio.Event()
                await self._wanted.wait()
                await self._look()
            await anyio.sleep(LOOK_SECONDS)
            await self._tell(await self._look())

    async def _look(self) -> Sequence[Change]:
        """Resources that changed since the last look."""
        store: Store
        try:
            async with self.context.store() as store:
                marks = await store.served.marks()
        except VectorMigrateError as error:
            log.warning("changes cannot be notified: %s", error)
            return []
        before, self._seen = self._seen, marks
        changed = [Change(INDEX, mark.owner) for name, mark in before.items() if name not in marks]
        for name, mark in marks.items():
            old = before.get(name)
            if old is None or old.outline != mark.outline:
                changed.append(Change(INDEX, mark.owner))
            if old is None or old.state != mark.state:
                changed.append(Change(f"migration://{name}/status", mark.owner))
            if old is None or (old.report, old.outline) != (mark.report, mark.outline):
                changed.append(Change(f"migration://{name}/report", mark.owner))
        return changed

    async def _tell(self, changes: Sequence[Change]) -> None:
        for only, (bus, _) in list(self._listening.items()):
            for uri in _changed_for(only, changes):
                await bus.publish(ResourceUpdated(uri=uri))
        for subscriber in list(self._sessions.values()):
            for uri in _changed_for(subscriber.only, changes):
                if uri in subscriber.uris:
                    await subscriber.session.send_resource_updated(uri)

    def serve(self, mcp: MCPServer) -> None:
        """Answer subscriptions: `subscriptions/listen` by a handler that can be ended, which the SDK keeps to itself;
        `resources/subscribe` and `resources/unsubscribe`, which its MCPServer does not offer."""
        server: Any = mcp._lowlevel_server
        server.add_request_handler("subscriptions/listen", SubscriptionsListenRequestParams, self._listen)
        server.add_request_handler("resources/subscribe", SubscribeRequestParams, self._subscribe)
        server.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, self._unsubscribe)

    def close(self) -> None:
        """End the streams of all listeners in order; they would hold up the end of the server."""
        for _, handler in self._listening.values():
            handler.close()

    # -- the handshake era

    async def _listen(self, ctx: Any, params: SubscriptionsListenRequestParams) -> Any:
        for uri in params.notifications.resource_subscriptions or ():
            _require_ours(uri)
        only = self.context.only()
        handler = self._listening[only][1] if only in self._listening else self._add_bus(only, Bus())
        return await handler(ctx, params)

    async def _subscribe(self, ctx: Any, params: SubscribeRequestParams) -> EmptyResult:
        _require_ours(str(params.uri))
        connection = ctx.session._connection
        key = id(connection)
        if key not in self._sessions:
            # The connection, not the session, which is made anew for each message; it forgets us when it closes.
            self._sessions[key] = _Subscriber(connection, self.context.only())
            connection.exit_stack.callback(self._sessions.pop, key, None)
        subscriber = self._sessions[key]
        subscriber.only = self.context.only()
        if len(subscriber.uris) < MOST_SUBSCRIPTIONS:
            subscriber.uris.add(str(params.uri))
        self._wanted.set()
        return EmptyResult()

    async def _unsubscribe(self, ctx: Any, params: UnsubscribeRequestParams) -> EmptyResult:
        found = self._sessions.get(id(ctx.session._connection))
        if found is not None:
            found.uris.discard(str(params.uri))
        return EmptyResult()
