-- Plans that were shown and not started yet. `owner` is the name of the caller who asked for it.
CREATE TABLE proposal (
    id TEXT PRIMARY KEY NOT NULL,
    owner TEXT NOT NULL,
    plan TEXT NOT NULL,
    options TEXT NOT NULL,
    made_at TEXT NOT NULL
);

-- Which migration a caller's request started, so that the same request again starts nothing.
CREATE TABLE request (
    owner TEXT NOT NULL,
    request_id TEXT NOT NULL,
    migration_id TEXT NOT NULL REFERENCES migration (id) ON DELETE CASCADE,
    asked_at TEXT NOT NULL,
    PRIMARY KEY (owner, request_id)
) WITHOUT ROWID;

-- Migrations that a server runs, or was running when it ended: what the next one takes up again.
CREATE TABLE served (
    migration_id TEXT PRIMARY KEY NOT NULL REFERENCES migration (id) ON DELETE CASCADE,
    owner TEXT NOT NULL,
    since TEXT NOT NULL
) WITHOUT ROWID;
