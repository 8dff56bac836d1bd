# pyright: standard
"""Harvest, train and inspect through Ray on two nodes, one of which is killed, beside the same jobs on this machine.

`make scale-e2e` prints what was equal and what it cost, and keeps both in `benchmarks/results/scale_e2e.json`. Both
nodes run here, so ratios show what Ray and torchrun add, not what a cluster gains. Times are wall time from asking for
a job to its end, the start of every process included. Every round repeats training and inspection with a seed of its
own, here and on Ray by turns; a ratio is the median over rounds of the two times of one round. The one harvest on Ray
lost a node, so that its time is no overhead.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

from safetensors.torch import load_file

from interp_lab.jobs.parts.record import PartFolder, PartName
from interp_lab.settings import Settings
from interp_lab_tools.call import call
from interp_lab_tools.lab import Lab
from tests.contract.clusters import RayCluster, ray_cluster

RESULTS = Path(__file__).resolve().parents[1] / "results" / "scale_e2e.json"
MODEL, ADDRESS = "builtin:pocket-llama", "resid_post.2"
N_DOCUMENTS, N_WORDS = 300, 150
N_LATENTS, TOKENS = 512, 262_144
PATIENCE_S = 900.0
ROUNDS = 3
_SHARDS = 2
_RANKS = 2


@dataclass
class Place:
    """A workspace whose jobs run somewhere, and what was seen there."""

    name: str
    lab: Lab
    store: str = ""
    seconds: dict[str, list[float]] = field(default_factory=dict)
    """Of every job, by round."""
    asked_s: dict[str, float] = field(default_factory=dict)
    """When jobs were asked for."""
    made: dict[str, list[Any]] = field(default_factory=dict)
    """What is compared, by round."""

    def job(self, name: str, request: Mapping[str, Any], kind: str, *, label: str = "") -> str:
        """Return the id of what a job makes."""
        return self.ended(self.begun(name, request), kind, label=label or name)

    def begun(self, name: str, request: Mapping[str, Any]) -> str:
        """Return the id of a job that has been submitted."""
        began = time.perf_counter()
        view: Any = call(self.lab, name, {**request, "wait_s": 0})
        self.asked_s[view.job_id] = began
        return str(view.job_id)

    def until(self, job: str, condition: Callable[[], object]) -> None:
        """Wait for something to be true of a job; one that ended before is told by its log."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            if self.lab.engine.get(job).final or time.monotonic() > deadline:
                raise SystemExit(f"{self.name}: a job did not come as far as it should.\n{self._told(job)}")
            self.lab.engine.tick()
            time.sleep(0.05)

    def ended(self, job: str, kind: str, *, label: str) -> str:
        """Return the id of the job's artifact of that kind, once it has ended."""
        self.until(job, lambda: self.lab.engine.get(job).final)
        took = time.perf_counter() - self.asked_s[job]
        end = self.lab.engine.get(job)
        if end.state != "succeeded":
            raise SystemExit(f"{self.name}: {label}: {end.error}\n{self._told(job)}")
        self.seconds.setdefault(label, []).append(round(took, 1))
        print(f"{self.name}: {label} {took:.1f} s", file=sys.stderr, flush=True)
        return next(manifest.id for manifest in self.lab.engine.artifacts_of(job) if manifest.kind == kind)

    def hashes(self, artifact: str, ending: str = "") -> dict[str, str]:
        """Return the hash of every file of an artifact."""
        files = self.lab.engine.artifacts.open(artifact).files
        return {file.name: file.sha256 for file in files if file.name.endswith(ending)}

    def keep(self, name: str, value: object) -> None:
        """Note what is to be compared."""
        self.made.setdefault(name, []).append(value)

    def _told(self, job: str) -> str:
        return self.lab.engine.logs(job).text


def main() -> int:
    """Return 0 if every result of the cluster is that of this machine."""
    with tempfile.TemporaryDirectory() as folder, ray_cluster() as cluster, ExitStack() as open_labs:
        here = open_labs.enter_context(_place(Path(folder), "local"))
        ray = open_labs.enter_context(_place(Path(folder), "ray", cluster))
        _harvest(here)
        deaths = _harvest_with_a_death(ray, cluster)
        for number in range(ROUNDS):
            for place in (here, ray) if number % 2 == 0 else (ray, here):
                _round(place, number)
            here.job("train_sae", _training(here.store, number, ranks=1), "dictionary", label="train_one_process")
            for ranks in (1, _RANKS):
                here.seconds.setdefault(f"torchrun_{ranks}", []).append(_torchrun(here, number, ranks))
        differences = _differences(here.lab.engine.paths.workspace)
    equal = {name: here.made[name] == ray.made[name] for name in here.made}
    report = {
        "measured": date.today().isoformat(),
        "what": f"{N_DOCUMENTS} documents, {ADDRESS} of {MODEL}, {_SHARDS} shards, one node killed; {N_LATENTS} "
        f"latents, {TOKENS:,} tokens, {_RANKS} ranks; {ROUNDS} rounds of training and inspection",
        "equal": equal,
        "lost_and_done_again": deaths,
        "two_ranks_against_one": differences,
        "seconds": {place.name: place.seconds for place in (here, ray)},
        "over_local": _ratios(here.seconds, ray.seconds),
        "load": os.getloadavg()[0],
    }
    RESULTS.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report))
    return 0 if all(equal.values()) and deaths == 1 else 1


