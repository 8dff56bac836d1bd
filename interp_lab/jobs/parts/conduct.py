"""The attendant of a job in parts: starts them where they are to run, reruns those that are lost, takes the result.

It is the one that the catalogue knows: it holds the job's locks on this machine, and what it hears of the parts it
reads from their folders. If it dies, another takes up the parts where they are.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from interp_lab.artifacts.manifest import Manifest
from interp_lab.artifacts.writer import Sealed, hash_file
from interp_lab.errors import ClusterSilent, ClusterUnavailable, JobFilesCorrupt, WorkerKilled
from interp_lab.jobs.environment import marker
from interp_lab.jobs.failures import error_of
from interp_lab.jobs.jobdir import JobFolder
from interp_lab.jobs.jobrun import JobRun
from interp_lab.jobs.parts.program import part_arguments
from interp_lab.jobs.parts.record import Outcome, PartFolder, PartName, Start
from interp_lab.jobs.parts.sharding import shards_of
from interp_lab.jobs.places.base import Place, Task, TaskState
from interp_lab.jobs.signals import InterruptedJob
from interp_lab.jobs.spec import SlotKind
from interp_lab.settings import Settings

_LOG_AT_ONCE = 2**20
_SETTLED = frozenset({"done", "damaged"})


@dataclass(slots=True)
class _Under:
    """A part that has been started."""

    part: PartFolder
    start: Start
    pulse: str = ""
    heard_s: float = field(default_factory=time.monotonic)
    """When its sign of life last changed, by this process's clock."""
    shown: int = 0
    """Bytes of its log that are in the job's."""
    ended_s: float | None = None
    """When its place first said that it has ended."""


