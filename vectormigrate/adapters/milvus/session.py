"""One opened collection: its layout, its partitions and whether it is loaded, as far as this process knows."""

from __future__ import annotations

import re
from collections.abc import Sequence

import anyio
import grpc

from vectormigrate.adapter import Capabilities
from vectormigrate.adapter.polling import Poll
from vectormigrate.adapters.milvus.capabilities import META, PK, Server, narrowed
from vectormigrate.adapters.milvus.client import Client, denied
from vectormigrate.adapters.milvus.config import MilvusConfig
from vectormigrate.adapters.milvus.errors import NAME, StatusError
from vectormigrate.adapters.milvus.layout import Layout, layout_of
from vectormigrate.adapters.milvus.proto import cp, pb
from vectormigrate.errors import AuthFailed, CollectionNotFound, InvalidRequest, TimedOut
from vectormigrate.figures import duration

DEFAULT_PARTITION = "_default"
ALL = "*"
NOT_LOADED = 101
UNEXPECTED = 1
INDEX_FILE_SECONDS = 10.0
"""For how long an index file that Lite cannot read may be one that it is still writing in the background."""


def _unreadable_index(collection: str, path: str, error: StatusError) -> InvalidRequest:
    """Lite writes its index files in place, so a kill can leave one cut off; it builds those that are missing."""
    message = (
        f"Milvus Lite cannot load collection {collection!r}: {error.reason}. An index file may have been cut off by a "
        "kill or a full disk: with the database closed, remove that file, or all files in the folders called indexes "
        f"below the collection's folder in {path!r}; Lite builds them again from the records"
    )
    return InvalidRequest(message, adapter=NAME, operation="load")


