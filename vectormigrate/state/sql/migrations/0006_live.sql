-- A migration whose source is written to meanwhile. `folder`: where its journal is, `journal`: that file's own identity,
-- `seen`: the highest number that the runner has seen in it, so that an older copy of it is noticed. `reverse`: the plan
-- of the way back. `pace`: what the runner may do.
CREATE TABLE live (
    migration_id TEXT PRIMARY KEY NOT NULL REFERENCES migration (id) ON DELETE CASCADE,
    options TEXT NOT NULL,
    folder TEXT NOT NULL,
    journal TEXT NOT NULL,
    seen INTEGER NOT NULL DEFAULT 0,
    reverse TEXT,
    pace TEXT NOT NULL DEFAULT 'full',
    figures TEXT
);

-- What other processes ask the runner for. `answer` is NULL until it has done that, or refused.
CREATE TABLE live_order (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    migration_id TEXT NOT NULL REFERENCES migration (id) ON DELETE CASCADE,
    verb TEXT NOT NULL,
    options TEXT NOT NULL,
    asked_at TEXT NOT NULL,
    answer TEXT
);
