"""Weaviate's own client, for tests that must not trust our way of talking to the server."""

from __future__ import annotations

import os
import warnings
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import weaviate
    from weaviate import classes as wvc
else:
    # Importing it warns about a package of its own, resets the warning filters and sets a variable.
    _verbosity = os.environ.get("GRPC_VERBOSITY")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import weaviate
        from weaviate import classes as wvc
    if _verbosity is None:
        os.environ.pop("GRPC_VERBOSITY", None)

__all__ = ["vendor_client", "weaviate", "wvc"]


@asynccontextmanager
async def vendor_client(url: str, grpc: str, **options: Any) -> AsyncGenerator[Any, None]:
    """A connected client of the server at these addresses."""
    rest = urlsplit(url)
    host, _, port = grpc.rpartition(":")
    client = weaviate.use_async_with_custom(
        http_host=rest.hostname or "",
        http_port=rest.port or 80,
        http_secure=False,
        grpc_host=host,
        grpc_port=int(port),
        grpc_secure=False,
        skip_init_checks=True,
        **options,
    )
    try:
        await client.connect()
        yield client
    finally:
        # Also after a refused connection, which leaves its sockets open.
        await client.close()
