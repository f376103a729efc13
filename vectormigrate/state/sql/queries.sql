-- Every statement of the package, by name: "-- name: x" starts one, the next name ends it. Parameters are named.

-- name: insert_migration
INSERT INTO migration (id, fingerprint, plan, options, status, phase, created_at, owner)
VALUES (:id, :fingerprint, :plan, :options, 'not_started', 'planned', :now, :owner);

-- name: insert_partition
INSERT INTO partition (migration_id, id, namespace, checkpoint_key)
VALUES (:migration_id, :id, :namespace, :checkpoint_key);

-- name: migration_state
SELECT status, phase FROM migration WHERE id = :id;

-- name: load_migration
SELECT id, owner, fingerprint, plan, options, status, phase, error, created_at, started_at, ended_at, completed_at,
       stop_requested_at IS NOT NULL AS stop_requested
FROM migration WHERE id = :id;

-- name: set_notices
UPDATE migration SET notices = :notices WHERE id = :id;

-- name: set_phase
UPDATE migration
SET phase = :phase,
    status = :status,
    error = :error,
    started_at = CASE WHEN :status = 'in_progress' THEN coalesce(started_at, :now) ELSE started_at END,
    ended_at = CASE WHEN :status IN ('not_started', 'in_progress') THEN NULL ELSE :now END,
    completed_at = CASE WHEN :status = 'completed' THEN coalesce(completed_at, :now) ELSE completed_at END
WHERE id = :id;

-- name: set_options
UPDATE migration SET options = :options WHERE id = :id;

-- name: request_stop
UPDATE migration SET stop_requested_at = coalesce(stop_requested_at, :now) WHERE id = :id;

-- name: clear_stop
UPDATE migration SET stop_requested_at = NULL WHERE id = :id;

-- name: stop_requested
SELECT stop_requested_at IS NOT NULL AS stop_requested FROM migration WHERE id = :id;

-- name: list_migrations
SELECT m.id, m.status, m.phase, m.error, m.created_at, m.started_at, m.ended_at, m.notices,
       m.stop_requested_at IS NOT NULL AS stop_requested,
       json_extract(m.plan, '$.spec.source') AS source,
       json_extract(m.plan, '$.spec.target') AS target,
       json_extract(m.plan, '$.namespaces') AS namespaces,
       json_extract(m.plan, '$.total_records') AS total_records
FROM migration AS m
WHERE (:id IS NULL OR m.id = :id) AND (:status IS NULL OR m.status = :status) AND (:owner IS NULL OR m.owner = :owner)
ORDER BY m.created_at, m.rowid;

-- name: observations
SELECT m.id, json_extract(m.plan, '$.bytes_per_record') AS bytes_per_record,
       (SELECT max(second) FROM recent WHERE migration_id = m.id) AS last_commit
FROM migration AS m;

-- name: sums_by_namespace
SELECT namespace, sum(read) AS read, sum(written) AS written, sum(rejected) AS rejected, sum(batches) AS batches,
       sum(retries) AS retries, sum(checked) AS checked
FROM partition WHERE migration_id = :id GROUP BY namespace ORDER BY namespace;

-- name: partitions
SELECT number, id, namespace, checkpoint_key, cursor, seq, read, written, rejected, done
FROM partition WHERE migration_id = :id ORDER BY number;

-- name: partition_position
SELECT number, seq, done, checkpoint_key FROM partition WHERE migration_id = :migration_id AND id = :id;

-- name: advance_partition
UPDATE partition
SET cursor = coalesce(:cursor, cursor), seq = :seq, read = read + :read, written = written + :written,
    rejected = rejected + :rejected, batches = batches + :batches, retries = retries + :retries,
    checked = checked + :checked, done = :done
WHERE number = :number;

-- name: add_checked
UPDATE partition SET checked = checked + :checked
WHERE number = (SELECT min(number) FROM partition WHERE migration_id = :id);

-- name: add_loss
INSERT INTO loss (partition_number, name, records) VALUES (:number, :name, :records)
ON CONFLICT (partition_number, name) DO UPDATE SET records = records + excluded.records;

-- name: losses
SELECT loss.name AS name, sum(loss.records) AS records
FROM loss JOIN partition ON partition.number = loss.partition_number
WHERE partition.migration_id = :id GROUP BY loss.name ORDER BY loss.name;

-- name: add_recent
INSERT INTO recent (migration_id, second, records) VALUES (:id, :second, :records)
ON CONFLICT (migration_id, second) DO UPDATE SET records = records + excluded.records;

-- name: trim_recent
DELETE FROM recent WHERE migration_id = :id AND second < :before;

-- name: clear_recent
DELETE FROM recent WHERE migration_id = :id;

-- name: recent_records
SELECT coalesce(sum(records), 0) AS records FROM recent WHERE migration_id = :id AND second >= :since;

-- name: add_block
INSERT INTO journal (migration_id, partition_number, namespace, settled, records, ids)
VALUES (:migration_id, :number, :namespace, :settled, :records, :ids);

-- name: drop_intent
DELETE FROM journal
WHERE number = :block AND migration_id = :migration_id AND settled = 0
  AND (:number IS NULL OR partition_number = :number);

