"""What a live migration looks like to a process that does not run it."""

from __future__ import annotations

import anyio.to_thread

from vectormigrate.capture.running.look import look_from_outside
from vectormigrate.capture.running.rejects import rejected_records
from vectormigrate.model.live import LiveStatus
from vectormigrate.model.status import MigrationStatus
from vectormigrate.state.store import Store


async def look_at_live(store: Store, status: MigrationStatus, *, strict: bool = False) -> LiveStatus | None:
    """Phase, figures and gate, None for a migration that is not live. Raises JournalError."""
    row = await store.live.find(status.id)
    if row is None:
        return None
    rejected = await rejected_records(store, status.id)
    return await anyio.to_thread.run_sync(
        lambda: look_from_outside(row, status.id, runner_alive=status.runner_alive, rejected=rejected, strict=strict)
    )
