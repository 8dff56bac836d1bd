"""What a dictionary was trained on is not what it is measured on, where its record tells; what is not known is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from interp_lab.contracts.dictionaries import DictionaryConfig
from interp_lab.contracts.evaluate_sae import EvaluateSaeRequest, TextSource
from interp_lab.contracts.evaluation_report import EvaluationReport
from interp_lab.contracts.train_sae import TrainSaeRequest
from interp_lab.dictionaries.dictionary import Dictionary
from interp_lab.dictionaries.formats.saelens import save_dictionary
from interp_lab.dictionaries.random_twin import random_twin
from interp_lab.jobs.run import LocalRun
from interp_lab.settings import Settings
from interp_lab.store.reader import open_store
from interp_lab.workflows.evaluate_sae import evaluate_sae
from interp_lab.workflows.evaluation.places import Training
from interp_lab.workflows.evaluation.texts import TextTokens
from interp_lab.workflows.evaluation.tokens import StoreTokens
from interp_lab.workflows.training.columns import store_hash, token_split
from interp_lab.workflows.training.stream import StreamFeed
from interp_lab_tools.evaluate_sae import EVALUATE_SAE
from interp_lab_tools.lab import Lab

MakeStore = Callable[..., Path]
PLACE = "resid_post.0"


def _config(width: int = 16, dataset: str | None = "planted") -> DictionaryConfig:
    return DictionaryConfig(d_in=width, d_out=width, n_latents=40, k=4, addresses_in=(PLACE,), dataset=dataset)


def _trained(source: object) -> TrainSaeRequest:
    return TrainSaeRequest.model_validate({"source": source, "addresses": [PLACE], "held_out": 0.3, "seed": 5})


def test_training_rows_of_a_store_are_left_out_and_all_can_be_asked_for(make_store: MakeStore) -> None:
    store = open_store(make_store())
    trained = _trained("store")
    training = Training("planted", trained, {"store": store_hash(store)})
    request = EvaluateSaeRequest.model_validate({"dictionary": "d", "source": "store"})
    tokens = StoreTokens(store, _config(), training, request)
    assert tokens.overlap == "excluded"
    split = token_split(store, trained)
    assert tokens.n_tokens == split.held_out.sum()
    assert set(tokens.groups.tolist()) == set(split.groups[split.held_out].tolist())
    everything = StoreTokens(store, _config(), training, request.model_copy(update={"part": "all"}))
    assert everything.overlap == "possible"
    assert everything.n_tokens == split.held_out.sum() + split.train.sum()


def test_without_a_record_the_names_of_the_data_decide_what_is_said(make_store: MakeStore) -> None:
    store = open_store(make_store())
    request = EvaluateSaeRequest.model_validate({"dictionary": "d", "source": "store"})
    said = {
        dataset: StoreTokens(store, _config(dataset=dataset), Training(dataset, None, {}), request).overlap
        for dataset in ("planted", "another", None)
    }
    assert said == {"planted": "possible", "another": "other_data", None: "unknown"}


def test_whole_prompts_are_drawn_by_seed_until_there_are_enough(make_store: MakeStore) -> None:
    store = open_store(make_store())
    request = EvaluateSaeRequest.model_validate({"dictionary": "d", "source": "store", "max_tokens": 300})
    training = Training(None, None, {})
    first, again = (StoreTokens(store, _config(), training, request) for _ in range(2))
    other = StoreTokens(store, _config(), training, request.model_copy(update={"seed": 1}))
    assert 300 <= first.n_tokens < 350
    assert np.array_equal(first.prompts, again.prompts)
    assert set(first.prompts.tolist()) != set(other.prompts.tolist())
    assert {49} == set(np.unique(first.prompts, return_counts=True)[1].tolist())  # 50 tokens, one of them special
    values = torch.cat([block.x for block in first.blocks()])
    assert len(values) == first.n_tokens


def _write_texts(file: Path) -> None:
    rng = np.random.default_rng(0)
    words = ("the", "cat", "dog", "sat", "ran", "one")
    file.write_text("\n\n".join(f"{' '.join(rng.choice(words, size=9))} {i}" for i in range(60)))


def test_a_stream_is_read_on_as_it_began_and_reads_what_padded_texts_give(load_tiny, tmp_path: Path) -> None:
    loaded = load_tiny("gpt2")
    _write_texts(tmp_path / "t.txt")
    settings = Settings(workspace=tmp_path, read_roots=(loaded.source.directory.parent,))
    trained = _trained({"kind": "stream", "model": str(loaded.source.directory), "dataset": "t.txt"})
    packed = StreamFeed(trained, trained.source, settings, folder=tmp_path)
    record = tmp_path / "decisions.json"
    assert packed._plan.row is not None
    record.write_text(json.dumps({**json.loads(record.read_text()), "row": None}))
    padded = StreamFeed(trained, trained.source, settings, folder=tmp_path)
    assert padded._plan.row is None
    (key,) = packed.widths
    (one,), (other,) = packed.held_out([key]), padded.held_out([key])
    torch.testing.assert_close(one.values[key], other.values[key], rtol=1e-4, atol=1e-5)


def test_streamed_training_prompts_are_left_out_by_the_split_of_the_training(load_tiny, tmp_path: Path) -> None:
    loaded = load_tiny("gpt2")
    _write_texts(tmp_path / "t.txt")
    source = {"kind": "stream", "model": str(loaded.source.directory), "dataset": "t.txt"}
    settings = Settings(workspace=tmp_path, read_roots=(loaded.source.directory.parent,))
    trained = _trained(source)
    feed = StreamFeed(trained, trained.source, settings)
    trained_groups = {piece.group for piece in feed._train}
    training = Training(None, trained, feed.inputs)
    request = EvaluateSaeRequest.model_validate({"dictionary": "d", "source": source})
    assert isinstance(request.source, TextSource)
    tokens = TextTokens(request.source, _config(32), training, request=request, settings=settings, check=lambda: None)
    assert tokens.overlap == "excluded"
    groups = set(tokens.groups.tolist())
    assert len(groups) > 5
    assert not groups & trained_groups
    assert sum(len(block.groups) for block in tokens.blocks()) == tokens.n_tokens


def test_the_random_twin_is_as_wide_and_sparse_and_explains_more_than_the_mean_and_less_than_all() -> None:
    sample = torch.randn(400, 16, generator=torch.Generator().manual_seed(0)) + 5
    twin = random_twin(sample, n_latents=64, l0=3.4, seed=1)
    assert twin.n_latents == 64
    assert len(twin.encode_sparse(sample).latents) == 400 * 3
    error = (twin.reconstruct(sample) - sample).pow(2).sum() / (sample - sample.mean(0)).pow(2).sum()
    assert 0.3 < float(error) < 1


def test_a_store_is_evaluated_as_planned(tmp_path: Path, make_store: MakeStore, settings: Settings) -> None:
    store = open_store(make_store())
    draw = torch.Generator().manual_seed(0)
    decoder = torch.nn.functional.normalize(torch.randn(40, 16, generator=draw), dim=1)
    made = Dictionary(_config(), decoder.T.contiguous(), decoder, torch.zeros(16), b_enc=torch.zeros(40))
    (tmp_path / "d").mkdir()
    save_dictionary(made, tmp_path / "d")
    request = EvaluateSaeRequest.model_validate({"dictionary": "d", "source": "store", "max_tokens": 1000})
    with Lab.open(settings) as lab:
        plan = EVALUATE_SAE.plan(request, lab)
    assert plan.details["passes"] == plan.details["forward_tokens"] == 0
    assert plan.details["n_tokens_at_most"] == 1000
    assert plan.details["measures"] == ["reconstruction", "sparsity", "geometry", "monosemanticity proxies"]
    with LocalRun(tmp_path / "out", workspace=tmp_path) as run:
        result = evaluate_sae(request, run, settings=settings, suggest=lambda _report: ())
    report = EvaluationReport.model_validate_json((run.written[0] / "report.json").read_text())
    assert report.spliced is None
    assert not list(run.written[0].glob("sae_bench*"))
    special = np.asarray(store.rows(["special"]).column("special"))
    x = torch.from_numpy(store.dense(PLACE).slice(0, store.n_rows))[torch.from_numpy(~special)]
    codes = made.encode(x)
    own = report.sparsity[0]
    assert own.l0.value == pytest.approx(float((codes > 0).sum(1).double().mean()), abs=0.2)
    assert result.figures[0].name == "fvu"
    assert result.figures[0].random is not None