-- name: blocks
SELECT number, namespace, settled, records, ids FROM journal
WHERE migration_id = :id AND number > :after AND (:namespace IS NULL OR namespace = :namespace)
ORDER BY number LIMIT :blocks;

-- name: open_blocks
SELECT number, namespace, settled, records, ids FROM journal
WHERE migration_id = :id AND settled = 0 AND number > :after AND (:namespace IS NULL OR namespace = :namespace)
ORDER BY number LIMIT :blocks;

-- name: settled_blocks
SELECT number, namespace, settled, records, ids FROM journal
WHERE migration_id = :id AND settled = 1 AND number > :after AND namespace = :namespace
ORDER BY number LIMIT :blocks;

-- name: written_counts
SELECT namespace, sum(records) AS records FROM journal WHERE migration_id = :id AND settled = 1 GROUP BY namespace;

-- name: open_namespaces
SELECT DISTINCT namespace FROM journal WHERE migration_id = :id AND settled = 0;

-- name: replace_block
UPDATE journal SET records = :records, ids = :ids WHERE number = :block;

-- name: forget_held
DELETE FROM held WHERE migration_id = :id;

-- name: add_held
INSERT INTO held (migration_id, namespace, records) VALUES (:id, :namespace, :records);

-- name: held
SELECT namespace, records FROM held WHERE migration_id = :id;

-- name: add_recheck
INSERT INTO recheck (migration_id, partition_number, id, failed) VALUES (:migration_id, :number, :id, :failed)
ON CONFLICT (migration_id, partition_number, id) DO UPDATE SET failed = max(failed, excluded.failed);

-- name: rechecks
SELECT p.id AS partition_id, r.id AS id, r.failed FROM recheck AS r JOIN partition AS p ON p.number = r.partition_number
WHERE r.migration_id = :id ORDER BY r.partition_number, r.id;

-- name: drop_recheck
DELETE FROM recheck WHERE migration_id = :migration_id AND partition_number = :number AND id = :id;

-- name: others_there
SELECT m.id, m.status, coalesce(json_extract(m.plan, '$.spec.overwrite'), 0) AS overwrites FROM migration AS m
WHERE m.id <> :id AND json_extract(m.plan, '$.spec.target.location') = :location AND m.status <> 'rolled_back'
  AND (m.status = 'in_progress' OR EXISTS (SELECT 1 FROM partition AS p WHERE p.migration_id = m.id AND p.written > 0))
ORDER BY m.created_at, m.rowid;

-- name: add_reject
INSERT INTO reject (migration_id, partition_number, namespace, id, code, reason, rejected_at)
VALUES (:migration_id, :number, :namespace, :id, :code, :reason, :now);

-- name: rejects
SELECT r.number, r.namespace, r.id, r.code, r.reason, r.attempts, r.rejected_at, p.id AS partition_id
FROM reject AS r JOIN partition AS p ON p.number = r.partition_number
WHERE r.migration_id = :id AND r.number > :after ORDER BY r.number LIMIT :limit OFFSET :offset;

-- name: reject_counts
SELECT code, count(*) AS records FROM reject WHERE migration_id = :id GROUP BY code ORDER BY code;

-- name: reject_partition
SELECT partition_number FROM reject WHERE number = :number AND migration_id = :migration_id;

-- name: delete_reject
DELETE FROM reject WHERE number = :number;

-- name: refuse_again
UPDATE reject SET attempts = attempts + 1, code = :code, reason = :reason, rejected_at = :now WHERE number = :number;

-- name: settle_reject
UPDATE partition SET rejected = rejected - 1, written = written + :written, read = read - :gone WHERE number = :number;

-- name: save_planning
INSERT INTO planning (migration_id, source, target, read, total, owner, pid, process_started, host, host_id, since,
                      expires_at, steady_until)
VALUES (:migration_id, :source, :target, :read, :total, :owner, :pid, :process_started, :host, :host_id, :since,
        :expires_at, :steady_until)
ON CONFLICT (migration_id) DO UPDATE
SET source = excluded.source, target = excluded.target, read = excluded.read, total = excluded.total,
    stop_requested = CASE WHEN owner = excluded.owner THEN stop_requested ELSE 0 END,
    owner = excluded.owner, pid = excluded.pid, process_started = excluded.process_started, host = excluded.host,
    host_id = excluded.host_id, since = excluded.since, expires_at = excluded.expires_at,
    steady_until = excluded.steady_until;

-- name: planning
SELECT * FROM planning WHERE :id IS NULL OR migration_id = :id ORDER BY since;

-- name: stop_planning
UPDATE planning SET stop_requested = 1 WHERE migration_id = :id;

-- name: end_planning
DELETE FROM planning WHERE migration_id = :id AND (:owner IS NULL OR owner = :owner);

-- name: get_lease
SELECT migration_id, owner, pid, process_started, host, host_id, since, expires_at, steady_until
FROM lease WHERE migration_id = :id;

