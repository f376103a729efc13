"""From endpoints to open collections."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from pydantic import ValidationError

from vectormigrate import registry
from vectormigrate.adapter import AnySpec, ConnectionConfig, Target
from vectormigrate.engine.events import Listener
from vectormigrate.engine.retry import RetryingSource, RetryingTarget, RetryPolicy
from vectormigrate.engine.throttle import AdaptiveLimiter
from vectormigrate.errors import ConfigError
from vectormigrate.model.plan import RunOptions
from vectormigrate.settings import Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """Both open ends of a migration and the names of their adapters."""

    source: RetryingSource
    source_adapter: str
    target: RetryingTarget
    target_adapter: str


def configure(endpoint: Endpoint) -> tuple[AnySpec, ConnectionConfig]:
    """The adapter and its checked configuration. Raises UnknownAdapter, or ConfigError that names what is wrong."""
    spec = registry.load(endpoint.type)
    values = {
        **endpoint.options,
        "url": endpoint.url,
        "api_key": endpoint.api_key,
        "collection": endpoint.collection,
    }
    try:
        return spec, spec.config(**values)
    except ValidationError as error:
        # str(error) would show the input, which may hold a key.
        problems = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'options'}: {e['msg']}" for e in error.errors())
        raise ConfigError(
            f"bad settings for the {endpoint.type!r} collection {endpoint.collection!r}: {problems}"
        ) from None


@asynccontextmanager
async def open_endpoint(endpoint: Endpoint) -> AsyncGenerator[Target]:
    """Connect, and close on leaving."""
    spec, config = configure(endpoint)
    async with spec.open(config) as collection:
        yield collection


@asynccontextmanager
async def open_ends(
    source: Endpoint,
    target: Endpoint,
    options: RunOptions,
    listener: Listener,
    stopping: Callable[[], bool] = lambda: False,
) -> AsyncGenerator[Ends]:
    """Connect to both, with one retry policy over everything and one limiter over the writes. No wait outlasts
    `stopping`: it ends with Interrupted."""
    policy = RetryPolicy(max_retries=options.max_retries, listener=listener, stopping=stopping)
    async with open_endpoint(source) as reading, open_endpoint(target) as writing:
        writers = writing.capabilities.writers
        limiter = AdaptiveLimiter(min(options.concurrency or writers, writers))
        yield Ends(
            source=RetryingSource(reading, policy),
            source_adapter=configure(source)[0].name,
            target=RetryingTarget(writing, policy, limiter),
            target_adapter=configure(target)[0].name,
        )


@asynccontextmanager
async def open_target(
    endpoint: Endpoint, listener: Listener, stopping: Callable[[], bool] = lambda: False
) -> AsyncGenerator[RetryingTarget]:
    """Connect to one collection to change it."""
    async with open_endpoint(endpoint) as writing:
        limiter = AdaptiveLimiter(writing.capabilities.writers)
        yield RetryingTarget(writing, RetryPolicy(listener=listener, stopping=stopping), limiter)
