"""Begins a live migration: its journal, then its place in the state file, so that neither is without the other."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import anyio.to_thread

from vectormigrate.capture.folder import live_folder
from vectormigrate.capture.journal.connection import connect, make
from vectormigrate.capture.journal.phase import position
from vectormigrate.capture.keys import Side
from vectormigrate.capture.phases import ENDED, LivePhase, authority
from vectormigrate.errors import InvalidTransition, JournalError, remedy
from vectormigrate.model.live import LiveOptions
from vectormigrate.model.plan import MigrationPlan, RunOptions
from vectormigrate.state.live import LivePlace
from vectormigrate.state.store import Store


async def begin_live(
    store: Store,
    plan: MigrationPlan,
    options: RunOptions,
    live: LiveOptions,
    folder: Path | None,
) -> None:
    """Make the journal, and store the migration. Raises JournalError as `make_place`, and InvalidTransition when the id
    is in use."""
    place = await make_place(store, plan.spec.id, live, folder)
    await store.live.create(plan, options, live, folder=place.folder, journal=place.journal)


async def make_place(store: Store, migration_id: str, live: LiveOptions, folder: Path | None) -> LivePlace:
    """Make the journal of a migration that is to be stored, unless an attempt that got no further has. Raises
    JournalError for a journal of another migration, or one in which something has happened."""
    there = live_folder(store.path, migration_id, folder)
    identity = await anyio.to_thread.run_sync(partial(_fresh, there.journal, migration_id))
    return LivePlace(options=live, folder=there.path, journal=identity)


def _fresh(path: Path, migration_id: str) -> str:
    """The identity of an empty journal there."""
    if not path.exists():
        make(path, migration_id)
    connection = connect(path, migration_id, durable=False)
    try:
        with connection.snapshot():
            _, identity = connection.row("load_journal")
            phase = position(connection).phase
            (number,) = connection.row("last_number")
    finally:
        connection.close()
    if phase is not LivePhase.PREFLIGHT or number:
        raise JournalError(
            f"the journal {str(path)!r} is of an earlier migration {migration_id!r}; choose another id, or remove it "
            "if that is over"
        )
    return identity


async def refuse_followed(store: Store, migration_id: str) -> None:
    """Raise InvalidTransition for a live migration whose target is followed, or is the collection by now."""
    row = await store.live.find(migration_id)
    if row is None:
        return
    phase = await anyio.to_thread.run_sync(partial(_phase, row.folder / "journal.db", migration_id))
    if authority(phase) is Side.TARGET:
        raise InvalidTransition(
            f"the application writes to the target of migration {migration_id!r}; give the authority back first with: "
            f"{remedy('reverse', migration_id)}"
        )
    if phase not in ENDED and phase not in (LivePhase.PREFLIGHT, LivePhase.CAPTURING):
        raise InvalidTransition(
            f"migration {migration_id!r} follows its source; end that first with: {remedy('abort', migration_id)}"
        )


def _phase(path: Path, migration_id: str) -> LivePhase:
    connection = connect(path, migration_id, durable=False)
    try:
        with connection.snapshot():
            return position(connection).phase
    finally:
        connection.close()
