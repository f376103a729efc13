"""From endpoints to open collections."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace

import anyio
from pydantic import ValidationError

from vectormigrate import registry
from vectormigrate.adapter import AnySpec, ConnectionConfig, Listing, lister
from vectormigrate.adapter.vendor_errors import translated
from vectormigrate.config.settings import Endpoint, key_origin, plain_problems, safe_url
from vectormigrate.engine.events import Connecting, Listener
from vectormigrate.engine.retry import RetryingSource, RetryingTarget, RetryPolicy, located
from vectormigrate.engine.throttle import AdaptiveLimiter
from vectormigrate.errors import CollectionNotFound, ConfigError, End, VectorMigrateError, did_you_mean, remedy
from vectormigrate.model.plan import RunOptions

ANY_COLLECTION = "vectormigrate"
"""Completes a configuration where no collection is meant; nothing looks at it."""

HELD_SECONDS = 5.0
"""How long an error waits to learn what there is."""


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
        side = f"{endpoint.side}: " if endpoint.side else ""
        of = f" {endpoint.collection!r}" if endpoint.collection else ""
        hint = _meant(spec, endpoint, error)
        raise ConfigError(
            f"{side}bad settings for the {spec.name!r} collection{of}: {plain_problems(error)}{hint}"
        ) from None


def _meant(spec: AnySpec, endpoint: Endpoint, error: ValidationError) -> str:
    """What to try instead of the first thing that is wrong: an option of a near name, or a URL with its scheme."""
    first = error.errors(include_url=False, include_context=False)[0]
    name = str(first["loc"][-1]) if first["loc"] else ""
    if first["type"] == "extra_forbidden":
        known = [key for key in spec.config.model_fields if key not in ("url", "api_key", "collection")]
        return f"{did_you_mean(name, known)}; see: {remedy('options', types=(spec.name,))}"
    if name == "url" and re.fullmatch(r"[\w.-]+(:\d+)?(/[^?#@]*)?", endpoint.url):
        return f"; did you mean http://{endpoint.url}?"
    return ""


def end_of(endpoint: Endpoint) -> End:
    """How errors name a complete endpoint. Raises as `configure`."""
    _, config = configure(endpoint)
    return End(
        side=endpoint.side,
        type=endpoint.type,
        place=safe_url(config.url),
        collection=endpoint.collection,
        connection=endpoint.connection,
        key=key_origin(endpoint),
    )


@asynccontextmanager
async def open_collection(
    spec: AnySpec, config: ConnectionConfig, policy: RetryPolicy, end: End | None = None, writers: int | None = None
) -> AsyncGenerator[RetryingTarget]:
    """Connect, once, and close on leaving. What the adapter raises, here and in every call, becomes an error of ours
    that names `end`. At most `writers` writes at a time."""
    async with AsyncExitStack() as stack:
        with located(end), translated(spec.classify, "open"):
            collection = await stack.enter_async_context(spec.open(config))
        most = collection.capabilities.writes.writers
        limiter = AdaptiveLimiter(min(writers or most, most))
        yield RetryingTarget(collection, spec.classify, policy, limiter, end)


@asynccontextmanager
async def open_endpoint(
    endpoint: Endpoint, policy: RetryPolicy | None = None, *, writers: int | None = None, named: bool = True
) -> AsyncGenerator[RetryingTarget]:
    """Connect, and close on leaving; without a policy every call is tried once. Errors name their end, those of calls
    only when `named`; to one of a collection that was not found is added what there is."""
    spec, config = configure(endpoint)
    end = end_of(endpoint)
    once = RetryPolicy(max_retries=0)
    async with AsyncExitStack() as stack:
        with located(end):
            opening = open_collection(spec, config, policy or once, end if named else None, writers)
            collection = await stack.enter_async_context(opening)
        try:
            yield collection
        except CollectionNotFound as error:
            if error.end is not None and error.end == end:
                error.end = replace(end, held=await _held(endpoint))
            raise


async def _held(endpoint: Endpoint) -> tuple[str, ...]:
    """The collections that are there, as far as they can be found out now."""
    with anyio.move_on_after(HELD_SECONDS), suppress(VectorMigrateError):
        return tuple((await listing(endpoint)).names)
    return ()


async def listing(endpoint: Endpoint) -> Listing:
    """Who answers, and the names of its collections. Raises ConfigError where the adapter cannot list them."""
    complete = replace(endpoint, collection=endpoint.collection or ANY_COLLECTION)
    spec, config = configure(complete)
    ask = lister(spec)
    if ask is None:
        raise ConfigError(f"the adapter {spec.name!r} cannot list collections")
    with located(end_of(complete)), translated(spec.classify, "list_collections"):
        return await ask(config)


@asynccontextmanager
async def _announced(
    endpoint: Endpoint, listener: Listener, policy: RetryPolicy, writers: int | None = None
) -> AsyncGenerator[RetryingTarget]:
    """The open endpoint; the listener learns when connecting begins and ends."""
    end = str(end_of(endpoint))
    listener(Connecting(end=end))
    async with open_endpoint(endpoint, policy, writers=writers) as collection:
        listener(Connecting(end=end, ready=True))
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
    async with (
        _announced(source, listener, policy) as reading,
        _announced(target, listener, policy, options.concurrency) as writing,
    ):
        yield Ends(
            source=reading,
            source_adapter=configure(source)[0].name,
            target=writing,
            target_adapter=configure(target)[0].name,
        )


@asynccontextmanager
async def open_target(
    endpoint: Endpoint, listener: Listener, stopping: Callable[[], bool] = lambda: False
) -> AsyncGenerator[RetryingTarget]:
    """Connect to one collection to change it."""
    async with _announced(endpoint, listener, RetryPolicy(listener=listener, stopping=stopping)) as writing:
        yield writing
