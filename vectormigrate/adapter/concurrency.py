"""Several requests at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import anyio

T = TypeVar("T")


async def gather(jobs: Sequence[Callable[[], Awaitable[T]]], limit: int) -> list[T]:
    """The results in order, at most `limit` jobs at a time. The first failure ends the others and is raised."""
    if len(jobs) <= 1:
        return [await job() for job in jobs]
    results: dict[int, T] = {}
    rest = iter(range(len(jobs)))

    async def work() -> None:
        for number in rest:
            results[number] = await jobs[number]()

    try:
        async with anyio.create_task_group() as group:
            for _ in range(min(limit, len(jobs))):
                group.start_soon(work)
    except ExceptionGroup as failures:
        first = _first(failures)
        raise first from first.__cause__
    return [results[number] for number in range(len(jobs))]


def _first(group: ExceptionGroup[Exception]) -> Exception:
    inner = group.exceptions[0]
    return _first(inner) if isinstance(inner, ExceptionGroup) else inner
