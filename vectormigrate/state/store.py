"""The state file as the rest of the package sees it."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio
import numpy as np

from vectormigrate.errors import MigrationNotFound, StateError, StateUnwritable
from vectormigrate.model.ids import RecordId
from vectormigrate.model.plan import MigrationPlan, RunOptions
from vectormigrate.model.schema import Json
from vectormigrate.model.status import MigrationStatus, Phase, Status
from vectormigrate.state import leases, migrations, planning, profiles, proposals, rechecks, rejects, written_ids
from vectormigrate.state.connection import Session, is_outdated, open_empty, open_reader, open_writer
from vectormigrate.state.leases import HEARTBEAT_SECONDS, LEASE_SECONDS
from vectormigrate.state.pages import prepare_page, require_lease
from vectormigrate.state.profiles import KeptProfile
from vectormigrate.state.proposals import Mark, Proposal, Starter
from vectormigrate.state.records import (
    Lease,
    PageCommit,
    PartitionProgress,
    Recheck,
    RetryOutcome,
    StoredMigration,
    StoredReject,
    json_text,
    utc_text,
)
from vectormigrate.state.secrets import SecretGuard
from vectormigrate.state.status import read_statuses
from vectormigrate.state.writer import Writer

T = TypeVar("T")
Statuses = list[MigrationStatus]
Progress = list[PartitionProgress]
Rejects = list[StoredReject]
Served = list[tuple[str, str]]


class Store:
    """An open state file. Made by `open_store`.

    Reads see everything that was durable when they began. Every write is durable when its call returns, and is safe
    against concurrent calls; writes of progress take the lease and raise LeaseLost when it is no longer held.
    """

    def __init__(self, path: Path, reader: Session, writer: Writer | None, guard: SecretGuard) -> None:
        self.path = path
        self._reader = reader
        self._writer = writer
        self._guard = guard
        self._indexes = written_ids.WrittenIndexes(reader)
        self._keys: dict[str, Mapping[str, str]] = {}

    def forbid(self, secret: str) -> None:
        """From now on refuse to store text that holds this credential (StateError)."""
        self._guard.forbid(secret)

    @property
    def transactions(self) -> int:
        """How many transactions this store committed."""
        return 0 if self._writer is None else self._writer.transactions

    # Migrations

    async def create_migration(self, plan: MigrationPlan, options: RunOptions) -> None:
        """Store a new migration with its partitions. Raises InvalidTransition when the id is in use."""
        await self._write(lambda session: migrations.create(session, plan, options))

    async def load(self, migration_id: str) -> StoredMigration:
        """Plan, options, state and counters. Raises MigrationNotFound; StateCorrupt when the plan was tampered with."""
        try:
            return await migrations.load(self._reader, migration_id)
        except MigrationNotFound:
            raise await self._unknown(migration_id) from None

    async def set_phase(
        self, migration_id: str, phase: Phase, status: Status, *, error: str | None = None, lease: Lease | None
    ) -> None:
        """Move the migration; engine/lifecycle.py has what is legal. Without a lease only while nobody runs it."""
        await self._write(lambda session: migrations.set_phase(session, migration_id, phase, status, error, lease))

    async def set_options(self, lease: Lease, options: RunOptions) -> None:
        """Replace the run options, as a resume may."""

        async def write(session: Session) -> None:
            await require_lease(session, lease)
            await session.execute("set_options", id=lease.migration_id, options=json_text(asdict(options)))

        await self._write(write)

    async def set_notices(self, lease: Lease, notices: Sequence[str]) -> None:
        """Replace what the operator should know about the last run."""

        async def write(session: Session) -> None:
            await require_lease(session, lease)
            await session.execute("set_notices", id=lease.migration_id, notices=json_text([*notices]))

        await self._write(write)

    async def list(self, status: Status | None = None, owner: str | None = None) -> Statuses:
        """All migrations, or those in this status, oldest first. `owner`: none but those that this caller of a server
        began; what is still being planned belongs to nobody."""
        planned = [] if owner is not None else await planning.statuses(self._reader, None)
        found = await read_statuses(self._reader, status=status, owner=owner)
        return [*found, *(item for item in planned if status in (None, item.status))]

    async def status(self, migration_id: str, owner: str | None = None) -> MigrationStatus:
        """One migration. Raises MigrationNotFound, with `owner` also for what this caller of a server did not begin:
        nothing distinguishes the two."""
        found = await read_statuses(self._reader, migration_id=migration_id, owner=owner)
        if not found and owner is None:
            found = await planning.statuses(self._reader, migration_id)
        if not found:
            raise await self._unknown(migration_id, owner)
        return found[0]

    async def _unknown(self, migration_id: str, owner: str | None = None) -> MigrationNotFound:
        known = [item.id for item in await self.list(owner=owner)]
        return MigrationNotFound(migration_id, known, str(self._reader.path))

    # Plans that are being made

    async def save_planning(self, lease: Lease, source: str, target: str, read: int, total: int) -> bool:
        """Enter how far a plan is; whether a stop is asked for. Raises LeaseHeld when another live process makes it."""
        return await self._write(lambda session: planning.save(session, lease, source, target, read, total))

    async def end_planning(self, migration_id: str, owner: str | None = None) -> None:
        """Forget the row: the plan is stored, or there will be none."""
        await self._write(lambda session: session.execute("end_planning", id=migration_id, owner=owner))

    # Progress

    async def partitions(self, migration_id: str) -> Progress:
        """The checkpoint of each partition, in the order of the plan. Raises MigrationNotFound, StateCorrupt."""
        return await migrations.partitions(self._reader, migration_id)

    async def commit(self, lease: Lease, commit: PageCommit) -> None:
        """Settle a page: cursor, counters, rejects, journal. Raises LeaseLost, and StateError for a page that is not
        the next of its partition. Concurrent calls share a transaction."""
        keys = await self._checkpoint_keys(lease.migration_id)
        if commit.partition_id not in keys:
            raise StateError(f"migration {lease.migration_id!r} has no partition {commit.partition_id!r}")
        page = prepare_page(lease, commit, keys[commit.partition_id], self._guard)
        await self._writable().commit_page(page)

    async def add_checked(self, lease: Lease, checked: int) -> None:
        """Count records that were read back after their pages were settled."""

        async def write(session: Session) -> None:
            await require_lease(session, lease)
            await session.execute("add_checked", id=lease.migration_id, checked=checked)

        await self._write(write)

    async def losses(self, migration_id: str) -> dict[str, int]:
        """Records touched so far by each loss, by name."""
        return {row["name"]: row["records"] for row in await self._reader.fetch("losses", id=migration_id)}

    async def add_intents(self, lease: Lease, partition_id: str, namespace: str, ids: Sequence[RecordId]) -> int:
        """Enter target ids that are about to be written; returns the block's number for `PageCommit.intents`."""
        return await self._write(
            lambda session: written_ids.add_block(session, lease, partition_id, namespace, ids, settled=False)
        )

    def written(self, migration_id: str, namespace: str | None = None) -> AsyncIterator[tuple[str, Sequence[RecordId]]]:
        """The journal as (target namespace, ids) blocks: what this migration wrote or was about to write. An id may
        occur in several blocks."""
        return written_ids.read_blocks(self._reader, migration_id, namespace)

    async def which_written(self, migration_id: str, namespace: str, ids: Iterable[RecordId]) -> set[RecordId]:
        """Those of these target ids that are in the journal, intents included. The namespace's settled ids are kept in
        memory from the first call on, 16 bytes each."""
        wanted = [*ids]
        found = await self.which_settled(migration_id, namespace, wanted)
        return found | await written_ids.which_intended(self._reader, migration_id, namespace, wanted)

    async def which_settled(self, migration_id: str, namespace: str, ids: Sequence[RecordId]) -> set[RecordId]:
        """Those of these target ids whose writing was acknowledged and committed."""
        index = await self._indexes.of(migration_id, namespace)
        return {ids[int(row)] for row in np.flatnonzero(index.holds(ids))}

    async def which_intended(self, migration_id: str, namespace: str, ids: Iterable[RecordId]) -> set[RecordId]:
        """Those of these target ids that are in intents which no committed page settled: what a crash may have left
        half-written. Quick, because only pages that were in flight have such intents."""
        return await written_ids.which_intended(self._reader, migration_id, namespace, ids)

    async def written_counts(self, migration_id: str) -> dict[str, int]:
        """Settled writes by target namespace: two source records that went to one id count as two."""
        return {row["namespace"]: row["records"] for row in await self._reader.fetch("written_counts", id=migration_id)}

    async def open_namespaces(self, migration_id: str) -> set[str]:
        """Target namespaces with intents that no committed page settled."""
        return {row["namespace"] for row in await self._reader.fetch("open_namespaces", id=migration_id)}

    async def written_distinct(self, migration_id: str, namespace: str) -> int:
        """How many different target ids of the namespace are settled."""
        return (await self._indexes.of(migration_id, namespace)).distinct()

    async def forget_written(self, lease: Lease, namespace: str, ids: Sequence[RecordId]) -> None:
        """Take target ids out of the journal, because they were deleted from the target."""
        await self._write(lambda session: written_ids.remove(session, lease, namespace, ids))
        self._indexes.forget(lease.migration_id)

    async def set_held(self, lease: Lease, held: Mapping[str, int]) -> None:
        """Enter how many records the existing target held per namespace before the first write."""

        async def write(session: Session) -> None:
            await require_lease(session, lease)
            await session.execute("forget_held", id=lease.migration_id)
            rows = [{"id": lease.migration_id, "namespace": name, "records": n} for name, n in held.items()]
            await session.execute_many("add_held", rows)

        await self._write(write)

    async def held(self, migration_id: str) -> dict[str, int]:
        """What `set_held` entered."""
        return {row["namespace"]: row["records"] for row in await self._reader.fetch("held", id=migration_id)}

    async def others_there(self, migration_id: str, location: str) -> dict[str, tuple[Status, bool]]:
        """Other migrations that wrote to this target collection and were not rolled back, oldest first: their status,
        and whether they may overwrite, by id."""
        rows = await self._reader.fetch("others_there", id=migration_id, location=location)
        return {row["id"]: (Status(row["status"]), bool(row["overwrites"])) for row in rows}

    # Read-backs that are still to be made

    async def add_failed_check(self, lease: Lease, partition_id: str, ids: Sequence[RecordId]) -> None:
        """Enter source records whose copies were not as written: the migration may not end before they are."""
        await self._write(lambda session: rechecks.add_failed(session, lease, partition_id, ids))

    async def rechecks(self, migration_id: str) -> Sequence[Recheck]:
        """Records that must be read back before the migration may end."""
        return await rechecks.read(self._reader, migration_id)

    async def settle_rechecks(self, lease: Lease, settled: Sequence[Recheck]) -> None:
        """These were read back and are as they should be, or are gone from the source."""
        await self._write(lambda session: rechecks.settle(session, lease, settled))

    # Rejects

    async def rejects(self, migration_id: str, *, limit: int | None = None, offset: int = 0) -> Rejects:
        """Open rejects, oldest first."""
        return await rejects.list_rejects(self._reader, migration_id, limit=limit, offset=offset)

    async def take_rejects(self, migration_id: str, *, after: int = 0, limit: int = 1000) -> Rejects:
        """Open rejects with a number above `after`, to be tried again: pass the last number seen to continue."""
        return await rejects.list_rejects(self._reader, migration_id, after=after, limit=limit)

    async def reject_counts(self, migration_id: str) -> dict[str, int]:
        """Open rejects by code."""
        return await rejects.count_rejects(self._reader, migration_id)

    async def resolve_rejects(self, lease: Lease, outcome: RetryOutcome) -> None:
        """Enter what trying rejects again came to."""
        await self._write(lambda session: rejects.settle_rejects(session, lease, outcome))

    # Control, from any process

    async def request_stop(self, migration_id: str) -> None:
        """Ask the runner to stop at the next page; the next lease ends the request. Raises MigrationNotFound."""

        async def write(session: Session) -> int:
            planned = await session.execute("stop_planning", id=migration_id)
            return planned or await session.execute("request_stop", id=migration_id, now=utc_text())

        if not await self._write(write):
            raise MigrationNotFound(migration_id)

    async def stop_requested(self, migration_id: str) -> bool:
        """Whether a stop is asked for. Raises MigrationNotFound."""
        row = await self._reader.fetch_one("stop_requested", id=migration_id)
        if row is None:
            raise MigrationNotFound(migration_id)
        return bool(row["stop_requested"])

    # Validation

    async def save_report(self, migration_id: str, report: Json) -> None:
        """Keep a validation report. Raises MigrationNotFound."""
        text = json_text(report)

        async def write(session: Session) -> None:
            await self._require(session, migration_id)
            await session.execute("save_report", id=migration_id, now=utc_text(), report=text)

        await self._write(write)

    async def observations(self) -> dict[str, tuple[int, float | None]]:
        """By migration: the planned bytes per record, and when its run last committed, in seconds of the epoch."""
        rows = await self._reader.fetch("observations")
        return {row["id"]: (row["bytes_per_record"] or 0, row["last_commit"]) for row in rows}

    async def last_report(self, migration_id: str) -> Json | None:
        """The newest report, or None."""
        row = await self._reader.fetch_one("last_report", id=migration_id)
        return None if row is None else json.loads(row["report"])

    async def save_diff_progress(self, migration_id: str, run_key: str, progress: bytes) -> None:
        """Replace the checkpoint of a long comparison. Raises MigrationNotFound."""

        async def write(session: Session) -> None:
            await self._require(session, migration_id)
            await session.execute(
                "save_diff_progress", id=migration_id, run_key=run_key, now=utc_text(), progress=progress
            )

        await self._write(write)

    async def diff_progress(self, migration_id: str, run_key: str) -> bytes | None:
        """The checkpoint as saved, or None."""
        row = await self._reader.fetch_one("diff_progress", id=migration_id, run_key=run_key)
        return None if row is None else row["progress"]

    async def clear_diff_progress(self, migration_id: str, run_key: str | None = None) -> None:
        """Forget one checkpoint, or all of the migration."""
        await self._write(lambda session: session.execute("clear_diff_progress", id=migration_id, run_key=run_key))

    # Origin notes

    async def remember_origin(self, location: str, note: Json | None) -> None:
        """Keep the origin note of a collection that cannot carry it; None forgets it."""
        if note is None:
            await self._write(lambda session: session.execute("forget_origin", location=location))
        else:
            text = json_text(note)
            await self._write(
                lambda session: session.execute("remember_origin", location=location, note=text, now=utc_text())
            )

    async def origin(self, location: str) -> Json | None:
        """The note kept for this collection, or None."""
        row = await self._reader.fetch_one("origin", location=location)
        return None if row is None else json.loads(row["note"])

    # For servers

    async def save_proposal(self, proposal: Proposal) -> None:
        """Keep a plan that was shown, for a day."""
        await self._write(lambda session: proposals.save(session, proposal))

    async def save_profile(self, key: str, profile: KeptProfile) -> None:
        """Keep what a dry run learned; see profiles.save."""
        await self._write(lambda session: profiles.save(session, key, profile))

    async def profile(self, key: str) -> KeptProfile | None:
        """What a dry run of today learned about what this key identifies."""
        return await profiles.find(self._reader, key)

    async def proposal(self, proposal_id: str) -> Proposal | None:
        """A plan that was shown, or None."""
        return await proposals.find(self._reader, proposal_id)

    async def begin(self, plan: MigrationPlan, options: RunOptions, by: Starter) -> tuple[str, bool]:
        """Store the migration of a plan once; see proposals.begin."""
        return await self._write(lambda session: proposals.begin(session, plan, options, by))

    async def requested(self, owner: str, request_id: str) -> tuple[str, str | None] | None:
        """What this owner's request started: the migration, and the id of its plan, None where that is not known."""
        return await proposals.requested(self._reader, owner, request_id)

    async def serve(self, migration_id: str, owner: str) -> None:
        """Enter that a server is responsible for this migration."""
        await self._write(lambda session: session.execute("add_served", id=migration_id, owner=owner, now=utc_text()))

    async def unserve(self, migration_id: str) -> None:
        """The migration came to its end, or to a stop that somebody asked for."""
        await self._write(lambda session: session.execute("drop_served", id=migration_id))

    async def served(self) -> Served:
        """(migration id, owner) of what servers run, or were running when they ended."""
        return await proposals.served(self._reader)

    async def marks(self) -> dict[str, Mark]:
        """A fingerprint of what can be seen of each migration, by id; cheap enough to be asked for every second."""
        return await proposals.marks(self._reader)

    # Leases

    @asynccontextmanager
    async def hold(
        self, migration_id: str, *, ttl: float = LEASE_SECONDS, interval: float = HEARTBEAT_SECONDS
    ) -> AsyncGenerator[Lease]:
        """Be the runner of this migration inside the block. Raises MigrationNotFound, LeaseHeld (naming the holder),
        and LeaseLost when another process took over meanwhile, StateError when the file was removed: the block is
        cancelled then."""
        acquire = partial(self.acquire_lease, migration_id, ttl)
        async with leases.kept(self.path, acquire, self.release_lease, ttl=ttl, interval=interval) as lease:
            yield lease

    async def acquire_lease(self, migration_id: str, ttl: float) -> Lease:
        """Become the runner. Raises MigrationNotFound or LeaseHeld."""
        lease = leases.new_lease(migration_id, ttl)
        await self._write(lambda session: leases.take(session, lease))
        return lease

    async def release_lease(self, lease: Lease) -> None:
        """Give the lease back, if it is still held."""
        await self._write(lambda session: session.execute("release_lease", id=lease.migration_id, owner=lease.owner))

    # Inside

    def _writable(self) -> Writer:
        if self._writer is None:
            raise StateError(f"the state file {str(self.path)!r} is open for reading only")
        return self._writer

    async def _write(self, operation: Callable[[Session], Awaitable[T]]) -> T:
        return await self._writable().run(operation)

    async def _require(self, session: Session, migration_id: str) -> None:
        if await session.fetch_one("migration_state", id=migration_id) is None:
            raise MigrationNotFound(migration_id)

    async def _checkpoint_keys(self, migration_id: str) -> Mapping[str, str]:
        keys = self._keys.get(migration_id)
        if keys is None:
            keys = migrations.checkpoint_keys(await migrations.load(self._reader, migration_id))
            self._keys[migration_id] = keys
        return keys


