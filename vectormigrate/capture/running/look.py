"""What a live migration looks like from outside: from its journal, its gateway's file and the state file."""

from __future__ import annotations

from dataclasses import replace

from vectormigrate.capture.folder import LiveFolder
from vectormigrate.capture.gateway.files import noted_taints, read_info
from vectormigrate.capture.journal.connection import Connection, connect
from vectormigrate.capture.journal.intents import alive
from vectormigrate.capture.journal.phase import position
from vectormigrate.capture.journal.taints import taints
from vectormigrate.capture.journal.touched import TouchedKeys
from vectormigrate.capture.keys import Side
from vectormigrate.capture.phases import authority
from vectormigrate.capture.proving.sides import still_rejected
from vectormigrate.capture.running.gate import gate
from vectormigrate.model.clock import age, steady_milliseconds
from vectormigrate.model.ids import id_key
from vectormigrate.model.live import LiveFigures, LiveStatus
from vectormigrate.state.live import LiveRow
from vectormigrate.validation.common import Rejected

EXAMPLES = 5


def look_from_outside(
    row: LiveRow, migration_id: str, *, runner_alive: bool, rejected: Rejected = frozenset(), strict: bool = False
) -> LiveStatus:
    """For a process that is not the runner. Blocking. Raises JournalError when the journal cannot be read."""
    connection = connect(LiveFolder(row.folder).journal, migration_id, durable=False)
    try:
        figures = row.figures or LiveFigures()
        return look(connection, row, figures, runner_alive=runner_alive, rejected=rejected, strict=strict)
    finally:
        connection.close()


def look(
    connection: Connection,
    row: LiveRow,
    figures: LiveFigures,
    *,
    runner_alive: bool,
    rejected: Rejected,
    strict: bool = False,
) -> LiveStatus:
    """Everything, with the gate. `rejected`: by the copy, as far as nobody tried again. Blocking."""
    with connection.snapshot():
        now = position(connection)
    side = authority(now.phase)
    keys = TouchedKeys(connection, side, steady_milliseconds)
    found = keys.figures()
    with connection.translated():
        (unverified,) = connection.row("count_unverified", side.value)
        (diverged_at,) = connection.row("oldest_divergence", side.value)
    folder = LiveFolder(row.folder)
    info = read_info(folder)
    new = 0.0 if info is None else info.writes_per_second
    parked = keys.parked(EXAMPLES) if found.parked else []
    status = LiveStatus(
        phase=now.phase.value,
        epoch=now.epoch,
        authority=side.value,
        gateway=info,
        gateway_alive=alive(connection, steady_milliseconds),
        runner_alive=runner_alive,
        pace=row.pace,
        touched=found.touched,
        dirty=found.dirty,
        lag=0.0 if found.oldest is None else max(0, steady_milliseconds() - found.oldest) / 1000,
        under_way=found.under_way,
        in_doubt=found.in_doubt,
        scopes=tuple(scope.reason for scope in found.scopes),
        parked=found.parked,
        parked_examples=tuple(f"{id_key(key.id)}: {reason}" for key, reason in parked),
        rejected=len(still_rejected(TouchedKeys(connection, Side.SOURCE, steady_milliseconds), rejected)),
        unverified=unverified,
        longest_mismatch=0.0 if diverged_at is None else age(diverged_at),
        tainted=tuple(taints(connection)),
        unnoted=tuple(noted_taints(folder)),
        drain_eta=_drain(found.dirty, figures.applied - new),
        rollback_blocked=parked[0][1] if parked and side.value == "target" else "",
        figures=figures,
    )
    return replace(status, gate=gate(status, lag_limit=row.options.lag_limit, strict=strict))


def _drain(dirty: int, rate: float) -> float | None:
    if not dirty:
        return 0.0
    return dirty / rate if rate > 0 else None
