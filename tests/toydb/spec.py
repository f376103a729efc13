"""Collections in SQLite files."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from anyio.to_thread import run_sync

from tests.toydb import errors
from tests.toydb.adapter import ToydbCollection
from tests.toydb.capabilities import CAPABILITIES
from tests.toydb.config import ToydbConfig
from tests.toydb.session import Session
from vectormigrate.adapter import Listing
from vectormigrate.errors import AdapterError


class ToydbSpec:
    """AdapterSpec of `toydb`."""

    name = errors.NAME
    extra: str | None = None
    config = ToydbConfig
    capabilities = CAPABILITIES

    @asynccontextmanager
    async def open(self, config: ToydbConfig) -> AsyncGenerator[ToydbCollection, None]:
        """The collection, which may not exist yet."""
        session = Session(config)
        try:
            yield ToydbCollection(session)
        finally:
            session.open = False

    async def list_collections(self, config: ToydbConfig) -> Listing:
        """The files of the folder."""
        found = await run_sync(lambda: sorted(path.stem for path in Path(config.url).glob("*.sqlite")))
        return Listing(server="SQLite", names=found)

    def classify(self, error: BaseException, operation: str) -> AdapterError | None:
        """SQLite's exceptions."""
        return errors.classify(error, operation)


SPEC = ToydbSpec()
