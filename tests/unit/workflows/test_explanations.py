"""Explanations that are imported, kept, shown and found by their words."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from interp_lab.contracts.explain import ExplainLatentResult
from interp_lab.contracts.features import SearchFeaturesResult, ShowFeatureResult
from interp_lab.errors import EncoderMismatch, InvalidCondition, InvalidRequest, MalformedFile
from interp_lab.methods.blind_score import agreement, f1
from interp_lab.methods.text_similarity import TextVectors, cosines, lexical_vectors
from interp_lab.settings import Settings
from interp_lab_tools.call import call
from interp_lab_tools.lab import Lab
from interp_lab_tools.limits import ANSWER_CHARS
from interp_lab_tools.views import as_json
from tests.truth.feature_stores import ADDRESS, KILO, N_LATENTS, PLANTED, SPORTS, make_planted


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workspace = tmp_path_factory.mktemp("planted")
    make_planted(workspace)
    return workspace


@pytest.fixture
def lab(planted: Path, tmp_path: Path) -> Any:
    shutil.copytree(planted, tmp_path, dirs_exist_ok=True)
    settings = Settings(workspace=tmp_path, cpu_slots=1, gpu_slots=0, ballast_bytes=0, min_free_bytes=0)
    with Lab.open(settings, frozenset({"core", "explain"})) as opened:
        yield opened


def step(lab: Lab, **arguments: Any) -> ExplainLatentResult:
    answer = call(lab, "explain_latent", {"step": arguments})
    assert isinstance(answer, ExplainLatentResult)
    return answer


def show(lab: Lab, unit: int, **more: Any) -> ShowFeatureResult:
    answer = call(lab, "show_feature", {"store": "store", "dictionary": "sae", "unit": unit, **more})
    assert isinstance(answer, ShowFeatureResult)
    return answer


def search(lab: Lab, words: str, **more: Any) -> SearchFeaturesResult:
    answer = call(lab, "search_features", {"by": {"kind": "explanation", "words": words}, **more})
    assert isinstance(answer, SearchFeaturesResult)
    return answer


NEURONPEDIA = [
    {
        "index": str(PLANTED),
        "explanations": [
            {"description": "units of mass", "scores": [{"value": 0.9, "explanationScoreTypeName": "eleuther_fuzz"}]}
        ],
    },
    {"index": str(N_LATENTS), "explanations": [{"description": "no such latent"}]},
]
FORMS: dict[str, Any] = {
    "neuronpedia.json": NEURONPEDIA,
    "explanations.json": {"explanations": [{"index": PLANTED, "description": "units of mass"}, {"index": 3}]},
    "nla.json": {"features": [{"feature_id": f"L1:F{PLANTED}", "metadata": {"nla_explanation": "units of mass"}}, 7]},
    "map.json": {f"layers.1_latent{PLANTED}": "units of mass", "nobody": "a text of no latent"},
}


@pytest.mark.parametrize("name", FORMS)
def test_explanations_of_other_tools_are_kept_as_imported_and_what_has_no_latent_is_counted(
    lab: Lab, name: str
) -> None:
    (lab.settings.workspace / name).write_text(json.dumps(FORMS[name]))
    result = step(lab, kind="import", path=name, dictionary="sae")
    assert (result.n_imported, result.n_skipped) == (1, 1)
    (said,) = show(lab, PLANTED).explanations
    assert said.startswith("“units of mass” (imported;")
    assert show(lab, SPORTS).explanations == ()


def test_lines_and_the_one_text_files_of_delphi_are_read(lab: Lab) -> None:
    folder = lab.settings.workspace
    (folder / "many.jsonl").write_text('{"id": 12, "text": "five things", "confidence": 0.4}\n')
    (folder / f"layers.1_latent{SPORTS}.txt").write_text(json.dumps("talk of sports"))
    step(lab, kind="import", path="many.jsonl", dictionary="sae")
    step(lab, kind="import", path=f"layers.1_latent{SPORTS}.txt", dictionary="sae")
    assert "many.jsonl reports confidence 0.4" in show(lab, 12).explanations[0]
    assert show(lab, SPORTS).explanations[0].startswith("“talk of sports”")


@pytest.mark.parametrize("text", ["[]", '{"a": "b"}', '[{"index": true, "text": "yes"}]', "{"])
def test_a_file_without_any_explanation_is_refused(lab: Lab, text: str) -> None:
    (lab.settings.workspace / "bad.json").write_text(text)
    with pytest.raises(MalformedFile):
        step(lab, kind="import", path="bad.json", dictionary="sae")


def test_a_graded_explanation_stands_before_others_on_the_card_and_its_page(lab: Lab) -> None:
    latent = {"store": "store", "dictionary": "sae", "unit": PLANTED}
    step(lab, kind="submit", latent=latent, explanation="something else entirely", n_items=8)
    challenge = step(lab, kind="submit", latent=latent, explanation="the unit kilo", n_items=8).challenge
    assert challenge is not None
    labels = {
        "detection": [KILO in text for text in challenge.detection],
        "fuzzing": [f"⟦{KILO}⟧" in text for text in challenge.fuzzing],
        "intruder": [1 for _ in challenge.intruder],
    }
    step(lab, kind="label", challenge=challenge.id, **labels)
    card = show(lab, PLANTED, html=True)
    assert card.explanations[0].startswith("“the unit kilo” (asserted; detection 1.00 [")
    assert card.explanations[1] == "“something else entirely” (asserted; not graded)"
    page = lab.engine.artifacts.read_file(card.artifacts[0].id, "card.html").decode()
    assert "the unit kilo" in page
    assert card.agent_next_actions[0].tool == "explain_latent"
    evidence = call(lab, "explain_latent", card.agent_next_actions[0].arguments)
    assert len(json.dumps(as_json(evidence))) <= 4300
    assert evidence.agent_next_actions[0].arguments["step"]["rule"] == {"one_of": [KILO]}


def test_the_evidence_says_of_itself_that_it_is_heuristic_and_shows_no_held_out_prompt(lab: Lab) -> None:
    result = step(lab, kind="evidence", latent={"store": "store", "unit": SPORTS, "column": "resid_post.1/sae"})
    assert result.evidence is not None
    assert result.evidence.heuristic.startswith("Heuristic, from counts only")
    assert all(context.value == 0 for context in result.evidence.near_misses)
    assert {context.token for context in result.evidence.near_misses} <= {
        token.token for token in result.evidence.tokens
    }


def test_the_largest_challenge_stays_within_the_lab_limit(lab: Lab) -> None:
    for unit in (SPORTS, 12):
        latent = {"store": "store", "unit": unit, "column": "resid_post.1/sae"}
        answer = step(lab, kind="submit", latent=latent, explanation="any", n_items=40)
        assert len(json.dumps(as_json(answer))) <= ANSWER_CHARS


def test_coordinates_and_patterns_that_are_none_are_refused(lab: Lab) -> None:
    with pytest.raises(InvalidRequest):
        step(lab, kind="evidence", latent={"store": "store", "unit": 1, "column": ADDRESS})
    latent = {"store": "store", "dictionary": "sae", "unit": PLANTED}
    with pytest.raises(InvalidCondition):
        step(lab, kind="breaks", latent=latent, rule={"matches": "("})


def test_words_find_the_explanation_that_shares_them(lab: Lab) -> None:
    (lab.settings.workspace / "x.json").write_text(json.dumps({"1": "names of cities", "2": "units of measurement"}))
    step(lab, kind="import", path="x.json", dictionary="sae")
    found = search(lab, "a measured unit", dictionaries=["sae"])
    assert found.table.rows[0][0] == "resid_post.1#2"
    assert found.facts["encoder"] == lexical_vectors([]).encoder
    assert found.agent_next_actions[0].arguments == {"dictionary": "sae", "unit": 2}
    assert search(lab, "qqq zzz").total == 0


def test_vectors_of_two_encoders_are_never_compared() -> None:
    left = lexical_vectors(["one text", "", "one text"])
    assert cosines(left, left)[0] == pytest.approx([1, 0, 1], abs=1e-6)
    with pytest.raises(EncoderMismatch):
        cosines(left, TextVectors("another", left.vectors))


def test_agreement_weighs_the_classes_and_widens_for_rows_of_one_group() -> None:
    truth = np.array([1] * 8 + [0] * 2)
    right = np.array([1] * 8 + [0] * 2)
    apart = agreement(right, truth, np.arange(10), chance=0.5)
    assert apart.accuracy == pytest.approx(0.5)
    mixed = np.array([1, 0] * 10)
    alone = agreement(mixed, np.zeros(20), np.arange(20), chance=0.5)
    joined = agreement(mixed, np.zeros(20), np.repeat(np.arange(5), 4)[np.argsort(np.tile([0, 1], 10))], chance=0.5)
    assert joined.high - joined.low > alone.high - alone.low
    assert f1([True, True, False], [True, False, False]) == pytest.approx(2 / 3)
    assert f1([False], [False]) == 0
