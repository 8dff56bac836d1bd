"""Linear probes against stores whose truth is known: a planted direction is found, and what is not there is not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from interp_lab.contracts.probe import Direction, TrainProbeRequest, TrainProbeResult
from interp_lab.contracts.store import CodeColumn, DenseColumn, LabelField, MetricField, StoreHeader
from interp_lab.errors import LabelsUnusable, SplitImpossible, UnknownColumn, UnknownField
from interp_lab.jobs.run import LocalRun
from interp_lab.settings import Settings
from interp_lab.store.blocks import RowBlock
from interp_lab.store.writer import StoreWriter
from interp_lab.workflows.train_probe import train_probe

WIDTH, N_PROMPTS = 24, 240
DIRECTION = np.random.default_rng(99).normal(size=WIDTH)
DIRECTION /= np.linalg.norm(DIRECTION)
SCALES = np.exp(np.random.default_rng(98).normal(size=WIDTH))
"""Coordinates differ in size by an order of magnitude, as those of a residual stream do."""
TOPICS = ("birds", "boats", "trees")
WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heath")
Train = Callable[..., tuple[TrainProbeResult, Path]]


def write_store(
    folder: Path, *, texts: list[str] | None = None, scores: np.ndarray | None = None, group_size: int = 2
) -> None:
    """Two prompts a group or more; resid_post.1 carries score, topic and metric linearly, resid_post.0 nothing."""
    rng = np.random.default_rng(7)
    lengths = rng.integers(3, 9, size=N_PROMPTS)
    prompt = np.repeat(np.arange(N_PROMPTS), lengths)
    position = np.concatenate([np.arange(n) for n in lengths])
    given = np.arange(N_PROMPTS) // 2 % 2 if scores is None else scores
    topic = rng.integers(0, 3, size=N_PROMPTS)
    noise = rng.normal(size=(prompt.size, WIDTH)) * SCALES
    told = noise + 6 * given[prompt, None] * DIRECTION + 6 * np.eye(WIDTH)[topic[prompt]] * SCALES
    codes = np.where(rng.random((prompt.size, 12)) < 0.1, 1.0, 0.0)
    codes[:, 5] = given[prompt] * rng.uniform(0.5, 1.5, size=prompt.size)
    header = StoreHeader(
        columns=(
            DenseColumn(address="resid_post.0", width=WIDTH, dtype="float32"),
            DenseColumn(address="resid_post.1", width=WIDTH, dtype="float32"),
            CodeColumn(address="resid_post.1", dictionary="sae", width=12, dtype="float32"),
        ),
        labels=(LabelField(name="topic", type="category"), LabelField(name="late", type="boolean", scope="row")),
        metrics=(MetricField(name="loss"),),
    )
    rows = {
        "prompt": prompt,
        "position": position,
        "token": [WORDS[i] for i in rng.integers(0, len(WORDS), size=prompt.size)],
        "special": position == 0,
        "span": position == 2,
        "metric:loss": (told @ np.ones(WIDTH) / 10 + rng.normal(size=prompt.size)).astype(np.float32),
        "label:late": position >= 3,
    }
    columns = {"resid_post.0": noise[::-1].copy(), "resid_post.1": told, "resid_post.1/sae": codes}
    named = {name: values.astype(np.float32) for name, values in columns.items()}
    words = rng.integers(0, len(WORDS), size=(N_PROMPTS, 6))
    with StoreWriter(folder, header, shard_rows=500) as writer:
        writer.add(RowBlock(rows, named))
        writer.finish(
            {
                "id": [f"p{i}" for i in range(N_PROMPTS)],
                "text": texts or [f"g{i // 2}x " + " ".join(WORDS[w] for w in words[i]) for i in range(N_PROMPTS)],
                "group": np.arange(N_PROMPTS) // group_size,
                "score": given.astype(float),
                "label:topic": [TOPICS[t] for t in topic],
            }
        )


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("probes")
    (folder / "acts").mkdir()
    write_store(folder / "acts")
    return folder


@pytest.fixture
def probe(workspace: Path, tmp_path: Path) -> Train:
    def run(**fields: Any) -> tuple[TrainProbeResult, Path]:
        return trained(workspace, tmp_path / "out", fields)

    return run


def trained(workspace: Path, output: Path, fields: Mapping[str, Any]) -> tuple[TrainProbeResult, Path]:
    settings = Settings(workspace=workspace)
    request = TrainProbeRequest.model_validate({"store": "acts", **fields})
    with LocalRun(output, seed=request.seed, workspace=workspace) as run:
        result = train_probe(request, run, settings=settings, suggest=lambda _: ())
    direction = next(folder for folder in run.written if folder.name.startswith("direction"))
    return result, direction


def control(result: TrainProbeResult, name: str) -> float:
    return next(control.score for control in result.controls if control.name == name)


def test_a_planted_direction_is_found_where_it_is_and_saved_in_activation_units(probe: Train):
    result, folder = probe(addresses=["resid_post.0", "resid_post.1"], pooling="mean")
    assert result.best.address == "resid_post.1"
    assert result.best.confirm.value > 0.95
    assert result.beats_surface
    assert result.grade == "needs_causal_evidence"
    assert control(result, "shuffled_targets") == pytest.approx(0.5, abs=0.12)
    tensors = load_file(folder / "direction.safetensors")
    found = tensors["directions"][0]
    assert found @ DIRECTION > 0
    difference = tensors["mean_difference"]
    assert difference @ DIRECTION / np.linalg.norm(difference) > 0.9
    record = Direction.model_validate_json((folder / "direction.json").read_bytes())
    assert record.provenance == "measured"
    assert record.width == WIDTH
    assert len(record.outputs) == 1


def test_the_saved_direction_and_intercept_give_the_confirm_score_by_themselves(probe: Train):
    result, folder = probe(addresses=["resid_post.1"], pooling="span")
    tensors = load_file(folder / "direction.safetensors")
    assert tensors["directions"].shape == (1, WIDTH)
    record = Direction.model_validate_json((folder / "direction.json").read_bytes())
    assert record.norms[0] == pytest.approx(float(np.linalg.norm(tensors["directions"])), rel=1e-4)
    assert record.confirm == result.best.confirm


def test_where_nothing_was_planted_nothing_is_found(probe: Train):
    result, _ = probe(addresses=["resid_post.0"], pooling="mean")
    assert result.best.confirm.low < 0.5
    assert result.p_value > 0.01
    assert result.grade == "weak"
    assert "beyond chance" in result.summary.splitlines()[0]


def test_several_classes_keep_their_names(probe: Train):
    result, folder = probe(target="label:topic", addresses=["resid_post.0", "resid_post.1"], pooling="mean")
    assert result.task == "multiclass"
    assert result.classes == TOPICS
    assert result.best.address == "resid_post.1"
    assert result.best.confirm.value > 0.9
    assert control(result, "constant_guess") == pytest.approx(1 / 3, abs=1e-4)
    assert control(result, "shuffled_targets") == pytest.approx(1 / 3, abs=0.1)
    record = Direction.model_validate_json((folder / "direction.json").read_bytes())
    assert record.outputs == TOPICS
    assert result.grade is None


def test_one_class_against_the_others_is_binary(probe: Train):
    result, _ = probe(target="label:topic", positive="boats", addresses=["resid_post.1"], pooling="mean")
    assert result.task == "binary"
    assert result.classes == ("not boats", "boats")
    assert result.best.confirm.value > 0.9


def test_a_metric_of_tokens_is_regressed_on(probe: Train):
    told, _ = probe(target="metric:loss", addresses=["resid_post.1"], pooling="none")
    assert told.task == "regression"
    assert told.best.confirm.value > 0.5
    assert control(told, "shuffled_targets") < 0.05
    assert control(told, "constant_guess") <= 0
    untold, _ = probe(target="metric:loss", addresses=["resid_post.0"], pooling="none")
    assert untold.best.confirm.low < 0.05


def test_a_label_of_tokens_is_probed_per_token_and_its_position_gives_it_away(probe: Train):
    result, _ = probe(target="label:late", addresses=["resid_post.0"], pooling="none")
    assert control(result, "surface") > 0.99
    assert not result.beats_surface
    assert result.grade == "weak"


def test_a_score_whose_evidence_is_weak_is_not_announced_as_a_finding(tmp_path: Path):
    # Four explore groups that each hold both classes cannot reach any level, however well the probe does.
    (tmp_path / "acts").mkdir()
    scores = np.arange(N_PROMPTS) % 2
    write_store(tmp_path / "acts", scores=scores, group_size=20)
    result, _ = trained(tmp_path, tmp_path / "out", {"addresses": ["resid_post.1"], "pooling": "mean"})
    assert result.best.confirm.value > 0.9
    assert result.counts.groups[1] < 5
    assert result.grade == "weak"
    assert "reads" not in result.summary.splitlines()[0]


def test_codes_are_probed_like_activations(probe: Train):
    result, folder = probe(addresses=["resid_post.1/sae"], pooling="max")
    assert result.best.confirm.value > 0.99
    record = Direction.model_validate_json((folder / "direction.json").read_bytes())
    assert record.space == "latents"
    assert int(np.argmax(np.abs(load_file(folder / "direction.safetensors")["directions"][0]))) == 5


def test_the_same_request_gives_the_same_bytes(workspace: Path, tmp_path: Path):
    fields = {"addresses": ["resid_post.1"], "pooling": "last"}
    folders = [trained(workspace, tmp_path / name, fields)[1] for name in ("one", "two")]
    first, second = ((folder / "direction.safetensors").read_bytes() for folder in folders)
    assert first == second


def test_a_target_that_the_length_of_the_text_tells_is_flagged(tmp_path: Path):
    scores = np.arange(N_PROMPTS) // 2 % 2
    texts = [f"g{i // 2}x " + "la " * (5 + 20 * int(scores[i])) for i in range(N_PROMPTS)]
    (tmp_path / "acts").mkdir()
    write_store(tmp_path / "acts", texts=texts, scores=scores)
    result, _ = trained(tmp_path, tmp_path / "out", {"addresses": ["resid_post.1"], "pooling": "mean"})
    assert control(result, "surface") > 0.99
    assert not result.beats_surface
    assert result.grade == "plausible"
    assert "confound_solves_dataset" in result.reasons


def test_what_cannot_be_probed_is_refused(probe: Train, tmp_path: Path):
    with pytest.raises(UnknownColumn):
        probe(addresses=["resid_post.7"])
    with pytest.raises(UnknownField):
        probe(target="label:mood")
    with pytest.raises(LabelsUnusable):
        probe(target="label:topic", task="regression")
    with pytest.raises(LabelsUnusable):
        probe(target="label:topic", task="binary")


def test_too_few_groups_of_a_class_are_refused(tmp_path: Path):
    scores = np.zeros(N_PROMPTS)
    scores[:4] = 1
    (tmp_path / "acts").mkdir()
    write_store(tmp_path / "acts", scores=scores)
    with pytest.raises(SplitImpossible):
        trained(tmp_path, tmp_path / "out", {"addresses": ["resid_post.1"]})
