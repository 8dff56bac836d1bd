"""Steering with a planted direction brings its words about; a random direction of the same length does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file  # pyright: ignore[reportUnknownVariableType]

from interp_lab.artifacts.store import ArtifactStore
from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.bridges.gguf_control_vector import read_control_vector
from interp_lab.bridges.peer_steering import read_peer_vector
from interp_lab.contracts.steer import SteerReport, SteerRequest
from interp_lab.contracts.steering_vector import MakeSteeringVectorRequest, MakeSteeringVectorResult, SteeringVector
from interp_lab.contracts.worlds import PlantedTruth
from interp_lab.engine.addition import added
from interp_lab.engine.generation import Sampling, continuations
from interp_lab.engine.written import next_log_probs
from interp_lab.errors import DiscoveryRowsReused, VectorNotValidated
from interp_lab.jobs.nested import NestedRun
from interp_lab.jobs.run import LocalRun
from interp_lab.models.load import load_model
from interp_lab.models.resolve import ModelSource
from interp_lab.models.tokens import tokenize
from interp_lab.points import Address
from interp_lab.settings import Settings
from interp_lab.workflows.make_steering_vector import make_steering_vector
from interp_lab.workflows.steer import steer
from interp_lab.workflows.steering.files import read_vector
from interp_lab.worlds.catalogue import make_world
from interp_lab.worlds.folder import write_world

CRITERION = "the next word is one of the targets"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, PlantedTruth]:
    made = make_world("planted", 4, base="tiny-gpt2", decoys=("inert",), prompts=240, confounding=0.5, effect=8.0)
    folder = tmp_path_factory.mktemp("world") / "world"
    write_world(made, folder)
    assert isinstance(made.truth, PlantedTruth)
    return folder, made.truth


def make(folder: Path, out: Path, **options: Any) -> tuple[MakeSteeringVectorResult, Path]:
    asked = {"model": "model", "criterion": CRITERION, "dataset": "prompts.jsonl", **options}
    settings = Settings(workspace=folder)
    with LocalRun(folder / out.name, workspace=folder) as run:
        request = MakeSteeringVectorRequest.model_validate(asked)
        result = make_steering_vector(request, run, settings=settings, suggest=lambda _: ())
        return result, run.written[0]


def run_steer(folder: Path, out: Path, truth: PlantedTruth, **options: Any) -> SteerReport:
    words = {"targets": [f" {w}" for w in truth.targets], "alternatives": [f" {w}" for w in truth.alternatives]}
    asked = {"model": "model", "criterion": CRITERION, "dataset": "prompts.jsonl", "max_new_tokens": 3, **words}
    with LocalRun(folder / out.name, workspace=folder) as run:
        request = SteerRequest.model_validate(
            {**asked, "scorer": "target_logit", "n_controls": 5, "max_prompts": 24, **options}
        )
        steer(request, run, settings=Settings(workspace=folder), suggest=lambda _: ())
        return SteerReport.model_validate_json((run.written[0] / "report.json").read_bytes())


def by_hand(folder: Path, name: str, address: str, vector: Any) -> str:
    """A direction that nobody claims anything of."""
    (folder / name).mkdir(exist_ok=True)
    save_file({"directions": np.asarray(vector, dtype=np.float32)[None]}, folder / name / "direction.safetensors")
    (folder / name / "direction.json").write_text(json.dumps({"address": address}), encoding="utf-8")
    return name


def test_strength_zero_leaves_every_number_and_every_token_as_it_is(world: tuple[Path, PlantedTruth]) -> None:
    folder, truth = world
    loaded = load_model(ModelSource("local", "model", folder / "model"), device="cpu")
    words = truth.plain
    prompts = tokenize(loaded, {str(i): " ".join(words[: 2 + i]) for i in range(4)})
    sampling = Sampling(6, 1.0, (7,), 512)
    direction = torch.tensor(truth.features[1].direction)
    plain, told = continuations(loaded, prompts, sampling), next_log_probs(loaded, prompts)
    with added(loaded, Address.parse("resid_post.1"), 0.0 * direction):
        assert torch.equal(next_log_probs(loaded, prompts), told)
        assert continuations(loaded, prompts, sampling) == plain
    with added(loaded, Address.parse("resid_post.1"), 5.0 * direction):
        assert not torch.equal(next_log_probs(loaded, prompts), told)
    assert torch.equal(next_log_probs(loaded, prompts), told)


def test_a_planted_direction_steers_and_a_random_one_of_equal_length_does_not(
    world: tuple[Path, PlantedTruth], tmp_path: Path
) -> None:
    folder, truth = world
    cause = next(feature for feature in truth.features if feature.name == "cause_relay")
    random = np.random.default_rng(0).normal(size=len(cause.direction))
    planted = by_hand(folder, "planted", cause.address, cause.direction)
    chance = by_hand(folder, "chance", cause.address, random)
    found = run_steer(folder, tmp_path / "a", truth, vector=planted, strengths=[0.5, 1.0, 2.0], perplexity_bound=50.0)
    assert found.beyond is not None
    assert found.beyond.difference_interval.low > 0
    assert found.beyond.gain > 2
    assert "effect_confirmed" in found.reasons
    arms = {arm.name: arm for arm in found.arms}
    assert arms["opposite"].gain < 0
    assert arms["steered"].gain > 5 * abs(arms["random_direction"].gain)
    twin = run_steer(folder, tmp_path / "b", truth, vector=chance, strengths=[0.5, 1.0, 2.0], perplexity_bound=50.0)
    assert twin.beyond is not None
    assert twin.beyond.gain < found.beyond.gain / 3
    assert twin.beyond.difference < found.beyond.difference / 3
    assert twin.grade != "validated"


def test_text_is_unchanged_by_an_unread_direction_and_no_strength_is_called_breaking(
    world: tuple[Path, PlantedTruth], tmp_path: Path
) -> None:
    folder, truth = world
    inert = next(feature for feature in truth.features if feature.name == "inert")
    name = by_hand(folder, "inert", inert.address, inert.direction)
    found = run_steer(folder, tmp_path / "c", truth, vector=name, strengths=[0.05], scorer="target_share")
    assert found.breaks_at is None
    assert {sample.plain == sample.steered for sample in found.samples} == {True}
    assert found.grade != "validated"


def test_a_vector_comes_back_from_every_form_it_is_written_in(world: tuple[Path, PlantedTruth], tmp_path: Path) -> None:
    folder, _ = world
    result, made = make(folder, tmp_path / "d", source={"kind": "contrast", "addresses": ["resid_post.2"]})
    record = SteeringVector.model_validate_json((made / "direction.json").read_bytes())
    saved = read_vector(str(made.relative_to(folder)), Settings(workspace=folder))
    assert np.linalg.norm(saved.unit) == pytest.approx(1.0, abs=1e-6)
    assert saved.record == record
    ((layer, scaled),) = read_control_vector(made / "control_vector.gguf").items()
    assert layer == 2
    np.testing.assert_allclose(scaled, saved.unit * record.residual_norm, rtol=1e-6)
    peer = read_peer_vector(made / "steering_vector.json")
    assert (peer.block, peer.claims) == (2, "unvalidated")
    np.testing.assert_array_equal(peer.values, saved.unit)
    for number, name in enumerate(("control_vector.gguf", "steering_vector.json")):
        source = {"kind": "file", "path": str((made / name).relative_to(folder))}
        again, other = make(folder, tmp_path / f"e{number}", source=source)
        assert again.address == "resid_post.2"
        assert again.held_out == result.held_out
        np.testing.assert_allclose(
            read_vector(str(other.relative_to(folder)), Settings(workspace=folder)).unit, saved.unit, atol=1e-6
        )
    lines = (made / "contrast_records.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 240
    assert list(json.loads(lines[0])["features"]) == ["direction:contrast:L3:the-next-word-is-one-of-the-targets"]


def test_only_a_steer_run_of_the_same_direction_makes_a_vector_validated(
    world: tuple[Path, PlantedTruth], tmp_path: Path
) -> None:
    folder, truth = world
    result, made = make(folder, tmp_path / "f", source={"kind": "contrast", "addresses": ["resid_post.2"]})
    assert result.grade == "needs_causal_evidence"
    assert json.loads((made / "steering_vector.json").read_text(encoding="utf-8"))["provenance"] == "unvalidated"
    with pytest.raises(VectorNotValidated):
        make(folder, tmp_path / "g", require_validated=True)
    with pytest.raises(DiscoveryRowsReused):
        run_steer(folder, tmp_path / "h", truth, vector=str(made.relative_to(folder)), seed=1)


def test_a_vector_that_a_steer_run_confirmed_is_exported_as_validated_and_another_one_is_not(
    world: tuple[Path, PlantedTruth],
) -> None:
    folder, truth = world
    settings = Settings(workspace=folder)
    words = {"targets": [f" {w}" for w in truth.targets], "alternatives": [f" {w}" for w in truth.alternatives]}
    asked = {"model": "model", "criterion": CRITERION, "dataset": "prompts.jsonl"}
    source = {"kind": "contrast", "method": "probe", "addresses": ["resid_post.1"]}

    def vector(number: int, **options: Any) -> tuple[str, SteeringVector]:
        with NestedRun(settings, number, lambda: None) as run:
            request = MakeSteeringVectorRequest.model_validate({**asked, "source": source, **options})
            make_steering_vector(request, run, settings=settings, suggest=lambda _: ())
            record = ArtifactStore(WorkspacePaths.of(settings)).read_file(run.published[0], "direction.json")
            return run.published[0], SteeringVector.model_validate_json(record)

    first, before = vector(1)
    assert before.grade == "needs_causal_evidence"
    with NestedRun(settings, 2, lambda: None) as run:
        options = {"vector": first, "strengths": [1.0, 2.0], "scorer": "target_logit", "perplexity_bound": 100.0}
        request = SteerRequest.model_validate({**asked, **words, **options, "max_new_tokens": 3})
        assert steer(request, run, settings=settings, suggest=lambda _: ()).grade == "validated"
        report = run.published[0]
    text = ArtifactStore(WorkspacePaths.of(settings)).read_file(report, "interventions.jsonl").decode()
    records = [json.loads(line) for line in text.splitlines()]
    assert {record["feature_id"] for record in records} == {"direction:contrast:L2:the-next-word-is-one-of-the-targets"}
    effects = [r for r in records if r["metadata"]["part"] == "confirm" and "control_type" not in r["metadata"]]
    assert sum(r["intervention_score"] - r["baseline_score"] for r in effects) / len(effects) > 1
    assert {r["metadata"].get("control_type") for r in records} == {None, "random", "negative_control"}
    _, after = vector(3, steered=report, require_validated=True)
    assert (after.grade, after.unvalidated_warning, after.steered) == ("validated", None, report)
    with pytest.raises(VectorNotValidated, match="another direction"):
        vector(4, steered=report, source={**source, "method": "difference_of_means"})


@pytest.mark.parametrize("method", ["difference_of_means", "contrastive_pca", "probe"])
def test_every_method_finds_a_direction_that_tells_held_out_prompts_apart(
    world: tuple[Path, PlantedTruth], tmp_path: Path, method: str
) -> None:
    folder, _ = world
    result, _ = make(folder, tmp_path / method, source={"kind": "contrast", "method": method})
    assert result.held_out is not None
    assert result.held_out.auroc > 0.65
    assert result.held_out.low > 0.5
    assert result.grade != "validated"
