"""Edited runs: 64 units x 4 strengths with a control each, on many prompts, beside one pass per run as others make it.

`python benchmarks/interventions/bench.py` prints runs per CPU second on one thread; the last line is one JSON object.
Models: pocket-gpt2 as it ships, and two of the shape of GPT-2 with random weights, a small one and one of its full
size. Units are directions after the middle block, added at every token or at the last. Plain hooks, nnsight and the
peer make one pass per run, so their rates are those of a timed sample; so are ours where `--prompts` is less than 100.
Results of the sample are compared before they count.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
import torch
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel

from interp_lab.engine.edits import Unit, Variant, Where, ablate, coordinate, directions, steer
from interp_lab.engine.intervention.fast import fast_path
from interp_lab.engine.intervention.measures import LOG_PROBABILITY, Behaviour
from interp_lab.engine.intervention.run import Runner, Subject
from interp_lab.models.load import LoadedModel, load_model
from interp_lab.models.resolve import ModelSource
from interp_lab.models.tokens import TokenizedPrompt, tokenize
from interp_lab.pocket import __file__ as _pocket
from interp_lab.points import Address
from interp_lab.worlds.folder import model_files
from interp_lab.worlds.vocabulary import small_vocabulary

RESULTS = Path(__file__).parents[1] / "results" / "interventions.json"
"""Kept figures of the last full run."""
SHAPES = {"small": (6, 256, 4), "gpt2_shape": (12, 768, 12)}
MODELS = ("pocket-gpt2", *SHAPES)
STRENGTHS, N_UNITS, N_PROMPTS, LENGTH = (1.0, 2.0, 4.0, 8.0), 64, 100, 32
N_SAMPLE = {"pocket-gpt2": 48, "small": 24, "gpt2_shape": 12}
OURS = {("gpt2_shape", "all"): 2, ("small", "all"): 25}
"""Prompts that this engine is timed on where all of them take too long."""
TARGETS = {("small", "all"): 15.0, ("small", "last"): 300.0, ("gpt2_shape", "all"): 8.0, ("gpt2_shape", "last"): 100.0}
WORDS = Behaviour((5, 6, 7), (8, 9, 10), distribution=False)
TOLERANCE = 1e-5


class Run(NamedTuple):
    """One edited run: a direction and how much of it is added."""

    unit: Unit
    strength: float


def open_model(name: str, folder: Path) -> LoadedModel:
    """Return the model in the box, or a random one of a shape that is written to the folder first."""
    if name not in SHAPES:
        return load_model(ModelSource("local", name, Path(_pocket).parent / "weights" / name), device="cpu")
    n_layer, width, n_head = SHAPES[name]
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=50_257, n_positions=64, n_embd=width, n_layer=n_layer, n_head=n_head)
    for path, data in model_files("model", GPT2LMHeadModel(config), small_vocabulary().tokenizer).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return load_model(ModelSource("local", name, folder / "model"), device="cpu")


def make_prompt(seed: int) -> TokenizedPrompt:
    """Return random tokens."""
    ids = torch.randint(4, 2048, (LENGTH,), generator=torch.Generator().manual_seed(seed)).tolist()
    return TokenizedPrompt(str(seed), "", tuple(ids), (False,) * LENGTH, ("",) * LENGTH, None)


def runs_of(loaded: LoadedModel) -> list[Run]:
    """Return every strength of every unit, each followed by its control: a random direction of equal length."""
    address = Address("resid_post", len(loaded.blocks) // 2 - 1)
    draw = torch.Generator().manual_seed(1)
    vectors = torch.randn(2 * N_UNITS, loaded.facts.d_model, generator=draw)
    units = directions(address, vectors, [str(i) for i in range(2 * N_UNITS)])
    return [Run(units[i + off], s) for i in range(0, 2 * N_UNITS, 2) for s in STRENGTHS for off in (0, 1)]


def difference(final: Tensor) -> Tensor:
    """Return the logit difference."""
    return final[list(WORDS.targets)].mean() - final[list(WORDS.alternatives)].mean()


def plain(loaded: LoadedModel, ids: Sequence[int], runs: Sequence[Run], where: Where, **options: int) -> Tensor:
    """Return the behaviour of one ordinary pass with one ordinary hook per run."""
    row, found = torch.tensor([list(ids)]), []
    for unit, strength in runs:

        def change(_module: Any, _args: Any, output: Any, unit: Unit = unit, strength: float = strength) -> Any:
            x = (output[0] if isinstance(output, tuple) else output).clone()
            x[:, -1 if where == "last" else slice(None)] += strength * unit.direction
            return (x, *output[1:]) if isinstance(output, tuple) else x

        handle = loaded.blocks[unit.writes.layer or 0].register_forward_hook(change)
        with torch.no_grad():
            found.append(difference(loaded.model(input_ids=row, **options).logits[0, -1]))
        handle.remove()
    return torch.stack(found).double()


@cache
def wrapped(loaded: LoadedModel) -> Any:
    """Return a copy of the model as nnsight has it, which changes the modules that it wraps."""
    from nnsight import LanguageModel

    return LanguageModel(copy.deepcopy(loaded.model), tokenizer=loaded.tokenizer)


def by_nnsight(loaded: LoadedModel, ids: Sequence[int], runs: Sequence[Run], where: Where) -> Tensor:
    """Return the same by one trace per run."""
    model = wrapped(loaded)
    row, found = torch.tensor([list(ids)]), []
    cut = slice(-1, None) if where == "last" else slice(None)
    for unit, strength in runs:
        layer, added = unit.writes.layer or 0, strength * unit.direction
        with model.trace(row):
            model.transformer.h[layer].output[:, cut] += added
            final = model.lm_head.output[0, -1].save()
        found.append(difference(final))
    return torch.stack(found).double()


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return CPU seconds and result."""
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def relative(found: Tensor, expected: Tensor) -> float:
    """Return the largest difference over the largest value."""
    return float((found - expected).abs().max() / expected.abs().max())


