"""Live migrations: how they are to run, and the orders that other processes have for their runner."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vectormigrate.errors import MigrationNotFound
from vectormigrate.model.live import LiveFigures, LiveOptions, Order, OrderVerb, Pace
from vectormigrate.model.plan import MigrationPlan, RunOptions
from vectormigrate.state.connection import Session
from vectormigrate.state.file import StateFile
from vectormigrate.state.migrations import create
from vectormigrate.state.records import Lease, json_text, utc_text


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveRow:
    """A live migration as stored. `folder`: where its journal is; `journal`: the identity of that file; `seen`: the
    highest number that was seen in it. `reverse`: the plan of the way back, None until it is made."""

    options: LiveOptions
    folder: Path
    journal: str
    seen: int
    reverse: MigrationPlan | None
    pace: Pace
    figures: LiveFigures | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LivePlace:
    """How a new migration is to be live, and its journal: the folder, and the identity of the file."""

    options: LiveOptions
    folder: Path
    journal: str


async def insert(session: Session, migration_id: str, place: LivePlace) -> None:
    """Make a migration of this transaction a live one."""
    await session.execute(
        "insert_live",
        id=migration_id,
        options=json_text(asdict(place.options)),
        folder=str(place.folder),
        journal=place.journal,
    )


class Live:
    """What is stored of live migrations besides their plan and checkpoints."""

    def __init__(self, file: StateFile) -> None:
        self._file = file

    async def create(
        self, plan: MigrationPlan, options: RunOptions, live: LiveOptions, *, folder: Path, journal: str
    ) -> None:
        """Store a new migration that is live. Raises InvalidTransition when the id is in use."""

        async def write(session: Session) -> None:
            await create(session, plan, options)
            await insert(session, plan.spec.id, LivePlace(options=live, folder=folder, journal=journal))

        await self._file.write(write)

    async def ids(self) -> set[str]:
        """The migrations that are live."""
        return {row["migration_id"] for row in await self._file.reader.fetch("live_ids")}

    async def find(self, migration_id: str) -> LiveRow | None:
        """The live migration, None for one that is not live or does not exist."""
        row = await self._file.reader.fetch_one("live", id=migration_id)
        if row is None:
            return None
        reverse, figures = row["reverse"], row["figures"]
        return LiveRow(
            options=LiveOptions(**json.loads(row["options"])),
            folder=Path(row["folder"]),
            journal=row["journal"],
            seen=row["seen"],
            reverse=None if reverse is None else MigrationPlan.from_json(json.loads(reverse)),
            pace=Pace(row["pace"]),
            figures=None if figures is None else LiveFigures.from_json(json.loads(figures)),
        )

    async def set_options(self, migration_id: str, options: LiveOptions) -> None:
        """Replace how it is to run."""
        await self._file.execute("set_live_options", id=migration_id, options=json_text(asdict(options)))

    async def set_reverse(self, lease: Lease, plan: MigrationPlan) -> None:
        """Keep the plan of the way back."""
        await self._file.execute("set_live_reverse", lease, id=lease.migration_id, reverse=json_text(plan.to_json()))

    async def set_pace(self, migration_id: str, pace: Pace) -> None:
        """What the runner may do from now on. Raises MigrationNotFound for one that is not live."""
        if not await self._file.execute("set_live_pace", id=migration_id, pace=pace.value):
            raise MigrationNotFound(migration_id)

    async def set_figures(self, lease: Lease, figures: LiveFigures, seen: int) -> None:
        """What the runner measured, and the highest number that it saw in the journal."""
        await self._file.execute(
            "set_live_figures", lease, id=lease.migration_id, figures=json_text(figures.to_json()), seen=seen
        )

    async def ask(self, migration_id: str, verb: OrderVerb, options: Mapping[str, Any]) -> int:
        """Put an order for the runner; returns its number."""

        async def write(session: Session) -> int:
            return await session.insert(
                "insert_live_order",
                id=migration_id,
                verb=verb.value,
                options=json_text(dict(options)),
                now=utc_text(),
            )

        return await self._file.write(write)

    async def orders(self, migration_id: str, *, unanswered: bool = True) -> list[Order]:
        """The orders in the order in which they were given."""
        rows = await self._file.reader.fetch("live_orders", id=migration_id, open=int(unanswered))
        return [_order(row) for row in rows]

    async def answer(self, number: int, answer: Mapping[str, Any]) -> None:
        """Answer an order; the first answer counts."""
        await self._file.execute("answer_live_order", number=number, answer=json_text(dict(answer)))


def _order(row: sqlite3.Row) -> Order:
    return Order(
        number=row["number"],
        migration_id=row["migration_id"],
        verb=OrderVerb(row["verb"]),
        options=json.loads(row["options"]),
        asked_at=row["asked_at"],
        answer=None if row["answer"] is None else json.loads(row["answer"]),
    )
