"""A collection in a file as Source and Target."""

from __future__ import annotations

import sqlite3

from tests.toydb.capabilities import CAPABILITIES
from tests.toydb.writer import Writer
from vectormigrate.adapter import Capabilities
from vectormigrate.model.schema import CollectionSchema


class ToydbCollection(Writer):
    """Implements Target."""

    @property
    def capabilities(self) -> Capabilities:
        return CAPABILITIES

    async def server(self) -> str:
        return f"SQLite {sqlite3.sqlite_version}"

    async def describe(self) -> CollectionSchema:
        return await self._session.run(self._session.schema)
