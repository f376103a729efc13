"""One reading connection for all readers of a long-lived process.

Opening SQLite costs two connections and their threads, and hundreds of them at once lock each other out: the last one
to close a WAL database cleans it up alone. A server that answers many callers reads through one connection instead.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio

from vectormigrate.errors import StateError
from vectormigrate.state.store import Store, open_store

Identity = tuple[int, int]


class SharedReader:
    """Gives out a Store for reading; use as an async context manager. The connection is opened when it is first needed,
    and again when the file was replaced or an operation on it failed. Before it is entered, and while there is no
    file, every reader gets a store of his own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = anyio.Lock()
        self._held: AsyncExitStack | None = None
        self._store: Store | None = None
        self._opened: Identity | None = None

    async def __aenter__(self) -> SharedReader:
        self._held = AsyncExitStack()
        return self

    async def __aexit__(self, *problem: object) -> None:
        held, self._held, self._store, self._opened = self._held, None, None, None
        if held is not None:
            await held.aclose()

    @asynccontextmanager
    async def store(self) -> AsyncGenerator[Store]:
        """A store to read from. Raises as `open_store`."""
        there = self._identity()
        if self._held is None or there is None:
            async with open_store(self.path, read_only=True) as own:
                yield own
            return
        async with self._lock:
            store = self._store
            if store is None or there != self._opened:
                # Others may still read through the old one: it is closed at the end.
                store = self._store = await self._held.enter_async_context(open_store(self.path, read_only=True))
                self._opened = there
        try:
            yield store
        except StateError:
            if self._store is store:
                self._store = None
            raise

    def _identity(self) -> Identity | None:
        # A look into memory in all but the worst case; a thread for it would cost more than the reading.
        try:
            found = os.stat(self.path)
        except OSError:
            return None
        return found.st_dev, found.st_ino
