-- Every statement on the journal, by name: "-- name: x" starts one, the next name ends it. Parameters by position.

-- name: insert_journal
INSERT INTO journal (migration_id, identity, made_at, seq) VALUES (?, ?, ?, 0);

-- name: load_journal
SELECT migration_id, identity FROM journal;

-- name: take_numbers
UPDATE journal SET seq = seq + ? RETURNING seq;

-- name: last_number
SELECT seq FROM journal;

-- name: insert_place
INSERT INTO place (side, namespace) VALUES (?, ?) ON CONFLICT DO NOTHING;

-- name: find_place
SELECT number FROM place WHERE side = ? AND namespace = ?;

-- name: place_name
SELECT side, namespace FROM place WHERE number = ?;

-- name: insert_session
INSERT INTO session (nonce, started_at, fail_open, beat) VALUES (?, ?, ?, ?);

-- name: last_session
SELECT number, nonce, fail_open, clean FROM session ORDER BY number DESC LIMIT 1;

-- name: beat
UPDATE session SET beat = ? WHERE number = ?;

-- name: last_beat
SELECT beat, clean FROM session ORDER BY number DESC LIMIT 1;

-- name: end_session
UPDATE session SET clean = 1 WHERE number = ?;

-- name: insert_intent
INSERT INTO intent (seq, side, keys, scopes, assigns) VALUES (?, ?, ?, ?, ?);

-- name: touch
INSERT INTO touched (place, id, last_seq, dirty_since, deleted) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (place, id) DO UPDATE
SET last_seq = excluded.last_seq, deleted = excluded.deleted, dirty_since = coalesce(dirty_since, excluded.dirty_since),
verified_seq = NULL, parked = NULL;

-- name: insert_scope
INSERT INTO scope (seq, side, place, reason, ids_only) VALUES (?, ?, ?, ?, ?);

-- name: close_intent
DELETE FROM intent WHERE seq = ?;

-- name: doubt_intent
UPDATE intent SET doubt_since = coalesce(doubt_since, ?) WHERE seq = ?;

-- name: scope_lost_answers
INSERT INTO scope (seq, side, place, reason, ids_only) SELECT seq, side, NULL, ?, 1 FROM intent WHERE assigns;

-- name: forget_lost_answers
UPDATE intent SET assigns = 0;

-- name: doubt_all
UPDATE intent SET doubt_since = ?;

-- name: rebase_dirty
UPDATE touched SET dirty_since = ?1 WHERE dirty_since > ?1;

-- name: end_doubt
DELETE FROM intent WHERE doubt_since <= ?1 AND coalesce(?2, side) = side;

-- name: open_intents
SELECT seq, side, keys, scopes, doubt_since FROM intent;

-- name: is_open
SELECT 1 FROM intent WHERE seq = ? AND doubt_since IS NULL;

-- name: count_intents
SELECT count(*), count(doubt_since), min(doubt_since) FROM intent WHERE side = ?;

-- name: dirty_keys
SELECT place, id, last_seq, dirty_since, deleted FROM touched INDEXED BY dirty
WHERE dirty_since IS NOT NULL AND parked IS NULL AND place IN (SELECT number FROM place WHERE side = ?)
ORDER BY last_seq LIMIT ?;

-- name: clear
UPDATE touched SET dirty_since = NULL, verified_seq = ?4 WHERE place = ?1 AND id = ?2 AND last_seq = ?3;

-- name: park
UPDATE touched SET parked = ? WHERE place = ? AND id = ? AND last_seq = ?;

-- name: parked_keys
SELECT place, id, parked FROM touched JOIN place ON number = place
WHERE side = ? AND parked IS NOT NULL ORDER BY last_seq LIMIT ?;

-- name: unpark
UPDATE touched SET parked = NULL WHERE place IN (SELECT number FROM place WHERE side = ?) AND parked IS NOT NULL;

