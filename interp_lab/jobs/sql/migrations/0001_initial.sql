CREATE TABLE jobs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE CHECK (length(id) = 32),
    capability TEXT NOT NULL,
    label TEXT NOT NULL,
    slot_kind TEXT NOT NULL CHECK (slot_kind IN ('cpu', 'gpu')),
    priority INTEGER NOT NULL,
    spec_sha256 TEXT NOT NULL,
    resumes TEXT,
    state TEXT NOT NULL DEFAULT 'queued' CHECK (
        state IN ('queued', 'starting', 'running', 'interrupted', 'succeeded', 'failed', 'cancelled')
    ),
    attempt INTEGER NOT NULL DEFAULT 0,
    slot TEXT CHECK ((slot IS NOT NULL) = (state IN ('starting', 'running'))),
    cancel INTEGER NOT NULL DEFAULT 0 CHECK (cancel IN (0, 1)),
    cancel_boot_s REAL,
    crashes INTEGER NOT NULL DEFAULT 0,
    start_failures INTEGER NOT NULL DEFAULT 0,
    created_at TEXT NOT NULL,
    started_at TEXT,
    ended_at TEXT,
    duration_s REAL,
    error TEXT,
    result_sha256 TEXT CHECK ((result_sha256 IS NOT NULL) = (state = 'succeeded'))
);

CREATE INDEX jobs_by_state ON jobs (state, slot_kind, priority DESC, seq);

CREATE UNIQUE INDEX one_job_per_slot ON jobs (slot) WHERE slot IS NOT NULL;

CREATE TABLE attempts (
    job_id TEXT NOT NULL REFERENCES jobs (id),
    attempt INTEGER NOT NULL,
    slot TEXT NOT NULL,
    claimed_at TEXT NOT NULL,
    claimed_by TEXT NOT NULL,
    started_at TEXT,
    ended_at TEXT,
    outcome TEXT,
    exit_status INTEGER,
    peak_rss_bytes INTEGER,
    PRIMARY KEY (job_id, attempt)
);

CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id TEXT NOT NULL REFERENCES jobs (id),
    attempt INTEGER NOT NULL,
    at TEXT NOT NULL,
    kind TEXT NOT NULL,
    actor TEXT NOT NULL,
    detail TEXT NOT NULL DEFAULT ''
);

CREATE INDEX events_by_job ON events (job_id, id);

CREATE TABLE artifacts (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE CHECK (length(id) = 64),
    job_id TEXT NOT NULL REFERENCES jobs (id),
    attempt INTEGER NOT NULL,
    kind TEXT NOT NULL,
    title TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    created_at TEXT NOT NULL
);

CREATE INDEX artifacts_by_job ON artifacts (job_id);

CREATE TABLE request_keys (
    key TEXT PRIMARY KEY,
    body_sha256 TEXT NOT NULL,
    job_id TEXT NOT NULL REFERENCES jobs (id)
);
