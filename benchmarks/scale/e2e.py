# pyright: standard
"""Harvest, train and inspect through Ray on two nodes, one of which is killed, beside the same jobs on this machine.

`make scale-e2e` prints what was equal and what it cost, and keeps both in `benchmarks/results/scale_e2e.json`. Both
nodes run here, so ratios show what Ray and torchrun add, not what a cluster gains. Times are the attendants' wall time
of whole jobs, the start of every process included.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from interp_lab.jobs.parts.record import PartFolder, PartName
from interp_lab.settings import Settings
from interp_lab_tools.call import call
from interp_lab_tools.lab import Lab
from tests.contract.clusters import RayCluster, ray_cluster

RESULTS = Path(__file__).resolve().parents[1] / "results" / "scale_e2e.json"
MODEL, ADDRESS = "builtin:pocket-llama", "resid_post.2"
N_DOCUMENTS, N_WORDS = 1500, 150
TOKENS = 200_000
PATIENCE_S = 1800.0
_SHARDS = 2
_RANKS = 2


def main() -> int:
    """Return 0 if every result of the cluster is that of this machine."""
    with tempfile.TemporaryDirectory() as folder, ray_cluster() as cluster:
        places = {name: _workspace(Path(folder) / name) for name in ("local", "ray")}
        local = _investigation(_settings(places["local"], "local"), shards=1)
        ray = _investigation(_settings(places["ray"], "ray", cluster), shards=_SHARDS, cluster=cluster)
        alone = _train_alone(_settings(places["local"], "local"), local["store"])
        ranks = {n: _torchrun(places["local"], local["store"], n) for n in (1, 2)}
    equal = {name: local["made"][name] == ray["made"][name] for name in local["made"]}
    seconds = {where: each["seconds"] for where, each in (("local", local), ("ray", ray))}
    here = seconds["local"]["train_sae"]
    report = {
        "measured": date.today().isoformat(),
        "what": f"{N_DOCUMENTS} documents, {ADDRESS} of {MODEL}, 2 shards, one node killed; "
        f"1,024 latents, {TOKENS:,} tokens, {_RANKS} ranks",
        "equal": equal,
        "lost_and_done_again": ray["deaths"],
        "two_ranks_against_one": _differences(places["local"]),
        "seconds": seconds | {"local_train_one_process": alone, "torchrun": ranks},
        "over_local": {
            "ray_train_2_ranks": round(seconds["ray"]["train_sae"] / here, 2),
            "ray_inspect": round(seconds["ray"]["inspect"] / seconds["local"]["inspect"], 2),
            "torchrun_1": round(ranks[1] / alone, 2),
            "torchrun_2": round(ranks[2] / here, 2),
            "job_of_2_ranks_over_1": round(here / alone, 2),
        },
        "load": os.getloadavg()[0],
    }
    RESULTS.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report))
    return 0 if all(equal.values()) and ray["deaths"] == 1 else 1


def _workspace(folder: Path) -> Path:
    folder.mkdir()
    draw = random.Random(0)
    told = "the men went down to town and came home before night fell by water"
    words = told.split()
    texts = [" ".join(draw.choices(words, k=N_WORDS)) for _ in range(N_DOCUMENTS)]
    (folder / "corpus.txt").write_text("\n\n".join(texts))
    return folder


def _settings(workspace: Path, launcher: Any, cluster: RayCluster | None = None) -> Settings:
    command = (sys.executable, "-P", str(Path(__file__).with_name("worker.py")))
    address = "" if cluster is None else cluster.address
    slots = os.cpu_count() or 1  # one thread for every process, on either side
    return Settings(
        workspace=workspace, worker_command=command, cpu_slots=slots, launcher=launcher, ray_address=address
    )


def _investigation(settings: Settings, *, shards: int, cluster: RayCluster | None = None) -> dict[str, Any]:
    """Return what the three jobs made, and how long each took."""
    seconds: dict[str, float] = {}
    made: dict[str, Any] = {}
    with Lab.open(settings) as lab:
        harvest = {"model": MODEL, "dataset": "corpus.txt", "addresses": [ADDRESS], "shards": shards}
        job = _begin(lab, "harvest", harvest)
        if cluster is not None:
            _kill_when_both_read(lab, job, cluster)
        store = _end(lab, job, "activation_store", seconds=seconds, name="harvest")
        if cluster is not None:
            cluster.add_node()  # another takes the place of the lost one
        made["store"] = {file.name: file.sha256 for file in lab.engine.artifacts.open(store).files}
        trained = _end(lab, _begin(lab, "train_sae", _training(store)), "dictionary", seconds=seconds, name="train_sae")
        made["dictionary"] = _weights(lab, trained)
        asked = {
            "model": MODEL,
            "criterion": "the word is a person's name",
            "dataset": "builtin:person-name",
            "dictionaries": [trained],
        }
        report = _end(lab, _begin(lab, "inspect", asked), "inspect_report", seconds=seconds, name="inspect")
        made["findings"] = json.loads(lab.engine.artifacts.read_file(report, "report.json"))["coordinates"]
        made["findings"] = json.loads(json.dumps(made["findings"]).replace(trained, "DICTIONARY"))
        deaths = sum(_shard(lab, job, i).read_start().deaths for i in range(shards)) if shards > 1 else 0
    return {"seconds": seconds, "made": made, "deaths": deaths, "store": store}


def _training(store: str, *, ranks: int = _RANKS) -> dict[str, Any]:
    return {
        "source": {"kind": "store", "store": store},
        "addresses": [ADDRESS],
        "widths": [1024],
        "sparsities": [16],
        "training": {"total_tokens": TOKENS, "batch_tokens": 1024},
        "ranks": ranks,
    }


def _train_alone(settings: Settings, store: str) -> float:
    """Return how long a job of one process takes for the same training."""
    seconds: dict[str, float] = {}
    with Lab.open(settings) as lab:
        job = _begin(lab, "train_sae", _training(store, ranks=1))
        _end(lab, job, "dictionary", seconds=seconds, name="train_sae")
    return seconds["train_sae"]


def _differences(workspace: Path) -> dict[str, float]:
    """Return the largest difference of each tensor between two processes and one, as a share of its largest entry."""
    one, two = (load_file(next(workspace.glob(f"together-{n}/dictionary-*/sae_weights.safetensors"))) for n in (1, 2))
    return {
        name: float(f"{float((two[name] - one[name]).abs().max() / one[name].abs().max().clamp(min=1e-30)):.2g}")
        for name in sorted(one)
    }


def _torchrun(workspace: Path, store: str, n: int) -> float:
    """Return the seconds of the same training by so many processes of torchrun."""
    request = workspace / f"train-{n}.json"
    request.write_text(json.dumps(_training(store, ranks=n)))
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={n}"),
        *("-m", "interp_lab.workflows.train_together", str(request)),
        *("--workspace", str(workspace), "--output", str(workspace / f"together-{n}")),
    ]
    began = time.perf_counter()
    subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL)
    return round(time.perf_counter() - began, 1)


def _begin(lab: Lab, name: str, request: Mapping[str, Any]) -> str:
    view: Any = call(lab, name, {**request, "wait_s": 0})
    return str(view.job_id)


def _until(lab: Lab, condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit("The job did not come that far in half an hour.")
        lab.engine.tick()
        time.sleep(0.05)


def _end(lab: Lab, job: str, kind: str, *, seconds: dict[str, float], name: str) -> str:
    """Return the id of the job's artifact of that kind, once it has ended."""
    _until(lab, lambda: lab.engine.get(job).final)
    ended = lab.engine.get(job)
    if ended.state != "succeeded":
        raise SystemExit(f"{name}: {ended.error}\n{lab.engine.logs(job).text}")
    seconds[name] = round(ended.duration_s or 0.0, 1)
    kinds = {manifest.kind: manifest.id for manifest in lab.engine.artifacts_of(job)}
    return kinds[kind]


def _shard(lab: Lab, job: str, index: int) -> PartFolder:
    return PartFolder(lab.engine.paths.job(job) / "parts", PartName(0, index))


def _kill_when_both_read(lab: Lab, job: str, cluster: RayCluster) -> None:
    shards = [_shard(lab, job, index) for index in range(_SHARDS)]
    _until(lab, lambda: all(shard.read_progress().get("message") == "reading activations" for shard in shards))
    cluster.kill_second_node()


def _weights(lab: Lab, dictionary: str) -> dict[str, str]:
    files = lab.engine.artifacts.open(dictionary).files
    return {file.name: file.sha256 for file in files if file.name.endswith(".safetensors")}


if __name__ == "__main__":
    sys.exit(main())
