# pyright: standard
"""Directions that explore prompts teach are ranked, edited and graded as rows of a report; where nothing is, none is.

The cause is known by construction: a model with one planted direction that makes its target words likelier.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from sklearn.metrics import roc_auc_score

from interp_lab.artifacts.store import ArtifactStore
from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.contracts.dossier import DossierRequest
from interp_lab.contracts.evidence_plan import PlanEvidenceRequest
from interp_lab.contracts.inspect import InspectRequest, InspectResult
from interp_lab.contracts.inspect_evidence import LearnedMethod
from interp_lab.contracts.inspect_report import InspectReport
from interp_lab.contracts.intervene import InterveneRequest
from interp_lab.contracts.learned_directions import RECORD, TENSORS, LearnedDirections
from interp_lab.contracts.steering_vector import MakeSteeringVectorRequest, SteeringVector
from interp_lab.errors import DiscoveryRowsReused, InvalidRequest, TooFewGroups
from interp_lab.methods.association import associate
from interp_lab.methods.taught_in_order import blocks_of, in_order
from interp_lab.statistics.sample import Sample
from interp_lab.store.interchange.peer_report import peer_report
from interp_lab.workflows.calibrating import investigate as pipeline
from interp_lab.workflows.calibrating.investigate import CRITERION, DATASET, MODEL
from interp_lab.workflows.calibrating.score import lay_out
from interp_lab.workflows.calibrating.sweep import EASY, Draw, settings_of
from interp_lab.workflows.dossier import make_dossier
from interp_lab.workflows.inspect import inspect
from interp_lab.workflows.inspection.inputs import open_inputs
from interp_lab.workflows.inspection.learning import learn
from interp_lab.workflows.inspection.measure import design
from interp_lab.workflows.make_steering_vector import make_steering_vector
from interp_lab.workflows.plan_evidence import candidates_for, unit_of
from interp_lab.worlds.latents import hide
from interp_lab.worlds.planted import build_planted
from interp_lab_tools.inspect_next import by_report

SEED = 11
DIALS = EASY.model_copy(update={"decoys": (), "prompts": 96})


class World(NamedTuple):
    lab: pipeline.Lab
    result: InspectResult
    artifact: str


def asked(**options: Any) -> InspectRequest:
    given = {"model": MODEL, "criterion": CRITERION, "dataset": DATASET, "top_k": 20, "n_contexts": 1}
    return InspectRequest.model_validate({**given, "pooling": "last", "evidence": "directions", **options})


def inspected(lab: pipeline.Lab, request: InspectRequest) -> tuple[InspectResult, str]:
    with lab._run(request) as run:
        return inspect(request, run, settings=lab.settings, suggest=lambda _: ()), run.published[-1]


def opened(lab: pipeline.Lab, artifact: str, name: str) -> Path:
    return ArtifactStore(WorkspacePaths.of(lab.settings)).path_of(artifact, name)


def report_of(lab: pipeline.Lab, artifact: str) -> InspectReport:
    return InspectReport.model_validate_json(opened(lab, artifact, "report.json").read_bytes())


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("directions")
    built = build_planted(DIALS, SEED)
    question = lay_out(built, hide(built, SEED), folder, draw=Draw(settings_of("small")[0], SEED), seed=0)
    lab = pipeline.Lab(question, lambda: None)
    return World(lab, *inspected(lab, asked()))


def test_a_planted_direction_is_found_on_explore_and_confirmed_as_it_was_published(world: World) -> None:
    best = world.result.ranking[0]
    assert best.grade == "needs_causal_evidence"
    assert best.q_value < 0.01
    assert best.confirm_auroc is not None
    assert best.confirm_auroc > 0.9
    report = report_of(world.lab, world.artifact)
    assert {row.address.partition("/")[0] for row in report.layers} == {f"resid_post.{layer}" for layer in range(4)}
    assert report.n_tested == 4 * 6
    assert report.dataset.n_explore < report.dataset.n_prompts - report.dataset.n_confirm
    assert "taught the directions" in " ".join(report.caveats)
    exported = [feature["feature_id"] for feature in peer_report(report)["cards"]]
    assert len(set(exported)) == len(exported) == 20


def test_the_published_numbers_are_the_directions_that_confirm_prompts_scored(world: World) -> None:
    record = LearnedDirections.model_validate_json(opened(world.lab, world.artifact, RECORD).read_bytes())
    tensors = load_file(opened(world.lab, world.artifact, TENSORS))
    inputs = open_inputs(asked(), world.lab.settings)
    rows, labels = design(inputs).rows("confirm"), np.array(inputs.prompts.positive(0.5))
    states = []
    with torch.no_grad():
        for prompt in inputs.tokens:
            found = inputs.loaded.model(torch.tensor([prompt.ids]), output_hidden_states=True).hidden_states
            states.append(torch.stack([each[0, -1] for each in found[1:-1]]).numpy())  # the last one is normalised
    plain = np.stack(states)
    compared = 0
    for card in report_of(world.lab, world.artifact).coordinates:
        own = next(one for one in record.directions if one.name == f"{card.address} #{card.index}")
        vector = tensors[own.site][own.index]
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
        layer = int(own.address.rpartition(".")[2])
        if layer < plain.shape[1] and card.confirm is not None:
            told = roc_auc_score(labels[rows], plain[rows, layer] @ vector)
            assert card.confirm.auroc.value == pytest.approx(told, abs=2e-3)
            compared += 1
    assert compared > 5


def test_labels_without_a_meaning_find_no_direction(world: World) -> None:
    path = Path(world.lab.question.folder) / DATASET
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    scores = [row["score"] for row in rows]
    random.Random(0).shuffle(scores)
    kept = ("text", "group")
    prompts = [{**{k: row[k] for k in kept if k in row}, "score": s} for row, s in zip(rows, scores, strict=True)]
    result, _ = inspected(world.lab, asked(dataset={"kind": "inline", "prompts": prompts}))
    assert result.n_significant == 0
    assert {row.grade for row in result.ranking} == {"weak"}


@pytest.mark.parametrize("method", ["difference_of_means", "linear_discriminant", "principal_component"])
def test_noise_is_called_at_the_stated_rate(method: LearnedMethod) -> None:
    dice = np.random.default_rng(5)
    p: list[float] = []
    for seed in range(300):
        sample = Sample.of(dice.permutation(np.arange(40) % 2 == 0))
        values = dice.normal(size=(40, 60)) * np.where(np.arange(60) < 3, 4.0, 1.0)
        blocks = blocks_of(sample, seed=seed)
        found = learn(method, values, sample, blocks, n_components=1, seed=0)
        scores = in_order(values @ found.whole.T, [values @ each.T for each in found.earlier], blocks)
        rows = np.flatnonzero(blocks > 0)
        p += [float(each) for each in associate(scores[rows], sample.take(rows)).p]
    assert np.mean(np.array(p) <= 0.05) == pytest.approx(0.05, abs=0.03)
    assert np.mean(np.array(p) <= 0.2) == pytest.approx(0.2, abs=0.05)


def test_too_few_groups_teach_nothing() -> None:
    with pytest.raises(TooFewGroups, match="eight"):
        blocks_of(Sample.of([True, True, False, False, False, False]), seed=0)


def test_a_row_is_edited_by_rank_graded_with_its_effect_and_one_unit_everywhere(world: World) -> None:
    (offered, vector) = by_report(asked(), world.result, world.artifact)
    request = InterveneRequest.model_validate(offered.arguments)
    assert (request.report, request.ranks) == (world.artifact, (1,))
    assert MakeSteeringVectorRequest.model_validate(vector.arguments).source.kind == "report"
    edited = world.lab.intervene(world.artifact, [1], pooling="last", edits=("ablate_zero",), n_controls=2)
    (unit,) = edited.units
    assert unit.grade == "validated", unit.reasons
    best = world.result.ranking[0]
    assert unit.association is not None
    assert unit.association.explore_auroc == pytest.approx(best.explore_auroc)  # held out, not as taught
    store = ArtifactStore(WorkspacePaths.of(world.lab.settings))
    made = next(name for name in store.ids() if store.open(name).kind == "intervention_report")
    again, artifact = inspected(world.lab, asked(interventions=[made]))
    assert again.ranking[0].grade == "validated"
    assert again.ranking[0].address == best.address
    assert report_of(world.lab, artifact).coordinates[0].causal[0].counts
    settings = world.lab.settings
    claims = make_dossier(DossierRequest(criterion=CRITERION), settings, ()).parts.claims
    (claim,) = [one for one in claims if one.name == f"{best.address} #{best.index}"]
    assert claim.grade == "validated"
    assert claim.n_runs == 3
    open_ones = candidates_for(PlanEvidenceRequest(report=world.artifact), settings).candidates
    assert unit_of(open_ones[0])["report"] == world.artifact


def test_a_row_becomes_a_steering_vector_with_the_held_out_numbers_of_its_report(world: World) -> None:
    best = next(row for row in world.result.ranking if row.grade == "needs_causal_evidence")
    given = {"model": MODEL, "criterion": CRITERION, "dataset": DATASET}
    source = {"kind": "report", "report": world.artifact, "rank": best.rank}
    request = MakeSteeringVectorRequest.model_validate({**given, "source": source})
    with world.lab._run(request) as run:
        found = make_steering_vector(request, run, settings=world.lab.settings, suggest=lambda _: ())
        artifact = run.published[-1]
    assert found.held_out is not None
    assert found.held_out.auroc == pytest.approx(best.confirm_auroc, abs=2e-3)
    record = SteeringVector.model_validate_json(opened(world.lab, artifact, "direction.json").read_bytes())
    tensor = load_file(opened(world.lab, world.artifact, TENSORS))[best.address][best.index]
    assert np.allclose(
        load_file(opened(world.lab, artifact, "direction.safetensors"))["directions"][0], tensor, atol=1e-6
    )
    assert record.source["row"] == f"{best.address} #{best.index}"
    other = request.model_copy(update={"seed": 1})
    with world.lab._run(other) as run, pytest.raises(DiscoveryRowsReused):
        make_steering_vector(other, run, settings=world.lab.settings, suggest=lambda _: ())
    pooled = request.model_copy(update={"pooling": "mean"})
    with world.lab._run(pooled) as run, pytest.raises(InvalidRequest, match=r"pooling is 'last', not 'mean'"):
        make_steering_vector(pooled, run, settings=world.lab.settings, suggest=lambda _: ())
    beyond = MakeSteeringVectorRequest.model_validate({**given, "source": {**source, "rank": 99}})
    with world.lab._run(beyond) as run, pytest.raises(InvalidRequest, match="no direction"):
        make_steering_vector(beyond, run, settings=world.lab.settings, suggest=lambda _: ())
