"""One open collection: the interfaces of the server, and what is known about the collection."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from vectormigrate.adapter import Capabilities
from vectormigrate.adapters.qdrant import client_grpc, client_rest
from vectormigrate.adapters.qdrant.calls import Transport
from vectormigrate.adapters.qdrant.calls_rest import RestPoints
from vectormigrate.adapters.qdrant.capabilities import OLDEST, Server, narrowed, parse_version
from vectormigrate.adapters.qdrant.client_rest import Rest, segment
from vectormigrate.adapters.qdrant.config import DEFAULT_SHARD, NAMESPACE_FIELD, QdrantConfig
from vectormigrate.adapters.qdrant.errors import NAME, HttpError
from vectormigrate.adapters.qdrant.filters import Where
from vectormigrate.adapters.qdrant.identity import Identity
from vectormigrate.adapters.qdrant.layout import Layout, ShardKey, read_layout
from vectormigrate.adapters.qdrant.note import MetadataNotes, Notes, ReservedNotes
from vectormigrate.errors import InvalidRequest, Unavailable
from vectormigrate.figures import counted


class Session:
    """Raises vendor errors, which the adapter translates."""

    def __init__(
        self,
        config: QdrantConfig,
        rest: Rest,
        version: str,
        over_rest: RestPoints,
        fast: tuple[Transport, Identity] | None,
    ) -> None:
        """`fast`: records over gRPC, and what can tell whether that is the same server."""
        self.config = config
        self.rest = rest
        self.server = Server(version=parse_version(version), text=version, grpc=fast is not None)
        self.points: Transport = over_rest
        self._over_rest = over_rest
        self._fast = fast
        self.path = f"/collections/{segment(config.collection)}"
        kind = MetadataNotes if self.server.since(16) else ReservedNotes
        self.notes: Notes = kind(rest, config.collection)
        self._layout: Layout | None = None

    @property
    def capabilities(self) -> Capabilities:
        layout = self._layout
        if layout is None:
            field = self.config.namespace_field or NAMESPACE_FIELD
            return narrowed({}, self.server, field=field, by_shard=self.config.divide_by == "shard_key")
        return narrowed(layout.strict, self.server, field=layout.namespace_field, by_shard=layout.by_shard)

    async def exists(self) -> bool:
        """Whether the collection is there; what it is like is known afterwards."""
        try:
            await self.layout(fresh=True)
        except HttpError as error:
            if error.status != 404:
                raise
            return False
        return True

    def forget(self) -> None:
        """The collection was made, changed or removed."""
        self._layout = None
        self.points = self._over_rest

    async def meet(self) -> None:
        """Before the collection is made: raises TerminalError where gRPC is known to be another server."""
        if self._fast is not None:
            await self._fast[1].fresh()

    async def _meet(self) -> None:
        """Records go over gRPC from here on if that is known to be the same server, else over REST."""
        if self._fast is None or self.points is self._fast[0]:
            return
        points, identity = self._fast
        same = await identity.shared()
        self.server = replace(self.server, grpc=bool(same))
        if same:
            self.points = points
        elif same is False:
            self._fast = None

    async def layout(self, *, fresh: bool = False) -> Layout:
        """What the collection is like, asked again if `fresh`. Raises HttpError 404 when it is not there, and
        InvalidRequest when it is sharded otherwise than the config declares."""
        if self._layout is None or fresh:
            self._layout = None
            info = await self.rest.call("GET", self.path)
            layout = await self._read(info)
            await self._meet()
            self._layout = layout
            replicated = self._layout.replicas > 1
            self._over_rest.consistency = self.config.consistency or ("majority" if replicated else None)
        return self._layout

    async def _read(self, info: dict[str, Any]) -> Layout:
        config = self.config
        texts = await self.notes.read()
        layout = read_layout(config.collection, info, texts, namespace_field=config.namespace_field)
        if not layout.custom:
            if config.shard_key is not None or config.divide_by == "shard_key":
                raise self._wrong("has no custom sharding, so it has no shard keys")
            return layout
        keys = await self._shard_keys()
        if config.shard_key is not None:
            return replace(layout, shard_keys=keys)
        if config.divide_by == "payload" or config.namespace_field is not None:
            raise self._wrong("has custom sharding; name the shard_key to read and write")
        if len({str(key) for key in keys}) < len(keys):
            raise self._wrong("has a shard key as a number and as text; name the shard_key to read and write")
        return replace(layout, shard_keys=keys, by_shard=True, divided=False)

    def _wrong(self, why: str) -> InvalidRequest:
        return InvalidRequest(f"collection {self.config.collection!r} {why}", adapter=NAME)

    async def _shard_keys(self) -> tuple[ShardKey, ...]:
        if self.server.since(17):
            found = await self.rest.call("GET", f"{self.path}/shards")
            keys: set[ShardKey] = {item["key"] for item in found.get("shard_keys") or ()}
        else:
            found = await self.rest.call("GET", f"{self.path}/cluster")
            shards = [*found.get("local_shards", ()), *found.get("remote_shards", ())]
            keys = {shard["shard_key"] for shard in shards if shard.get("shard_key") is not None}
        return tuple(sorted(keys, key=lambda key: (isinstance(key, str), key)))

    async def readable(self) -> Layout:
        """What the collection is like now. Raises Unavailable while reads do not show every record."""
        layout = await self.layout(fresh=True)
        if layout.deferred:
            message = f"{counted(layout.deferred)} records are hidden until the server has optimised them"
            raise Unavailable(message, adapter=NAME)
        return layout

    def where(self, layout: Layout, namespace: str) -> Where | None:
        """The records of a namespace; None when there can be none."""
        if layout.by_shard:
            key = shard_of(layout, namespace)
            return None if key is None else Where(shard=key)
        if not layout.divided:
            return None if namespace else Where(field=layout.namespace_field, shard=self.config.shard_key)
        return Where(field=layout.namespace_field, namespace=namespace, shard=self.config.shard_key)


def namespace_of(key: ShardKey) -> str:
    """The namespace that a shard key is."""
    return "" if key == DEFAULT_SHARD else str(key)


def shard_of(layout: Layout, namespace: str) -> ShardKey | None:
    """The shard key of a namespace, None when there is none."""
    return next((key for key in layout.shard_keys if namespace_of(key) == namespace), None)


async def greeted(client: Rest, config: QdrantConfig) -> str:
    """The server's version, which is not too old."""
    text = await client.hello(config.connect_timeout)
    if parse_version(text) < (*OLDEST, 0):
        needed = ".".join(map(str, OLDEST))
        raise InvalidRequest(f"the server is Qdrant {text}; {needed} or later is needed", adapter=NAME)
    return text


@asynccontextmanager
async def opened(config: QdrantConfig) -> AsyncGenerator[Session, None]:
    """A session whose server has answered and let us in. Raises Unavailable, AuthFailed, and InvalidRequest when it is
    no Qdrant or too old a one, TerminalError when gRPC leads to another server."""
    async with client_rest.connected(config) as client:
        text = await greeted(client, config)
        version = parse_version(text)
        over_rest = RestPoints(client, config)
        if not config.prefer_grpc:
            yield await _checked(Session(config, client, text, over_rest, None))
            return
        async with client_grpc.connected(config) as channels:
            from vectormigrate.adapters.qdrant.calls_grpc import GrpcPoints

            if channels is None:
                yield await _checked(Session(config, client, text, over_rest, None))
                return
            identity = Identity(client, channels, config, metadata=version >= (1, 16, 0))
            fast = GrpcPoints(channels, over_rest, config), identity
            yield await _checked(Session(config, client, text, over_rest, fast))


async def _checked(session: Session) -> Session:
    if not await session.exists():
        # Two servers are to be told apart before a plan is made and kept, where they can be.
        await session.meet()
    return session
