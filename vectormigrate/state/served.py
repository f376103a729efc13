"""The migrations that a server is responsible for, and how it notices that any migration changed."""

from __future__ import annotations

import json
from dataclasses import dataclass

from vectormigrate.state.file import StateFile
from vectormigrate.state.records import utc_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A fingerprint of what can be seen of a migration: `state` changes with every change of its status, `outline` with
    its status and phase only, `report` with every validation. `owner`: who began it through a server."""

    owner: str | None
    outline: str
    state: str
    report: int


class Served:
    """What servers run, or were running when they ended."""

    def __init__(self, file: StateFile) -> None:
        self._file = file

    async def add(self, migration_id: str, owner: str) -> None:
        """Enter that a server is responsible for this migration."""
        await self._file.execute("add_served", id=migration_id, owner=owner, now=utc_text())

    async def remove(self, migration_id: str) -> None:
        """The migration came to its end, or to a stop that somebody asked for."""
        await self._file.execute("drop_served", id=migration_id)

    async def all(self) -> list[tuple[str, str]]:
        """(migration id, owner) of each, oldest first."""
        return [(row["migration_id"], row["owner"]) for row in await self._file.reader.fetch("served")]

    async def marks(self) -> dict[str, Mark]:
        """The mark of every migration of the file, by id; cheap enough to be asked for every second."""
        rows = await self._file.reader.fetch("marks")
        return {
            row["id"]: Mark(
                owner=row["owner"],
                outline=json.dumps([row["status"], row["phase"], row["ended_at"]]),
                state=json.dumps(
                    [row[name] for name in ("status", "phase", "error", "ended_at", "stop_requested_at", "work")]
                ),
                report=row["report"] or 0,
            )
            for row in rows
        }
