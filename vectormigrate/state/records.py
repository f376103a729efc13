"""What goes into the state file and what comes out of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from vectormigrate.adapter import Reject
from vectormigrate.model.clock import utc_text
from vectormigrate.model.ids import RecordId
from vectormigrate.model.plan import MigrationPlan, RunOptions
from vectormigrate.model.position import Cursor, Partition
from vectormigrate.model.schema import Json
from vectormigrate.model.status import Phase, Status

__all__ = [
    "Counters",
    "Lease",
    "PageCommit",
    "PartitionProgress",
    "Recheck",
    "RetryOutcome",
    "StoredMigration",
    "StoredReject",
    "json_text",
    "utc_text",
]


def json_text(value: Json) -> str:
    """Compact ASCII JSON. Raises TypeError for what JSON cannot hold."""
    return json.dumps(value, separators=(",", ":"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right of one runner to write the progress of one migration. `owner` is its fencing token."""

    migration_id: str
    owner: str
    pid: int
    process_started: float
    """As processes.own_start; tells a living process from another one with a recycled pid."""
    host: str
    host_id: str
    """Host, boot and process-id space: pids and steady clocks can be compared only where these are equal."""
    since: str
    expires_at: str
    """By the time of day, for other hosts."""
    steady_until: float | None
    """The same by the host's steady clock, for its own processes; None in a lease that an older version took."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageCommit:
    """What one page of a partition came to, settled as a whole.

    `seq` counts the commits of the partition from 1 without a gap. `cursor` None keeps the stored one. `written_ids`
    are target ids by target namespace. `intents` are the blocks (from `WrittenIds.announce`) that
    `written_ids` replaces. `batches` is the number of writes sent. `losses` maps loss names to records touched.
    """

    partition_id: str
    seq: int
    cursor: Cursor = None
    read: int = 0
    written: int = 0
    rejects: Sequence[Reject] = ()
    written_ids: Sequence[tuple[str, Sequence[RecordId]]] = ()
    intents: Sequence[int] = ()
    batches: int = 0
    retries: int = 0
    checked: int = 0
    losses: Mapping[str, int] = field(default_factory=dict[str, int])
    rechecks: Sequence[RecordId] = ()
    """Source ids of written records that are still to be read back."""
    done: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionProgress:
    """The checkpoint of a partition. `cursor` None and `seq` 0: nothing is committed yet."""

    partition: Partition
    cursor: Cursor
    seq: int
    read: int
    written: int
    rejected: int
    done: bool

    @property
    def next_seq(self) -> int:
        """The `seq` that the next commit must carry."""
        return self.seq + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """Sums over the partitions of a migration. `rejected` is the number of open rejects."""

    read: int = 0
    written: int = 0
    rejected: int = 0
    batches: int = 0
    retries: int = 0
    checked: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMigration:
    """A migration as the state file holds it."""

    id: str
    plan: MigrationPlan
    fingerprint: str
    options: RunOptions
    status: Status
    phase: Phase
    created_at: str
    started_at: str | None
    ended_at: str | None
    completed_at: str | None
    """When it was first complete: from then on others may use its target."""
    error: str | None
    stop_requested: bool
    counters: Counters


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredReject:
    """A reject as it is kept. `number` names it and grows with time; `attempts` counts all tries."""

    number: int
    reject: Reject
    partition_id: str
    attempts: int
    rejected_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recheck:
    """A source record whose copy must be read back before the migration may end. `failed`: it was, and differed."""

    partition_id: str
    id: RecordId
    failed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryOutcome:
    """What trying rejects again came to; numbers are those of StoredReject.

    `written`: now on the target, under `written_ids`. `gone`: no longer on the source. `refused`: rejected again, with
    the newest reason. `intents` as in PageCommit. All rejects of one outcome are of one partition.
    """

    written: Sequence[int] = ()
    written_ids: tuple[str, Sequence[RecordId]] = ("", ())
    gone: Sequence[int] = ()
    refused: Mapping[int, Reject] = field(default_factory=dict[int, Reject])
    intents: Sequence[int] = ()
