-- What a plan that only was to be shown learned from its source's metadata, for the plan that follows. `key`: a digest of
-- everything that it rests on; `evidence`: JSON.
CREATE TABLE profile (
    key TEXT PRIMARY KEY NOT NULL,
    made_at TEXT NOT NULL,
    evidence TEXT NOT NULL
);