def compare(loaded: LoadedModel, name: str, where: Where, n_prompts: int) -> dict[str, Any]:
    """Return rates and differences of one model and place."""
    runs, first = runs_of(loaded), make_prompt(0)
    sample = runs[: N_SAMPLE[name]]
    runner = Runner(loaded, [Variant("", (steer(u, s, where=where),)) for u, s in runs], WORDS)
    next(runner.many([Subject(first, 0)]))
    subjects = [Subject(make_prompt(i), i) for i in range(n_prompts)]
    seconds, outcomes = timed(lambda: list(runner.many(subjects)))
    rates = {"ours": n_prompts * len(runs) / seconds}
    mine = next(o for o in outcomes if o.prompt == 0).edited[: len(sample), 0]
    methods: dict[str, Callable[[], Tensor]] = {
        "plain": lambda: plain(loaded, first.ids, sample, where),
        "plain_last_logits": lambda: plain(loaded, first.ids, sample, where, logits_to_keep=1),
        "nnsight": lambda: by_nnsight(loaded, first.ids, sample, where),
    }
    errors: dict[str, float] = {}
    for method, work in methods.items():
        plain(loaded, first.ids, sample[:2], where)
        by_nnsight(loaded, first.ids, sample[:1], where)
        seconds, found = timed(work)
        rates[method], errors[method] = len(sample) / seconds, relative(mine, found)
    return {"model": name, "where": where, "n_prompts": n_prompts, "rates": rates, "errors": errors}