-- name: is_touched
SELECT 1 FROM touched WHERE place = ? AND id = ?;

-- name: count_keys
SELECT count(*), count(dirty_since), min(dirty_since), count(parked) FROM touched JOIN place ON number = place
WHERE side = ?;

-- name: unverified_keys
SELECT place, id, last_seq, 0, deleted FROM touched INDEXED BY unverified
WHERE dirty_since IS NULL AND verified_seq IS NULL AND (last_seq, place, id) > (?2, ?3, ?4)
AND place IN (SELECT number FROM place WHERE side = ?1) ORDER BY last_seq, place, id LIMIT ?5;

-- name: verify
UPDATE touched SET verified_seq = last_seq WHERE place = ? AND id = ? AND last_seq = ? AND dirty_since IS NULL;

-- name: standing
SELECT last_seq, dirty_since IS NOT NULL, parked IS NOT NULL FROM touched WHERE place = ? AND id = ?;

-- name: insert_divergence
INSERT INTO divergence (place, id, at, what) VALUES (?, ?, ?, ?)
ON CONFLICT DO UPDATE
SET at = CASE WHEN acknowledged_at IS NULL THEN at ELSE excluded.at END, what = excluded.what, times = times + 1, acknowledged_at = NULL;

-- name: divergences
SELECT place, id, at, what, times FROM divergence JOIN place ON number = place
WHERE side = ? AND acknowledged_at IS NULL ORDER BY at, place, id LIMIT ?;

-- name: count_divergences
SELECT count(*) FROM divergence JOIN place ON number = place WHERE side = ? AND acknowledged_at IS NULL;

-- name: oldest_divergence
SELECT min(at) FROM divergence JOIN place ON number = place WHERE side = ? AND acknowledged_at IS NULL;

-- name: acknowledge
UPDATE divergence SET acknowledged_at = ?2
WHERE acknowledged_at IS NULL AND place IN (SELECT number FROM place WHERE side = ?1);

-- name: scopes
SELECT scope.seq, place, reason, ids_only, intent.seq IS NULL FROM scope LEFT JOIN intent ON intent.seq = scope.seq
WHERE scope.side = ? ORDER BY scope.seq;

-- name: end_scope
DELETE FROM scope WHERE seq = ?;

-- name: note_reconciled
INSERT INTO reconciled (place, seq) VALUES (?1, (SELECT seq FROM journal))
ON CONFLICT (place) DO UPDATE SET seq = excluded.seq;

-- name: reconciled
SELECT place, reconciled.seq FROM reconciled JOIN place ON number = place WHERE side = ?;

-- name: insert_transition
INSERT INTO transition (at, phase, epoch, evidence) VALUES (?, ?, ?, ?);

-- name: last_transition
SELECT phase, epoch FROM transition ORDER BY number DESC LIMIT 1;

-- name: last_transition_row
SELECT at, phase, epoch, evidence FROM transition ORDER BY number DESC LIMIT 1;

-- name: transitions
SELECT at, phase, epoch, evidence FROM transition ORDER BY number;

-- name: insert_taint
INSERT INTO taint (at, reason) VALUES (?, ?);

-- name: taints
SELECT at, reason FROM taint WHERE cleared_at IS NULL ORDER BY number;

-- name: clear_taints
UPDATE taint SET cleared_at = ?, evidence = ? WHERE cleared_at IS NULL;

-- name: add_derived
INSERT INTO derived (namespace, id, source_namespace, source_id, adopted) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING;

-- name: find_adopted
SELECT namespace, id FROM derived WHERE source_namespace = ? AND source_id = ? AND adopted;

-- name: find_derived
SELECT source_namespace, source_id FROM derived WHERE namespace = ? AND id = ?;

-- name: count_unverified
SELECT count(*) FROM touched JOIN place ON number = place
WHERE side = ? AND (verified_seq IS NULL OR verified_seq < last_seq);
