"""Whether REST and gRPC lead to one server: the collection is made and described over REST, records go over gRPC.

Every Qdrant has a random peer id, which both interfaces report with a collection's shards. It is kept on the disk, so
that of a copied one is the same: then our own texts on the collection, which are as old as the migration, decide.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc

from vectormigrate.adapter.one_server import Differs, Interfaces
from vectormigrate.adapter.vendor_errors import grpc_code
from vectormigrate.adapters.qdrant.client_grpc import Channels
from vectormigrate.adapters.qdrant.client_rest import Rest, segment
from vectormigrate.adapters.qdrant.config import QdrantConfig
from vectormigrate.adapters.qdrant.errors import NAME, HttpError
from vectormigrate.adapters.qdrant.layout import OWN_KEYS, own_texts
from vectormigrate.adapters.qdrant.proto import coll
from vectormigrate.errors import option


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """A collection through one interface. `holders`: peers with shards of it."""

    peer: int
    holders: frozenset[int]
    texts: dict[str, str]

    def same_server(self, other: _Seen) -> bool | None:
        """None where two peers of one cluster could not know of each other."""
        if {self.peer, *self.holders} & {other.peer, *other.holders}:
            return True
        return False if self.holders or other.holders else None


class Identity:
    """Questions to both interfaces. Every method raises TerminalError when they are two servers. It returns whether
    they are known to be one: False when the key lacks the right to know, None when there is nothing to compare yet."""

    def __init__(self, rest: Rest, channels: Channels, config: QdrantConfig, *, metadata: bool) -> None:
        """`metadata`: whether collections have metadata."""
        self._rest = rest
        self._channels = channels
        self._config = config
        self._metadata = metadata
        self._interfaces = Interfaces(
            adapter=NAME,
            rest=config.base(),
            grpc=config.grpc_address(),
            advice=f"Give the gRPC port of the REST server with {option('endpoint.options.grpc_port')}, or use REST "
            f"alone with {option('endpoint.options.prefer_grpc', False)}",
        )

    async def shared(self) -> bool | None:
        """Compare the collection, which exists on the REST side."""
        return await self._known(lambda: self._compare(self._config.collection))

    async def fresh(self) -> bool | None:
        """Compare the servers before the collection is made, as far as they hold anything to compare."""
        return await self._known(self._compare_servers)

    async def _known(self, look: Callable[[], Awaitable[bool | None]]) -> bool | None:
        try:
            return await self._interfaces.compared(look)
        except (HttpError, grpc.RpcError) as error:
            if not _denied(error):
                raise
            return False

    async def _compare(self, name: str) -> bool | None:
        rest = await self._over_rest(name)
        try:
            other = await self._over_grpc(name)
        except grpc.RpcError as error:
            if grpc_code(error) != "NOT_FOUND":
                raise
            raise Differs(f"it has no collection {name!r}") from error
        same = rest.same_server(other)
        if same is False:
            raise Differs(f"its peer id is {other.peer}, not {rest.peer}", passing=False)
        if rest.texts != other.texts:
            raise Differs(f"its collection {name!r} holds another note")
        return same

    async def _compare_servers(self) -> bool | None:
        listed = await self._rest.call("GET", "/collections")
        answer = await self._channels.call(
            "List", coll.ListCollectionsRequest(), coll.ListCollectionsResponse, service="Collections"
        )
        names = {item["name"] for item in listed["collections"]}
        others = {item.name for item in answer.collections}
        both = sorted(names & others)
        try:
            same = await self._compare(both[0]) if both else None
        except HttpError as error:
            if error.status != 404:
                raise
            # Others' collections come and go: list them again.
            raise Differs(f"collection {both[0]!r} was removed while both were compared") from error
        if names != others and not same:
            raise Differs(f"only one of them has a collection {min(names ^ others)!r}")
        return same

    async def _over_rest(self, name: str) -> _Seen:
        path = f"/collections/{segment(name)}"
        shards = await self._rest.call("GET", f"{path}/cluster")
        texts: dict[str, str] = {}
        if self._metadata:
            info = await self._rest.call("GET", path)
            texts = own_texts(info["config"].get("metadata"))
        remote: list[Any] = shards.get("remote_shards") or []
        own = [shards["peer_id"]] if shards.get("local_shards") else []
        holders = frozenset([*own, *(item["peer_id"] for item in remote)])
        return _Seen(peer=shards["peer_id"], holders=holders, texts=texts)

    async def _over_grpc(self, name: str) -> _Seen:
        call = self._channels.call
        request = coll.CollectionClusterInfoRequest(collection_name=name)
        shards = await call("CollectionClusterInfo", request, coll.CollectionClusterInfoResponse, service="Collections")
        texts: dict[str, str] = {}
        if self._metadata:
            wanted = coll.GetCollectionInfoRequest(collection_name=name)
            info = await call("Get", wanted, coll.GetCollectionInfoResponse, service="Collections")
            held = info.result.config.metadata
            texts = {key: held[key].string_value for key in OWN_KEYS if key in held and held[key].string_value}
        own = [shards.peer_id] if shards.local_shards else []
        holders = frozenset([*own, *(item.peer_id for item in shards.remote_shards)])
        return _Seen(peer=shards.peer_id, holders=holders, texts=texts)


def _denied(error: BaseException) -> bool:
    """Whether the key may not ask, or a proxy lets the question through on one side only."""
    if isinstance(error, HttpError):
        return error.status in (401, 403, 405)
    return grpc_code(error) in ("PERMISSION_DENIED", "UNAUTHENTICATED", "UNIMPLEMENTED")
