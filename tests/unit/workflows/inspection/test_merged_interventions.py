"""Interventions given to an inspection: what carries every needed field moves a grade, what lacks one does not."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from interp_lab.contracts.inspect import InspectRequest
from interp_lab.contracts.inspect_causal import CausalEdit
from interp_lab.contracts.inspect_report import CoordinateCard, InspectReport
from interp_lab.errors import InvalidRequest, MalformedFile
from interp_lab.evidence.looks import corrected_q
from interp_lab.evidence.split import Part
from interp_lab.jobs.run import LocalRun
from interp_lab.reports.html import render_html
from interp_lab.reports.markdown import render_markdown
from interp_lab.settings import Settings
from interp_lab.workflows.inspect import inspect
from interp_lab.workflows.inspection.measure import design
from interp_lab.workflows.inspection.recorded import open_recorded

N, WIDTH, PLANTED = 120, 31, 7
WORDS = ["river", "stone", "cloud", "paper", "glass", "copper", "garden", "winter", "signal", "market", "engine"]
FEATURE = f"L2:D{PLANTED}"
CRITERION = "A planted thing."

Row = dict[str, Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(3)
    values = np.abs(rng.normal(size=(N, WIDTH)))
    values[:, PLANTED] += 1.5 * (np.arange(N) % 2)
    lines = [
        {
            "model": "m",
            "prompt_id": f"p{i}",
            "text": " ".join(rng.choice(WORDS, 6)) + f" number {i}x",
            "criterion_score": float(i % 2),
            "features": {f"L2:D{unit}": float(values[i, unit]) for unit in range(WIDTH)},
        }
        for i in range(N)
    ]
    (tmp_path / "records.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return tmp_path


def rows(effect: float = 0.4, *, control: str | None = "random", **metadata: Any) -> list[Row]:
    """Ablations of the planted feature on every positive, beside a control that does nothing in particular."""
    rng = np.random.default_rng(1)
    made: list[Row] = []
    for i in range(1, N, 2):
        base = 0.5 + 0.05 * float(rng.normal())
        common = {"model": "m", "feature_id": FEATURE, "intervention": "ablate", "criterion": "a planted thing"}
        common |= {"prompt_id": f"p{i}", "baseline_score": base}
        told = {"behavior_score": "logit_difference", "side_effect_upper": 0.02, **metadata}
        made.append({**common, "intervention_score": base - effect - 0.05 * float(rng.normal()), "metadata": told})
        if control is not None:
            shift = 0.05 * float(rng.normal())
            made.append({**common, "intervention_score": base - shift, "metadata": {**told, "control_type": control}})
    return made


def merged(folder: Path, *files: Iterable[Row], **asked: Any) -> tuple[CoordinateCard, InspectReport]:
    names: list[str] = []
    for number, lines in enumerate(files):
        names.append(f"edits{number}.jsonl")
        (folder / names[-1]).write_text("\n".join(json.dumps(line) for line in lines))
    given = {"model": "m", "criterion": CRITERION, "evidence": "records:records.jsonl", "interventions": names}
    run = LocalRun(folder / "out")
    inspect(
        InspectRequest.model_validate(given | asked), run, settings=Settings(workspace=folder), suggest=lambda _: ()
    )
    report = InspectReport.model_validate_json((run.written[-1] / "report.json").read_text())
    card = next(card for card in report.coordinates if card.name == FEATURE)
    return card, report


def only(card: CoordinateCard) -> CausalEdit:
    (edit,) = card.causal
    return edit


def test_controlled_records_on_both_halves_validate(folder: Path) -> None:
    card, report = merged(folder, rows())
    edit = only(card)
    assert card.association_grade == "needs_causal_evidence"
    assert card.grade == "validated", card.reasons
    assert edit.counts
    assert edit.reasons == ("effect_confirmed",)
    assert edit.provenance == "imported"
    assert [figure.part for figure in edit.figures] == ["explore", "confirm"]
    for figure in edit.figures:
        assert figure.effect == pytest.approx(0.4, abs=0.05)
        assert abs(figure.controls["random"]) < 0.05
        assert figure.interval.low > 0.3
        assert figure.n_prompts == 30
    assert "raises logit_difference by 0." in report.headline
    assert "(imported)" in report.headline


def test_the_effect_is_that_of_the_confirm_rows_alone(folder: Path) -> None:
    given = rows()
    card, _ = merged(folder, given)
    effects = [line for line in given if "control_type" not in line["metadata"]]
    mean = np.mean([line["baseline_score"] - line["intervention_score"] for line in effects])
    explore, confirm = only(card).figures
    assert (explore.effect * explore.n_prompts + confirm.effect * confirm.n_prompts) / 60 == pytest.approx(mean, 1e-4)


LACKING: Mapping[str, tuple[list[Row], str]] = {
    "no control": (rows(control=None), "effect_without_controls"),
    "only a placebo": (rows(control="placebo"), "effect_without_controls"),
    "only the opposite edit": (rows(control="negative_control"), "effect_without_controls"),
    "a control as large": (
        [{**r, "intervention_score": r["baseline_score"] - 0.4} for r in rows()],
        "effect_like_control",
    ),
    "a strength chosen on all rows": (rows(strength_sweep=[{}, {}]), "strength_chosen_on_graded_rows"),
    "no criterion": ([{**r, "criterion": None} for r in rows()], "criterion_not_named"),
    "other prompts": ([{**r, "prompt_id": r["prompt_id"] + "x"} for r in rows()], "intervention_on_other_prompts"),
    "some other prompts": ([*rows(), {**rows()[0], "prompt_id": "stranger"}], "intervention_on_other_prompts"),
    "no prompts": ([{**r, "prompt_id": None} for r in rows()], "intervention_on_other_prompts"),
    "nothing of side effects": (
        [{**r, "metadata": {k: v for k, v in r["metadata"].items() if k != "side_effect_upper"}} for r in rows()],
        "intervention_lacks_fields",
    ),
    "a metric that its writer found stuck": (rows(metric_can_move=False), "metric_cannot_move"),
    "parts of another split": (rows(part="explore"), "intervention_on_other_prompts"),
    "confirm prompts asked ever again": (rows(earlier_looks=10**390), "effect_like_control"),
    "large side effects": (rows(side_effect_upper=0.5), "side_effects"),
    "a saturated probability": (
        [
            {**r, "baseline_score": 0.95, "intervention_score": 0.95 + r["intervention_score"] - r["baseline_score"]}
            for r in rows(behavior_score="target_token_probability_mass")
        ],
        "metric_cannot_move",
    ),
}


@pytest.mark.parametrize("what", LACKING)
def test_records_that_lack_something_move_no_grade(folder: Path, what: str) -> None:
    given, code = LACKING[what]
    card, report = merged(folder, given)
    assert card.grade == card.association_grade == "needs_causal_evidence"
    assert not only(card).counts
    assert code in only(card).reasons
    assert code in {reason.code for reason in card.reasons}
    assert "do not show that it is a cause" in report.headline


def test_the_mean_shift_of_the_peer_is_no_upper_bound(folder: Path) -> None:
    """Its records repeat a mean over negatives, which says nothing of how far one may lie from it."""
    given = [{**row, "side_effect_score": 0.0} for row in rows(side_effect_upper=None)]
    card, _ = merged(folder, given)
    assert only(card).reasons == ("intervention_lacks_fields",)


def test_runs_on_negatives_give_the_side_effect(folder: Path) -> None:
    given = rows(side_effect_upper=None)
    quiet = [
        {**rows()[0], "prompt_id": f"p{i}", "intervention_score": rows()[0]["baseline_score"] + 0.01 * (i % 3)}
        for i in range(0, N, 2)
    ]
    card, _ = merged(folder, [*given, *quiet])
    assert card.grade == "validated"
    assert only(card).side_effect == pytest.approx(0.0125, abs=0.005)


def test_the_strength_is_chosen_on_explore_rows(folder: Path) -> None:
    """A strength that is large on confirm rows only is not the one that is graded."""
    explore = set(_ids(folder, "explore"))
    weak = rows(0.2, requested_strength=1.0)
    trap = [
        line | {"intervention_score": line["baseline_score"] - (0.0 if line["prompt_id"] in explore else 5.0)}
        for line in rows(requested_strength=2.0)
        if "control_type" not in line["metadata"]
    ]
    trap += [line for line in rows(requested_strength=2.0) if "control_type" in line["metadata"]]
    card, _ = merged(folder, [*weak, *trap])
    edit = only(card)
    assert edit.strength == 1.0
    assert edit.figures[1].effect == pytest.approx(0.2, abs=0.05)
    assert [dose.strength for dose in edit.doses] == [1.0, 2.0]


def _ids(folder: Path, part: Part) -> list[str]:
    request = InspectRequest.model_validate({"model": "m", "criterion": CRITERION, "evidence": "records:records.jsonl"})
    recorded = open_recorded(request, Settings(workspace=folder))
    plan = design(recorded)
    return [recorded.prompts.ids()[i] for i in plan.split.rows(part)]


def test_opposite_effects_contradict_and_opposite_words_do_not(folder: Path) -> None:
    up = [{**r, "intervention": "amplify"} for r in rows(-0.4)]  # amplifying raises the score: the same sign
    assert merged(folder, rows(), up)[0].grade == "validated"
    down = [{**r, "intervention": "amplify"} for r in rows(0.4)]
    card, _ = merged(folder, rows(), down)
    assert card.grade == "contradicted"
    assert "effects_disagree" in {reason.code for reason in card.reasons}


def test_uncontrolled_opposite_effects_do_not_contradict(folder: Path) -> None:
    down = [{**r, "intervention": "amplify"} for r in rows(0.4, control=None)]
    assert merged(folder, rows(), down)[0].grade == "validated"


def test_a_direction_that_was_turned_before_it_was_steered_keeps_its_sign(folder: Path) -> None:
    steered = [{**r, "intervention": "steer"} for r in rows(-0.4)]
    turned = [{**r, "intervention": "steer"} for r in rows(0.4, steer_sign=-1.0)]
    for given in (steered, turned):
        assert only(merged(folder, given)[0]).figures[1].effect == pytest.approx(0.4, abs=0.05)


def test_records_of_another_criterion_or_model_are_left_out_and_counted(folder: Path) -> None:
    others = [{**r, "criterion": "something else", "intervention_score": 9.0} for r in rows()]
    others += [{**r, "model": "other", "intervention_score": 9.0} for r in rows()]
    card, report = merged(folder, [*rows(), *others])
    assert only(card).figures[1].effect == pytest.approx(0.4, abs=0.05)
    assert any("criterion 'something else' (120)" in note and "model 'other' (120)" in note for note in report.caveats)


def test_a_file_about_another_criterion_is_refused(folder: Path) -> None:
    with pytest.raises(InvalidRequest, match="something else"):
        merged(folder, [{**r, "criterion": "something else"} for r in rows()])


def test_a_line_that_is_no_record_is_named(folder: Path) -> None:
    with pytest.raises(MalformedFile, match="line 2"):
        merged(folder, [rows()[0], {"feature_id": FEATURE}])


def test_an_edited_feature_is_described_whatever_its_rank(folder: Path) -> None:
    given = [{**r, "feature_id": "L2:D3"} for r in rows()]
    card, report = merged(folder, given, top_k=1)
    assert card.causal == ()
    other = report.coordinates[1]
    assert (other.name, other.grade, other.association_grade) == ("L2:D3", "weak", "weak")
    assert other.rank > 1
    assert only(other).counts
    assert "effect_confirmed" in {reason.code for reason in other.reasons}


def test_a_feature_that_is_not_ranked_is_named(folder: Path) -> None:
    _, report = merged(folder, [{**r, "feature_id": "L9:D4"} for r in rows()])
    assert any("L9:D4" in note and "move no grade" in note for note in report.caveats)


def test_an_edit_counts_over_all_effects_of_its_file(folder: Path) -> None:
    """Q is over every feature and edit of the file, so that a lucky one among many does not pass."""
    alone = only(merged(folder, rows(0.03))[0]).figures[1].q_value
    noise = [{**r, "feature_id": f"L2:D{k}"} for k in range(20, 30) for r in rows(0.0)]
    among = only(merged(folder, [*rows(0.03), *noise])[0]).figures[1].q_value
    assert alone is not None
    assert among is not None
    assert among > alone


def test_earlier_looks_of_the_writer_count_in_q_of_confirm_rows_alone(folder: Path) -> None:
    fresh, looked = (only(merged(folder, rows(0.03, earlier_looks=n))[0]).figures for n in (0, 2))
    assert [figure.q_value for figure in looked] == [
        fresh[0].q_value,
        pytest.approx(corrected_q(fresh[1].q_value or 0.0, 2)),
    ]


def test_the_split_that_the_writer_names_may_be_that_of_the_inspection(folder: Path) -> None:
    explore = set(_ids(folder, "explore"))
    given = rows()
    for row in given:
        row["metadata"] |= {"part": "explore" if row["prompt_id"] in explore else "confirm"}
    assert merged(folder, given)[0].grade == "validated"


def test_pages_show_the_interventions(folder: Path) -> None:
    given = [*rows(0.2, requested_strength=1.0), *rows(0.4, requested_strength=2.0)]
    _, report = merged(folder, given)
    page, text = render_html(report), render_markdown(report)
    for shown in (page, text):
        assert "edits0.jsonl" in shown
        assert "effect_confirmed" in shown
        assert "imported" in shown
    assert page.count('aria-label="Effect over strength') == 1
    assert 'data-at="causal/0/figures/1/effect"' in page


def test_the_headline_and_the_layer_profile_say_the_same_of_a_coordinate_that_falls(folder: Path) -> None:
    lines = [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]
    for line in lines:
        line["criterion_score"] = 1.0 - line["criterion_score"]
    (folder / "records.jsonl").write_text("\n".join(map(json.dumps, lines)))
    run = LocalRun(folder / "out")
    asked = {"model": "m", "criterion": CRITERION, "evidence": "records:records.jsonl"}
    inspect(InspectRequest.model_validate(asked), run, settings=Settings(workspace=folder), suggest=lambda _: ())
    report = InspectReport.model_validate_json((run.written[-1] / "report.json").read_text())
    first = report.coordinates[0]
    assert first.sign == -1
    assert first.confirm is not None
    assert first.confirm.auroc.value < 0.3
    (layer,) = [row for row in report.layers if row.address == first.address]
    assert "is lower where" in report.headline
    assert f"AUROC {layer.best_confirm_auroc:.2f} [" in report.headline


def test_of_several_criteria_each_is_given_the_interventions_on_it(folder: Path) -> None:
    lines = [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]
    for place, line in enumerate(lines):
        line["metadata"] = {"labels": {"third": place % 3 == 0}}
    (folder / "records.jsonl").write_text("\n".join(map(json.dumps, lines)))
    both = [*rows(), *({**row, "criterion": "Every third"} for row in rows(0.01))]
    also = [{"criterion": "every  third", "label": "third"}]
    _, report = merged(folder, both, also=also)
    assert report.criterion == also[0]["criterion"]  # published last
    (other,) = next(card.causal for card in report.coordinates if card.name == FEATURE)
    first = json.loads(_first_report(folder).read_text())
    (mine,) = next(card["causal"] for card in first["coordinates"] if card["name"] == FEATURE)
    assert mine["figures"][-1]["effect"] == pytest.approx(0.4, abs=0.05)
    assert other.figures[-1].effect == pytest.approx(0.01, abs=0.05)
    assert not any("left out" in line for line in (*report.caveats, *first["caveats"]))


def test_interventions_on_a_criterion_that_is_not_asked_are_refused_beside_several(folder: Path) -> None:
    foreign = [{**row, "criterion": "something else"} for row in rows()]
    with pytest.raises(InvalidRequest, match="something else"):
        merged(folder, foreign, also=[{"criterion": "every third", "label": "third"}])


def _first_report(folder: Path) -> Path:
    return next(
        path for path in (folder / "out").rglob("report.json") if json.loads(path.read_text())["criterion"] == CRITERION
    )
