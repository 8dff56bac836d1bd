"""32 sources x 256 targets x 100 prompts: this engine beside one pass per pair, one pass per source, and the peer.

The model is the small Llama in the box; the dictionaries are trained here on its activations. Slow contestants are
timed on a sample and extrapolated, which the result says. Every contestant's numbers must equal ours on the same edits.
The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from interp_lab.contracts.dictionaries import DictionaryConfig, TrainingConfig
from interp_lab.contracts.prompts import BuiltinDataset
from interp_lab.corpus.catalogue import list_builtin_datasets
from interp_lab.corpus.sources import open_prompts
from interp_lab.dictionaries.dictionary import Dictionary
from interp_lab.dictionaries.training.trainer import Trainer
from interp_lab.engine.batches import make_batch
from interp_lab.engine.capture import capture
from interp_lab.engine.edits import Unit
from interp_lab.engine.lens import Lens
from interp_lab.engine.paths.effects import PathRunner, Push, Route
from interp_lab.engine.paths.readout import Readout
from interp_lab.engine.paths.screen import Screen
from interp_lab.engine.precision import matmul_precision
from interp_lab.methods.path_effect import estimate_error
from interp_lab.methods.screen_margin import strengths, widen
from interp_lab.models.load import LoadedModel, load_model
from interp_lab.models.resolve import locate_model
from interp_lab.models.tokens import TokenizedPrompt, tokenize
from interp_lab.points import Address
from interp_lab.settings import Settings
from interp_lab.workflows.tracing.cost import N_DRAWN

SOURCE, TARGET = Address("resid_post", 1), Address("resid_post", 4)
N_LATENTS, L0 = 1024, 16
N_SOURCES, N_TARGETS, N_PROMPTS = 32, 256, 100
N_MEASURED, N_SEEDS = 16, 20
_WORTH_OF_A_TRACE = 1000
"""Sources that a margin may compare at most."""
TOLERANCE = 1e-5
RESULTS = Path(__file__).parents[1] / "results" / "paths.json"


@dataclass(frozen=True)
class Bench:
    """Everything that contestants share."""

    loaded: LoadedModel
    source: Dictionary
    target: Dictionary
    prompts: tuple[TokenizedPrompt, ...]
    texts: tuple[str, ...]
    chosen: tuple[int, ...]
    targets: tuple[int, ...]

    def units(self, latents: Sequence[int]) -> list[Unit]:
        """Return latents of the source dictionary."""
        lens = Lens("source", (SOURCE,), self.source.encode, encoder_of=self.source.encoder_of)
        return [Unit(f"{i}", lens, i, SOURCE, self.source.W_dec[i]) for i in latents]

    @property
    def route(self) -> Route:
        """The route to all targets."""
        lens = Lens("target", (TARGET,), self.target.encode, encoder_of=self.target.encoder_of)
        return Route(SOURCE, (Readout(lens, self.targets),))


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return CPU seconds and result; there is one thread, and what else the machine does is not counted."""
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def prepare() -> Bench:
    """Load the model, train both dictionaries on its activations, and choose the latents that are most often active."""
    loaded = load_model(locate_model("builtin:pocket-llama"), dtype="float32", device="cpu")
    settings = Settings(workspace=Path(tempfile.gettempdir()))
    rows = [
        p for name in list_builtin_datasets()[:8] for p in open_prompts(BuiltinDataset(name=name), settings).prompts
    ]
    texts = list(dict.fromkeys(row.text for row in rows))
    generator = torch.Generator().manual_seed(0)
    texts = [texts[i] for i in torch.randperm(len(texts), generator=generator).tolist()][:1500]
    tokens = tokenize(loaded, {str(i): text for i, text in enumerate(texts)})
    values: dict[Address, list[Tensor]] = {SOURCE: [], TARGET: []}
    with capture(loaded, [SOURCE, TARGET]) as run:
        for prompt in tokens[N_PROMPTS:]:
            seen = run(make_batch(loaded, [prompt]))
            for address, parts in values.items():
                parts.append(seen[address][0][~torch.tensor(prompt.special)])
    found = {address: _trained(torch.cat(parts)) for address, parts in values.items()}
    held = tokens[:N_PROMPTS]
    rates = {}
    with capture(loaded, [SOURCE, TARGET]) as run:
        for prompt in held:
            seen = run(make_batch(loaded, [prompt]))
            for address, dictionary in found.items():
                rates[address] = rates.get(address, 0) + (dictionary.encode(seen[address][0]) > 0).sum(0)
    best = {address: tuple(counts.argsort(descending=True).tolist()) for address, counts in rates.items()}
    # Not the few that are always on, whose paths are those of a bias.
    chosen, targets = best[SOURCE][20 : 20 + N_SOURCES], best[TARGET][20 : 20 + N_TARGETS]
    return Bench(loaded, found[SOURCE], found[TARGET], tuple(held), tuple(texts[:N_PROMPTS]), chosen, targets)


