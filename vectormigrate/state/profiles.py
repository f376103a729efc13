"""What dry runs learned from their sources, kept for a day: the evidence of the plans that follow."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from vectormigrate.model.schema import Json
from vectormigrate.state.connection import Session
from vectormigrate.state.file import StateFile
from vectormigrate.state.records import json_text, utc_text

KEEP = timedelta(days=1)
"""How long a source that looks the same may be believed to be the same."""

MOST = 20
"""Profiles of many fields are large."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptProfile:
    """`evidence` is opaque to the state file."""

    made_at: str
    evidence: Json


class Profiles:
    """What was learned, under a key that identifies the source as it looked."""

    def __init__(self, file: StateFile) -> None:
        self._file = file

    async def save(self, key: str, profile: KeptProfile) -> None:
        """Keep it, and forget the old ones."""

        async def write(session: Session) -> None:
            evidence = json_text(profile.evidence)
            await session.execute("save_profile", key=key, made_at=profile.made_at, evidence=evidence)
            await session.execute("trim_profiles", before=_since(), most=MOST)

        await self._file.write(write)

    async def find(self, key: str) -> KeptProfile | None:
        """The profile under this key, unless it is too old."""
        row = await self._file.reader.fetch_one("profile", key=key, since=_since())
        return None if row is None else KeptProfile(made_at=row["made_at"], evidence=json.loads(row["evidence"]))


def _since() -> str:
    return utc_text(datetime.now(UTC) - KEEP)
