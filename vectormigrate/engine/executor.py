"""Runs partition tasks, here in this process. The tasks are plain data, so that another executor can ship them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import anyio

from vectormigrate.engine.copy import PartitionTask
from vectormigrate.engine.task_group import task_group


async def run_local(
    tasks: Sequence[PartitionTask], work: Callable[[PartitionTask], Awaitable[None]], concurrency: int
) -> None:
    """Work on the tasks, at most `concurrency` at a time, in order. The first failure cancels the others and is raised
    as itself."""
    send, receive = anyio.create_memory_object_stream[PartitionTask](len(tasks))
    for task in tasks:
        send.send_nowait(task)
    send.close()

    async def worker() -> None:
        async for task in receive:
            await work(task)

    async with receive, task_group() as workers:
        for _ in range(min(concurrency, len(tasks))):
            workers.start_soon(worker)
