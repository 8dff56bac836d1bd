"""F3: many servers and many clients over few keys."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

from interp_lab.jobs.engine import JobEngine
from tests.faults.conftest import Record
from tests.faults.rig import (
    HERE,
    LONG,
    integrity,
    overlapping_attempts,
    read_book,
    servers,
    settings,
    wait_for,
)

SERVERS = CLIENTS = 8
KEYS = 60
SUBMITS = 200 if LONG else 50


def test_eight_servers_and_eight_clients_run_each_key_once(workspace: Path, record: Record) -> None:
    config = settings(workspace, cpu_slots=4)
    book = workspace / "book"
    engine = JobEngine(config)
    with servers(config, SERVERS):
        clients = [
            subprocess.Popen(
                [sys.executable, "-P", str(HERE / "client.py"), str(seed), str(SUBMITS), str(KEYS), "0.15", str(book)],
                env=os.environ | config.to_env(),
                stdout=subprocess.PIPE,
            )
            for seed in range(CLIENTS)
        ]
        answers = [json.loads(client.communicate(timeout=1800)[0]) for client in clients]
        jobs = [job.id for job in engine.list_jobs(limit=1000).items]
        wait_for(lambda: all(engine.get(job_id).final for job_id in jobs), what="the end of all jobs")
    ids_of_key: dict[str, set[str]] = {}
    for answer in answers:
        for key, ids in answer["jobs"].items():
            ids_of_key.setdefault(key, set()).update(ids)
    claims = Counter((job_id, e.attempt) for job_id in jobs for e in engine.events(job_id) if e.kind == "claimed")
    ended = [engine.get(job_id) for job_id in jobs]
    seconds = sorted(second for answer in answers for second in answer["seconds"])
    cancelled_with_artifact = sum(bool(engine.artifacts_of(j.id)) for j in ended if j.state == "cancelled")
    record(
        submits=len(seconds),
        jobs=len(jobs),
        jobs_lost=sum(job.state not in {"succeeded", "cancelled"} for job in ended),
        double_runs=overlapping_attempts(read_book(book)) + sum(count - 1 for count in claims.values()),
        cancelled=sum(job.state == "cancelled" for job in ended),
        cancelled_with_artifact=cancelled_with_artifact,
        submit_p50_ms=seconds[len(seconds) // 2] * 1000.0,
        submit_p99_ms=seconds[int(len(seconds) * 0.99)] * 1000.0,
    )
    assert all(len(ids) == 1 for ids in ids_of_key.values())
    assert len(jobs) == len(ids_of_key)
    assert cancelled_with_artifact == 0
    assert all(client.returncode == 0 for client in clients)
    assert integrity(engine) == "ok"
    engine.close()