def _trained(x: Tensor) -> Dictionary:
    """A TopK dictionary read with a ReLU behind one threshold that leaves as many latents active."""
    config = DictionaryConfig(architecture="topk", d_in=x.shape[1], d_out=x.shape[1], n_latents=N_LATENTS, k=L0)
    trainer = Trainer(config, TrainingConfig(total_tokens=200 * 2048, batch_tokens=2048, learning_rate=2e-3))
    generator = torch.Generator().manual_seed(1)
    for _ in range(200):
        trainer.step(x[torch.randint(len(x), (2048,), generator=generator)])
    made = trainer.dictionary()
    centred = x - made.b_dec if made.config.apply_b_dec_to_input else x
    pre = centred @ made.W_enc + made.b_enc
    cut = float(pre.flatten().kthvalue(int(pre.numel() * (1 - L0 / N_LATENTS))).values)
    settings = made.config.model_copy(update={"architecture": "relu", "k": None, "normalize": "none"})
    return replace(made, config=settings, b_enc=made.b_enc - cut)


def ours(bench: Bench, prompts: Sequence[TokenizedPrompt], latents: Sequence[int], scale: float = -1.0) -> Any:
    """Return the exact effects on every prompt."""
    runner = PathRunner(bench.loaded, [Push(unit, scale) for unit in bench.units(latents)], bench.route)
    with matmul_precision():
        return [runner(prompt) for prompt in prompts]


def plain(bench: Bench, prompt: TokenizedPrompt, latent: int | None, targets: Sequence[int]) -> Tensor:
    """Return pooled targets of one ordinary pass with one ordinary hook, as such a loop is usually written."""
    text = ~torch.tensor(prompt.special)
    kept: list[Tensor] = []

    def edit(_module: Any, _args: Any, output: Any) -> Any:
        x = output[0] if isinstance(output, tuple) else output
        if latent is None:
            return output
        codes = bench.source.encode(x[0])[:, latent] * text
        x = x - codes[:, None] * bench.source.W_dec[latent]
        return (x, *output[1:]) if isinstance(output, tuple) else x

    def keep(_module: Any, _args: Any, output: Any) -> None:
        kept.append(output[0] if isinstance(output, tuple) else output)

    handles = [
        bench.loaded.blocks[SOURCE.layer].register_forward_hook(edit),
        bench.loaded.blocks[TARGET.layer].register_forward_hook(keep),
    ]
    with torch.no_grad():
        bench.loaded.model(input_ids=torch.tensor([prompt.ids]), use_cache=False)
    for handle in handles:
        handle.remove()
    return bench.target.encode(kept[0][0])[text][:, list(targets)].mean(0)


def per_pair(bench: Bench, n: int) -> tuple[float, float]:
    """Return seconds per pair and prompt of one pass per pair, and the largest difference from ours."""
    pairs = [(bench.chosen[i % N_SOURCES], i * 7 % N_TARGETS, i % 10) for i in range(n)]
    base = {p: plain(bench, bench.prompts[p], None, bench.targets) for p in range(10)}
    seconds, found = timed(lambda: [plain(bench, bench.prompts[p], s, [bench.targets[t]])[0] for s, t, p in pairs])
    exact = ours(bench, bench.prompts[:10], bench.chosen)
    wanted = [float(exact[p].total[bench.chosen.index(s), t]) for s, t, p in pairs]
    errors = [abs(float(f - base[p][t]) - w) for f, w, (_, t, p) in zip(found, wanted, pairs, strict=True)]
    return seconds / n, max(errors)


def per_source(bench: Bench, n_prompts: int) -> tuple[float, float]:
    """Return seconds per source and prompt of one pass per source, and the largest difference from ours."""
    prompts = bench.prompts[:n_prompts]
    base = [plain(bench, prompt, None, bench.targets) for prompt in prompts]
    seconds, found = timed(lambda: [[plain(bench, p, s, bench.targets) for s in bench.chosen] for p in prompts])
    exact = ours(bench, prompts, bench.chosen)
    error = max(float((torch.stack(rows) - base[i] - exact[i].total).abs().max()) for i, rows in enumerate(found))
    return seconds / (n_prompts * N_SOURCES), error


