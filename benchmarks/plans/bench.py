"""Compare what `plan_scale` says with what runs take: harvest, train and intervene at three sizes each.

`make bench-plans` profiles this machine once, plans each run from that profile, makes the run with the call that the
plan gives, and keeps the tables in `benchmarks/results/plans.json`. Every run is a process of its own with one thread;
its time is that of the whole process. The aim is a factor of 1.3 in 80 % of runs, by the clock.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.contracts.plan_scale import PlanScaleRequest, PlanScaleResult, StageTime
from interp_lab.contracts.prompts import BuiltinDataset
from interp_lab.corpus.sources import open_prompts
from interp_lab.settings import Settings
from interp_lab.workflows.plan_scale import plan_scale

RESULTS = Path(__file__).resolve().parents[1] / "results" / "plans.json"
WORKER = Path(__file__).with_name("worker.py")
FACTOR, SHARE = 1.3, 0.8
MODEL, PROMPTS = "builtin:pocket-llama", "person-name"
"""Another model and other prompts than those of the profile's own short runs."""
HARVESTS = (300, 1200, 3600)
"""Documents of 150 words."""
TRAININGS = ((1024, 100_000), (4096, 300_000), (8192, 500_000))
"""Latents and tokens."""
INTERVENTIONS = ((2, 1), (8, 1), (16, 2))
"""Units and strengths."""
_TOKENS_PER_WORD = 4 / 3
_WORDS = 150


def main() -> int:
    """Return 0 if the aim was met."""
    with tempfile.TemporaryDirectory() as folder:
        bench = _Bench(Path(folder))
        bench.profile()
        rows = [row for kind in (bench.harvests, bench.trainings, bench.interventions) for row in kind()]
    within = [1 / FACTOR <= row["measured_over_planned"] <= FACTOR for row in rows]
    report = {
        "measured": date.today().isoformat(),
        "load_at_the_end": round(os.getloadavg()[0], 1),
        "within_1.3": round(sum(within) / len(within), 2),
        "aim": SHARE,
        "met": sum(within) >= SHARE * len(within),
        "profile_seconds": bench.profile_seconds,
        "rows": rows,
    }
    RESULTS.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report))
    return 0 if report["met"] else 1


