"""A launcher whose processes are file locks in this process, so that starting and dying cost nothing."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from interp_lab.artifacts.locks import is_locked
from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.jobs.job import LogPage
from interp_lab.jobs.launcher import Claim, Life
from interp_lab.jobs.ledger import Attempt, Exit
from interp_lab.jobs.spec import JobSpec
from interp_lab.settings import Settings


@dataclass
class FakeClock:
    """Two clocks that a test moves by hand."""

    wall: datetime = datetime(2026, 3, 29, 0, 59, tzinfo=UTC)
    boot: float = 1000.0

    def now(self) -> datetime:
        return self.wall

    def boot_s(self) -> float:
        return self.boot

    def jump(self, **by: float) -> None:
        self.wall += timedelta(**by)

    def pass_time(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.boot += seconds


@dataclass
class FakeLauncher:
    """Holds the locks of every attempt until the test lets it die."""

    paths: WorkspacePaths
    held: dict[Attempt, tuple[int, ...]] = field(default_factory=dict)
    slots: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """What every job was given last."""
    exits: dict[Attempt, Exit] = field(default_factory=dict)
    started: list[Attempt] = field(default_factory=list)
    asked: list[tuple[Attempt, bool]] = field(default_factory=list)

    def submit(self, claim: Claim) -> None:
        self.held[claim.attempt] = tuple(os.dup(lock.fd) for lock in (claim.run_lock, *claim.slots.values()))
        self.slots[claim.attempt.job_id] = tuple(claim.slots)
        self.started.append(claim.attempt)

    def poll(self, attempts: Iterable[Attempt]) -> Mapping[Attempt, Life]:
        return {
            a: Life("running") if is_locked(self.paths.run_lock(a.job_id)) else Life("gone", self.exits.get(a))
            for a in attempts
        }

    def cancel(self, attempt: Attempt, *, force: bool) -> bool:
        self.asked.append((attempt, force))
        if force:
            self.die(attempt)
        return attempt not in self.held

    def logs(self, job_id: str, *, offset: int | None, max_bytes: int) -> LogPage:
        return LogPage(b"", 0, 0, 0)

    def adopt(self, job_id: str) -> Attempt | None:
        return next((attempt for attempt in self.held if attempt.job_id == job_id), None)

    def die(self, attempt: Attempt, exit_: Exit | None = None) -> None:
        """Let the attempt's process be gone."""
        if exit_ is not None:
            self.exits[attempt] = exit_
        for fd in self.held.pop(attempt, ()):
            os.close(fd)

    def die_all(self) -> None:
        for attempt in list(self.held):
            self.die(attempt)


def settings(workspace: Path, **options: Any) -> Settings:
    """Return settings that do not look at the machine."""
    defaults: dict[str, Any] = {"cpu_slots": 1, "gpu_slots": 0, "min_free_bytes": 0, "ballast_bytes": 0}
    return Settings(workspace=workspace, **(defaults | options))


def spec(
    capability: str = "count", *, slot: Any = "cpu", n_slots: int = 1, priority: int = 0, **request: Any
) -> JobSpec:
    return JobSpec(
        capability=capability, request=request, slot=slot, n_slots=n_slots, priority=priority, code_version="test"
    )
