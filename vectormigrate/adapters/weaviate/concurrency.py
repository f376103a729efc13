"""Several calls at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio


async def together(work: Callable[[int], Awaitable[None]], count: int, most: int = 8) -> None:
    """Run `work(0)` … `work(count - 1)`, at most so many at once; the first failure is raised as itself."""
    gate = anyio.CapacityLimiter(most)

    async def one(number: int) -> None:
        async with gate:
            await work(number)

    try:
        async with anyio.create_task_group() as group:
            for number in range(count):
                group.start_soon(one, number)
    except BaseExceptionGroup as failures:
        error: BaseException = failures
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from error.__cause__
