"""The state file: plans, checkpoints, written ids, rejects, leases and reports, in one SQLite database.

The only part of the package that touches SQLite. It knows nothing of databases to migrate, and never holds a secret.
"""

from vectormigrate.state.records import (
    Counters,
    Lease,
    PageCommit,
    PartitionProgress,
    Recheck,
    RetryOutcome,
    StoredMigration,
    StoredReject,
)
from vectormigrate.state.store import Store, open_store

__all__ = [
    "Counters",
    "Lease",
    "PageCommit",
    "PartitionProgress",
    "Recheck",
    "RetryOutcome",
    "Store",
    "StoredMigration",
    "StoredReject",
    "open_store",
]
