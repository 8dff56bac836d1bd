"""Time feature cards and searches on a large store, with a dictionary and a model of GPT-2-small's shape.

`python benchmarks/features/bench.py [--rows 1000000] [--keep FOLDER]` prints one line per question and, last, one JSON
object: the first call of a process, and the median of later ones. Everything runs in this process, without torch.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from interp_lab.contracts.features import SearchFeaturesRequest, ShowFeatureRequest
from interp_lab.contracts.store import CodeColumn, LabelField, StoreHeader
from interp_lab.points import Address
from interp_lab.settings import Settings
from interp_lab.store.blocks import CodeBlock, RowBlock
from interp_lab.store.writer import StoreWriter
from interp_lab.workflows.features.weights import MappedDictionary, open_dictionary
from interp_lab.workflows.search_features import search_features
from interp_lab.workflows.show_feature import show_feature

ADDRESS, N_LATENTS, ACTIVE, PROMPT_TOKENS = "resid_post.6", 16_384, 32, 128
D_MODEL, N_VOCAB, CHUNK = 768, 50_257, 1 << 16
LATENTS = {"dense": 0, "common": 100, "rare": 12_000}


def code_chunks(n_rows: int) -> Iterator[CodeBlock]:
    """Yield synthetic codes: Zipf-like latents, 32 a row at most, values of a gamma distribution."""
    rng = np.random.default_rng(0)
    share = 1 / (np.arange(N_LATENTS) + 20.0) ** 0.8
    edges = np.cumsum(share / share.sum())
    for start in range(0, n_rows, CHUNK):
        n = min(CHUNK, n_rows - start)
        drawn = np.sort(np.searchsorted(edges, rng.random((n, ACTIVE))).clip(max=N_LATENTS - 1), axis=1)
        fresh = np.ones(drawn.shape, dtype=bool)
        fresh[:, 1:] = drawn[:, 1:] != drawn[:, :-1]
        indptr = np.concatenate([[0], np.cumsum(fresh.sum(axis=1))])
        values = rng.gamma(2.0, 1.0, int(indptr[-1])).astype(np.float32) + 0.05
        yield CodeBlock(indptr.astype(np.int64), drawn[fresh].astype(np.int32), values)


def write_dictionary(folder: Path) -> None:
    """Write a random dictionary in the SAELens layout."""
    rng = np.random.default_rng(1)
    folder.mkdir()
    decoder = rng.standard_normal((N_LATENTS, D_MODEL), dtype=np.float32)
    decoder /= np.linalg.norm(decoder, axis=1, keepdims=True)
    tensors = {
        "W_enc": np.ascontiguousarray(decoder.T),
        "W_dec": decoder,
        "b_enc": np.zeros(N_LATENTS, np.float32),
        "b_dec": np.zeros(D_MODEL, np.float32),
    }
    save_file(tensors, folder / "sae_weights.safetensors")
    cfg = {
        "architecture": "topk",
        "d_in": D_MODEL,
        "d_sae": N_LATENTS,
        "k": ACTIVE,
        "metadata": {"hook_name": "blocks.6.hook_resid_post", "model_name": "model"},
    }
    (folder / "cfg.json").write_text(json.dumps(cfg))


def write_model(folder: Path) -> None:
    """Write what a card reads of a model of GPT-2-small's shape."""
    rng = np.random.default_rng(2)
    folder.mkdir()
    tensors = {
        "transformer.wte.weight": rng.standard_normal((N_VOCAB, D_MODEL), dtype=np.float32),
        "transformer.ln_f.weight": np.ones(D_MODEL, np.float32),
    }
    save_file(tensors, folder / "model.safetensors")
    config = {"model_type": "gpt2", "n_layer": 12, "n_embd": D_MODEL, "n_head": 12, "vocab_size": N_VOCAB}
    (folder / "config.json").write_text(json.dumps(config))
    vocabulary = {f"t{number}": number for number in range(N_VOCAB)}
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"vocab": vocabulary}, "added_tokens": []}))


