"""Compare what `plan_scale` says with what runs take: harvest, train and intervene at three sizes each.

`make bench-plans` profiles this machine, plans each run from that profile, makes the run that the plan describes, and
keeps the table in `benchmarks/results/plans.json`. Probes and runs are timed in one process with one thread, the
profile is measured again before each kind, and times are wall time without loading libraries. The aim is a factor of
1.3 in 80 % of runs.
"""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import torch

from interp_lab.contracts.harvest import HarvestRequest
from interp_lab.contracts.intervene import InterveneRequest
from interp_lab.contracts.machine import ProfileEnvRequest
from interp_lab.contracts.plan_scale import PlanScaleRequest
from interp_lab.contracts.train_sae import TrainSaeRequest
from interp_lab.corpus.sources import open_prompts
from interp_lab.jobs.run import LocalRun
from interp_lab.machine.scale.costs import layers_read
from interp_lab.settings import Settings
from interp_lab.workflows.harvest import harvest
from interp_lab.workflows.intervene import intervene
from interp_lab.workflows.plan_scale import plan_scale
from interp_lab.workflows.profile_env import profile_env
from interp_lab.workflows.train_sae import train_sae

RESULTS = Path(__file__).resolve().parents[1] / "results" / "plans.json"
FACTOR, SHARE = 1.3, 0.8
HARVESTS = (300, 600, 1200)
"""Documents of 150 words."""
TRAININGS = ((1024, 50_000), (2048, 100_000), (4096, 100_000))
"""Latents and tokens."""
INTERVENTIONS = ((2, 1), (4, 2), (8, 2))
"""Units and strengths."""
MODEL, PROMPTS = "builtin:pocket-llama", "builtin:measurement-unit"


def main() -> int:
    """Return 0 if the aim was met."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        bench = _Bench(Path(folder))
        rows = [row for kind in (bench.harvests, bench.trainings, bench.interventions) for row in kind()]
    within = [1 / FACTOR <= row["measured_over_planned"] <= FACTOR for row in rows]
    report = {
        "measured": date.today().isoformat(),
        "load_at_the_end": round(os.getloadavg()[0], 1),
        "within_1.3": round(sum(within) / len(within), 2),
        "aim": SHARE,
        "met": sum(within) >= SHARE * len(within),
        "rows": rows,
    }
    RESULTS.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report))
    return 0 if report["met"] else 1


class _Bench:
    """One workspace."""

    def __init__(self, folder: Path) -> None:
        self._settings = Settings(workspace=folder, cpu_slots=os.cpu_count() or 1)
        self._folder = folder
        self._count = 0
        self._store = ""

    def harvests(self) -> Iterator[dict[str, Any]]:
        """Yield a row for each reading of a corpus."""
        self._profile()
        for n_documents in HARVESTS:
            corpus = self._corpus(n_documents)
            request = HarvestRequest.model_validate({"model": MODEL, "dataset": corpus, "addresses": [_ADDRESS]})
            with self._run() as run:
                seconds, answer = _timed(
                    lambda run=run, request=request: harvest(request, run, settings=self._settings)
                )
                self._store = run.written[0].relative_to(self._folder).as_posix()
            planned = self._plan("harvest", tokens=answer.n_rows, context=_CONTEXT)
            yield _row(f"harvest {answer.n_rows:,} tokens", planned, seconds)

    def trainings(self) -> Iterator[dict[str, Any]]:
        """Yield a row for each dictionary, all on the last store."""
        self._profile()
        for n_latents, tokens in TRAININGS:
            asked = {
                "source": {"kind": "store", "store": self._store},
                "addresses": [_ADDRESS],
                "widths": [n_latents],
                "sparsities": [32],
                "training": {"total_tokens": tokens},
            }
            request = TrainSaeRequest.model_validate(asked)
            with self._run() as run:
                seconds, _ = _timed(
                    lambda run=run, request=request: train_sae(
                        request, run, settings=self._settings, suggest=lambda _: ()
                    )
                )
            planned = self._plan("train", tokens=tokens, n_latents=n_latents)
            yield _row(f"train {n_latents:,} latents on {tokens:,} tokens", planned, seconds)

    def interventions(self) -> Iterator[dict[str, Any]]:
        """Yield a row for each set of units."""
        self._profile()
        for n_units, n_strengths in INTERVENTIONS:
            asked = {
                "model": MODEL,
                "criterion": "a unit of measurement is named",
                "dataset": PROMPTS,
                "units": [{"address": "resid_post.2", "index": i} for i in range(n_units)],
                "edits": ["amplify"],
                "strengths": [1.0 + i for i in range(n_strengths)],
                "dry_run": False,
            }
            request = InterveneRequest.model_validate(asked)
            prompts = open_prompts(request.dataset, self._settings).prompts
            words = sum(len(prompt.text.split()) for prompt in prompts) / len(prompts)
            with self._run() as run:
                seconds, _ = _timed(
                    lambda run=run, request=request: intervene(
                        request, run, settings=self._settings, suggest=lambda _: ()
                    )
                )
            sizes = {"units": n_units, "strengths": n_strengths, "controls": request.n_controls}
            about = max(1, round(words * _TOKENS_PER_WORD))
            planned = self._plan("interventions", prompts=len(prompts), prompt_tokens=about, **sizes)
            yield _row(
                f"intervene on {n_units} units, {n_strengths} strengths, {len(prompts)} prompts", planned, seconds
            )

    def _plan(self, stage: str, **asked: Any) -> float:
        request = PlanScaleRequest.model_validate({"model": MODEL, "profile": "profile.json", **asked})
        answer = plan_scale(request, settings=self._settings, latest=None)
        route = next(route for route in answer.routes if route.route == "local_cpu")
        return next(each.seconds for each in route.stages if each.stage == stage)

    def _profile(self) -> None:
        with self._run() as run:
            found = profile_env(ProfileEnvRequest(fresh=True, seconds=4.0), run)
        (self._folder / "profile.json").write_text(found.profile.model_dump_json())

    def _run(self) -> LocalRun:
        self._count += 1
        return LocalRun(self._folder / f"run-{self._count}", workspace=self._folder)

    def _corpus(self, n_documents: int) -> str:
        draw = random.Random(0)
        told = "the men went down to town and came home before night fell by water"
        words = told.split()
        name = f"corpus-{n_documents}.txt"
        texts = [" ".join(draw.choices(words, k=150)) for _ in range(n_documents)]
        (self._folder / name).write_text("\n\n".join(texts))
        return name


_CONTEXT = 128
_ADDRESS = f"resid_post.{layers_read(1, 6)[0]}"
"""What a plan for one address reads."""
_TOKENS_PER_WORD = 1.3


def _timed(action: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    answer = action()
    return time.perf_counter() - began, answer


def _row(what: str, planned: float, measured: float) -> Mapping[str, Any]:
    ratio = round(measured / planned, 2)
    print(f"{what}: planned {planned:.1f} s, took {measured:.1f} s", file=sys.stderr)
    return {
        "run": what,
        "planned_s": round(planned, 1),
        "measured_s": round(measured, 1),
        "measured_over_planned": ratio,
    }


if __name__ == "__main__":
    sys.exit(main())