-- name: take_lease
INSERT INTO lease (migration_id, owner, pid, process_started, host, host_id, since, expires_at, steady_until)
VALUES (:migration_id, :owner, :pid, :process_started, :host, :host_id, :since, :expires_at, :steady_until)
ON CONFLICT (migration_id) DO UPDATE
SET owner = excluded.owner, pid = excluded.pid, process_started = excluded.process_started, host = excluded.host,
    host_id = excluded.host_id, since = excluded.since, expires_at = excluded.expires_at,
    steady_until = excluded.steady_until;

-- name: extend_lease
UPDATE lease SET expires_at = :expires_at, steady_until = :steady_until WHERE migration_id = :id AND owner = :owner;

-- name: release_lease
DELETE FROM lease WHERE migration_id = :id AND owner = :owner;

-- name: owns_lease
SELECT 1 FROM lease WHERE migration_id = :id AND owner = :owner;

-- name: save_report
INSERT INTO report (migration_id, saved_at, report) VALUES (:id, :now, :report);

-- name: last_report
SELECT report FROM report WHERE migration_id = :id ORDER BY number DESC LIMIT 1;

-- name: save_diff_progress
INSERT INTO diff_progress (migration_id, run_key, saved_at, progress) VALUES (:id, :run_key, :now, :progress)
ON CONFLICT (migration_id, run_key) DO UPDATE SET progress = excluded.progress, saved_at = excluded.saved_at;

-- name: diff_progress
SELECT progress FROM diff_progress WHERE migration_id = :id AND run_key = :run_key;

-- name: clear_diff_progress
DELETE FROM diff_progress WHERE migration_id = :id AND (:run_key IS NULL OR run_key = :run_key);

-- name: remember_origin
INSERT INTO origin (location, note, saved_at) VALUES (:location, :note, :now)
ON CONFLICT (location) DO UPDATE SET note = excluded.note, saved_at = excluded.saved_at;

-- name: forget_origin
DELETE FROM origin WHERE location = :location;

-- name: origin
SELECT note FROM origin WHERE location = :location;

-- name: save_proposal
INSERT INTO proposal (id, owner, plan, options, made_at) VALUES (:id, :owner, :plan, :options, :now);

-- name: trim_proposals
DELETE FROM proposal WHERE made_at < :before;

-- name: proposal
SELECT id, owner, plan, options, made_at FROM proposal WHERE id = :id;

-- name: save_profile
INSERT INTO profile (key, made_at, evidence) VALUES (:key, :made_at, :evidence)
ON CONFLICT (key) DO UPDATE SET made_at = excluded.made_at, evidence = excluded.evidence;

-- name: trim_profiles
DELETE FROM profile WHERE made_at < :before
   OR key NOT IN (SELECT key FROM profile ORDER BY made_at DESC, rowid DESC LIMIT :most);

-- name: profile
SELECT made_at, evidence FROM profile WHERE key = :key AND made_at >= :since;

-- name: find_request
SELECT migration_id, plan_id FROM request WHERE owner = :owner AND request_id = :request_id;

-- name: save_request
INSERT INTO request (owner, request_id, migration_id, plan_id, asked_at)
VALUES (:owner, :request_id, :migration_id, :plan_id, :now);

-- name: add_served
INSERT INTO served (migration_id, owner, since) VALUES (:id, :owner, :now)
ON CONFLICT (migration_id) DO UPDATE SET owner = excluded.owner, since = excluded.since;

-- name: drop_served
DELETE FROM served WHERE migration_id = :id;

-- name: served
SELECT migration_id, owner FROM served ORDER BY since, migration_id;

-- name: marks
SELECT m.id, m.owner, m.status, m.phase, m.error, m.ended_at, m.stop_requested_at,
       (SELECT sum(read + written + rejected + batches + checked) FROM partition AS p WHERE p.migration_id = m.id) AS work,
       (SELECT max(number) FROM report AS r WHERE r.migration_id = m.id) AS report
FROM migration AS m ORDER BY m.created_at, m.rowid;

-- name: insert_live
INSERT INTO live (migration_id, options, folder, journal) VALUES (:id, :options, :folder, :journal);

-- name: live
SELECT options, folder, journal, seen, reverse, pace, figures FROM live WHERE migration_id = :id;

-- name: live_ids
SELECT migration_id FROM live;

-- name: set_live_options
UPDATE live SET options = :options WHERE migration_id = :id;

-- name: set_live_reverse
UPDATE live SET reverse = :reverse WHERE migration_id = :id;

-- name: set_live_pace
UPDATE live SET pace = :pace WHERE migration_id = :id;

-- name: set_live_figures
UPDATE live SET figures = :figures, seen = max(seen, :seen) WHERE migration_id = :id;

-- name: insert_live_order
INSERT INTO live_order (migration_id, verb, options, asked_at) VALUES (:id, :verb, :options, :now);

-- name: live_orders
SELECT number, migration_id, verb, options, asked_at, answer FROM live_order
WHERE migration_id = :id AND (:open = 0 OR answer IS NULL) ORDER BY number;

-- name: answer_live_order
UPDATE live_order SET answer = :answer WHERE number = :number AND answer IS NULL;
