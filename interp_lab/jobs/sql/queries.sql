-- Every statement that the engine sends, by name. A name stands alone on a line that starts with "-- name:".

-- name: insert_job
INSERT INTO jobs (id, capability, label, slot_kind, priority, spec_sha256, resumes, created_at)
VALUES (:id, :capability, :label, :slot_kind, :priority, :spec_sha256, :resumes, :created_at);

-- name: restore_job
INSERT INTO jobs (
    id, capability, label, slot_kind, priority, spec_sha256, resumes, created_at,
    state, attempt, slot, cancel, crashes, started_at, ended_at, duration_s, error, result_sha256
) VALUES (
    :id, :capability, :label, :slot_kind, :priority, :spec_sha256, :resumes, :created_at,
    :state, :attempt, :slot, :cancel, :crashes, :started_at, :ended_at, :duration_s, :error, :result_sha256
);

-- name: put_key
INSERT INTO request_keys (key, body_sha256, job_id) VALUES (:key, :body_sha256, :job_id)
ON CONFLICT (key) DO UPDATE SET body_sha256 = excluded.body_sha256, job_id = excluded.job_id;

-- name: find_key
SELECT request_keys.body_sha256, jobs.id, jobs.state
FROM request_keys JOIN jobs ON jobs.id = request_keys.job_id
WHERE request_keys.key = :key;

-- name: get_job
SELECT * FROM jobs WHERE id = :id;

-- name: list_jobs
SELECT * FROM jobs
WHERE seq < :before AND (:states = '' OR instr(:states, ',' || state || ',') > 0)
ORDER BY seq DESC LIMIT :limit;

-- name: count_waiting
SELECT count(*) FROM jobs WHERE state IN ('queued', 'interrupted');

-- name: waiting_kinds
SELECT DISTINCT slot_kind FROM jobs WHERE state IN ('queued', 'interrupted');

-- name: waiting_of_kind
SELECT id FROM jobs
WHERE state IN ('queued', 'interrupted') AND slot_kind = :slot_kind
ORDER BY priority DESC, seq LIMIT 50;

-- name: active_jobs
SELECT id, attempt, slot, state, cancel, cancel_boot_s FROM jobs WHERE state IN ('starting', 'running');

-- name: holder_of_slot
SELECT id, attempt FROM jobs WHERE slot = :slot;

-- name: claim
UPDATE jobs SET state = 'starting', attempt = attempt + 1, slot = :slot
WHERE id = :id AND state IN ('queued', 'interrupted') AND cancel = 0;

-- name: insert_attempt
INSERT INTO attempts (job_id, attempt, slot, claimed_at, claimed_by)
SELECT id, attempt, slot, :at, :actor FROM jobs WHERE id = :id;

-- name: mark_running
UPDATE jobs SET state = 'running', start_failures = 0, started_at = coalesce(started_at, :at)
WHERE id = :id AND attempt = :attempt AND state = 'starting' AND cancel = 0;

-- name: attempt_started
UPDATE attempts SET started_at = :at WHERE job_id = :id AND attempt = :attempt;

-- name: attempt_ended
UPDATE attempts SET ended_at = :at, outcome = :outcome WHERE job_id = :id AND attempt = :attempt;

-- name: attempt_exit
UPDATE attempts SET exit_status = :exit_status, peak_rss_bytes = :peak_rss_bytes
WHERE job_id = :id AND attempt = :attempt;

-- name: exits_of
SELECT exit_status, peak_rss_bytes FROM attempts
WHERE job_id = :id AND outcome IN ('crashed', 'start_failed') ORDER BY attempt DESC;

-- name: end_job
UPDATE jobs
SET state = :state, slot = NULL, ended_at = :at, duration_s = :duration_s, error = :error, result_sha256 = :result_sha256
WHERE id = :id AND attempt = :attempt AND state IN ('starting', 'running') AND cancel = :cancel;

-- name: cancel_waiting
UPDATE jobs SET state = 'cancelled', cancel = 1, ended_at = :at
WHERE id = :id AND state IN ('queued', 'interrupted');

-- name: flag_cancel
UPDATE jobs SET cancel = 1, cancel_boot_s = :boot_s
WHERE id = :id AND state IN ('starting', 'running') AND cancel = 0;

-- name: requeue
UPDATE jobs SET state = :state, slot = NULL
WHERE id = :id AND attempt = :attempt AND state IN ('starting', 'running') AND cancel = 0;

-- name: count_death
UPDATE jobs
SET crashes = crashes + (state = 'running'), start_failures = start_failures + (state = 'starting')
WHERE id = :id;

-- name: insert_event
INSERT INTO events (job_id, attempt, at, kind, actor, detail)
SELECT id, attempt, :at, :kind, :actor, :detail FROM jobs WHERE id = :id;

-- name: events_of
SELECT id, attempt, at, kind, actor, detail FROM events WHERE job_id = :id AND id > :after ORDER BY id LIMIT :limit;

-- name: insert_artifact
INSERT INTO artifacts (id, job_id, attempt, kind, title, bytes, created_at)
VALUES (:id, :job_id, :attempt, :kind, :title, :bytes, :created_at)
ON CONFLICT (id) DO NOTHING;

-- name: artifacts_of
SELECT id FROM artifacts WHERE job_id = :id ORDER BY seq;

-- name: artifact_published
SELECT 1 FROM artifacts WHERE id = :id;

-- name: list_artifacts
SELECT seq, id FROM artifacts
WHERE seq < :before AND (:kind IS NULL OR kind = :kind) AND (:job_id IS NULL OR job_id = :job_id)
ORDER BY seq DESC LIMIT :limit;

-- name: published_artifacts
SELECT id FROM artifacts;

-- name: published_bytes
SELECT coalesce(sum(bytes), 0) FROM artifacts;
