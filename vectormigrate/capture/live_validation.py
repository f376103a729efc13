"""The report of a live migration, made by a process that does not run it."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import cast

import anyio.to_thread

from vectormigrate.capture.folder import LiveFolder
from vectormigrate.capture.journal.compared import ComparedKeys
from vectormigrate.capture.journal.connection import Connection, connect
from vectormigrate.capture.journal.derived import Derived
from vectormigrate.capture.journal.phase import position
from vectormigrate.capture.journal.touched import TouchedKeys
from vectormigrate.capture.keys import Side
from vectormigrate.capture.phases import LivePhase, authority
from vectormigrate.capture.proving.moving import MovingComparison
from vectormigrate.capture.proving.sides import Sides, still_rejected
from vectormigrate.capture.running.conversion import Back, Forward, apart
from vectormigrate.capture.running.rejects import rejected_records
from vectormigrate.engine.connect import Ends
from vectormigrate.engine.events import Listener
from vectormigrate.engine.retry import RetryingTarget
from vectormigrate.errors import AdapterError, InvalidTransition
from vectormigrate.model.clock import steady_milliseconds
from vectormigrate.model.status import ValidationReport
from vectormigrate.state.live import LiveRow
from vectormigrate.state.records import StoredMigration
from vectormigrate.state.store import Store


async def validate_live(
    store: Store, stored: StoredMigration, live: LiveRow, ends: Ends, sample_size: int | None, listener: Listener
) -> ValidationReport:
    """Compare so many records (None: all) from the side that has the authority to the other one. What cannot be read
    is an entry of `errors`. Raises InvalidTransition before the backfill has ended, when most is not there yet, and
    JournalError."""
    started = _now()
    path = LiveFolder(live.folder).journal
    connection = await anyio.to_thread.run_sync(partial(connect, path, stored.id, durable=False))
    try:
        phase = await anyio.to_thread.run_sync(_phase, connection)
        if phase in (LivePhase.PREFLIGHT, LivePhase.CAPTURING, LivePhase.BACKFILL):
            raise InvalidTransition(
                f"migration {stored.id!r} is still copying ({phase.value}); it can be compared once that has ended"
            )
        side = authority(phase)
        sides = await _sides(store, stored, live, ends, side, connection)
        check = MovingComparison(
            sides=sides,
            keys=ComparedKeys(connection, side, steady_milliseconds),
            journalled=anyio.to_thread.run_sync,
            listener=listener,
        )
        diff, errors = None, list[str]()
        try:
            diff = await check.run(sample_size)
        except AdapterError as error:
            errors.append(str(error))
    finally:
        await anyio.to_thread.run_sync(connection.close)
    return ValidationReport(
        migration_id=stored.id,
        started_at=started,
        ended_at=_now(),
        source=sides.plan.spec.source.location,
        target=sides.plan.spec.target.location,
        min_similarity=sides.plan.spec.min_similarity,
        counts=(),
        diff=diff,
        search=(),
        rejected=len(sides.rejected),
        errors=tuple(errors),
    )


async def _sides(
    store: Store, stored: StoredMigration, live: LiveRow, ends: Ends, side: Side, connection: Connection
) -> Sides:
    async def which_written(namespace: str, ids: object) -> set[object]:
        return set()

    source = cast(RetryingTarget, ends.source)
    if side is Side.TARGET:
        if live.reverse is None:
            raise InvalidTransition(f"migration {stored.id!r} has no way back, so nothing follows its target")
        mapper = Back(live.reverse.rules, Derived(connection), stored.plan.rules)
        return Sides(
            source=ends.target,
            target=source,
            mapper=mapper,
            plan=live.reverse,
            keys=mapper,
            created=True,
            which_written=which_written,  # pyright: ignore[reportArgumentType]
        )
    rejected = await rejected_records(store, stored.id)
    namespaces = apart(stored.plan, source.capabilities, ends.target.capabilities)
    mapper = Forward(stored.plan.rules, Derived(connection), namespaces=namespaces)
    return Sides(
        source=source,
        target=ends.target,
        mapper=mapper,
        plan=stored.plan,
        keys=mapper,
        created=True,
        which_written=lambda place, ids: store.written_ids.which_written(stored.id, place, ids),
        rejected=await anyio.to_thread.run_sync(
            still_rejected, TouchedKeys(connection, Side.SOURCE, steady_milliseconds), rejected
        ),
    )


def _phase(connection: Connection) -> LivePhase:
    with connection.snapshot():
        return position(connection).phase


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
