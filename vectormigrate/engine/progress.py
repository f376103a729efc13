"""What the hot path needs of the state: five calls, so that a copy can run where the state file is not.

`LeasedProgress` is the one of the process that holds the lease. A worker elsewhere has one that sends the calls there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from vectormigrate.engine.events import Listener, PageCommitted
from vectormigrate.engine.failpoints import failpoint
from vectormigrate.model.ids import RecordId
from vectormigrate.model.position import Partition
from vectormigrate.state.records import Lease, PageCommit
from vectormigrate.state.store import Store


class Progress(Protocol):
    """Where pages are settled. Every call is durable when it returns and raises LeaseLost when another runner took
    over; `ids` are target ids of the target namespace, unless stated otherwise."""

    async def commit(self, partition: Partition, page: PageCommit) -> None:
        """Settle a page; pages of a partition come in the order of their `seq`, without a gap. Raises MigrationFailed
        when more records were rejected than the run may reject."""
        ...

    async def announce(self, partition: Partition, namespace: str, ids: Sequence[RecordId]) -> int:
        """Enter ids that are about to be written, so that a crash leaves nothing whose origin is unknown. Returns the
        number of the block, for `PageCommit.intents`."""
        ...

    async def which_intended(self, namespace: str, ids: Sequence[RecordId]) -> set[RecordId]:
        """Those of the ids that were announced and whose page is not settled yet."""
        ...

    async def which_written(self, namespace: str, ids: Sequence[RecordId]) -> set[RecordId]:
        """Those of the ids that this migration wrote in settled pages."""
        ...

    async def add_failed_check(self, partition: Partition, source_ids: Sequence[RecordId]) -> None:
        """Keep which records did not read back as written; no later run may forget them."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LeasedProgress:
    """Progress in the state file, under the lease of this process. `listener` hears of every settled page;
    `count_rejects` gets the rejects of each, and raises when they are too many."""

    store: Store
    lease: Lease
    listener: Listener
    count_rejects: Callable[[int], None]

    async def commit(self, partition: Partition, page: PageCommit) -> None:
        """Settle a page, then announce it."""
        await self.store.progress.commit(self.lease, page)
        if page.done:
            return
        failpoint("after_commit")
        self.listener(
            PageCommitted(
                migration_id=self.lease.migration_id,
                namespace=partition.namespace,
                partition_id=partition.id,
                written=page.written,
                rejected=len(page.rejects),
                checked=page.checked,
            )
        )
        self.count_rejects(len(page.rejects))

    async def announce(self, partition: Partition, namespace: str, ids: Sequence[RecordId]) -> int:
        """Enter ids that are about to be written."""
        return await self.store.written_ids.announce(self.lease, partition.id, namespace, ids)

    async def which_intended(self, namespace: str, ids: Sequence[RecordId]) -> set[RecordId]:
        """Those of the ids in blocks that are still open."""
        return await self.store.written_ids.which_intended(self.lease.migration_id, namespace, ids)

    async def which_written(self, namespace: str, ids: Sequence[RecordId]) -> set[RecordId]:
        """Those of the ids in settled blocks."""
        return await self.store.written_ids.which_written(self.lease.migration_id, namespace, ids)

    async def add_failed_check(self, partition: Partition, source_ids: Sequence[RecordId]) -> None:
        """Keep which records did not read back as written."""
        await self.store.rechecks.add_failed(self.lease, partition.id, source_ids)