def compare_with_peer(loaded: LoadedModel, name: str, folder: Path, peer: Path) -> dict[str, Any]:
    """Return rates and the largest difference for what both can do: set one coordinate after a block, everywhere."""
    prompt = tokenize(loaded, {"p": "the cat sat on the mat because the dog ran to the other house and then it slept"})[
        0
    ]
    layer = len(loaded.blocks) // 2  # the peer counts states: state L is what block L - 1 gives
    cells = [(i % loaded.facts.d_model, float(i % 5)) for i in range(256)]
    sample = cells[: N_SAMPLE[name]]
    request = {"text": prompt.text, "targets": [5, 6, 7], "runs": [[layer, i, value] for i, value in sample]}
    (folder / "request.json").write_text(json.dumps(request))
    script = Path(__file__).with_name("peer_runs.py")
    done = subprocess.run(
        [sys.executable, "-P", str(script), str(loaded.source.directory), str(folder / "request.json")],
        env=os.environ | {"PYTHONPATH": str(peer)}, capture_output=True, text=True, check=False, cwd=folder,
    )  # fmt: skip
    if done.returncode:
        return {"model": name, "error": done.stderr.strip()[-300:]}
    answer = json.loads(done.stdout.splitlines()[-1])
    address, width = Address("resid_post", layer - 1), loaded.facts.d_model
    whole = replace(prompt, special=(False,) * len(prompt))
    variants = [Variant("", (ablate(coordinate(address, i, width), to=value),)) for i, value in cells]
    runner = Runner(loaded, variants, Behaviour((5, 6, 7), (8,)))
    next(runner.many([Subject(whole, 0)]))
    seconds, (outcome,) = timed(lambda: list(runner.many([Subject(whole, 0)])))
    column = Behaviour((5,), (8,)).names.index(LOG_PROBABILITY)
    theirs = torch.tensor([after for _, after in answer["scores"]], dtype=torch.float64)
    error = float((outcome.edited[: len(sample), column].exp() - theirs).abs().max())
    return {
        "model": name,
        "ours": len(cells) / seconds,
        "peer": len(sample) / answer["cpu_s"],
        "difference": error,
    }


def main() -> int:
    """Print one row per model and place; return 0 if results are equal and targets met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS)
    parser.add_argument("--prompts", type=int, default=N_PROMPTS)
    parser.add_argument("--peer", type=Path, default=None, help="folder of the peer's package")
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    peers: list[dict[str, Any]] = []
    paths: dict[str, str] = {}
    for name in given.models:
        with tempfile.TemporaryDirectory() as folder:
            loaded = open_model(name, Path(folder))
            paths[name] = fast_path(loaded).in_words()
            for where in ("all", "last"):
                n_prompts = min(given.prompts, OURS.get((name, where), given.prompts))
                rows.append(compare(loaded, name, where, n_prompts))
                _show(rows[-1])
            if given.peer is not None:
                peers.append(compare_with_peer(loaded, name, Path(folder), given.peer.resolve()))
                print(json.dumps(peers[-1]))
    return _conclude(rows, peers, paths, complete=list(given.models) == list(MODELS))


def _show(row: dict[str, Any]) -> None:
    rates = ", ".join(f"{method} {rate:.1f}/s" for method, rate in row["rates"].items())
    print(
        f"{row['model']} {row['where']} ({row['n_prompts']} prompts): {rates}; differences {row['errors']}", flush=True
    )


def _conclude(rows: list[dict[str, Any]], peers: list[dict[str, Any]], paths: dict[str, str], *, complete: bool) -> int:
    ratios = {
        f"{row['model']} {row['where']} / {method}": round(row["rates"]["ours"] / row["rates"][method], 1)
        for row in rows
        for method in row["errors"]
    }
    ratios |= {f"{row['model']} / peer": round(row["ours"] / row["peer"], 1) for row in peers if "peer" in row}
    equal = all(error <= TOLERANCE for row in rows for error in row["errors"].values())
    equal = equal and all(row.get("difference", 0.0) <= TOLERANCE for row in peers)
    met = all(
        ratios[f"{name} {where} / plain"] >= least
        for (name, where), least in TARGETS.items()
        if f"{name} {where} / plain" in ratios
    )
    figures = {
        "rows": rows,
        "peer": peers,
        "shortcuts": paths,
        "sampled_runs": N_SAMPLE,
        "clock": "CPU seconds, 1 thread",
    }
    answer = {"bench": "interventions", "ratios": ratios, "equal": equal, "targets_met": met, "figures": figures}
    if complete:
        RESULTS.write_text(json.dumps(answer, indent=1) + "\n")
    print(json.dumps(answer))
    return 0 if equal and met else 1


if __name__ == "__main__":
    sys.exit(main())
