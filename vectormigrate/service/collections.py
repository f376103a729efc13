"""What a server holds: its collections, and how large each is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import anyio

from vectormigrate.config.settings import Endpoint
from vectormigrate.engine.connect import listing, open_endpoint
from vectormigrate.engine.retry import RetryPolicy
from vectormigrate.errors import VectorMigrateError
from vectormigrate.model.answers import HeldCollection, Holdings

AT_ONCE = 4


async def holdings(endpoint: Endpoint, wanted: Callable[[str], bool]) -> Holdings:
    """The collections whose names are `wanted`, each with its records and vectors. One that cannot be read or counted
    now (released, held by another process) has the reason instead."""
    found = await listing(endpoint)
    names = [name for name in found.names if wanted(name)]
    held: dict[str, HeldCollection] = {}
    slots = anyio.CapacityLimiter(AT_ONCE)

    async def look(name: str) -> None:
        async with slots:
            held[name] = await _look(replace(endpoint, collection=name))

    async with anyio.create_task_group() as tasks:
        for name in names:
            tasks.start_soon(look, name)
    return Holdings(type=endpoint.type, server=found.server, collections=tuple(held[name] for name in names))


async def _look(endpoint: Endpoint) -> HeldCollection:
    seen = HeldCollection(name=endpoint.collection)
    try:
        async with open_endpoint(endpoint, RetryPolicy(), named=False) as source:
            seen = replace(seen, vectors=(await source.describe()).vectors)
            return replace(seen, records=await source.count())
    except VectorMigrateError as error:
        return replace(seen, problem=str(error))
