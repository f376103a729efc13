PRAGMA user_version=5;
PRAGMA application_id=1447905607;
BEGIN TRANSACTION;
CREATE TABLE diff_progress (
    migration_id TEXT NOT NULL REFERENCES migration (id) ON DELETE CASCADE,
    run_key TEXT NOT NULL,
    saved_at TEXT NOT NULL,
    progress BLOB NOT NULL,
    PRIMARY KEY (migration_id, run_key)
);
CREATE TABLE held (
    migration_id TEXT NOT NULL REFERENCES migration (id) ON DELETE CASCADE,
    namespace TEXT NOT NULL,
    records INTEGER NOT NULL,
    PRIMARY KEY (migration_id, namespace)
) WITHOUT ROWID;
CREATE TABLE journal (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    migration_id TEXT NOT NULL REFERENCES migration (id) ON DELETE CASCADE,
    partition_number INTEGER NOT NULL,
    namespace TEXT NOT NULL,
    settled INTEGER NOT NULL CHECK (settled IN (0, 1)),
    records INTEGER NOT NULL,
    ids BLOB NOT NULL
);
INSERT INTO "journal" VALUES(2,'half',1,'',1,100,X'789CCB4C616060506006128CB4070CA360140C5100001AC90154');
CREATE TABLE lease (
    migration_id TEXT PRIMARY KEY NOT NULL REFERENCES migration (id) ON DELETE CASCADE,
    owner TEXT NOT NULL,
    pid INTEGER NOT NULL,
    process_started REAL NOT NULL,
    host TEXT NOT NULL,
    host_id TEXT NOT NULL,
    since TEXT NOT NULL,
    expires_at TEXT NOT NULL
, steady_until REAL);
CREATE TABLE loss (
    partition_number INTEGER NOT NULL REFERENCES partition (number) ON DELETE CASCADE,
    name TEXT NOT NULL,
    records INTEGER NOT NULL,
    PRIMARY KEY (partition_number, name)
) WITHOUT ROWID;
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
, notices TEXT NOT NULL DEFAULT '[]', completed_at TEXT, owner TEXT);
INSERT INTO "migration" VALUES('half','194cfd8f68dbcf360185aa562b86b25a','{"spec":{"id":"half","source":{"type":"memory","collection":"source","url":"memory://before-rooms","connection":null,"api_key_ref":null,"options":{},"location":"memory://before-rooms/source"},"target":{"type":"memory","collection":"target","url":"memory://before-rooms","connection":null,"api_key_ref":null,"options":{},"location":"memory://before-rooms/target"},"namespaces":null,"partitions":null,"plain":false,"into_existing":false,"overwrite":false,"renames":{"text":"body"},"excludes":[],"vectors":[],"accepted_losses":[],"min_similarity":0.98},"source_schema":{"name":"source","id_kinds":["int64"],"vectors":[{"name":"v","kind":"dense","dim":4,"metric":"l2","dtype":"float32","index":{}}],"fields":[],"dynamic":true,"divided":false,"extras":{},"note":null,"computed":[],"warnings":[]},"target_schema":{"name":"target","id_kinds":["int64"],"vectors":[{"name":"v","kind":"dense","dim":4,"metric":"l2","dtype":"float32","index":{}}],"fields":[],"dynamic":true,"divided":false,"extras":{},"note":{"adapter":"memory","migration_id":"half","token":"503b01ebe9ac41e3a90cf8880dcabdbd","schema":{"name":"source","id_kinds":["int64"],"vectors":[{"name":"v","kind":"dense","dim":4,"metric":"l2","dtype":"float32","index":{}}],"fields":[],"dynamic":true,"divided":false,"extras":{},"note":null,"computed":[],"warnings":[]},"vectors":{},"fields":{"body":"text"},"namespaces":{},"version":2},"computed":[],"warnings":[]},"target_exists":false,"rules":{"id_strategy":"native","id_salt":"memory://before-rooms/source","vectors":[{"source":"v","target":"v","dtype":"float32","normalise":false,"fill":false,"compare":"exact","tolerance":0.0}],"namespaces":{},"renames":{"text":"body"},"excludes":[],"sidecar":true,"accepted_losses":[],"target_limits":{"id_kinds":["int64"],"id_max_bytes":null,"id_ascii":false,"value_kinds":["bool","bytes","datetime","float","int","list","list_of_strings","nonfinite","null","object","string","whole"],"int_range":[-9223372036854775808,18446744073709551615],"field_names":"(?s).*","reserved":[],"max_metadata_bytes":null,"namespaces":true,"namespace_names":"(?s).*","dims":{"v":4},"small_square":1.19e-07,"unit_tolerance":1e-06,"declared":{},"dynamic":true,"typed":false,"max_sparse":null,"empty_sparse":true,"zero_vectors":true,"int_origin_ids":true},"reserved_fields":[],"restore_vectors":{},"id_checks":true},"field_mappings":[{"source_field":"n","target_field":"n","source_type":"int","target_type":"int","confidence":1.0,"conversion_needed":false,"outcome":"exact","notes":""},{"source_field":"text","target_field":"body","source_type":"string","target_type":"string","confidence":1.0,"conversion_needed":false,"outcome":"exact","notes":""}],"losses":[],"namespaces":{"":400},"partitions":[{"id":"/0","namespace":"","bounds":[null,"i:100"],"rows":100},{"id":"/1","namespace":"","bounds":["i:100","i:200"],"rows":100},{"id":"/2","namespace":"","bounds":["i:200","i:300"],"rows":100},{"id":"/3","namespace":"","bounds":["i:300",null],"rows":100}],"total_records":400,"bytes_per_record":44,"profiled_records":400,"seconds_estimate":0.0028191760065965354,"warnings":[],"collisions":0}','{"batch_size":10,"max_retries":3,"validate_every":10,"concurrency":null,"rate_limit":null,"max_rejects":0,"retry_rejects":false,"wait_for_index":true}','stopped','copying',NULL,'2026-11-27T21:38:20.463Z','2026-11-27T21:38:20.479Z','2026-11-27T21:38:20.523Z',NULL,'[]',NULL,NULL);
CREATE TABLE origin (
    location TEXT PRIMARY KEY NOT NULL,
    note TEXT NOT NULL,
    saved_at TEXT NOT NULL
);
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
INSERT INTO "partition" VALUES(1,'half','/0','','e17ffca1342c6532a0bb80a1c62f3c1a','"i:99"',1,100,100,0,10,0,8,0,0);
INSERT INTO "partition" VALUES(2,'half','/1','','05d4d22e919df6f80c49580c61f06010',NULL,0,0,0,0,0,0,0,0,0);
INSERT INTO "partition" VALUES(3,'half','/2','','1b41c9b8e182a5339ba9fffd121da897',NULL,0,0,0,0,0,0,0,0,0);
INSERT INTO "partition" VALUES(4,'half','/3','','b7b96dc55a6131b763641b25380d40c2',NULL,0,0,0,0,0,0,0,0,0);
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
CREATE TABLE profile (
    key TEXT PRIMARY KEY NOT NULL,
    made_at TEXT NOT NULL,
    evidence TEXT NOT NULL
);
CREATE TABLE proposal (
    id TEXT PRIMARY KEY NOT NULL,
    owner TEXT NOT NULL,
    plan TEXT NOT NULL,
    options TEXT NOT NULL,
    made_at TEXT NOT NULL
);
CREATE TABLE recent (
    migration_id TEXT NOT NULL REFERENCES migration (id) ON DELETE CASCADE,
    second INTEGER NOT NULL,
    records INTEGER NOT NULL,
    PRIMARY KEY (migration_id, second)
) WITHOUT ROWID;
INSERT INTO "recent" VALUES('half',1795815500,100);
CREATE TABLE recheck (
    migration_id TEXT NOT NULL REFERENCES migration (id) ON DELETE CASCADE,
    partition_number INTEGER NOT NULL REFERENCES partition (number) ON DELETE CASCADE,
    id BLOB NOT NULL,
    failed INTEGER NOT NULL CHECK (failed IN (0, 1)),
    PRIMARY KEY (migration_id, partition_number, id)
) WITHOUT ROWID;
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
CREATE TABLE report (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    migration_id TEXT NOT NULL REFERENCES migration (id) ON DELETE CASCADE,
    saved_at TEXT NOT NULL,
    report TEXT NOT NULL
);
CREATE TABLE request (
    owner TEXT NOT NULL,
    request_id TEXT NOT NULL,
    migration_id TEXT NOT NULL REFERENCES migration (id) ON DELETE CASCADE,
    asked_at TEXT NOT NULL, plan_id TEXT,
    PRIMARY KEY (owner, request_id)
) WITHOUT ROWID;
CREATE TABLE served (
    migration_id TEXT PRIMARY KEY NOT NULL REFERENCES migration (id) ON DELETE CASCADE,
    owner TEXT NOT NULL,
    since TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX journal_by_migration ON journal (migration_id, number);
CREATE INDEX journal_open ON journal (migration_id, number) WHERE settled = 0;
CREATE INDEX reject_by_migration ON reject (migration_id, number);
CREATE INDEX reject_by_partition ON reject (partition_number);
CREATE INDEX report_by_migration ON report (migration_id, number);
CREATE INDEX journal_by_namespace ON journal (migration_id, namespace, number) WHERE settled = 1;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('journal',2);
COMMIT;