class Session:
    """State shared by reader and writer. Nothing here is remembered across `forget`.

    `blind`: the user may not see what is loaded; a query shows it, of single partitions."""

    def __init__(self, client: Client, server: Server, config: MilvusConfig) -> None:
        self.client = client
        self.server = server
        self.config = config
        self._caps = narrowed(server)
        self._layout: Layout | None = None
        self._partitions: frozenset[str] = frozenset()
        self._loaded: set[str] = set()
        self._release: list[str] | None = None
        self.blind = False
        self._may_load = config.load or server.lite
        self._creating = anyio.Lock()
        self._loading = anyio.Lock()

    @property
    def capabilities(self) -> Capabilities:
        """Those of the server, and of the collection as far as it is known: its id field's name is reserved, and one
        with a partition key has no namespaces, because its physical partitions belong to Milvus."""
        if self._layout is None:
            return self._caps.changed(metadata={"reserved": frozenset({META, PK})})
        caps = self._caps.changed(metadata={"reserved": frozenset({META, self._layout.pk.name})})
        keyed = self._layout.partition_key
        return caps.changed(ids={"per_namespace": False}, namespaces={"supported": False}) if keyed else caps

    def forget(self) -> None:
        """The collection changed: ask again."""
        self._layout = None
        self._partitions = frozenset()
        self._loaded.clear()
        self._release = None

    async def layout(self, *, fresh: bool = False) -> Layout:
        """The collection's layout. Raises StatusError for a missing collection."""
        if self._layout is None or fresh:
            request = pb.DescribeCollectionRequest(collection_name=self.config.collection)
            self._layout = layout_of(await self.client.call(request, pb.DescribeCollectionResponse))
        return self._layout

    async def exists(self) -> bool:
        """Whether the collection exists."""
        try:
            await self.layout(fresh=True)
        except StatusError as error:
            if error.code == 100:
                return False
            raise
        return True

    async def partitions(self) -> frozenset[str]:
        """Names of the physical partitions now. Raises AuthFailed for a user who may not see them, unless there can be
        only one."""
        layout = await self.layout()
        try:
            request = pb.ShowPartitionsRequest(collection_name=layout.name)
            answer = await self.client.call(request, pb.ShowPartitionsResponse)
        except grpc.RpcError as error:
            if not denied(error):
                raise
            known = layout.answer.num_partitions
            if known != 1:
                message = (
                    f"the user may not see the partitions of {layout.name!r} ({known or 'how many is unknown'}), "
                    "without which records could be left out: grant ShowPartitions"
                )
                raise AuthFailed(message, adapter=NAME, operation="partitions") from error
            return frozenset({DEFAULT_PARTITION})
        self._partitions = frozenset(answer.partition_names)
        return self._partitions

    async def namespaces(self) -> list[str]:
        """Partitions as namespaces; a collection with a partition key has only the default one."""
        if (await self.layout()).partition_key:
            return [""]
        return sorted("" if name == DEFAULT_PARTITION else name for name in await self.partitions())

    async def partition(self, namespace: str) -> str | None:
        """The partition of a namespace, `""` for none in particular; None when the namespace does not exist."""
        if (await self.layout()).partition_key:
            return None if namespace else ""
        name = self.partition_name(namespace)
        if name is not None and name not in self._partitions:
            name = name if name in await self.partitions() else None
        return name

    def partition_name(self, namespace: str) -> str | None:
        """The partition that a namespace has or would have; None when no partition can be called so."""
        if re.fullmatch(self._caps.namespaces.names, namespace) is None:
            return None
        return namespace or DEFAULT_PARTITION

    async def make_partition(self, name: str) -> None:
        """Create a partition unless it exists."""
        async with self._creating:
            if name in self._partitions or name in await self.partitions():
                return
            layout = await self.layout()
            request = pb.CreatePartitionRequest(collection_name=layout.name, partition_name=name)
            try:
                await self.client.call(request, cp.Status)
            except StatusError:
                # Another process may have been faster.
                if name not in await self.partitions():
                    raise
            self._partitions |= {name}

    async def indexes(self) -> list[pb.IndexDescription]:
        """All indexes of the collection."""
        layout = await self.layout()
        request = pb.DescribeIndexRequest(collection_name=layout.name)
        try:
            answer = await self.client.call(request, pb.DescribeIndexResponse)
        except StatusError as error:
            if error.code == 700 or (error.code == 0 and error.legacy in (11, 25)):
                return []
            raise
        return list(answer.index_descriptions)

    def keep_loaded(self) -> None:
        """We write here: the collection may be loaded, and stays so after closing."""
        self._may_load = True
        self._release = None

    async def readable(self, partition: str = "", *, again: bool = False) -> None:
        """Load the partition, or all of them, when they are not loaded; they are released again at the end. `again`: it
        was released under our feet. Raises InvalidRequest when nobody allowed to load it, or when it has no index,
        without which Milvus cannot load it.

        A query without a partition leaves those out that are not loaded, without a sign."""
        if again:
            self._loaded.clear()
        # While one reader loads, the others wait: what is being loaded looks loaded before it can be read whole.
        async with self._loading:
            if self._loaded & {ALL, partition or ALL}:
                return
            try:
                state = await self._state()
            except grpc.RpcError as error:
                if not denied(error):
                    raise
                self.blind = True
            else:
                await self._whole(state)
                if ALL not in self._loaded:
                    await self._each(partition)
            self._loaded.add(partition or ALL)

    async def _each(self, partition: str) -> None:
        """Of a collection that counts as loaded as soon as one of its partitions is."""
        layout = await self.layout()
        if self.server.lite or layout.partition_key:
            return
        wanted = [partition] if partition else sorted(await self.partitions())
        missing = [name for name in wanted if await self._state(name) != cp.LoadState.LoadStateLoaded]
        if not missing:
            return
        self._require_consent(missing)
        replicas = 1 if self.server.version < (2, 4) else 0
        request = pb.LoadPartitionsRequest(
            collection_name=layout.name, partition_names=missing, replica_number=replicas
        )
        await self.client.call(request, cp.Status)
        if self._release != []:
            self._release = [*(self._release or ()), *missing]
        for name in missing:
            await self._until_loaded(name)
        await self._until_served(layout.name, missing)

    async def _until_served(self, collection: str, partitions: Sequence[str]) -> None:
        """Partitions of a collection that is in use count as loaded before their segments are: until then, queries
        leave those out without a word."""
        shown = await self.client.call(pb.ShowPartitionsRequest(collection_name=collection), pb.ShowPartitionsResponse)
        names = dict(zip(shown.partitionIDs, shown.partition_names, strict=True))
        stored = pb.GetPersistentSegmentInfoRequest(collectionName=collection)
        served = pb.GetQuerySegmentInfoRequest(collectionName=collection)
        poll = Poll(self.config.ready_timeout)
        while True:
            kept = (await self.client.call(stored, pb.GetPersistentSegmentInfoResponse)).infos
            here = {item.segmentID for item in (await self.client.call(served, pb.GetQuerySegmentInfoResponse)).infos}
            left = [item for item in kept if names.get(item.partitionID) in partitions and item.num_rows]
            if all(item.segmentID in here for item in left if item.state == cp.SegmentState.Flushed):
                return
            if not await poll.again():
                message = f"the segments of {collection!r} were not loaded within {duration(self.config.ready_timeout)}"
                raise TimedOut(message, adapter=NAME, operation="load")

    async def _whole(self, state: int) -> None:
        """Load the collection when none of it is loaded."""
        if state == cp.LoadState.LoadStateLoading:
            await self._until_loaded()
        elif state != cp.LoadState.LoadStateLoaded:
            await self._require_indexes()
            self._require_consent()
            await self.load()
            self._release = []
            self._loaded.add(ALL)

    def _require_consent(self, partitions: Sequence[str] = ()) -> None:
        """Loading takes memory of the server that others may need."""
        if not self._may_load:
            what = f"collection {self.config.collection!r}"
            if partitions:
                what = f"of {what} partition {partitions[0]!r} ({len(partitions)} in all)"
            message = (
                f"{what} is released, so Milvus cannot read it; load it, or let "
                "vectormigrate load it for the time it reads, with the option load=true"
            )
            raise InvalidRequest(message, adapter=NAME, operation="load")

    async def load(self) -> None:
        """Load and wait. Raises TimedOut after `ready_timeout`."""
        layout = await self.layout()
        # 0 lets newer servers choose; 2.3 wants a number.
        replicas = 1 if self.server.version < (2, 4) else 0
        request = pb.LoadCollectionRequest(collection_name=layout.name, replica_number=replicas)
        poll = Poll(INDEX_FILE_SECONDS)
        while True:
            try:
                await self.client.call(request, cp.Status)
                break
            except StatusError as error:
                if not self.server.lite or error.code != UNEXPECTED:
                    raise
                if not await poll.again():
                    raise _unreadable_index(layout.name, self.config.url, error) from error
        await self._until_loaded()

    async def _until_loaded(self, partition: str = "") -> None:
        layout = await self.layout()
        poll = Poll(self.config.ready_timeout)
        while await self._state(partition) != cp.LoadState.LoadStateLoaded:
            if not await poll.again():
                message = f"collection {layout.name!r} was not loaded within {duration(self.config.ready_timeout)}"
                raise TimedOut(message, adapter=NAME, operation="load")

    async def _state(self, partition: str = "") -> int:
        layout = await self.layout()
        request = pb.GetLoadStateRequest(collection_name=layout.name, partition_names=[partition] if partition else [])
        state = (await self.client.call(request, pb.GetLoadStateResponse)).state
        if state == cp.LoadState.LoadStateNotExist:
            message = f"no collection {layout.name!r}"
            raise CollectionNotFound(message, adapter=NAME, operation="load")
        return state

    async def _require_indexes(self) -> None:
        layout = await self.layout()
        indexed = {item.field_name for item in await self.indexes()}
        missing = [item.name for item in layout.vectors if item.name not in indexed]
        if missing and not self.server.lite:
            message = (
                f"collection {layout.name!r} is not loaded and its vector field {missing[0]!r} has no index, without "
                "which Milvus cannot load it for reading; create an index (such as AUTOINDEX) and try again"
            )
            raise InvalidRequest(message, adapter=NAME, operation="load")

    async def restore(self) -> None:
        """Release what only we loaded."""
        release, self._release = self._release, None
        if release is None or self._layout is None:
            return
        name = self._layout.name
        request = pb.ReleasePartitionsRequest(collection_name=name, partition_names=release)
        if not release:
            request = pb.ReleaseCollectionRequest(collection_name=name)
        await self.client.call(request, cp.Status, timeout=5)
