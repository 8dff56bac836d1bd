"""A local inference model reads the labels of prompts: its number is a model score, and never fetched or a label."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from interp_lab.contracts.jobs import JobView
from interp_lab.contracts.score_prompts import SCORES_FILE, WHAT_IT_IS, ScorePromptsRequest, ScorePromptsResult
from interp_lab.errors import IncompleteWeights, LabError, NoEntailmentLabel, NotOnThisMachine, OneSidedPrompts
from interp_lab.jobs.run import LocalRun
from interp_lab.models.text_files import entailment_label
from interp_lab.settings import Settings
from interp_lab.workflows.score_prompts import score_prompts
from interp_lab_tools.catalogue import BY_NAME
from interp_lab_tools.dispatch import dispatch
from interp_lab_tools.lab import Lab
from tests.unit.workflows.texts.tiny_text_models import HYPOTHESIS, save_classifier, save_encoder

THINGS = ("cup", "key", "map", "pen", "jar", "hat", "bag", "coat")
ROWS = [
    *({"id": f"p-{t}", "text": f"please hand me the {t}", "score": 1, "group": f"p{t}"} for t in THINGS),
    *({"id": f"n-{t}", "text": f"hand me that {t} now", "score": 0, "group": f"n{t}"} for t in THINGS),
]
WRONG = {"id": "wrong", "text": "please give me that key", "score": 0, "group": "w"}


@pytest.fixture(scope="module")
def classifiers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    save_classifier(root / "nli")
    save_classifier(root / "random", trained=False)
    save_encoder(root / "encoder")
    return root


@pytest.fixture
def settings(tmp_path: Path, classifiers: Path) -> Settings:
    return Settings(workspace=tmp_path, read_roots=(classifiers,), offline=True)


def ask(classifiers: Path, name: str = "nli", rows: Any = ROWS, **more: Any) -> ScorePromptsRequest:
    asked = {"model": str(classifiers / name), "dataset": {"prompts": rows}, "criterion": HYPOTHESIS}
    return ScorePromptsRequest.model_validate(asked | more)


def run(request: ScorePromptsRequest, settings: Settings) -> tuple[ScorePromptsResult, list[dict[str, Any]]]:
    out = settings.workspace / "out"
    with LocalRun(out, workspace=settings.workspace) as running:
        result = score_prompts(request, running, settings=settings)
    (file,) = out.rglob(SCORES_FILE)
    return result, [json.loads(line) for line in file.read_text().splitlines()]


def test_a_classifier_that_knows_the_criterion_agrees_and_names_the_mislabelled_row(
    settings: Settings, classifiers: Path
) -> None:
    result, lines = run(ask(classifiers, rows=[*ROWS, WRONG]), settings)
    assert result.auroc is not None
    assert result.interval is not None
    assert result.auroc > 0.9
    assert result.interval.low > 0.5
    assert [row.id for row in result.doubtful] == ["wrong"]
    assert result.doubtful[0].model_score > 0.5
    assert (result.n_prompts, result.n_groups, result.n_cut) == (17, 17, 0)
    assert [line["prompt_id"] for line in lines] == [row["id"] for row in [*ROWS, WRONG]]


def test_a_classifier_that_learned_nothing_does_not_tell_the_sides_apart(settings: Settings, classifiers: Path) -> None:
    result, _ = run(ask(classifiers, "random"), settings)
    assert abs(result.mean_positive - result.mean_negative) < 0.1


def test_every_number_says_that_it_is_a_model_score(settings: Settings, classifiers: Path) -> None:
    result, lines = run(ask(classifiers), settings)
    assert result.kind == "model_score"
    assert WHAT_IT_IS in result.summary
    assert {line["kind"] for line in lines} == {"model_score"}
    assert {line["scored_by"] for line in lines} == {result.scored_by}
    assert not {"score", "label"} & set(lines[0])
    assert len(result.scored_by.rpartition("@")[2]) == 64


def test_scores_equal_the_softmax_that_transformers_gives_for_each_pair_alone(
    settings: Settings, classifiers: Path
) -> None:
    _, lines = run(ask(classifiers), settings)
    model = AutoModelForSequenceClassification.from_pretrained(classifiers / "nli")
    tokenizer = AutoTokenizer.from_pretrained(classifiers / "nli")
    for row, line in zip(ROWS, lines, strict=True):
        inputs = tokenizer(row["text"], "It is asked politely.", return_tensors="pt")
        with torch.inference_mode():
            alone = torch.softmax(model(**inputs).logits, -1)[0, 2].item()
        assert line["model_score"] == pytest.approx(alone, abs=1e-5)


def test_prompts_that_are_too_long_are_counted_and_the_hypothesis_stays_whole(
    settings: Settings, classifiers: Path
) -> None:
    long = {"id": "long", "text": "please " + "cup " * 60, "score": 1, "group": "l"}
    result, _ = run(ask(classifiers, rows=[*ROWS, long]), settings)
    assert result.n_cut == 1
    assert any("only in part" in warning for warning in result.warnings)


@pytest.mark.parametrize(
    ("labels", "index"),
    [
        (["contradiction", "neutral", "entailment"], 2),
        (["ENTAILMENT", "NEUTRAL", "CONTRADICTION"], 0),
        (["entailment", "not_entailment"], 0),
        (["non-entailment", "entailed"], 1),
        (["no entailment", "Entailment"], 1),
    ],
)
def test_the_label_that_says_entailment_is_read_from_the_configuration(
    tmp_path: Path, labels: list[str], index: int
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"id2label": dict(enumerate(labels))}))
    assert entailment_label(tmp_path) == (index, labels[index])


@pytest.mark.parametrize(
    "labels", [["LABEL_0", "LABEL_1"], ["entailment", "weak entailment"], ["entailment"], [], ["not_entailment", "x"]]
)
def test_labels_that_do_not_tell_are_refused_by_name_and_can_be_named(tmp_path: Path, labels: list[str]) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"id2label": dict(enumerate(labels))}))
    with pytest.raises(NoEntailmentLabel, match=labels[0] if labels else "none"):
        entailment_label(tmp_path)
    if len(labels) > 1:
        assert entailment_label(tmp_path, labels[1].upper()) == (1, labels[1])
    with pytest.raises(NoEntailmentLabel):
        entailment_label(tmp_path, "another")


def dry(request: dict[str, Any], settings: Settings) -> JobView:
    with Lab.open(settings, frozenset({"core", "evidence"})) as lab:
        view = dispatch(lab, "score_prompts", request | {"dry_run": True})
    assert isinstance(view, JobView)
    return view


def test_a_classifier_that_is_not_here_is_never_fetched(settings: Settings, classifiers: Path) -> None:
    online = Settings(workspace=settings.workspace, offline=False)
    request = ask(classifiers).model_dump(mode="json", exclude_defaults=True) | {"model": "someone/no-such-model"}
    with pytest.raises(NotOnThisMachine, match="not on this machine"):
        dry(request, online)


def test_a_dry_run_says_what_will_be_asked_and_starts_nothing(settings: Settings, classifiers: Path) -> None:
    view = dry(ask(classifiers).model_dump(mode="json", exclude_defaults=True), settings)
    assert view.state == "planned"
    assert view.plan == {"n_prompts": 16, "hypothesis": "It is asked politely.", "entailment_label": "entailment"}


def test_what_is_no_classifier_is_refused(settings: Settings, classifiers: Path) -> None:
    with pytest.raises(NoEntailmentLabel):
        run(ask(classifiers, "encoder"), settings)
    named = settings.workspace / "named"
    shutil.copytree(classifiers / "encoder", named)
    config = json.loads((named / "config.json").read_text()) | {"id2label": {"0": "entailment", "1": "neutral"}}
    (named / "config.json").write_text(json.dumps(config))
    with pytest.raises(IncompleteWeights, match=r"of a classifier, among them bert\.pooler"):
        run(ask(settings.workspace, "named"), settings)
    with pytest.raises(OneSidedPrompts):
        run(ask(classifiers, rows=ROWS[:8]), settings)
    with pytest.raises(LabError):
        run(ask(classifiers, "nothing"), settings)


def test_nothing_that_grades_has_a_place_for_a_model_score() -> None:
    for name in ("inspect", "intervene", "audit_prompts", "register_hypothesis"):
        assert "model_score" not in json.dumps(BY_NAME[name].result.model_json_schema())