@asynccontextmanager
async def open_store(
    path: Path, *, read_only: bool = False, secrets: Iterable[str] = (), patience: float | None = None
) -> AsyncGenerator[Store]:
    """Open the state file; it is made, or brought to the newest format, unless `read_only`. A missing file that is only
    read looks empty. `secrets` are credentials that must never be stored. `patience`: seconds that a write waits for
    the lock of another process, default a minute.

    Raises StateCorrupt, StateTooNew, StateUnwritable or StateBusy; a write raises the last one too.
    """
    guard = SecretGuard(secrets)
    async with AsyncExitStack() as stack:
        if read_only and not await anyio.Path(path).exists():
            blocking = [str(parent) for parent in path.parents if await anyio.Path(parent).is_file()]
            if blocking:
                raise StateUnwritable(f"the state file {str(path)!r} cannot exist: {blocking[0]!r} is a file")
            yield Store(path, await stack.enter_async_context(open_empty(path, guard)), None, guard)
            return
        if read_only:
            if await is_outdated(path):
                async with open_writer(path, guard):
                    pass
            yield Store(path, await stack.enter_async_context(open_reader(path, guard)), None, guard)
            return
        writer = Writer(await stack.enter_async_context(open_writer(path, guard, patience=patience)))
        stack.push_async_callback(_close, writer)
        reader = await stack.enter_async_context(open_reader(path, guard))
        yield Store(path, reader, writer, guard)


async def _close(writer: Writer) -> None:
    with anyio.CancelScope(shield=True):
        await writer.close()
