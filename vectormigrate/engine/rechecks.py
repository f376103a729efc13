"""Read-backs that are due when everything is copied: put off by the target, or failed in this or an earlier run."""

from __future__ import annotations

from collections.abc import Sequence

from vectormigrate.engine.copy import CopyContext
from vectormigrate.engine.writing import not_as_written
from vectormigrate.model.ids import RecordId, id_key
from vectormigrate.model.position import Partition
from vectormigrate.state.records import Lease, Recheck, RetryOutcome
from vectormigrate.state.store import Store

BLOCK = 500


async def settle_rechecks(context: CopyContext, store: Store, lease: Lease) -> int:
    """Read every record back that is due; returns how many were. What this run wrote is compared with what it wrote;
    what an earlier run left, with the source as it is now. Raises ValidationFailed; the differing ones stay due."""
    due = {(item.partition_id, id_key(item.id)): item for item in await store.rechecks.read(lease.migration_id)}
    checked = 0
    failed: dict[str, list[RecordId]] = {}
    for deferred in context.writer.deferred:
        keys = [(deferred.partition_id, id_key(record_id)) for record_id in deferred.source_ids]
        if any(key not in due or due[key].failed for key in keys):
            continue  # its page never got as far as being committed, or it failed before: the source decides
        wrong = set(map(id_key, await context.writer.differing(deferred.batch)))
        checked += len(keys)
        good: list[Recheck] = []
        for key, target_id, source_id in zip(keys, deferred.batch.ids, deferred.source_ids, strict=True):
            item = due.pop(key)
            if id_key(target_id) in wrong:
                failed.setdefault(deferred.partition_id, []).append(source_id)
            else:
                good.append(item)
        await store.rechecks.settle(lease, good)
    context.writer.deferred.clear()
    partitions = {item.partition.id: item.partition for item in await store.progress.partitions(lease.migration_id)}
    for partition_id, items in _blocks(list(due.values())):
        checked += len(items)
        wrong_ids = await _differing(context, partitions[partition_id], items)
        wrong_keys = set(map(id_key, wrong_ids))
        await store.rechecks.settle(lease, [item for item in items if id_key(item.id) not in wrong_keys])
        failed.setdefault(partition_id, []).extend(wrong_ids)
    await _raise_failed(store, lease, failed, checked)
    return checked


async def write_failed_again(context: CopyContext, store: Store, lease: Lease) -> None:
    """Write the records again whose copies were not as written; `settle_rechecks` judges them afterwards."""
    partitions = {item.partition.id: item.partition for item in await store.progress.partitions(lease.migration_id)}
    failed = [item for item in await store.rechecks.read(lease.migration_id) if item.failed]
    for partition_id, items in _blocks(failed):
        partition = partitions[partition_id]
        found = await context.source.fetch([item.id for item in items], partition.namespace)
        for part in context.mapper.convert(found):
            if len(part.batch):
                result = await context.writer.write(partition, part.batch, part.source_ids)
                await store.rejects.settle(lease, RetryOutcome(intents=result.intents))


async def _differing(context: CopyContext, partition: Partition, items: Sequence[Recheck]) -> list[RecordId]:
    """Source ids of those whose copy is not what the source's record maps to. A record that is gone from the source, or
    that cannot be mapped (a reject), has no copy to judge."""
    found = await context.source.fetch([item.id for item in items], partition.namespace)
    wrong: dict[str, RecordId] = {}
    for part in context.mapper.convert(found):
        if not len(part.batch):
            continue
        differing = set(map(id_key, await context.writer.differing(part.batch)))
        for target_id, source_id in zip(part.batch.ids, part.source_ids, strict=True):
            if id_key(target_id) in differing:
                wrong[id_key(source_id)] = source_id
    return list(wrong.values())


async def _raise_failed(store: Store, lease: Lease, failed: dict[str, list[RecordId]], checked: int) -> None:
    every: list[RecordId] = []
    for partition_id, ids in failed.items():
        if ids:
            await store.rechecks.add_failed(lease, partition_id, ids)
            every += ids
    if every:
        raise not_as_written(every, checked, lease.migration_id)


def _blocks(items: Sequence[Recheck]) -> list[tuple[str, list[Recheck]]]:
    groups: dict[str, list[Recheck]] = {}
    for item in items:
        groups.setdefault(item.partition_id, []).append(item)
    return [
        (name, group[start : start + BLOCK]) for name, group in groups.items() for start in range(0, len(group), BLOCK)
    ]