def _ratios(here: Mapping[str, list[float]], ray: Mapping[str, list[float]]) -> dict[str, dict[str, float]]:
    pairs = {
        "ray_train_2_ranks": (ray["train_sae"], here["train_sae"]),
        "ray_inspect": (ray["inspect"], here["inspect"]),
        "torchrun_1": (here["torchrun_1"], here["train_one_process"]),
        "torchrun_2": (here["torchrun_2"], here["train_sae"]),
        "job_of_2_ranks_over_1": (here["train_sae"], here["train_one_process"]),
    }
    found = {name: [a / b for a, b in zip(*both, strict=True)] for name, both in pairs.items()}
    return {
        name: {"median": round(median(each), 2), "low": round(min(each), 2), "high": round(max(each), 2)}
        for name, each in found.items()
    }


@contextmanager
def _place(folder: Path, name: Any, cluster: RayCluster | None = None) -> Iterator[Place]:
    workspace = folder / name
    workspace.mkdir()
    draw = random.Random(0)
    told = "the men went down to town and came home before night fell by water"
    words = told.split()
    texts = [" ".join(draw.choices(words, k=N_WORDS)) for _ in range(N_DOCUMENTS)]
    (workspace / "corpus.txt").write_text("\n\n".join(texts))
    settings = Settings(
        workspace=workspace,
        worker_command=(sys.executable, "-P", str(Path(__file__).with_name("worker.py"))),
        cpu_slots=os.cpu_count() or 1,  # one thread for every process, on either side
        launcher=name,
        ray_address="" if cluster is None else cluster.address,
    )
    with Lab.open(settings) as lab:
        yield Place(name, lab)


def _harvest(place: Place, *, shards: int = 1) -> None:
    asked = {"model": MODEL, "dataset": "corpus.txt", "addresses": [ADDRESS], "shards": shards}
    place.store = place.job("harvest", asked, "activation_store")
    place.keep("store", place.hashes(place.store))


def _harvest_with_a_death(place: Place, cluster: RayCluster) -> int:
    """Return how often a shard was lost; the node that one of them runs on is killed when both have read something."""
    hold = place.lab.engine.paths.workspace / "hold"
    hold.touch()
    asked = {"model": MODEL, "dataset": "corpus.txt", "addresses": [ADDRESS], "shards": _SHARDS}
    job = place.begun("harvest", asked)
    folder = place.lab.engine.paths.job(job) / "parts"
    shards = [PartFolder(folder, PartName(0, index)) for index in range(_SHARDS)]
    place.until(job, lambda: all(list(shard.checkpoint.glob("store/rows-*.parquet")) for shard in shards))
    cluster.kill_second_node()
    hold.unlink()
    place.until(job, lambda: sum(shard.read_start().deaths for shard in shards) or place.lab.engine.get(job).final)
    cluster.add_node()  # another takes the place of the lost one
    place.store = place.ended(job, "activation_store", label="harvest_with_a_death")
    place.keep("store", place.hashes(place.store))
    return sum(shard.read_start().deaths for shard in shards)


def _round(place: Place, number: int) -> None:
    dictionary = place.job("train_sae", _training(place.store, number), "dictionary")
    place.keep("dictionary", place.hashes(dictionary, ".safetensors"))
    asked = {
        "model": MODEL,
        "criterion": "the word is a person's name",
        "dataset": "builtin:person-name",
        "dictionaries": [dictionary],
        "seed": number,
    }
    report = place.job("inspect", asked, "inspect_report")
    found = json.loads(place.lab.engine.artifacts.read_file(report, "report.json"))["coordinates"]
    place.keep("findings", json.loads(json.dumps(found).replace(dictionary, "DICTIONARY")))


def _training(store: str, number: int, *, ranks: int = _RANKS) -> dict[str, Any]:
    return {
        "source": {"kind": "store", "store": store},
        "addresses": [ADDRESS],
        "widths": [N_LATENTS],
        "sparsities": [16],
        "seeds": [number],
        "training": {"total_tokens": TOKENS, "batch_tokens": 1024},
        "ranks": ranks,
    }


def _torchrun(place: Place, number: int, ranks: int) -> float:
    """Return the seconds of the same training by so many processes of torchrun."""
    workspace = place.lab.engine.paths.workspace
    request = workspace / "train.json"
    request.write_text(json.dumps(_training(place.store, number, ranks=ranks)))
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"),
        *("-m", "interp_lab.workflows.train_together", str(request)),
        *("--workspace", str(workspace), "--output", str(workspace / f"together-{ranks}-{number}")),
    ]
    began = time.perf_counter()
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL, timeout=PATIENCE_S)
    took = round(time.perf_counter() - began, 1)
    print(f"torchrun, {ranks} ranks: {took} s", file=sys.stderr, flush=True)
    return took


def _differences(workspace: Path) -> dict[str, float]:
    """Return the largest difference of each tensor between two processes and one, as a share of its largest entry."""
    found = (next(workspace.glob(f"together-{n}-0/dictionary-*/sae_weights.safetensors")) for n in (1, _RANKS))
    one, two = map(load_file, found)
    return {
        name: float(f"{float((two[name] - one[name]).abs().max() / one[name].abs().max().clamp(min=1e-30)):.2g}")
        for name in sorted(one)
    }


if __name__ == "__main__":
    sys.exit(main())