class _Bench:
    """One workspace."""

    def __init__(self, folder: Path) -> None:
        self._settings = Settings(workspace=folder, cpu_slots=os.cpu_count() or 1)  # one thread each, as the workers
        self._folder = folder
        self._planner = folder / "planner"
        """A workspace without runs, so that plans rest on the profile alone."""
        self._planner.mkdir()
        WorkspacePaths.of(self._settings).root.mkdir()  # where runs keep how long they took
        self._count = 0
        self._store, self._tokens = "", 0
        self._asked: dict[str, Any] = {}
        self.profile_seconds = 0.0

    def profile(self) -> None:
        """Measure the machine as a user would."""
        took, found = self._run("profile_env", {"fresh": True})
        self.profile_seconds = round(took, 1)
        for folder in (self._folder, self._planner):
            (folder / "profile.json").write_text(json.dumps(found["answer"]["profile"]))

    def harvests(self) -> Iterator[dict[str, Any]]:
        """Yield a row for each reading of a corpus."""
        for n_documents in HARVESTS:
            corpus = self._corpus(n_documents)
            length = round(_WORDS * _TOKENS_PER_WORD)
            plan = self._plan(dataset=corpus, tokens=n_documents * length, context=length, n_latents=1024)
            known = self._informed("harvest")
            took, found = self._run("harvest", _call(plan, "harvest"))
            self._store, self._tokens = found["made"], found["answer"]["n_rows"]
            disk = next(row.value for row in plan.quantities if row.name == "store")
            planned, what = _stage(plan, "harvest"), f"harvest {self._tokens:,} tokens"
            yield _row(what, planned, took, found | known) | _disk(disk, found)

    def trainings(self) -> Iterator[dict[str, Any]]:
        """Yield a row for each dictionary, all on the last store."""
        for n_latents, tokens in TRAININGS:
            plan = self._plan(
                dataset="builtin:person-name", tokens=self._tokens, train_tokens=tokens, n_latents=n_latents
            )
            known = self._informed("train")
            took, found = self._run("train_sae", _call(plan, "train_sae") | {"source": self._store})
            disk = 4 * next(r.value for r in plan.quantities if r.name == "parameters" and r.group == "dictionary")
            what = f"train {n_latents:,} latents on {tokens:,} tokens"
            yield _row(what, _stage(plan, "train"), took, found | known) | _disk(disk, found)

    def interventions(self) -> Iterator[dict[str, Any]]:
        """Yield a row for each set of units."""
        prompts = open_prompts(BuiltinDataset(name=PROMPTS), self._settings).prompts
        words = sum(len(prompt.text.split()) for prompt in prompts) / len(prompts)
        for n_units, n_strengths in INTERVENTIONS:
            plan = self._plan(
                dataset=f"builtin:{PROMPTS}",
                units=n_units,
                strengths=n_strengths,
                prompts=len(prompts),
                prompt_tokens=round(words * _TOKENS_PER_WORD),
                tokens=1000,
                n_latents=1024,
            )
            call = _call(plan, "intervene")
            del call["ranks"]  # of a report; here the units are named
            call |= {
                "criterion": "a person is named",
                "dataset": f"builtin:{PROMPTS}",
                "units": [{"address": "resid_post.3", "index": i} for i in range(n_units)],
                "dry_run": False,
            }
            known = self._informed("interventions")
            took, found = self._run("intervene", call)
            what = f"intervene on {n_units} units, {n_strengths} strengths, {len(prompts)} prompts"
            yield _row(what, _stage(plan, "interventions"), took, found | known)

    def _plan(self, **asked: Any) -> PlanScaleResult:
        return self._planned(Settings(workspace=self._planner), asked)

    def _planned(self, settings: Settings, asked: dict[str, Any]) -> PlanScaleResult:
        request = PlanScaleRequest.model_validate({"model": MODEL, "profile": "profile.json", **asked})
        self._asked = asked
        return plan_scale(request, settings=settings)

    def _informed(self, stage: str) -> dict[str, float]:
        """Return what a plan of the same says that knows the runs of the workspace so far."""
        return {"planned_after_runs_s": _stage(self._planned(self._settings, self._asked), stage).seconds}

    def _run(self, tool: str, asked: object) -> tuple[float, dict[str, Any]]:
        """Return the seconds of the whole process and what it says."""
        self._count += 1
        command = [sys.executable, str(WORKER), tool, json.dumps(asked), str(self._folder), f"run-{self._count}"]
        began = time.perf_counter()
        made = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        return time.perf_counter() - began, json.loads(made.stdout.splitlines()[-1])

    def _corpus(self, n_documents: int) -> str:
        draw = random.Random(0)
        texts = [prompt.text for prompt in open_prompts(BuiltinDataset(name=PROMPTS), self._settings).prompts]
        words = " ".join(texts).split()
        name = f"corpus-{n_documents}.txt"
        documents = [" ".join(draw.choices(words, k=_WORDS)) for _ in range(n_documents)]
        (self._folder / name).write_text("\n\n".join(documents))
        return name


def _call(plan: PlanScaleResult, tool: str) -> dict[str, Any]:
    return dict(next(call.arguments for call in plan.calls if call.tool == tool))


def _stage(plan: PlanScaleResult, stage: str) -> StageTime:
    route = next(route for route in plan.routes if route.route == "local_cpu")
    return next(each for each in route.stages if each.stage == stage)


def _row(what: str, planned: StageTime, took: float, found: dict[str, Any]) -> dict[str, Any]:
    print(f"{what}: planned {planned.seconds:.1f} s, took {took:.1f} s ({planned.basis})", file=sys.stderr)
    return {
        "run": what,
        "planned_s": round(planned.seconds, 1),
        "measured_s": round(took, 1),
        "measured_over_planned": round(took / planned.seconds, 2),
        "measured_over_planned_after_runs": round(took / found["planned_after_runs_s"], 2),
        "cpu_s": round(found["cpu_s"], 1),
        "cpu_over_planned": round(found["cpu_s"] / planned.seconds, 2),
        "planned_peak_mb": round(planned.memory / 1e6),
        "peak_mb": round(found["peak_bytes"] / 1e6),
        "peak_over_planned": round(found["peak_bytes"] / planned.memory, 2),
    }


def _disk(planned: float, found: dict[str, Any]) -> dict[str, Any]:
    return {
        "planned_disk_mb": round(planned / 1e6, 2),
        "disk_mb": round(found["bytes"] / 1e6, 2),
        "disk_over_planned": round(found["bytes"] / planned, 3),
    }


if __name__ == "__main__":
    sys.exit(main())
