"""Origin notes of collections that cannot carry one themselves, by the location of the collection."""

from __future__ import annotations

import json

from vectormigrate.model.schema import Json
from vectormigrate.state.file import StateFile
from vectormigrate.state.records import json_text, utc_text


class Origin:
    """Where collections came from whose database keeps no note."""

    def __init__(self, file: StateFile) -> None:
        self._file = file

    async def remember(self, location: str, note: Json | None) -> None:
        """Keep the note of this collection, in place of an older one; None forgets it."""
        if note is None:
            await self._file.execute("forget_origin", location=location)
        else:
            await self._file.execute("remember_origin", location=location, note=json_text(note), now=utc_text())

    async def find(self, location: str) -> Json | None:
        """The note kept for this collection, or None."""
        row = await self._file.reader.fetch_one("origin", location=location)
        return None if row is None else json.loads(row["note"])
