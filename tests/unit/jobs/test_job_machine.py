"""The engine against a small model: random submissions, ticks from two servers, crashes, cancels and endings."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import hypothesis.strategies as st
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.contracts.jobs import JobFailure
from interp_lab.jobs.engine import JobEngine
from interp_lab.jobs.ledger import Attempt, Ending, Ledger
from interp_lab.jobs.opening import reach_catalog
from tests.unit.jobs import fakes

SLOTS = 2
CRASHES = 3
STARTS = 4
GRACE_S = 10
KEYS = st.integers(0, 3)
FAST = "/dev/shm" if Path("/dev/shm").is_dir() else None


@dataclass
class Model:
    """What a job should be; `alive` is whether it has a process."""

    key: int
    order: int
    priority: int
    state: str = "queued"
    attempt: int = 0
    crashes: int = 0
    starts: int = 0
    cancel: bool = False
    alive: bool = False
    asked_at: float = 0.0

    def be_seen(self) -> None:
        """Whoever looks at a job notices that its process is gone."""
        if self.state in {"starting", "running"} and not self.alive:
            self.die()

    def die(self) -> None:
        """Be found without a process."""
        self.alive = False
        if self.cancel:
            self.state = "cancelled"
            return
        if self.state == "running":
            self.crashes += 1
            self.state = "failed" if self.crashes == CRASHES else "queued"
        else:
            self.starts += 1
            self.state = "failed" if self.starts == STARTS else "queued"


class JobMachine(RuleBasedStateMachine):
    """Drives two engines on one workspace."""

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory(dir=FAST)
        self.config = fakes.settings(
            Path(self.folder.name), cpu_slots=SLOTS, crash_budget=CRASHES, start_budget=STARTS, kill_grace_s=GRACE_S
        )
        self.clock = fakes.FakeClock()
        self.launcher = fakes.FakeLauncher(WorkspacePaths.of(self.config))
        self.engines = [self._engine(), self._engine()]
        self.ledger = Ledger(reach_catalog(self.engines[0].paths), self.clock)
        self.jobs: dict[str, Model] = {}
        self.owner: dict[int, str] = {}

    def _engine(self) -> JobEngine:
        return JobEngine(self.config, clock=self.clock, launcher=self.launcher)

    def teardown(self) -> None:
        if hasattr(self, "launcher"):
            self.launcher.die_all()
            for engine in self.engines:
                engine.close()
            self.folder.cleanup()

    def attempts(self, *states: str) -> list[Attempt]:
        found = [(i, m) for i, m in self.jobs.items() if m.alive and m.state in states]
        return [Attempt(i, m.attempt) for i, m in sorted(found, key=lambda pair: pair[1].order)]

    @rule(key=KEYS, force=st.booleans(), priority=st.sampled_from([0, 0, 5]), which=st.integers(0, 1))
    def submit(self, key: int, priority: int, which: int, *, force: bool) -> None:
        job = self.engines[which].submit(fakes.spec(priority=priority, key=key), force=force)
        owner = self.owner.get(key)
        shared = owner is not None and not force and self.jobs[owner].state not in {"failed", "cancelled"}
        if shared:
            assert job.id == owner
            self.jobs[job.id].be_seen()
            assert job.state == self.jobs[job.id].state
        else:
            assert job.id not in self.jobs
            self.jobs[job.id] = Model(key, len(self.jobs), priority)
            self.owner[key] = job.id

    @rule(which=st.integers(0, 1))
    def tick(self, which: int) -> None:
        self.engines[which].tick()
        for model in self.jobs.values():
            if model.cancel and self.clock.boot - model.asked_at >= GRACE_S:
                model.alive = False
            model.be_seen()
        free = SLOTS - sum(model.alive and model.state in {"starting", "running"} for model in self.jobs.values())
        waiting = [model for model in self.jobs.values() if model.state in {"queued", "interrupted"}]
        for model in sorted(waiting, key=lambda m: (-m.priority, m.order))[:free]:
            model.state, model.alive = "starting", True
            model.attempt += 1

    @precondition(lambda self: self.attempts("starting"))
    @rule(data=st.data())
    def start(self, data: st.DataObject) -> None:
        attempt = data.draw(st.sampled_from(self.attempts("starting")))
        model = self.jobs[attempt.job_id]
        assert self.ledger.started(attempt) == (not model.cancel)
        if not model.cancel:
            model.state, model.starts = "running", 0

    @precondition(lambda self: self.attempts("running"))
    @rule(data=st.data(), how=st.sampled_from(["succeeded", "failed", "interrupted"]))
    def end(self, data: st.DataObject, how: str) -> None:
        attempt = data.draw(st.sampled_from(self.attempts("running")))
        model = self.jobs[attempt.job_id]
        endings = {
            "succeeded": lambda: self.ledger.end(attempt, Ending(state="succeeded", result_sha256="0" * 64)),
            "failed": lambda: self.ledger.end(
                attempt, Ending(state="failed", error=JobFailure(code="c", what="w", remedy="r"))
            ),
            "interrupted": lambda: self.ledger.interrupted(attempt),
        }
        assert endings[how]() == (not model.cancel)
        if model.cancel:
            assert self.ledger.end(attempt, Ending(state="cancelled"))
        model.state = "cancelled" if model.cancel else how
        model.alive = False
        self.launcher.die(attempt)

    @precondition(lambda self: self.attempts("starting", "running"))
    @rule(data=st.data())
    def crash(self, data: st.DataObject) -> None:
        attempt = data.draw(st.sampled_from(self.attempts("starting", "running")))
        self.launcher.die(attempt)
        self.jobs[attempt.job_id].alive = False

    @precondition(lambda self: self.jobs)
    @rule(data=st.data(), which=st.integers(0, 1))
    def cancel(self, data: st.DataObject, which: int) -> None:
        job_id = data.draw(st.sampled_from(sorted(self.jobs, key=lambda i: self.jobs[i].order)))
        model = self.jobs[job_id]
        if model.state in {"queued", "interrupted"}:
            model.state, model.cancel = "cancelled", True
        elif model.state in {"starting", "running"}:
            if not model.cancel:
                model.cancel, model.asked_at = True, self.clock.boot
            model.be_seen()
        assert self.engines[which].cancel(job_id).state == model.state

    @rule(seconds=st.sampled_from([1, 6]))
    def pass_time(self, seconds: int) -> None:
        self.clock.pass_time(seconds)

    @rule(days=st.sampled_from([-1, 1]))
    def jump(self, days: int) -> None:
        self.clock.jump(days=days)

    @rule(which=st.integers(0, 1))
    def restart(self, which: int) -> None:
        self.engines[which].close()
        self.engines[which] = self._engine()

    @invariant()
    def the_catalogue_says_what_the_model_says(self) -> None:
        if not hasattr(self, "jobs"):
            return
        listed = {job.id: job for job in self.engines[0].list_jobs(limit=1000).items}
        assert set(listed) == set(self.jobs)
        for job_id, model in self.jobs.items():
            job = listed[job_id]
            seen = (job.state, job.attempt, job.crashes, job.cancel_requested)
            assert seen == (model.state, model.attempt, model.crashes, model.cancel)
        assert sum(job.state in {"starting", "running"} for job in listed.values()) <= SLOTS


JobMachine.TestCase.settings = settings(
    max_examples=2000 if os.environ.get("INTERP_LAB_FAULTS") == "long" else 100,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
TestJobMachine = JobMachine.TestCase
