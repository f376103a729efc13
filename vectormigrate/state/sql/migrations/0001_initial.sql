-- Texts that hold times are UTC ISO 8601 with milliseconds; their order is that of time.

CREATE TABLE migration (
    id TEXT PRIMARY KEY NOT NULL,
    fingerprint TEXT NOT NULL,
    plan TEXT NOT NULL,
    options TEXT NOT NULL,
    status TEXT NOT NULL,
    phase TEXT NOT NULL,
    error TEXT,
    created_at TEXT NOT NULL,
    started_at TEXT,
    ended_at TEXT,
    stop_requested_at TEXT
);

-- One row per partition of the plan: its checkpoint and its counters. All totals are sums over these rows.
CREATE TABLE partition (
    number INTEGER PRIMARY KEY NOT NULL,
    migration_id TEXT NOT NULL REFERENCES migration (id) ON DELETE CASCADE,
    id TEXT NOT NULL,
    namespace TEXT NOT NULL,
    checkpoint_key TEXT NOT NULL,
    cursor TEXT,
    seq INTEGER NOT NULL DEFAULT 0 CHECK (seq >= 0),
    read INTEGER NOT NULL DEFAULT 0 CHECK (read >= 0),
    written INTEGER NOT NULL DEFAULT 0 CHECK (written >= 0),
    rejected INTEGER NOT NULL DEFAULT 0 CHECK (rejected >= 0),
    batches INTEGER NOT NULL DEFAULT 0 CHECK (batches >= 0),
    retries INTEGER NOT NULL DEFAULT 0 CHECK (retries >= 0),
    checked INTEGER NOT NULL DEFAULT 0 CHECK (checked >= 0),
    mismatched INTEGER NOT NULL DEFAULT 0 CHECK (mismatched >= 0),
    done INTEGER NOT NULL DEFAULT 0 CHECK (done IN (0, 1)),
    UNIQUE (migration_id, id)
);

CREATE TABLE loss (
    partition_number INTEGER NOT NULL REFERENCES partition (number) ON DELETE CASCADE,
    name TEXT NOT NULL,
    records INTEGER NOT NULL,
    PRIMARY KEY (partition_number, name)
) WITHOUT ROWID;

-- Target ids that the migration wrote (settled = 1) or was about to write (settled = 0); packed, see idblocks.py.
CREATE TABLE journal (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    migration_id TEXT NOT NULL REFERENCES migration (id) ON DELETE CASCADE,
    partition_number INTEGER NOT NULL,
    namespace TEXT NOT NULL,
    settled INTEGER NOT NULL CHECK (settled IN (0, 1)),
    records INTEGER NOT NULL,
    ids BLOB NOT NULL
);
CREATE INDEX journal_by_migration ON journal (migration_id, number);
CREATE INDEX journal_open ON journal (migration_id, number) WHERE settled = 0;

-- Open rejects. `id` is the source id with its type (model/ids.py), as UTF-8.
CREATE TABLE reject (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    migration_id TEXT NOT NULL REFERENCES migration (id) ON DELETE CASCADE,
    partition_number INTEGER NOT NULL REFERENCES partition (number) ON DELETE CASCADE,
    namespace TEXT NOT NULL,
    id BLOB NOT NULL,
    code TEXT NOT NULL,
    reason TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 1,
    rejected_at TEXT NOT NULL
);
CREATE INDEX reject_by_migration ON reject (migration_id, number);
CREATE INDEX reject_by_partition ON reject (partition_number);

-- Records settled per second of the last minute.
CREATE TABLE recent (
    migration_id TEXT NOT NULL REFERENCES migration (id) ON DELETE CASCADE,
    second INTEGER NOT NULL,
    records INTEGER NOT NULL,
    PRIMARY KEY (migration_id, second)
) WITHOUT ROWID;

-- The one runner of a migration. `owner` is the fencing token that every write of progress is checked against.
CREATE TABLE lease (
    migration_id TEXT PRIMARY KEY NOT NULL REFERENCES migration (id) ON DELETE CASCADE,
    owner TEXT NOT NULL,
    pid INTEGER NOT NULL,
    process_started REAL NOT NULL,
    host TEXT NOT NULL,
    host_id TEXT NOT NULL,
    since TEXT NOT NULL,
    expires_at TEXT NOT NULL
);

CREATE TABLE report (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    migration_id TEXT NOT NULL REFERENCES migration (id) ON DELETE CASCADE,
    saved_at TEXT NOT NULL,
    report TEXT NOT NULL
);
CREATE INDEX report_by_migration ON report (migration_id, number);

-- Opaque checkpoints of long validations, so that they can go on after an interruption.
CREATE TABLE diff_progress (
    migration_id TEXT NOT NULL REFERENCES migration (id) ON DELETE CASCADE,
    run_key TEXT NOT NULL,
    saved_at TEXT NOT NULL,
    progress BLOB NOT NULL,
    PRIMARY KEY (migration_id, run_key)
);

-- Origin notes of target collections that cannot carry their own.
CREATE TABLE origin (
    location TEXT PRIMARY KEY NOT NULL,
    note TEXT NOT NULL,
    saved_at TEXT NOT NULL
);
