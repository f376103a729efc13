"""Tries the rejected records of a migration once more, from the source as it is now."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from vectormigrate.adapter import Reject
from vectormigrate.engine.copy import CopyContext
from vectormigrate.model.ids import id_key, parse_id_key
from vectormigrate.model.position import Partition
from vectormigrate.state.records import Lease, RetryOutcome, StoredReject
from vectormigrate.state.store import Store

BLOCK = 500


async def retry_rejects(context: CopyContext, store: Store, lease: Lease) -> None:
    """Every open reject ends as written, as gone from the source, or as rejected again with the newest reason."""
    migration_id = lease.migration_id
    partitions = {item.partition.id: item.partition for item in await store.progress.partitions(migration_id)}
    after = 0
    while block := await store.rejects.read(migration_id, after=after, limit=BLOCK):
        after = block[-1].number
        groups: dict[str, list[StoredReject]] = {}
        for stored in block:
            groups.setdefault(stored.partition_id, []).append(stored)
        for partition_id, group in groups.items():
            await _retry_group(context, partitions[partition_id], group, partial(store.rejects.settle, lease))


async def _retry_group(
    context: CopyContext,
    partition: Partition,
    group: Sequence[StoredReject],
    resolve: Callable[[RetryOutcome], Awaitable[None]],
) -> None:
    # One record may stand in several rejects (a source that returned it twice): they share its fate.
    numbers: dict[str, list[int]] = {}
    for stored in group:
        numbers.setdefault(id_key(stored.reject.id), []).append(stored.number)
    found = await context.source.fetch([parse_id_key(key) for key in numbers], partition.namespace)
    gone = numbers.keys() - set(map(id_key, found.ids))
    refused: list[Reject] = []
    for part in context.mapper.convert(found):
        refused += part.rejects
        if not len(part.batch):
            continue
        result = await context.writer.write(partition, part.batch, part.source_ids)
        refused += result.rejects
        again = {id_key(reject.id) for reject in result.rejects}
        written = [number for key in map(id_key, part.source_ids) if key not in again for number in numbers[key]]
        ids = (part.batch.namespace, result.written_ids.get(part.batch.namespace, []))
        await resolve(RetryOutcome(written=written, written_ids=ids, intents=result.intents))
    outcome = RetryOutcome(
        gone=[number for key in gone for number in numbers[key]],
        refused={number: reject for reject in refused for number in numbers[id_key(reject.id)]},
    )
    await resolve(outcome)
