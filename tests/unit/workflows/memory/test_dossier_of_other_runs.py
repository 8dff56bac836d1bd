"""A dossier lists every kind of run of its question, what failed, and what was said of its units; never itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from interp_lab import errors
from interp_lab.contracts.dossier import DossierParts, DossierResult
from interp_lab.contracts.explain import EXPLANATION_KIND, EXPLANATIONS_FILE
from interp_lab.jobs.engine import JobEngine
from interp_lab.jobs.spec import JobSpec
from interp_lab.settings import Settings
from interp_lab.workflows.explaining.records import make_record, written
from interp_lab_tools.call import call
from interp_lab_tools.catalogue import CAPABILITIES
from interp_lab_tools.lab import Lab
from tests.unit.workflows.memory.past_runs import (
    CRITERION,
    MODEL,
    card,
    inspect_report,
    publish,
    publish_other,
    sha,
    shared,
    workspace,
)

ALL = frozenset(capability.toolset for capability in CAPABILITIES)
DICTIONARY = "a" * 64


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return workspace(tmp_path)


def parts_of(settings: Settings, **options: Any) -> DossierParts:
    return whole(settings, limit=50, **options).parts or DossierParts()


def whole(settings: Settings, **options: Any) -> DossierResult:
    with Lab.open(settings, ALL) as lab:
        answer = call(lab, "dossier", {"model": MODEL, "criterion": CRITERION, **options})
    assert isinstance(answer, DossierResult)
    return answer


def told(headline: str, **more: Any) -> dict[str, Any]:
    """A report of any kind: the parts that all have."""
    return shared() | {"criterion": CRITERION, "headline": headline} | more


def test_runs_of_every_kind_are_listed_with_what_each_says(settings: Settings) -> None:
    publish(settings, inspect_report([card(1, 5, "plausible")]))
    published = {
        "patch_report": publish_other(settings, "patch_report", told("Patching moved it."), at=1),
        "circuit": publish_other(settings, "circuit", told("Three heads."), at=2),
        "path_trace": publish_other(settings, "path_trace", told("A path."), at=3),
        "path_validation": publish_other(settings, "path_validation", told("It carries."), at=4),
        "steer_report": publish_other(settings, "steer_report", told("Steered."), at=5),
    }
    request = {"base": {"id": MODEL}, "changed": {"id": MODEL, "dtype": "bfloat16"}, "criterion": CRITERION}
    facts = told("Nothing changed.", dataset="builtin:person-name")
    facts["base"] = facts.pop("model")
    published["model_diff"] = publish_other(settings, "model_diff", facts, request=request, at=6)
    request = {"left": {"model": {"id": MODEL}}, "right": {"model": {"id": "other"}}, "criterion": CRITERION}
    compared = {"criterion": CRITERION, "headline": "One pair."}
    published["comparison"] = publish_other(settings, "comparison", compared, request=request, at=7)
    runs = {run.kind: run for run in parts_of(settings).runs}
    assert {kind: run.run for kind, run in runs.items() if kind in published} == published
    assert runs["circuit"].headline == "Three heads."
    assert runs["circuit"].dataset == "person-name"
    assert len(runs) == len(published) + 1


@pytest.mark.parametrize(
    ("request_of", "report"),
    [
        ({"model": {"id": MODEL}, "criterion": "something else"}, told("x") | {"criterion": "something else"}),
        ({"model": {"id": "other"}, "criterion": CRITERION}, None),
        ({"model": {"id": MODEL}, "criterion": CRITERION}, told("x", **shared(weights="retrained"))),
        ({"model": {"id": MODEL}}, None),
    ],
    ids=["another criterion", "another model", "other weights of the name", "no criterion"],
)
def test_runs_of_another_question_are_not_listed(settings: Settings, request_of: Any, report: Any) -> None:
    publish(settings, inspect_report([card(1, 5, "plausible")]))
    publish_other(settings, "patch_report", report, request=request_of, at=1)
    assert [run.kind for run in parts_of(settings, model=sha("w")).runs] == ["inspect_report"]


def test_a_run_that_names_no_criterion_belongs_to_what_it_starts_from(settings: Settings) -> None:
    report = publish(settings, inspect_report([card(1, 5, "plausible")]))
    first = publish_other(settings, "summary", request={"reports": [report]}, at=1)
    publish_other(settings, "summary", request={"step": {"graph": first}}, at=2)
    publish_other(settings, "summary", request={"graph": "f" * 64}, at=3)
    assert [run.kind for run in parts_of(settings).runs] == ["summary", "summary", "inspect_report"]


def test_a_graph_of_one_prompt_is_listed_as_one_that_is_about_no_criterion(settings: Settings) -> None:
    publish(settings, inspect_report([card(1, 5, "plausible")]))
    report = shared() | {"headline": "Paris from France."}
    request = {"model": {"id": MODEL}, "prompt": "The capital of France is"}
    publish_other(settings, "attribution_graph", report, request=request, at=1, file="graph.json")
    graph, inspection = parts_of(settings).runs
    assert (graph.about, graph.headline) == ("model", "Paris from France.")
    assert inspection.about == "question"


def test_a_dossier_that_was_published_is_no_run(settings: Settings) -> None:
    publish(settings, inspect_report([card(1, 5, "plausible")]))
    before = parts_of(settings).runs
    whole(settings, publish=True)
    assert parts_of(settings).runs == before


def test_a_question_that_only_other_runs_asked_has_a_dossier(settings: Settings) -> None:
    publish_other(settings, "circuit", told("Three heads."))
    answer = whole(settings)
    assert answer.summary.startswith("No unit was graded")
    with Lab.open(settings, ALL) as lab:
        (entry,) = call(lab, "dossier", {}).dossiers
        with pytest.raises(errors.NoDossier):
            call(lab, "plan_evidence", {"model": MODEL, "criterion": CRITERION})
    assert (entry.model, entry.n_runs) == (MODEL, 1)


def test_what_other_runs_did_not_find_is_a_negative_result(settings: Settings) -> None:
    publish(settings, inspect_report([card(1, 5, "plausible")]))
    weak = told("Seven edges are no better than chance.", grade="weak", reasons=[{"code": "like_random", "text": "x"}])
    circuit = publish_other(settings, "circuit", weak, at=1)
    paths = [{"grade": "weak", "reasons": [{"code": "effect_like_control", "text": "x"}]}, {"grade": "validated"}]
    traced = publish_other(settings, "path_validation", told("One of two.", paths=paths), at=2)
    publish_other(settings, "steer_report", told("It works.", grade="validated", reasons=[]), at=3)
    found = parts_of(settings).negatives
    assert [(one.run, one.code) for one in found] == [(traced, "effect_like_control"), (circuit, "like_random")]
    assert found[0].text == "1 of 2 paths were not found to carry."


@pytest.mark.parametrize("capability", ["find_circuit", "patch_activations", "diff_models", "harvest"])
def test_a_job_that_was_cancelled_is_a_run_and_a_negative_result(settings: Settings, capability: str) -> None:
    publish(settings, inspect_report([card(1, 5, "plausible")]))
    named = "base" if capability == "diff_models" else "model"
    request = {named: {"id": MODEL}, "criterion": CRITERION}
    engine = JobEngine(settings)
    job = engine.submit(JobSpec(capability=capability, label="x", request=request, code_version="test"))
    engine.submit(JobSpec(capability=capability, label="x", request=request | {"criterion": "else"}, code_version="t"))
    engine.cancel(job.id)
    engine.close()
    parts = parts_of(settings)
    assert [(run.run, run.state) for run in parts.runs if run.state != "succeeded"] == [(job.id, "cancelled")]
    assert [(one.run, one.code) for one in parts.negatives] == [(job.id, "cancelled")]


SCORE: dict[str, Any] = {
    "kind": "detection",
    "n": 20,
    "n_groups": 18,
    "accuracy": 0.8,
    "interval": {"low": 0.6, "high": 0.92, "method": "test"},
    "chance": 0.5,
    "detectable": 0.75,
    "above_chance": True,
}


def explain(settings: Settings, unit: int, dictionary: str, text: str, **more: Any) -> None:
    record = make_record(f"c#{unit}", unit, (dictionary,), text, provenance="asserted", source="ada")
    record = type(record).model_validate(record.model_dump() | more)
    publish_other(settings, EXPLANATION_KIND, request={}, file=EXPLANATIONS_FILE, text=written([record]))


def test_explanations_of_its_latents_are_in_a_dossier_with_their_blind_scores(settings: Settings) -> None:
    found = card(1, 17, "plausible", address="resid_post.2/topk-256")
    publish(settings, inspect_report([found]), request={"dictionaries": [DICTIONARY]})
    explain(settings, 17, DICTIONARY, "names of people")
    explain(settings, 17, DICTIONARY, "names of women", scores=[SCORE], attempt=2)
    explain(settings, 17, "b" * 64, "the same latent of another dictionary")
    explain(settings, 18, DICTIONARY, "another latent")
    answer = whole(settings, publish=True)
    assert answer.parts is not None
    graded, not_graded = answer.parts.explanations
    assert (graded.text, graded.scores[0].accuracy, graded.attempt) == ("names of women", 0.8, 2)
    assert (not_graded.text, not_graded.scores) == ("names of people", ())
    assert graded.unit == answer.parts.claims[0].unit
    assert answer.counts is not None
    assert answer.counts.explanations == 2
    with Lab.open(settings, ALL) as lab:
        for name in ("dossier.html", "dossier.md"):
            page = lab.engine.artifacts.path_of(answer.artifacts[0].id, name).read_text("utf-8")
            assert "names of women" in page
            assert "0.800 [0.600, 0.920]" in page
            assert "not graded" in page
            assert "another latent" not in page
