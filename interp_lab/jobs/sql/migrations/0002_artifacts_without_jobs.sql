-- An artifact may be made at once, while the caller waits, by no job: its job_id is then null.
CREATE TABLE artifacts_of_all (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE CHECK (length(id) = 64),
    job_id TEXT REFERENCES jobs (id),
    attempt INTEGER NOT NULL,
    kind TEXT NOT NULL,
    title TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    created_at TEXT NOT NULL
);

INSERT INTO artifacts_of_all (seq, id, job_id, attempt, kind, title, bytes, created_at)
SELECT seq, id, job_id, attempt, kind, title, bytes, created_at FROM artifacts;

DROP TABLE artifacts;

ALTER TABLE artifacts_of_all RENAME TO artifacts;

CREATE INDEX artifacts_by_job ON artifacts (job_id);