def write_store(folder: Path, dictionary: MappedDictionary, n_rows: int) -> None:
    """Write a store with a label of the prompts and Zipf-like tokens."""
    column = CodeColumn(
        address=Address.parse(ADDRESS), dictionary="sae", dictionary_id=dictionary.content_hash, width=N_LATENTS
    )
    labels = (LabelField(name="topic", type="category"), LabelField(name="formal", type="boolean"))
    n_prompts = -(-n_rows // PROMPT_TOKENS)
    rng = np.random.default_rng(3)
    words = [f" word{number}" for number in range(20_000)]
    start = 0
    with StoreWriter(folder, StoreHeader(columns=(column,), labels=labels), shard_rows=1 << 18) as writer:
        for block in code_chunks(n_rows):
            index = np.arange(start, start + len(block.indptr) - 1)
            tokens = [words[number] for number in np.minimum(rng.zipf(1.3, index.size), len(words)) - 1]
            rows = {"prompt": index // PROMPT_TOKENS, "position": index % PROMPT_TOKENS, "token": tokens}
            writer.add(RowBlock(rows=rows, columns={column.key: block}))
            start += index.size
        writer.finish(
            {
                "id": [f"p{i}" for i in range(n_prompts)],
                "text": [f"t{i}" for i in range(n_prompts)],
                "group": np.arange(n_prompts),
                "label:topic": [("news", "code", "chat")[i] for i in rng.integers(0, 3, n_prompts)],
                "label:formal": rng.random(n_prompts) < 0.3,
            }
        )


def questions(settings: Settings) -> Mapping[str, Callable[[], Any]]:
    """Return every question by its name."""

    def show(unit: int) -> Callable[[], Any]:
        request = ShowFeatureRequest(unit=unit, store="store", dictionary="sae", model="model")
        return lambda: show_feature(request, settings=settings, publish=lambda result, _: result)

    def search(by: dict[str, Any], **named: Any) -> Callable[[], Any]:
        request = SearchFeaturesRequest.model_validate({"by": by, **(named or {"stores": ["store"]})})
        return lambda: search_features(request, settings=settings)

    return {
        **{f"show_feature, {name} latent": show(unit) for name, unit in LATENTS.items()},
        "search_features, one token": search({"kind": "tokens", "one_of": [" word50"]}),
        "search_features, the most frequent token": search({"kind": "tokens", "one_of": [" word0"]}),
        "search_features, a phrase": search({"kind": "text", "phrase": " word3 word5"}),
        "search_features, a label": search({"kind": "label", "label": "label:formal"}),
        "search_features, a latent": search({"kind": "latent", "unit": 5}, dictionaries=["sae"]),
        "search_features, a density": search({"kind": "density", "at_most": 0.001}),
    }


def measure(work: Callable[[], Any], runs: int) -> dict[str, float]:
    """Return milliseconds of the first call and the median of the others, and how much of that was this process's."""
    times: list[float] = []
    own: list[float] = []
    for _ in range(runs + 1):
        start, begun = time.perf_counter(), time.process_time()
        work()
        times.append((time.perf_counter() - start) * 1e3)
        own.append((time.process_time() - begun) * 1e3)
    warm = {"warm_ms": statistics.median(times[1:]), "warm_cpu_ms": statistics.median(own[1:])}
    return {name: round(value, 1) for name, value in {"first_ms": times[0], **warm}.items()}


def main() -> None:
    """Build what is asked about, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        workspace: Path = options.keep or Path(temporary)
        settings = Settings(workspace=workspace)
        if not (workspace / "store").exists():
            workspace.mkdir(parents=True, exist_ok=True)
            write_dictionary(workspace / "sae")
            write_model(workspace / "model")
            write_store(workspace / "store", open_dictionary("sae", settings), options.rows)
        found = {name: measure(work, options.runs) for name, work in questions(settings).items()}
    for name, times in found.items():
        warm = f"{times['warm_ms']:7.1f} ms ({times['warm_cpu_ms']:.1f} of processor time)"
        print(f"{name:45} first {times['first_ms']:8.1f} ms, then {warm}")
    print(json.dumps({"rows": options.rows, "latents": N_LATENTS, "answers": found}))


if __name__ == "__main__":
    main()