class Conductor:
    """Runs one job in parts."""

    def __init__(
        self,
        run: JobRun,
        folder: JobFolder,
        place: Place,
        settings: Settings,
        *,
        slot: SlotKind,
        processes: int = 1,
        nodes: int = 1,
    ) -> None:
        self._run = run
        self._folder = folder
        self._place = place
        self._settings = settings
        self._slot: SlotKind = slot
        self._each = (processes, nodes)
        self._under: dict[PartName, _Under] = {}
        self._shown: _Under | None = None
        self._refused_s: float | None = None
        """When its place first refused a task that it has not taken since."""
        self._remade = 0
        """How often the last lead's artifacts were not there whole."""

    def finish(self) -> Mapping[str, Any]:
        """Return the job's result once every part is done; its artifacts are then the run's.

        Raises:
            LabError: What a part failed with, or that its processes died too often.
            ClusterUnavailable: The place takes no more tasks.
        """
        try:
            return self._conduct()
        except BaseException as error:
            # An interrupted attendant leaves detached parts at work: the next one takes them up.
            if not (isinstance(error, InterruptedJob) and self._place.detached):
                self._stop_all()
            raise
        finally:
            self._place.close()

    def _conduct(self) -> Mapping[str, Any]:
        stage = 0
        while True:
            lead = PartFolder(self._folder.parts, PartName(stage))
            self._do([lead])
            outcome = _outcome(lead)
            if outcome.state == "damaged":
                self._do([self._counted(self._part(name)) for name in outcome.damaged])
                lead.forget()
            elif outcome.payloads is not None:
                self._do(shards_of(self._folder.parts, stage, len(outcome.payloads)))
                stage += 1
            elif self._take(lead, outcome):
                return outcome.result or {}
            else:
                self._not_whole(lead)

    def _take(self, lead: PartFolder, outcome: Outcome) -> bool:
        """Take over the lead's artifacts; return False if they are not there whole, as after a cut publication."""
        sealed: list[Sealed] = []
        for staged in outcome.artifacts:
            try:
                manifest = Manifest.model_validate_json(json.dumps(staged.manifest))
            except ValidationError as error:
                raise JobFilesCorrupt(f"An artifact of {lead.name} has no readable manifest.") from error
            if manifest.job != self._folder.job_id:
                return False  # the job that this one repeats made it
            folder = lead.path / staged.folder
            for entry in manifest.files:
                self._run.progress(0, None, "checking what was made")
                path = folder / entry.name
                if not path.is_file() or hash_file(path) != (entry.sha256, entry.bytes):
                    return False
            sealed.append(Sealed(manifest, folder))
        self._run.sealed.extend(sealed)
        return True

    def _not_whole(self, lead: PartFolder) -> None:
        """Let the lead make its artifacts again.

        Raises:
            JobFilesCorrupt: They were not there whole as often as processes may die.
        """
        self._remade += 1
        if self._remade > self._settings.crash_budget:
            raise JobFilesCorrupt(f"What {lead.name} made was not there whole {self._remade} times.")
        lead.forget()

    def _do(self, parts: Sequence[PartFolder]) -> None:
        """Return once all of them are done."""
        waiting = [part for part in parts if not _is_done(part)]
        while waiting or self._under:
            for part in waiting[: self._place.room(len(waiting), len(self._under))] if waiting else ():
                if self._begin(part):
                    waiting.remove(part)
            self._report(parts)
            waiting.extend(self._look())
            if waiting or self._under:
                time.sleep(self._place.interval_s)

    def _begin(self, part: PartFolder) -> bool:
        """Start a part, or take up one that still runs; return False if its place takes nothing just now."""
        part.prepare()
        start = part.read_start()
        if not (self._place.detached and start.handle is not None and self._is_there(part, start.handle)):
            part.forget()
            start = start.model_copy(update={"number": start.number + 1, "handle": None})
            part.write_start(start)
            try:
                start = start.model_copy(update={"handle": self._place.start(self._task(part, start.number))})
            except ClusterUnavailable as error:
                return self._refused(error)
            part.write_start(start)
        self._refused_s = None
        self._under[part.name] = _Under(part, start)
        return True

    def _refused(self, error: ClusterUnavailable) -> bool:
        """Return False for as long as it is worth trying again; then raise the refusal."""
        now = time.monotonic()
        if self._refused_s is None:
            self._refused_s = now
            self._run.log.warning("%s", error)
        if not self._place.detached or now - self._refused_s > self._settings.silence_s:
            raise error
        return False

    def _part(self, name: str) -> PartFolder:
        return PartFolder(self._folder.parts, PartName.parse(name))

    def _is_there(self, part: PartFolder, handle: str) -> bool:
        """Whether what an attendant before this one has started still runs, or has come to its end just now."""
        return self._place.states([handle])[handle] != "ended" or _is_done(part)

    def _task(self, part: PartFolder, number: int) -> Task:
        job_id, attempt = self._folder.job_id, self._run.attempt
        return Task(
            name=f"{job_id}-{part.name}-{number}",
            arguments=part_arguments(job_id, part.name, number),
            mark=marker(job_id, attempt),
            log=part.log,
            folder=part.path,
            slot=self._slot,
            processes=self._each[0],
            nodes=self._each[1],
        )

    def _look(self) -> list[PartFolder]:
        """Return the parts that have to be done again; those that are done are dropped."""
        handles = {name: under.start.handle or "" for name, under in self._under.items()}
        states = self._place.states(list(handles.values()))
        again: list[PartFolder] = []
        for name, under in list(self._under.items()):
            self._show_log(under)
            outcome = under.part.read_outcome()
            if outcome is not None and outcome.number == under.start.number:
                again.extend(self._settle(under, outcome))
            elif self._is_lost(under, states[handles[name]]):
                again.append(self._lost(under))
            else:
                continue
            self._show_log(under)
            del self._under[name]
        return again

    def _settle(self, under: _Under, outcome: Outcome) -> list[PartFolder]:
        if outcome.state == "failed" and outcome.error is not None:
            raise error_of(outcome.error)
        if outcome.state == "broken":
            return [self._lost(under)]
        return [] if outcome.state in _SETTLED else [self._asked_to_end(under.part)]

    def _asked_to_end(self, part: PartFolder) -> PartFolder:
        """Let a part that was asked to end go on: as often as it gets further, and a few times if it does not.

        Raises:
            WorkerKilled: It was asked to end too often before it got further.
        """
        start = part.read_start()
        told = part.progress.read()
        unit, done = str(told.get("unit") or ""), float(told.get("done") or 0)
        farthest = start.reached.get(unit, 0.0)  # a part counts prompts, then edits: only like is compared with like
        fruitless = 0 if done > farthest else start.fruitless + 1
        if fruitless >= self._settings.start_budget:
            raise WorkerKilled(f"{part.name} of the job was asked to end {fruitless} times before it got further.")
        reached = start.reached | {unit: max(done, farthest)}
        # it has said that it ended, also where its place takes a while to notice
        part.write_start(start.model_copy(update={"fruitless": fruitless, "reached": reached, "handle": None}))
        return part

    def _is_lost(self, under: _Under, state: TaskState) -> bool:
        """Whether a part is gone without a word, or has given no sign of life for too long.

        Raises:
            ClusterSilent: Neither its place nor the part has been heard of for too long.
        """
        now = time.monotonic()
        if state == "ended":
            under.ended_s = under.ended_s or now
            return now - under.ended_s >= self._place.lag_s
        under.ended_s = None  # a place may know a task only a moment after it took it
        pulse = under.part.pulse()
        if pulse != under.pulse or state == "waiting" or not self._place.detached:
            under.pulse, under.heard_s = pulse, now
        if now - under.heard_s < self._settings.silence_s:
            return False
        if state == "unknown":
            self._supersede_all()
            raise ClusterSilent(
                f"The cluster has not answered, nor {under.part.name} given a sign of life, for "
                f"{self._settings.silence_s:.0f} s."
            )
        self._place.stop(under.start.handle or "", force=True)
        return True

    def _supersede_all(self) -> None:
        """Let tries that nobody can reach stop by themselves when they see that they are not the newest."""
        for under in self._under.values():
            start = under.part.read_start()
            under.part.write_start(start.model_copy(update={"number": start.number + 1, "handle": None}))

    def _lost(self, under: _Under) -> PartFolder:
        self._run.log.warning("%s was lost (start %d) and is done again.", under.part.name, under.start.number)
        return self._counted(under.part)

    def _counted(self, part: PartFolder) -> PartFolder:
        """Count a death of a part.

        Raises:
            WorkerKilled: It has died too often.
        """
        start = part.read_start()
        deaths = start.deaths + 1
        if deaths >= self._settings.crash_budget:
            raise WorkerKilled(f"{part.name} of the job was lost {deaths} times without a result.")
        part.write_start(start.model_copy(update={"deaths": deaths, "handle": None}))
        part.forget()
        return part

    def _report(self, parts: Sequence[PartFolder]) -> None:
        told = [part.progress.read() for part in parts]
        n_done = sum(map(_is_done, parts))
        done = sum(float(one.get("done") or 0) for one in told)
        totals = [float(one.get("total") or 0) for one in told]
        total = sum(totals) if all(totals) else None
        unit = next((str(one["unit"]) for one in told if one.get("unit")), "")
        last = next((str(one["message"]) for one in told if one.get("message")), "waiting for a free place")
        words = last if len(parts) == 1 else f"{n_done} of {len(parts)} shards done; {last}"
        self._run.progress(done, None if total is None else max(total, done), words, unit)

    def _show_log(self, under: _Under) -> None:
        """Append what a part has logged since the last look to the job's log, which is where people look."""
        with suppress(OSError), under.part.log.open("rb") as source:
            source.seek(under.shown)
            if text := source.read(_LOG_AT_ONCE):
                under.shown += len(text)
                header = b"" if self._shown is under else f"--- {under.part.name}\n".encode()
                self._shown = under
                with self._folder.log.open("ab") as log:
                    log.write(header + text)

    def _stop_all(self) -> None:
        """End what still runs: asked first, killed after half of the grace that a cancelled job has."""
        handles = [under.start.handle for under in self._under.values() if under.start.handle]
        for handle in handles:
            self._place.stop(handle, force=False)
        deadline = time.monotonic() + self._settings.kill_grace_s / 2
        while (left := [h for h, state in self._place.states(handles).items() if state != "ended"]) and (
            time.monotonic() < deadline
        ):
            time.sleep(min(0.1, self._place.interval_s))
        for handle in left:
            self._place.stop(handle, force=True)


def _is_done(part: PartFolder) -> bool:
    outcome = part.read_outcome()
    return outcome is not None and outcome.state == "done"


def _outcome(part: PartFolder) -> Outcome:
    outcome = part.read_outcome()
    if outcome is None:
        raise JobFilesCorrupt(f"The outcome of {part.name} cannot be read.")
    return outcome
