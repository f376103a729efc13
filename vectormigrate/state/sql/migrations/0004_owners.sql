-- Who began it through a server: the name of the key. NULL: begun elsewhere, or by an earlier version and without a
-- request.
ALTER TABLE migration ADD COLUMN owner TEXT;
UPDATE migration SET owner = (SELECT owner FROM request WHERE migration_id = migration.id ORDER BY asked_at LIMIT 1);

-- The plan that the request started, which itself is kept for a day only.
ALTER TABLE request ADD COLUMN plan_id TEXT;
