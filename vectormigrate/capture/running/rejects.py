"""Records that the target refused while they were copied: whose they are from then on."""

from __future__ import annotations

from vectormigrate.capture.journal.touched import TouchedKeys
from vectormigrate.capture.keys import Key, Side
from vectormigrate.capture.running.journal import RunnerJournal
from vectormigrate.model.clock import steady_milliseconds
from vectormigrate.model.ids import id_key
from vectormigrate.state.records import Lease, RetryOutcome
from vectormigrate.state.store import Store
from vectormigrate.validation.common import Rejected


async def rejected_records(store: Store, migration_id: str) -> Rejected:
    """Namespace and typed id of every open reject."""
    rows = await store.rejects.read(migration_id)
    return frozenset((row.reject.namespace, id_key(row.reject.id)) for row in rows)


async def hand_over_rejects(store: Store, lease: Lease, journal: RunnerJournal) -> None:
    """Have the applier read them again, with those that did not read back as written. It writes under the locks, which
    a second try of the copy would not: the application may change the records meanwhile."""
    migration_id = lease.migration_id
    rows = await store.rejects.read(migration_id)
    failed = [item for item in await store.rechecks.read(migration_id) if item.failed]
    partitions = {item.partition.id: item.partition for item in await store.progress.partitions(migration_id)}
    keys = [Key(row.reject.namespace, row.reject.id) for row in rows]
    keys += [Key(partitions[item.partition_id].namespace, item.id) for item in failed]
    if not keys:
        return
    # On the disk first: what is forgotten here is nobody's.
    await journal.call(lambda: TouchedKeys(journal.durable, Side.SOURCE, steady_milliseconds).mark(keys))
    by_partition: dict[str, list[int]] = {}
    for row in rows:
        by_partition.setdefault(row.partition_id, []).append(row.number)
    for numbers in by_partition.values():
        await store.rejects.settle(lease, RetryOutcome(gone=numbers))
    await store.rechecks.settle(lease, failed)