def screening(bench: Bench, n_prompts: int, per_pair_s: float) -> dict[str, Any]:
    """Return how fast and how good the screen of all latents is, against exact effects of all latents."""
    prompts, latents = bench.prompts[:n_prompts], range(N_LATENTS)
    prepared = Screen(bench.loaded, bench.units(latents), bench.route)
    prepared(prompts[0])
    with matmul_precision():
        seconds, parts = timed(lambda: [prepared(prompt) for prompt in prompts])
    slopes = torch.stack([part.slopes for part in parts]).double().mean(0)
    errors, recall, chosen = [], {}, []
    for scale in (-0.25, -1.0, 4.0):
        exact_s, exact = timed(lambda s=scale: ours(bench, prompts, latents, s))
        mediated = torch.stack([e.mediated for e in exact]).double().mean(0)
        moved = torch.stack([e.size > 0 for e in exact])
        size = float(torch.stack([e.relative for e in exact])[moved].mean())
        found = estimate_error((slopes * scale).numpy().ravel(), mediated.numpy().ravel())
        errors.append({"scale": scale, "relative_size": size, "correlation": found.correlation,
                       "relative_error": found.relative_error, "exact_seconds": exact_s})  # fmt: skip
        typical = torch.stack([e.base for e in exact]).double()
        typical = (typical.abs().mean(0) + typical.std(0, correction=0)).numpy()
        chosen.append(
            choosing(slopes.numpy() * scale, mediated.numpy(), typical, moved.any(0).numpy()) | {"scale": scale}
        )
        top = set(mediated.abs().flatten().topk(50).indices.tolist())
        guessed = slopes.abs().flatten().topk(200).indices.tolist()
        recall[str(scale)] = {str(n): len(top & set(guessed[:n])) / 50 for n in (50, 100, 200)}
    n_pairs = N_LATENTS * N_TARGETS * n_prompts
    return {
        "sources": N_LATENTS, "targets": N_TARGETS, "prompts": n_prompts, "seconds": seconds,
        "pairs_per_s": n_pairs / seconds, "times_per_pair": n_pairs * per_pair_s / seconds,
        "exact_times_per_pair": n_pairs * per_pair_s / statistics.median(e["exact_seconds"] for e in errors),
        "recall_of_top_50_within": recall, "errors": errors, "choosing_sources": chosen,
    }  # fmt: skip


def choosing(estimated: Any, exact: Any, typical: Any, active: Any) -> dict[str, Any]:
    """Return which of the strongest sources each way of choosing finds, and how many it compares exactly."""
    guess, true = (strengths(each[active], typical) for each in (estimated, exact))
    best = set(np.argsort(-true)[:N_MEASURED].tolist())
    least = _WORTH_OF_A_TRACE
    drawn = [widen(guess, lambda places, _: true[places], N_MEASURED, n_drawn=N_DRAWN, most=least, seed=seed)
             for seed in range(N_SEEDS)]  # fmt: skip
    shares = [len(best & set(one.places.tolist())) / N_MEASURED for one in drawn]
    return {
        "active": int(active.sum()), "measured": N_MEASURED, "seeds": N_SEEDS,
        "by_estimate": len(best & set(np.argsort(-guess)[:N_MEASURED].tolist())) / N_MEASURED,
        "by_margin": {"recall": statistics.mean(shares), "least": min(shares),
                      "compared": statistics.mean(len(one.places) for one in drawn),
                      "said": statistics.mean(one.recall.share for one in drawn if one.recall),
                      "said_low": statistics.mean(one.recall.low for one in drawn if one.recall),
                      "within": statistics.mean(one.recall.low <= share
                                            for one, share in zip(drawn, shares, strict=True) if one.recall)},
    }  # fmt: skip


