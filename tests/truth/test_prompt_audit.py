"""The audit of prompt sets: shortcuts that are there are found, and none where there is none."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from interp_lab.contracts.prompt_audit import AuditPromptsRequest, PromptAudit
from interp_lab.contracts.prompts import InlinePrompts, ScoredPrompt
from interp_lab.corpus.audit import Grouped
from interp_lab.corpus.prompt_set import PromptSet
from interp_lab.errors import InvalidPrompts, OneSidedPrompts
from interp_lab.settings import Settings
from interp_lab.workflows.audit_prompts import audit_prompts

WORDS = (
    *("river", "stone", "cloud", "field", "horse", "bread", "table"),
    *("light", "paper", "glass", "wheel", "north", "plain", "music"),
)


def audit(dataset: object, workspace: Path) -> PromptAudit:
    request = AuditPromptsRequest.model_validate({"dataset": dataset})
    return audit_prompts(request, Settings(workspace=workspace))[1]


def inline(prompts: list[tuple[str, float]]) -> InlinePrompts:
    return InlinePrompts(prompts=tuple(ScoredPrompt(text=text, score=score) for text, score in prompts))


def sentences(n: int, seed: int) -> list[str]:
    dice = random.Random(seed)
    return [" ".join(dice.choices(WORDS, k=dice.randint(8, 14))) for _ in range(n)]


@pytest.mark.parametrize(("name", "property_"), [("wrong-length", "length"), ("wrong-punctuation", "punctuation")])
def test_the_sets_that_are_wrong_on_purpose_are_called_unusable_and_told_how_to_mend(
    tmp_path: Path, name: str, property_: str
) -> None:
    found = audit(f"builtin:{name}", tmp_path)
    assert found.usability == "unusable"
    assert property_ in {score.name for score in found.surface if score.verdict == "solves"}
    assert {row.side for row in found.rows_to_add if row.property == property_} == {"positive", "negative"}
    assert found.rows_to_drop


@pytest.mark.parametrize("name", ["question", "negation", "positive-sentiment"])
def test_a_set_that_was_made_with_care_has_no_solved_shortcut(tmp_path: Path, name: str) -> None:
    found = audit(f"builtin:{name}", tmp_path)
    assert found.usability != "unusable"
    assert not [score for score in found.surface if score.verdict == "solves"]
    assert found.n_pairs > 0
    assert found.power.n_confirm_positive_groups >= 10


@pytest.mark.parametrize("name", ["date-or-month", "python-code"])
def test_a_set_that_single_words_solve_can_be_used_for_claims_about_words(tmp_path: Path, name: str) -> None:
    found = audit(f"builtin:{name}", tmp_path)
    assert [score.name for score in found.surface if score.verdict == "solves"] == ["bag_of_words"]
    assert found.usability == "weak"
    (issue,) = [issue for issue in found.issues if issue.code == "words_solve_dataset"]
    assert "about words" in issue.message
    assert "confound_solves_dataset" not in {issue.code for issue in found.issues}


def test_labels_that_mean_nothing_have_no_shortcut_and_longer_positives_have_one(tmp_path: Path) -> None:
    texts = sentences(120, seed=4)
    fair = audit(inline([(text, float(i % 2)) for i, text in enumerate(texts)]), tmp_path)
    assert {score.verdict for score in fair.surface} == {"clean"}
    assert fair.rows_to_add == ()
    unfair = audit(inline([(text * (1 + i % 2), float(i % 2)) for i, text in enumerate(texts)]), tmp_path)
    assert "length" in {score.name for score in unfair.surface if score.verdict == "solves"}
    assert "length_imbalance" in {issue.code for issue in unfair.issues}


def test_more_independent_groups_see_smaller_effects(tmp_path: Path) -> None:
    powers = [
        audit(inline([(t, float(i % 2)) for i, t in enumerate(sentences(n, seed=5))]), tmp_path).power
        for n in (40, 160)
    ]
    small, large = (power.detectable_auroc for power in powers)
    assert small is not None
    assert large is not None
    assert 0.5 < large < small < 1.0
    assert (powers[1].smallest_p or 1) < (powers[0].smallest_p or 1)


def test_thousands_of_groups_have_a_smallest_p_though_their_labellings_are_more_than_a_float_can_count() -> None:
    dice = random.Random(2)
    words = ["".join(dice.choices("abcdefghijklmnop", k=6)) for _ in range(3000)]
    texts = [" ".join(dice.choices(words, k=8)) for _ in range(2400)]
    prompts = tuple(ScoredPrompt(text=text, score=float(i % 2)) for i, text in enumerate(texts))
    found = Grouped(PromptSet("many", prompts, ""), 0.5, 0)
    assert found.sample is not None
    assert found.sample.n_groups > 2300
    p = found.smallest_p()
    assert p is not None
    assert 0 < p < 1e-300


def test_copies_of_one_text_are_one_group_and_cannot_confirm(tmp_path: Path) -> None:
    rows = [(f"the same words again {i}", 1.0) for i in range(30)] + [(text, 0.0) for text in sentences(30, seed=6)]
    found = audit(inline(rows), tmp_path)
    assert found.usability == "unusable"
    assert found.power.detectable_auroc is None
    assert {"nothing_to_confirm", "duplicate_texts"} <= {issue.code for issue in found.issues}
    assert found.surface == ()


def test_texts_that_differ_in_a_number_alone_are_one_group_and_no_conflict(tmp_path: Path) -> None:
    texts = sentences(40, seed=7)
    rows = [(f"{text} 09.01.2006", 1.0) for text in texts] + [(f"{text} 38.79.3404", 0.0) for text in texts]
    found = audit(inline(rows), tmp_path)
    assert not {"label_conflict", "duplicate_texts"} & {issue.code for issue in found.issues}
    assert found.power.n_groups == 40


def test_a_text_with_both_labels_is_an_error(tmp_path: Path) -> None:
    texts = sentences(40, seed=7)
    rows = [(text, float(i % 2)) for i, text in enumerate(texts)] + [(texts[0], 1.0)]
    assert "label_conflict" in {issue.code for issue in audit(inline(rows), tmp_path).issues}
    assert "label_conflict" not in {issue.code for issue in audit(inline(rows[:-1]), tmp_path).issues}


def test_one_label_or_too_many_rows_are_refused_with_what_would_work(tmp_path: Path) -> None:
    with pytest.raises(OneSidedPrompts):
        audit(inline([("a b c", 1.0), ("d e f", 1.0)]), tmp_path)
    lines = "\n".join(f'{{"text": "row {i} of many", "score": {i % 2}}}' for i in range(5001))
    (tmp_path / "many.jsonl").write_text(lines, encoding="utf-8")
    with pytest.raises(InvalidPrompts, match="5,001") as refused:
        audit("many.jsonl", tmp_path)
    assert "inspect" in refused.value.remedy
