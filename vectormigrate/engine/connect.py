"""From an endpoint to an open collection."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from pydantic import ValidationError

from vectormigrate import registry
from vectormigrate.adapter import AnySpec, ConnectionConfig, Target
from vectormigrate.errors import ConfigError
from vectormigrate.settings import Endpoint


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
        raise ConfigError(f"bad settings for the {endpoint.type!r} collection {endpoint.collection!r}: {problems}") from None


@asynccontextmanager
async def open_endpoint(endpoint: Endpoint) -> AsyncGenerator[Target]:
    """Connect, and close on leaving."""
    spec, config = configure(endpoint)
    async with spec.open(config) as collection:
        yield collection
