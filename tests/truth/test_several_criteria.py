"""Several criteria over one pass give what each alone gives, except that q counts all of them."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from interp_lab.contracts.inspect import InspectRequest, InspectResult
from interp_lab.contracts.inspect_report import InspectReport
from interp_lab.errors import LabelsUnusable
from interp_lab.jobs.run import LocalRun
from interp_lab.settings import Settings
from interp_lab.statistics.false_discovery import benjamini_hochberg
from interp_lab.workflows.inspect import inspect
from interp_lab.workflows.inspection import questions

Load = Callable[[str], Any]
WORDS = ("the", "cat", "dog", "sat", "ran", "one", "more", "it", "was", "there")


def prompts(seed: int, ends: tuple[str, str], n: int = 24) -> list[dict[str, Any]]:
    dice = random.Random(seed)
    stems = [f"{i} {' '.join(dice.choices(WORDS, k=6))}" for i in range(n)]
    return [
        {"text": f"{s} {end}", "score": score, "labels": {"early": i < 12}}
        for i, s in enumerate(stems)
        for end, score in zip(ends, (1, 0), strict=True)
    ]


def asked(seed: int, ends: tuple[str, str]) -> dict[str, Any]:
    return {"kind": "inline", "prompts": prompts(seed, ends)}


def run_of(folder: Path, loaded: Any, **options: Any) -> tuple[InspectResult, list[InspectReport]]:
    given = {"model": loaded.source.directory.name, "addresses": ["resid_post.1"], "pooling": "last", "top_k": 4}
    request = InspectRequest.model_validate({**given, **options})
    run = LocalRun(folder)
    result = inspect(request, run, settings=Settings(workspace=loaded.source.directory.parent), suggest=lambda _: ())
    reports = [InspectReport.model_validate_json((path / "report.json").read_text()) for path in run.written]
    if result.criteria:
        assert [row.report for row in result.criteria] == run.artifact_ids
    return result, reports


def numbers(report: InspectReport) -> list[Any]:
    return [
        (card.address, card.index, card.explore.auroc, card.explore.p_value, card.confirm and card.confirm.auroc)
        for card in report.coordinates
    ]


def test_each_criterion_has_the_report_that_it_has_alone_and_q_counts_all(
    load_tiny: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = load_tiny("gpt2")
    first = {"criterion": "ends in cat", "dataset": asked(3, ("cat", "dog"))}
    second = {"criterion": "ends in one", "dataset": asked(4, ("one", "more"))}
    third = {"criterion": "an early one", "label": "early"}
    passes: list[int] = []
    pool = questions.pool_prompts
    monkeypatch.setattr(
        questions, "pool_prompts", lambda inputs, run: passes.append(len(inputs.prompts.prompts)) or pool(inputs, run)
    )
    result, together = run_of(tmp_path / "all", loaded, **first, also=[second, third])
    assert passes == [96]  # one pass; the third criterion is about the prompts of the first
    alone = [
        run_of(tmp_path / str(n), loaded, **one)[1][0]
        for n, one in enumerate([first, second, {**third, "dataset": first["dataset"]}])
    ]
    for joint, own in zip(together, alone, strict=True):
        assert joint.criterion == own.criterion
        assert joint.dataset == own.dataset
        assert numbers(joint) == numbers(own)
        assert [row.best_auroc for row in joint.layers] == [row.best_auroc for row in own.layers]
        assert any("every q counts times 3" in note for note in joint.caveats)
        for ours, theirs in zip(joint.coordinates, own.coordinates, strict=True):
            assert ours.contexts == theirs.contexts
    width = together[0].n_tested
    assert width == 32
    assert [row.criterion for row in result.criteria] == [report.criterion for report in together]
    assert result.criterion == "ends in cat"
    assert "Also asked" in result.summary


def test_every_q_counts_times_the_number_of_criteria(load_tiny: Load, tmp_path: Path) -> None:
    loaded = load_tiny("gpt2")
    first = {"criterion": "ends in cat", "dataset": asked(3, ("cat", "dog")), "top_k": 32}
    third = {"criterion": "an early one", "label": "early"}
    _, both = run_of(tmp_path / "both", loaded, **first, also=[third])
    for report in both:
        for part in ("explore", "confirm"):
            found = [getattr(card, part) for card in report.coordinates]
            wanted = np.minimum(1, 2 * benjamini_hochberg([one.p_value for one in found]))
            np.testing.assert_allclose([one.q_value for one in found], wanted)


def test_criteria_that_nothing_follows_are_not_carried_by_one_that_much_follows(
    load_tiny: Load, tmp_path: Path
) -> None:
    """The negative twin: labels that no model can know stay at their rate beside a criterion that it does know."""
    loaded = load_tiny("gpt2")
    dice = random.Random(9)
    rows = prompts(3, ("cat", "dog"), 60)
    for row in rows:
        row["labels"] = {f"coin{n}": dice.random() < 0.5 for n in range(5)}
    result, _ = run_of(
        tmp_path,
        loaded,
        criterion="ends in cat",
        dataset={"kind": "inline", "prompts": rows},
        also=[{"criterion": f"coin number {n}", "label": f"coin{n}"} for n in range(5)],
    )
    known, *coins = result.criteria
    assert known.n_significant > 3
    assert known.grade != "weak"
    assert {coin.grade for coin in coins} == {"weak"}
    assert sum(coin.n_significant > 0 for coin in coins) <= 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"also": [{"criterion": "another"}]},
        {"also": [{"criterion": "ends in cat", "label": "early"}]},
        {"dataset": None, "evidence": "store:s", "also": [{"criterion": "another", "dataset": "builtin:negation"}]},
    ],
)
def test_what_is_no_second_question_is_refused(wrong: dict[str, Any]) -> None:
    given = {"model": "m", "criterion": "ends in cat", "dataset": "builtin:person-name"}
    with pytest.raises(ValidationError):
        InspectRequest.model_validate(given | wrong)


def test_a_label_that_is_not_there_is_refused_before_a_pass(load_tiny: Load, tmp_path: Path) -> None:
    loaded = load_tiny("gpt2")
    with pytest.raises(LabelsUnusable):
        run_of(
            tmp_path,
            loaded,
            criterion="ends in cat",
            dataset=asked(3, ("cat", "dog")),
            also=[{"criterion": "another", "label": "late"}],
        )
