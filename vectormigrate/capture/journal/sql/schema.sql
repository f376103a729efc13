-- The journal of one live migration. Sizes follow the distinct keys that were touched, never time.

CREATE TABLE journal (
    migration_id TEXT NOT NULL,
    identity TEXT NOT NULL,
    made_at TEXT NOT NULL,
    seq INTEGER NOT NULL
);

-- One row per gateway process. `clean`: it ended in order, so nothing it knew alone was lost. `beat`: when it was last
-- known to run, in milliseconds of the system's steady clock.
CREATE TABLE session (
    number INTEGER PRIMARY KEY,
    nonce TEXT NOT NULL,
    started_at TEXT NOT NULL,
    fail_open INTEGER NOT NULL,
    clean INTEGER NOT NULL DEFAULT 0,
    beat INTEGER NOT NULL DEFAULT 0
);

-- `namespace`: "=" and the name, or nothing for "whichever": the request did not hold it.
CREATE TABLE place (
    number INTEGER PRIMARY KEY,
    side TEXT NOT NULL,
    namespace TEXT NOT NULL,
    UNIQUE (side, namespace)
);

-- Every key that was ever touched: the backfill leaves them to the applier. `dirty_since` is NULL when the other side
-- holds what this one held at `last_seq`; `deleted`: what touched it last deletes it; milliseconds of the system's steady clock.
-- `verified_seq` is `last_seq` when both sides were compared since, else NULL.
CREATE TABLE touched (
    place INTEGER NOT NULL,
    id NOT NULL,
    last_seq INTEGER NOT NULL,
    dirty_since INTEGER,
    deleted INTEGER NOT NULL,
    verified_seq INTEGER,
    parked TEXT,
    PRIMARY KEY (place, id)
) WITHOUT ROWID;

CREATE INDEX dirty ON touched (last_seq) WHERE dirty_since IS NOT NULL AND parked IS NULL;

CREATE INDEX unverified ON touched (last_seq) WHERE dirty_since IS NULL AND verified_seq IS NULL;

-- Keys that differed although nothing had touched them: mistakes of ours, or writes that went past the gateway.
CREATE TABLE divergence (
    place INTEGER NOT NULL,
    id NOT NULL,
    at TEXT NOT NULL,
    what TEXT NOT NULL,
    times INTEGER NOT NULL DEFAULT 1,
    acknowledged_at TEXT,
    PRIMARY KEY (place, id)
) WITHOUT ROWID;

-- Requests on their way. `doubt_since` is set when their outcome is unknown: they may still take effect.
CREATE TABLE intent (
    seq INTEGER PRIMARY KEY,
    side TEXT NOT NULL,
    keys TEXT NOT NULL,
    scopes TEXT NOT NULL,
    assigns INTEGER NOT NULL,
    doubt_since INTEGER
);

-- What a request touched that named no keys; `place` is NULL for the whole side. Gone when a reconcile has settled it.
-- `ids_only`: records only came or went.
CREATE TABLE scope (
    seq INTEGER NOT NULL,
    side TEXT NOT NULL,
    place INTEGER,
    reason TEXT NOT NULL,
    ids_only INTEGER NOT NULL
);

-- The last number when a reconcile settled a request that named no keys, by namespace: what was touched before may be
-- absent because of it.
CREATE TABLE reconciled (
    place INTEGER PRIMARY KEY,
    seq INTEGER NOT NULL
);

CREATE TABLE transition (
    number INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    phase TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    evidence TEXT NOT NULL
);

-- Why the journal may have missed a write. Stays until a full comparison of frozen sides has passed.
CREATE TABLE taint (
    number INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    reason TEXT NOT NULL,
    cleared_at TEXT,
    evidence TEXT
);

-- Target ids that were made from ids of the source, with those. `adopted`: the other way round, the source's id was made
-- from that of a record which the application wrote to the target.
CREATE TABLE derived (
    namespace TEXT NOT NULL,
    id NOT NULL,
    source_namespace TEXT NOT NULL,
    source_id NOT NULL,
    adopted INTEGER NOT NULL,
    PRIMARY KEY (namespace, id)
) WITHOUT ROWID;

CREATE INDEX adopted ON derived (source_namespace, source_id) WHERE adopted;
