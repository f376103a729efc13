-- What the operator should know about a run that did not fail: a JSON list of sentences.
ALTER TABLE migration ADD COLUMN notices TEXT NOT NULL DEFAULT '[]';

-- When it was first complete; from then on others may use its target.
ALTER TABLE migration ADD COLUMN completed_at TEXT;
UPDATE migration SET completed_at = ended_at WHERE status = 'completed';

-- Records per namespace that an existing target held before the migration's first write.
CREATE TABLE held (
    migration_id TEXT NOT NULL REFERENCES migration (id) ON DELETE CASCADE,
    namespace TEXT NOT NULL,
    records INTEGER NOT NULL,
    PRIMARY KEY (migration_id, namespace)
) WITHOUT ROWID;

-- Source records whose copies must still be read back before the migration can end: those that were not as written
-- (failed = 1), and those that the target could not show while it was being filled. `id` as in reject.
CREATE TABLE recheck (
    migration_id TEXT NOT NULL REFERENCES migration (id) ON DELETE CASCADE,
    partition_number INTEGER NOT NULL REFERENCES partition (number) ON DELETE CASCADE,
    id BLOB NOT NULL,
    failed INTEGER NOT NULL CHECK (failed IN (0, 1)),
    PRIMARY KEY (migration_id, partition_number, id)
) WITHOUT ROWID;

-- Migrations whose plan is still being made: nothing of them is written anywhere yet. A row of a process that died
-- stays until the same migration is asked for again.
CREATE TABLE planning (
    migration_id TEXT PRIMARY KEY NOT NULL,
    source TEXT NOT NULL,
    target TEXT NOT NULL,
    read INTEGER NOT NULL,
    total INTEGER NOT NULL,
    stop_requested INTEGER NOT NULL DEFAULT 0,
    owner TEXT NOT NULL,
    pid INTEGER NOT NULL,
    process_started REAL NOT NULL,
    host TEXT NOT NULL,
    host_id TEXT NOT NULL,
    since TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    steady_until REAL
);

-- When the lease ends by the host's own steady clock, which no change of the time of day moves; only comparable where
-- host_id is equal. NULL: taken by an earlier version.
ALTER TABLE lease ADD COLUMN steady_until REAL;

CREATE INDEX journal_by_namespace ON journal (migration_id, namespace, number) WHERE settled = 1;
