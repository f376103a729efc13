"""The ids and metadata of the source, read once for everything that a plan asks of them."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack, aclosing

import anyio
from anyio.streams.memory import MemoryObjectSendStream

from vectormigrate.engine.retry import RetryingSource
from vectormigrate.engine.task_group import task_group
from vectormigrate.model.batch import RecordBatch
from vectormigrate.model.position import Partition

PAGE_ROWS = 4000
AHEAD = 1
"""Pages that each reader holds ready."""

KEPT_BYTES = 32 * 2**20
KEPT_ROWS = 200_000
"""Metadata and records (some 200 bytes each, if only an id) that are kept for a second look; of a larger collection
every look reads anew."""

Handle = Callable[[RecordBatch], Awaitable[None]]


class SourcePages:
    """Batches without vectors, in the order of the partitions however many are read at once, so that a plan does not
    depend on which was faster."""

    def __init__(self, source: RetryingSource, partitions: Sequence[Partition], bytes_of: Callable[[], int]) -> None:
        """`bytes_of`: the size of the metadata that was handled so far."""
        self._source = source
        self._partitions = partitions
        self._bytes_of = bytes_of
        self._kept: list[RecordBatch] | None = None

    async def each(self, handle: Handle, *, limit: int | None = None) -> None:
        """Call `handle` with every batch, or with about the first `limit` records spread over the partitions."""
        if self._kept is not None:
            for batch in self._kept:
                await handle(batch)
            return
        keeping: list[RecordBatch] | None = [] if limit is None else None
        rows = 0
        partitions = self._partitions if limit is None else _some(self._partitions, limit)
        share = None if limit is None else -(-limit // max(1, len(partitions)))
        streams = [anyio.create_memory_object_stream[RecordBatch](AHEAD) for _ in partitions]
        waiting = [(partition, send) for partition, (send, _) in zip(partitions, streams, strict=True)]

        async def reader() -> None:
            while waiting:
                partition, send = waiting.pop(0)
                async with send:
                    await self._read(partition, send, share)

        with ExitStack() as opened:
            for stream in itertools.chain.from_iterable(streams):
                opened.enter_context(stream)
            async with task_group() as tasks:
                for _ in range(min(self._source.capabilities.collection.readers, len(waiting))):
                    tasks.start_soon(reader)
                for _, receive in streams:
                    async for batch in receive:
                        await handle(batch)
                        rows += len(batch)
                        if keeping is not None:
                            keeping.append(batch)
                            small = rows <= KEPT_ROWS and self._bytes_of() <= KEPT_BYTES
                            keeping = keeping if small else None
        self._kept = keeping

    async def _read(self, partition: Partition, send: MemoryObjectSendStream[RecordBatch], share: int | None) -> None:
        read = 0
        rows = PAGE_ROWS if share is None else min(PAGE_ROWS, share)
        async with aclosing(self._source.scan(partition, vectors=False, page_rows=rows)) as pages:
            async for page in pages:
                await send.send(page.batch)
                read += len(page.batch)
                if share is not None and read >= share:
                    return


def _some(partitions: Sequence[Partition], most: int) -> Sequence[Partition]:
    """At most so many of them, evenly spread: of thousands of small namespaces not even one record each is wanted."""
    count = len(partitions)
    return partitions if count <= most else [partitions[number * count // most] for number in range(most)]
