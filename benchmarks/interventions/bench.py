"""64 units x 4 strengths x 100 prompts of edited runs: this engine beside one plain forward pass per run.

The plain loop is timed on a sample, as it is usually written and with logits of the last position only. Results of the
sample must be equal within the tolerance.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import GPT2Config, GPT2LMHeadModel

from interp_lab.engine.edits import Unit, Variant, Where, directions, steer
from interp_lab.engine.intervention.measures import Behaviour
from interp_lab.engine.intervention.run import Runner
from interp_lab.models.load import LoadedModel, load_model
from interp_lab.models.resolve import ModelSource
from interp_lab.models.tokens import TokenizedPrompt
from interp_lab.points import Address
from interp_lab.worlds.folder import model_files
from interp_lab.worlds.vocabulary import small_vocabulary

SHAPES = {"small": (6, 256, 4), "gpt2": (12, 768, 12)}
STRENGTHS = (1.0, 2.0, 4.0, 8.0)
BEHAVIOUR = Behaviour((5, 6, 7), (8, 9, 10))
LENGTH, TOLERANCE = 32, 1e-5


def make_model(shape: str, folder: Path) -> LoadedModel:
    """Return a random model of a shape."""
    n_layer, width, n_head = SHAPES[shape]
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=50_257, n_positions=64, n_embd=width, n_layer=n_layer, n_head=n_head)
    for name, data in model_files("model", GPT2LMHeadModel(config), small_vocabulary().tokenizer).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return load_model(ModelSource("local", shape, folder / "model"), device="cpu")


def make_prompt(seed: int) -> TokenizedPrompt:
    """Return random tokens."""
    ids = torch.randint(4, 2048, (LENGTH,), generator=torch.Generator().manual_seed(seed)).tolist()
    return TokenizedPrompt(str(seed), "", tuple(ids), (False,) * LENGTH, ("",) * LENGTH, None)


def plain(
    loaded: LoadedModel, prompt: TokenizedPrompt, runs: list[tuple[Unit, float]], where: Where, **options: int
) -> torch.Tensor:
    """Return the logit difference of one ordinary pass with one ordinary hook per run."""
    ids, found = torch.tensor([prompt.ids]), []
    for unit, strength in runs:
        assert unit.writes.layer is not None

        def change(_module: Any, _args: Any, output: Any, unit: Unit = unit, strength: float = strength) -> Any:
            x = (output[0] if isinstance(output, tuple) else output).clone()
            x[:, -1 if where == "last" else slice(None)] += strength * unit.direction
            return (x, *output[1:]) if isinstance(output, tuple) else x

        handle = loaded.blocks[unit.writes.layer].register_forward_hook(change)
        with torch.no_grad():
            final = loaded.model(input_ids=ids, **options).logits[0, -1]
        handle.remove()
        found.append(final[list(BEHAVIOUR.targets)].mean() - final[list(BEHAVIOUR.alternatives)].mean())
    return torch.stack(found).double()


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return seconds and result."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def main() -> None:
    """Print one row per shape and place of the edit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shapes", nargs="+", default=list(SHAPES), choices=SHAPES)
    parser.add_argument("--units", type=int, default=64)
    parser.add_argument("--prompts", type=int, default=100)
    parser.add_argument("--plain-runs", type=int, default=64)
    given = parser.parse_args()
    heads = ("model", "tokens edited", "runs", "plain/s", "plain, last logits only/s", "ours/s")
    heads += ("times plain", "times best plain", "largest difference")
    print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
    for shape in given.shapes:
        with tempfile.TemporaryDirectory() as folder:
            loaded = make_model(shape, Path(folder))
        n_layer, width, _ = SHAPES[shape]
        vectors = torch.randn(given.units, width, generator=torch.Generator().manual_seed(1))
        units = directions(Address("resid_post", n_layer // 2 - 1), vectors, [str(i) for i in range(given.units)])
        runs = [(unit, strength) for unit in units for strength in STRENGTHS]
        for where in ("all", "last"):
            _row(loaded, shape, where, runs, n_prompts=given.prompts, n_plain=given.plain_runs)


def _row(
    loaded: LoadedModel, shape: str, where: Where, runs: list[tuple[Unit, float]], *, n_prompts: int, n_plain: int
) -> None:
    runner = Runner(loaded, [Variant("", (steer(u, s, where=where),)) for u, s in runs], BEHAVIOUR)
    prompts = [make_prompt(seed) for seed in range(n_prompts)]
    plain(loaded, prompts[0], runs[:4], where)
    slow_s, expected = timed(lambda: plain(loaded, prompts[0], runs[:n_plain], where))
    best_s, _ = timed(lambda: plain(loaded, prompts[0], runs[:n_plain], where, logits_to_keep=1))
    runner(prompts[0], 0)
    fast_s, outcomes = timed(lambda: [runner(prompt, i) for i, prompt in enumerate(prompts)])
    error = float((outcomes[0].edited[: len(expected), 0] - expected).abs().max() / expected.abs().max())
    slow, fast = len(expected) / slow_s, n_prompts * len(runs) / fast_s
    verdict = "" if error <= TOLERANCE else " NOT EQUAL"
    n_runs = n_prompts * len(runs)
    best = len(expected) / best_s
    ratios = f"{fast / slow:.1f} | {fast / best:.1f}"
    print(f"| {shape} | {where} | {n_runs} | {slow:.0f} | {best:.0f} | {fast:.0f} | {ratios} | {error:.1e}{verdict} |")


if __name__ == "__main__":
    main()
