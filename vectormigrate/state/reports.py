"""Validation reports, and how far a comparison is that is not finished yet."""

from __future__ import annotations

import json

from vectormigrate.model.schema import Json
from vectormigrate.state.connection import Session
from vectormigrate.state.file import StateFile, require_migration
from vectormigrate.state.records import json_text, utc_text


class Reports:
    """The verdicts on a migration, and the checkpoints of those that are being reached."""

    def __init__(self, file: StateFile) -> None:
        self._file = file

    async def save(self, migration_id: str, report: Json) -> None:
        """Keep a validation report. Raises MigrationNotFound."""
        await self._save("save_report", migration_id, report=json_text(report))

    async def last(self, migration_id: str) -> Json | None:
        """The newest report, or None."""
        row = await self._file.reader.fetch_one("last_report", id=migration_id)
        return None if row is None else json.loads(row["report"])

    async def save_diff_progress(self, migration_id: str, run_key: str, progress: bytes) -> None:
        """Replace the checkpoint of a long comparison. Raises MigrationNotFound."""
        await self._save("save_diff_progress", migration_id, run_key=run_key, progress=progress)

    async def diff_progress(self, migration_id: str, run_key: str) -> bytes | None:
        """The checkpoint as saved, or None."""
        row = await self._file.reader.fetch_one("diff_progress", id=migration_id, run_key=run_key)
        return None if row is None else row["progress"]

    async def clear_diff_progress(self, migration_id: str, run_key: str | None = None) -> None:
        """Forget one checkpoint, or all of the migration."""
        await self._file.execute("clear_diff_progress", id=migration_id, run_key=run_key)

    async def _save(self, statement: str, migration_id: str, **values: object) -> None:
        async def write(session: Session) -> None:
            await require_migration(session, migration_id)
            await session.execute(statement, id=migration_id, now=utc_text(), **values)

        await self._file.write(write)