def peer(bench: Bench, folder: Path, n_prompts: int) -> dict[str, Any]:
    """Return seconds per pair and prompt of the peer's exporter, and the largest difference from ours.

    It adds a fixed multiple of the decoder row at the last token and reads the last token: so do we, for this row.
    """
    sys.path.insert(0, str(folder))
    from interp_lab_peer.hf_sae_paths import export_hf_sae_path_records  # pyright: ignore[reportMissingImports]

    files = {}
    for name, dictionary, layer in (("source", bench.source, 2), ("target", bench.target, 5)):
        files[name] = folder / f"{name}.json"
        files[name].write_text(json.dumps(_peer_format(dictionary, layer)), encoding="utf-8")
    model = locate_model("builtin:pocket-llama")
    seconds = []
    for count in (1, 1 + n_prompts):
        lines = [{"id": str(i), "text": bench.texts[i], "criterion_score": 1.0} for i in range(count)]
        (folder / "prompts.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
        took, path = timed(lambda: export_hf_sae_path_records(
            model_name=str(model.directory), dataset_path=folder / "prompts.jsonl", criterion="any",
            source_artifact_path=files["source"], target_artifact_path=files["target"], out_path=folder / "out.jsonl",
            source_features=[f"SAE:L2:F{i}" for i in bench.chosen],
            target_features=[f"SAE:L5:F{i}" for i in bench.targets],
            strength_sweep=[2.0], score_behavior=False, local_files_only=True,
        ))  # fmt: skip
        seconds.append(took)
    rows = [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]
    theirs = torch.tensor([row["target_activation_delta"] for row in rows]).reshape(-1, N_SOURCES, N_TARGETS)
    own = _last_token(bench, 1 + n_prompts)
    return {
        "prompts": n_prompts, "seconds_per_pair": (seconds[1] - seconds[0]) / (n_prompts * N_SOURCES * N_TARGETS),
        "largest_difference": float((theirs - own).abs().max()), "largest_effect": float(own.abs().max()),
    }  # fmt: skip


def _last_token(bench: Bench, n: int) -> Tensor:
    def one(x: Tensor) -> Tensor:
        return torch.ones(len(x), 1)

    lens = Lens("one", (SOURCE,), one)
    units = [Unit(str(i), lens, 0, SOURCE, bench.source.W_dec[i]) for i in bench.chosen]
    runner = PathRunner(bench.loaded, [Push(unit, 2.0) for unit in units], bench.route)
    last = [replace(p, special=(True,) * (len(p.ids) - 1) + (False,)) for p in bench.prompts[:n]]
    return torch.stack([runner(prompt).total for prompt in last])


def _peer_format(dictionary: Dictionary, layer: int) -> dict[str, Any]:
    assert dictionary.b_enc is not None
    mean = dictionary.b_dec if dictionary.config.apply_b_dec_to_input else torch.zeros_like(dictionary.b_dec)
    return {
        "format": "interp-lab.sae.v1", "layer": layer, "input_dim": dictionary.config.d_in, "latent_dim": N_LATENTS,
        "mean": mean.tolist(), "encoder_weight": dictionary.W_enc.T.tolist(), "encoder_bias": dictionary.b_enc.tolist(),
        "decoder_weight": dictionary.W_dec.tolist(), "config": {"sparsity": "relu-l1"},
    }  # fmt: skip


def main() -> None:
    """Run every contestant and print one JSON line at the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", type=Path, help="folder with the peer's package, imported as interp_lab_peer")
    parser.add_argument("--pairs", type=int, default=300, help="pairs of the sample of one pass per pair")
    parser.add_argument("--sample", type=int, default=10, help="prompts of the sample of one pass per source")
    parser.add_argument("--screened", type=int, default=20, help="prompts of the screen of all latents")
    given = parser.parse_args()
    torch.set_num_threads(1)
    bench = prepare()
    ours(bench, bench.prompts[:2], bench.chosen)
    seconds, effects = timed(lambda: ours(bench, bench.prompts, bench.chosen))
    pair_s, pair_error = per_pair(bench, given.pairs)
    source_s, source_error = per_source(bench, given.sample)
    n_pairs = N_SOURCES * N_TARGETS * N_PROMPTS
    active = float(torch.stack([e.size > 0 for e in effects]).float().mean())
    result: dict[str, Any] = {
        "clock": "CPU seconds, 1 thread",
        "sources": N_SOURCES, "targets": N_TARGETS, "prompts": N_PROMPTS, "latents": N_LATENTS,
        "tokens": sum(len(p.ids) for p in bench.prompts), "active_share": active,
        "ours_seconds": seconds, "ours_pairs_per_s": n_pairs / seconds,
        "per_pair": {"seconds_extrapolated": pair_s * n_pairs, "sampled_passes": given.pairs,
                     "times": pair_s * n_pairs / seconds, "largest_difference": pair_error,
                     "equal": pair_error <= TOLERANCE},
        "per_source": {"seconds_extrapolated": source_s * N_SOURCES * N_PROMPTS, "sampled_prompts": given.sample,
                       "times": source_s * N_SOURCES * N_PROMPTS / seconds, "largest_difference": source_error,
                       "equal": source_error <= TOLERANCE},
        "screen": screening(bench, given.screened, pair_s),
    }  # fmt: skip
    if given.peer is not None:
        found = peer(bench, given.peer, 3)
        result["peer"] = found | {"times": found["seconds_per_pair"] * n_pairs / seconds}
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
