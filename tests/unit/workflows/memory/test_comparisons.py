"""compare_runs: what changed in the inputs, how far ranks agree, which grades moved, differences with intervals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from interp_lab import errors
from interp_lab.contracts.run_comparison import CompareRunsResult
from interp_lab.methods.difference import Estimate, difference_of
from interp_lab.settings import Settings
from interp_lab_tools.call import call
from interp_lab_tools.catalogue import BY_NAME, CAPABILITIES
from interp_lab_tools.lab import Lab
from tests.unit.workflows.memory.past_runs import (
    card,
    edit_card,
    inspect_report,
    intervene_report,
    publish,
    unit_card,
    workspace,
)

ALL = frozenset(capability.toolset for capability in CAPABILITIES)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return workspace(tmp_path)


def compare(settings: Settings, left: str, right: str, **options: Any) -> CompareRunsResult:
    with Lab.open(settings, ALL) as lab:
        answer = call(lab, "compare_runs", {"left": left, "right": right, **options})
    assert isinstance(answer, CompareRunsResult)
    for action in answer.agent_next_actions:
        BY_NAME[action.tool].request.model_validate(action.arguments)
    return answer


def two(settings: Settings, ours: list[Any], theirs: list[Any], **options: Any) -> tuple[str, str]:
    left = publish(settings, inspect_report(ours))
    return left, publish(settings, inspect_report(theirs, **options), at=5)


def test_a_report_beside_itself_has_changed_in_nothing(settings: Settings) -> None:
    cards = [card(rank, rank, "plausible", auroc=0.9 - rank / 50) for rank in range(1, 6)]
    left, right = two(settings, cards, cards)
    found = compare(settings, left, right)
    assert found.changed == ()
    assert found.agreement.spearman == 1.0
    assert found.agreement.top_overlap == 1.0
    assert (found.n_grade_changes, found.n_beyond_uncertainty, found.agreement.sign_flips) == (0, 0, 0)
    assert all(row.difference == 0 for row in found.units)
    assert "nothing in the inputs" in found.summary


def test_what_moved_is_listed_first_with_what_was_different(settings: Settings) -> None:
    ours = [card(1, 1, "plausible", auroc=0.9), card(2, 2, "needs_causal_evidence", auroc=0.85, confirm=0.9)]
    theirs = [card(1, 1, "plausible", auroc=0.88), card(2, 2, "weak", auroc=0.7, confirm=0.52)]
    left, right = two(settings, ours, theirs, dataset="other prompts", seed=3)
    found = compare(settings, left, right)
    assert {change.what for change in found.changed} == {"prompts", "seed"}
    assert any("Several inputs" in warning for warning in found.warnings)
    first = found.units[0]
    assert (first.unit, first.left_grade, first.right_grade) == ("resid_post.2 #2", "needs_causal_evidence", "weak")
    assert first.interval is not None
    assert first.interval.high < 0
    assert found.n_beyond_uncertainty == 1
    assert found.n_grade_changes == 1


def test_settings_versions_and_dictionaries_that_differ_are_named(settings: Settings) -> None:
    report = inspect_report([card(1, 1, "plausible")])
    newer = report.run.model_copy(update={"code_version": "newer", "packages": {"torch": "9"}})
    left = publish(settings, report, request={"pooling": "max"}, inputs={"dictionary d": "one"})
    right = publish(
        settings, report.model_copy(update={"run": newer}), request={"pooling": "last"}, inputs={"dictionary d": "two"}
    )
    changed = {change.what for change in compare(settings, left, right).changed}
    assert changed == {"code", "package torch", "setting pooling", "dictionary d"}


def test_effects_are_compared_in_their_own_unit(settings: Settings) -> None:
    ids = [
        publish(settings, intervene_report([unit_card("resid_post.2 #5", grade, [edit_card(effect)])]), at=at)
        for at, (grade, effect) in enumerate((("validated", 1.0), ("validated", 0.9), ("contradicted", -1.0)))
    ]
    near, far = compare(settings, ids[0], ids[1]), compare(settings, ids[0], ids[2])
    assert near.units[0].unit_of_value == "logits"
    assert near.n_beyond_uncertainty == 0
    assert (far.n_beyond_uncertainty, far.agreement.sign_flips) == (1, 1)


@pytest.mark.parametrize("change", ["weights", "criterion", "model"])
def test_reports_of_different_questions_are_refused_unless_told(settings: Settings, change: str) -> None:
    report = inspect_report([card(1, 1, "plausible")])
    other = {
        "weights": report.model_copy(update={"model": report.model.model_copy(update={"weights_sha256": "0" * 64})}),
        "criterion": report.model_copy(update={"criterion": "something else"}),
        "model": report.model_copy(update={"model": report.model.model_copy(update={"id": "builtin:pocket-gpt2"})}),
    }[change]
    left, right = publish(settings, report), publish(settings, other, at=5)
    with pytest.raises(errors.DifferentQuestions, match=change):
        compare(settings, left, right)
    told = compare(settings, left, right, allow_different=True)
    assert not told.same_question
    assert "different questions" in told.warnings[0]
    assert told.changed[0].what == change


def test_a_ranking_and_an_intervention_are_never_compared(settings: Settings) -> None:
    left = publish(settings, inspect_report([card(1, 5, "plausible")]))
    right = publish(settings, intervene_report([unit_card("resid_post.2 #5", "validated", [edit_card(1.0)])]))
    with pytest.raises(errors.DifferentQuestions):
        compare(settings, left, right, allow_different=True)


def test_latents_of_two_dictionaries_of_one_shape_are_not_taken_for_each_other(settings: Settings) -> None:
    found = card(1, 17, "plausible", address="resid_post.2/topk-256")
    left = publish(settings, inspect_report([found]), request={"dictionaries": ["a" * 64]})
    right = publish(settings, inspect_report([found]), request={"dictionaries": ["b" * 64]}, at=5)
    answer = compare(settings, left, right)
    assert answer.units == ()
    assert answer.agreement.n_shared == 0
    assert (answer.n_left_only, answer.n_right_only) == (1, 1)


def test_the_interval_of_a_difference_is_the_textbook_one_for_normal_estimates_and_covers() -> None:
    found = difference_of(Estimate(3.0, 2.0, 4.0), Estimate(1.0, 0.0, 2.0))
    assert found.value == 2.0
    assert found.low == pytest.approx(2 - np.sqrt(2))
    assert found.high == pytest.approx(2 + np.sqrt(2))
    rng = np.random.default_rng(5)
    a, b = rng.normal(0.3, 1.0, (4000, 40)), rng.normal(0.0, 2.0, (4000, 40))
    half = [1.96 * x.std(axis=1, ddof=1) / np.sqrt(40) for x in (a, b)]
    means = a.mean(axis=1), b.mean(axis=1)
    inside = [
        (d := difference_of(Estimate(m, m - h, m + h), Estimate(n, n - k, n + k))).low <= 0.3 <= d.high
        for m, h, n, k in zip(means[0], half[0], means[1], half[1], strict=True)
    ]
    assert 0.93 < np.mean(inside) < 0.97
