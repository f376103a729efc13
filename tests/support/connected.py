"""Opening a collection as the product does: what its adapter raises becomes one of our errors."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from vectormigrate.adapter import AnySpec, ConnectionConfig
from vectormigrate.engine.connect import open_collection
from vectormigrate.engine.retry import RetryingTarget, RetryPolicy


def connected(spec: AnySpec, config: ConnectionConfig) -> AbstractAsyncContextManager[RetryingTarget]:
    """The collection; every call is tried once."""
    return open_collection(spec, config, RetryPolicy(max_retries=0))
