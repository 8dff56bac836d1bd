"""train_sae learns planted directions, measures on held-out groups, goes on bit for bit, and stops with a reason."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from interp_lab.contracts.train_sae import TrainSaeRequest, TrainSaeResult
from interp_lab.dictionaries.formats.saelens import load_dictionary
from interp_lab.errors import InvalidRequest, LabError, TrainingDiverged, TrainingSourceUnfit
from interp_lab.jobs.run import LocalRun
from interp_lab.jobs.signals import InterruptedJob
from interp_lab.settings import Settings
from interp_lab.workflows.train_sae import train_sae

TRAINING = {"total_tokens": 20_000, "batch_tokens": 256, "learning_rate": 3e-3, "dead_window_tokens": 20_000}
MakeStore = Callable[..., Path]


def _request(**facts: Any) -> TrainSaeRequest:
    fields = {"source": "store", "addresses": ["resid_post.0"], "widths": [48], "sparsities": [3], "evaluations": 4}
    return TrainSaeRequest.model_validate(fields | {"training": TRAINING} | facts)


def _train(request: TrainSaeRequest, output: Path, settings: Settings, run: LocalRun | None = None) -> TrainSaeResult:
    with run or LocalRun(output, workspace=settings.workspace) as running:
        return train_sae(request, running, settings=settings, suggest=lambda _rows: ())


def _folders(output: Path, kind: str = "dictionary") -> list[Path]:
    return sorted(output.glob(f"{kind}-*"))


def test_a_dictionary_learns_what_was_planted_and_says_so_on_held_out_groups(
    tmp_path: Path, make_store: MakeStore, settings: Settings
) -> None:
    make_store()
    result = _train(_request(), tmp_path / "out", settings)
    (row,) = result.dictionaries
    assert row.fvu < 0.3
    assert row.fvu_interval[0] < row.fvu < row.fvu_interval[1]
    assert row.l0 == pytest.approx(3, abs=0.2)
    assert row.n_held_out_groups == 6
    assert row.n_held_out == 6 * 49  # the first token of every prompt stands for no text
    assert result.n_train_tokens == 54 * 49
    assert "poor_reconstruction" not in row.flags
    (folder,) = _folders(tmp_path / "out")
    loaded = load_dictionary(folder)
    assert loaded.config.addresses_in == ("resid_post.0",)
    assert loaded.config.trained_tokens == row.tokens >= 20_000 - 256
    assert loaded.config.models == ("tiny",)


@pytest.mark.parametrize(("window", "known"), [(1_000_000, False), (2_000, True)])
def test_a_training_shorter_than_the_dead_window_does_not_say_how_many_are_dead(
    tmp_path: Path, make_store: MakeStore, settings: Settings, window: int, known: bool
) -> None:
    make_store()
    short = TRAINING | {"total_tokens": 4_000, "dead_window_tokens": window}
    result = _train(_request(training=short), tmp_path / "out", settings)
    said = "not known (needs over 1,000,000 tokens)"
    assert (result.dictionaries[0].dead_fraction is not None) == known
    assert (said not in result.summary) == known
    (folder,) = _folders(tmp_path / "out", "training_report")
    for page in ("report.md", "report.html"):
        assert (said not in (folder / page).read_text(encoding="utf-8")) == known
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    drawn = [line["tokens"] for line in lines if "dead_fraction" in line]
    assert bool(drawn) == known, "a curve from the first token would say that none is dead"
    assert all(tokens > window for tokens in drawn)


def test_noise_without_structure_is_flagged_as_poorly_reconstructed(
    tmp_path: Path, make_store: MakeStore, settings: Settings
) -> None:
    make_store(random=True)
    (row,) = _train(_request(sparsities=[1]), tmp_path / "out", settings).dictionaries
    assert row.fvu > 0.5
    assert "poor_reconstruction" in row.flags


def test_every_combination_is_trained_in_one_pass_and_reported(
    tmp_path: Path, make_store: MakeStore, settings: Settings
) -> None:
    make_store()
    training = TRAINING | {"total_tokens": 4000}
    request = _request(addresses=[], widths=[24, 32], sparsities=[2, 3], seeds=[0, 1], training=training)
    result = _train(request, tmp_path / "out", settings)
    assert len(result.dictionaries) == 16
    assert len({row.name for row in result.dictionaries}) == 16
    assert len(_folders(tmp_path / "out")) == 16
    assert {row.artifact[:12] for row in result.dictionaries if row.artifact} == {
        folder.name.removeprefix("dictionary-") for folder in _folders(tmp_path / "out")
    }
    (report,) = _folders(tmp_path / "out", "training_report")
    lines = [json.loads(line) for line in (report / "metrics.jsonl").read_text().splitlines()]
    assert any("resid_post.0-topk-24-k2-s0/held_out_fvu" in line for line in lines)
    page = (report / "report.html").read_text()
    assert page.count("<polyline") >= 16
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")


class _Stopping(LocalRun):
    """A run that is asked to end after some steps."""

    left = 25

    def progress(self, done: float, total: float | None, message: str, unit: str = "") -> None:
        self.left -= 1
        if self.left == 0:
            raise InterruptedJob


def _weights(output: Path) -> list[dict[str, torch.Tensor]]:
    by_name: dict[str, dict[str, torch.Tensor]] = {}
    for folder in _folders(output):
        name = json.loads((folder / "figures.json").read_text())["name"]
        by_name[name] = load_file(folder / "sae_weights.safetensors")
    return [by_name[name] for name in sorted(by_name)]


@pytest.mark.parametrize("architecture", ["topk", "batchtopk", "jumprelu"])
def test_an_interrupted_run_goes_on_bit_for_bit(
    tmp_path: Path, make_store: MakeStore, settings: Settings, architecture: str
) -> None:
    make_store()
    training = TRAINING | {"total_tokens": 10_000}
    sparsity = 1 if architecture == "jumprelu" else 3
    request = _request(architecture=architecture, sparsities=[sparsity], training=training, seeds=[0, 1])
    _train(request, tmp_path / "whole", settings)
    with pytest.raises(InterruptedJob):
        _train(request, tmp_path / "cut", settings, _Stopping(tmp_path / "cut", workspace=tmp_path))
    assert not _folders(tmp_path / "cut")
    _train(request, tmp_path / "cut", settings)
    whole, cut = _weights(tmp_path / "whole"), _weights(tmp_path / "cut")
    assert len(whole) == len(cut) == 2
    for one, other in zip(whole, cut, strict=True):
        assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_another_seed_of_the_order_gives_other_weights(
    tmp_path: Path, make_store: MakeStore, settings: Settings
) -> None:
    make_store()
    training = TRAINING | {"total_tokens": 3000}
    for seed in (0, 1):
        _train(_request(training=training, seed=seed), tmp_path / str(seed), settings)
    one, other = _weights(tmp_path / "0")[0], _weights(tmp_path / "1")[0]
    assert not torch.equal(one["W_enc"], other["W_enc"])


def test_a_damaged_number_stops_the_training_at_its_step_with_the_reason(
    tmp_path: Path, make_store: MakeStore, settings: Settings
) -> None:
    folder = make_store()
    path = sorted(folder.glob("resid_post.0-*.safetensors"))[1]
    data = bytearray(path.read_bytes())
    data[-400:-396] = b"\x00\x00\xc0\x7f"
    path.write_bytes(bytes(data))
    with pytest.raises(TrainingDiverged, match=r"resid_post\.0-topk-48-k3-s0: Step \d+: 1 tokens"):
        _train(_request(), tmp_path / "out", settings)
    assert not _folders(tmp_path / "out")


def test_a_dictionary_that_no_longer_improves_stops_early(
    tmp_path: Path, make_store: MakeStore, settings: Settings
) -> None:
    make_store()
    stop = {"patience": 1, "least_improvement": 0.9}
    (row,) = _train(_request(early_stop=stop, evaluations=20), tmp_path / "out", settings).dictionaries
    assert "stopped_early" in row.flags
    assert row.tokens < 20_000 / 2


def test_a_transcoder_learns_one_address_from_another(
    tmp_path: Path, make_store: MakeStore, settings: Settings
) -> None:
    make_store()
    result = _train(_request(kind="transcoder", targets=["resid_post.1"]), tmp_path / "out", settings)
    (row,) = result.dictionaries
    assert row.place == "resid_post.0 → resid_post.1"
    assert row.fvu < 0.5
    assert load_dictionary(_folders(tmp_path / "out")[0]).config.addresses_out == ("resid_post.1",)


def test_a_crosscoder_reads_all_addresses_at_once(tmp_path: Path, make_store: MakeStore, settings: Settings) -> None:
    make_store()
    (row,) = _train(_request(kind="crosscoder", addresses=[]), tmp_path / "out", settings).dictionaries
    assert row.fvu < 0.5
    config = load_dictionary(_folders(tmp_path / "out")[0]).config
    assert (config.sections, config.addresses_in) == ((16, 16), ("resid_post.0", "resid_post.1"))


@pytest.mark.parametrize(
    ("facts", "groups", "error"),
    [
        ({"addresses": ["resid_post.7"]}, 60, LabError),
        ({"sparsities": [500]}, 60, InvalidRequest),
        ({}, 2, TrainingSourceUnfit),
    ],
)
def test_what_cannot_be_trained_is_refused_before_the_first_step(
    tmp_path: Path, make_store: MakeStore, settings: Settings, facts: dict[str, Any], groups: int, error: type[LabError]
) -> None:
    make_store(groups=groups)
    with pytest.raises(error):
        _train(_request(**facts), tmp_path / "out", settings)
    assert not (tmp_path / "out" / "metrics.jsonl").exists()


def test_a_stream_trains_like_a_store_and_goes_on_bit_for_bit(
    tmp_path: Path, settings: Settings, tiny_models: Callable[[str], Path]
) -> None:
    shutil.copytree(tiny_models("gpt2"), tmp_path / "tiny")
    letters = np.random.default_rng(0).choice(list("abcdefghijklmnopqrst"), (60, 30))
    texts = [" ".join("".join(word) for word in line.reshape(10, 3)) for line in letters]
    (tmp_path / "texts.txt").write_text("\n\n".join(texts))
    source = {"kind": "stream", "model": "tiny", "dataset": "texts.txt", "buffer_tokens": 1024}
    training = {"total_tokens": 6_000, "batch_tokens": 128, "learning_rate": 3e-3}
    request = _request(source=source, addresses=["resid_post.1"], training=training, held_out=0.3)
    (row,) = _train(request, tmp_path / "whole", settings).dictionaries
    assert row.fvu < 0.9
    with pytest.raises(InterruptedJob):
        _train(request, tmp_path / "cut", settings, _Stopping(tmp_path / "cut", workspace=tmp_path))
    _train(request, tmp_path / "cut", settings)
    one, other = _weights(tmp_path / "whole")[0], _weights(tmp_path / "cut")[0]
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())
