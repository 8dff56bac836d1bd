"""Hypotheses: said before the run, on prompts that had no part in the idea, never changed, held to the look it is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from interp_lab import errors
from interp_lab.contracts.hypotheses import RegisterHypothesisResult
from interp_lab.contracts.inspect import InspectRequest
from interp_lab.contracts.inspect_report import InspectReport
from interp_lab.contracts.intervene import InterveneRequest
from interp_lab.corpus.prompt_set import PromptSet
from interp_lab.corpus.sources import open_prompts
from interp_lab.evidence.grade import Q_LEVEL
from interp_lab.evidence.looks import corrected_q, level_at
from interp_lab.reports.html import render_html
from interp_lab.settings import Settings
from interp_lab.workflows.inspection.registered import with_memory as inspected_with_memory
from interp_lab.workflows.intervening.registered import earlier_looks_of, with_memory
from interp_lab.workflows.intervening.sources import find_units
from interp_lab.workflows.memory.confirming import registered_words
from interp_lab.workflows.memory.registry import FILE, read_registry
from interp_lab_tools.call import call
from interp_lab_tools.catalogue import BY_NAME, CAPABILITIES
from interp_lab_tools.lab import Lab
from tests.unit.workflows.memory.past_runs import (
    CRITERION,
    DATASET,
    MODEL,
    card,
    edit_card,
    inspect_report,
    intervene_report,
    publish,
    unit_card,
    workspace,
)

ALL = frozenset(capability.toolset for capability in CAPABILITIES)
UNIT = {"address": "resid_post.2", "index": 5}
SAID: dict[str, Any] = {
    "model": MODEL, "criterion": CRITERION, "unit": UNIT, "direction": "raises", "metric": "logit_difference",
    "least_effect": 0.5, "dataset": DATASET,
}  # fmt: skip
RUN: dict[str, Any] = {"model": MODEL, "criterion": CRITERION, "dataset": DATASET, "units": [UNIT]}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return workspace(tmp_path)


def register(settings: Settings, **options: Any) -> RegisterHypothesisResult:
    with Lab.open(settings, ALL) as lab:
        answer = call(lab, "register_hypothesis", SAID | options)
    assert isinstance(answer, RegisterHypothesisResult)
    return answer


def plan(settings: Settings, hypothesis: str, **options: Any) -> None:
    with Lab.open(settings, ALL) as lab:
        call(lab, "intervene", RUN | {"hypothesis": hypothesis, "dry_run": True} | options)


def of_the_box(settings: Settings, report: Any, *, seed: int = 0) -> Any:
    """Return the report as one on the real prompts in the box."""
    prompts = open_prompts(InterveneRequest.model_validate(RUN).dataset, settings)
    facts = {"sha256": prompts.sha256, "n_positive": sum(prompts.positive(0.5))}
    run = report.run.model_copy(update={"seed": seed})
    return report.model_copy(update={"dataset": report.dataset.model_copy(update=facts), "run": run})


def test_what_was_registered_is_read_back_word_for_word(settings: Settings) -> None:
    said = register(settings)
    (record,) = read_registry(settings)
    assert record.id == said.hypothesis
    assert record.unit == "resid_post.2#5"
    assert record.previous is None
    assert said.n_confirm_groups >= 10
    assert "by at least 0.5 logits" in said.statement
    (action,) = said.agent_next_actions
    assert BY_NAME[action.tool].request.model_validate(action.arguments)
    own = {name: value for name, value in action.arguments.items() if name not in {"dry_run", "hypothesis"}}
    plan(settings, str(action.arguments["hypothesis"]), **own)


def test_the_same_words_are_registered_once_and_other_words_after_them(settings: Settings) -> None:
    first, again, other = register(settings), register(settings), register(settings, least_effect=0.7)
    assert first.hypothesis == again.hypothesis != other.hypothesis
    records = read_registry(settings)
    assert [record.previous for record in records] == [None, first.hypothesis]


@pytest.mark.guarantee("hypotheses-are-kept")
@pytest.mark.parametrize("change", ["edited", "removed", "swapped"])
def test_a_registry_that_somebody_changed_confirms_nothing(settings: Settings, change: str) -> None:
    for least in (0.1, 0.2, 0.3):
        said = register(settings, least_effect=least)
    path = settings.workspace / ".interp-lab" / FILE
    lines = path.read_bytes().splitlines(keepends=True)
    kept = {
        "edited": [lines[0].replace(b'"least_effect":0.1', b'"least_effect":0.9'), *lines[1:]],
        "removed": [lines[0], lines[2]],
        "swapped": [lines[1], lines[0], lines[2]],
    }[change]
    path.write_bytes(b"".join(kept))
    with pytest.raises(errors.RegistryBroken):
        plan(settings, said.hypothesis)


def test_half_a_line_of_a_process_that_died_is_written_over(settings: Settings) -> None:
    register(settings)
    path = settings.workspace / ".interp-lab" / FILE
    path.write_bytes(path.read_bytes() + b'{"schema_version":"1","id":')
    register(settings, least_effect=0.7)
    assert len(read_registry(settings)) == 2


def test_processes_that_register_at_once_lose_nothing(settings: Settings) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from tests.unit.workflows.memory.test_hypotheses import *\n"
        "for n in range(4): register(workspace(Path(sys.argv[1])), least_effect=float(sys.argv[2]) + n)\n"
    )
    started = [subprocess.Popen([sys.executable, "-c", code, str(settings.workspace), first]) for first in ("10", "20")]
    assert [process.wait(timeout=900) for process in started] == [0, 0]
    assert len(read_registry(settings)) == 8


@pytest.mark.parametrize(
    "change",
    [
        {"units": [{"address": "resid_post.2", "index": 6}]},
        {"metric": "log_probability"},
        {"seed": 1},
        {"dataset": "builtin:question"},
        {"criterion": "something else"},
        {"model": "builtin:pocket-gpt2"},
    ],
    ids=json.dumps,
)
def test_a_run_that_differs_from_what_was_registered_is_refused(settings: Settings, change: dict[str, Any]) -> None:
    said = register(settings)
    plan(settings, said.hypothesis)
    with pytest.raises(errors.HypothesisMismatch):
        plan(settings, said.hypothesis, **change)


def test_a_hypothesis_that_nobody_registered_is_unknown(settings: Settings) -> None:
    with pytest.raises(errors.UnknownHypothesis):
        plan(settings, "0" * 64)


def inspected(settings: Settings, seed: int, **options: Any) -> str:
    report = inspect_report([card(1, 5, "needs_causal_evidence")])
    return publish(settings, of_the_box(settings, report, seed=seed), **options)


def test_prompts_that_ranked_the_unit_cannot_confirm_it(settings: Settings) -> None:
    inspected(settings, 1)
    with pytest.raises(errors.DiscoveryRowsReused, match="ranked this unit"):
        register(settings, seed=0)


def test_the_held_out_half_of_the_split_that_ranked_it_can(settings: Settings) -> None:
    report = inspected(settings, 0)
    said = register(settings, seed=0, found_in=report)
    assert said.checked_against == (report,)
    assert said.earlier_looks == 0


def test_prompts_of_another_unit_or_criterion_do_not_count_as_discovery(settings: Settings) -> None:
    other = of_the_box(settings, inspect_report([card(1, 9, "needs_causal_evidence")]), seed=1)
    publish(settings, other)
    asked = of_the_box(settings, inspect_report([card(1, 5, "plausible")]), seed=1)
    publish(settings, asked.model_copy(update={"criterion": "something else"}), at=1)
    assert register(settings, seed=0).checked_against == ()


def test_new_prompts_can_confirm_what_others_ranked(settings: Settings) -> None:
    inspected(settings, 1)
    assert register(settings, dataset="builtin:question").earlier_looks == 0


def test_a_report_whose_prompts_are_gone_cannot_vouch_for_itself(settings: Settings) -> None:
    report = publish(settings, inspect_report([card(1, 5, "plausible")]))
    assert any("no longer there" in line for line in register(settings).warnings)
    with pytest.raises(errors.DiscoveryRowsReused, match="no longer"):
        register(settings, found_in=report)


def edited(settings: Settings, at: int, **request: Any) -> None:
    units = [unit_card("resid_post.2 #5", "plausible", [edit_card(0.1, q=0.6)])]
    asked = {**RUN, "edits": ["ablate_zero"], **request}
    publish(settings, of_the_box(settings, intervene_report(units)), request=asked, at=at)


def looks(settings: Settings, **options: Any) -> dict[str, int]:
    request = InterveneRequest.model_validate(RUN | {"edits": ["ablate_zero"]} | options)
    prompts = open_prompts(request.dataset, settings)
    return earlier_looks_of(request, prompts, find_units(request, prompts, settings), settings)


def test_every_other_way_of_asking_the_same_prompts_counts_as_a_look(settings: Settings) -> None:
    assert looks(settings) == {}
    edited(settings, 0, edits=["amplify"])
    edited(settings, 1, targets=[" Anna"])
    assert looks(settings) == {"resid_post.2 #5": 2}
    assert register(settings).earlier_looks == 2


def test_asking_again_the_same_or_other_prompts_or_units_is_no_second_look(settings: Settings) -> None:
    asked = InterveneRequest.model_validate(RUN | {"edits": ["ablate_zero"]}).model_dump(mode="json")
    edited(settings, 0, **asked)
    assert looks(settings) == {}
    edited(settings, 1, edits=["amplify"])
    assert looks(settings, seed=3) == {}
    assert looks(settings, dataset="builtin:question") == {}
    assert looks(settings, units=[{"address": "resid_post.2", "index": 7}]) == {}


@pytest.mark.guarantee("looks-are-counted")
def test_a_later_look_is_held_to_a_stricter_level_and_all_looks_together_stay_bounded() -> None:
    assert level_at(0, Q_LEVEL) == Q_LEVEL
    assert corrected_q(0.03, 0) == 0.03
    assert corrected_q(0.03, 1) == pytest.approx(0.12)
    assert corrected_q(0.4, 3) == 1.0
    assert sum(level_at(n, Q_LEVEL) for n in range(100_000)) < 1.65 * Q_LEVEL
    for n in range(20):
        assert (corrected_q(0.004, n) <= Q_LEVEL) is (level_at(n, Q_LEVEL) >= 0.004)


def outcome_of(settings: Settings, effect: float, q: float = 0.001, *, before: int = 0, **said: Any) -> Any:
    hypothesis = register(settings, **said).hypothesis
    request = InterveneRequest.model_validate(RUN | {"hypothesis": hypothesis})
    prompts: PromptSet = open_prompts(request.dataset, settings)
    found = find_units(request, prompts, settings)
    report = intervene_report([unit_card("resid_post.2 #5", "validated", [edit_card(effect, q=q)])])
    known = {"resid_post.2 #5": before} if before else {}
    return with_memory(report, request, prompts, found=found, looks=known, settings=settings).hypothesis


@pytest.mark.parametrize(
    ("effect", "options", "verdict", "size"),
    [
        (1.0, {}, "confirmed", "at_least"),
        (0.6, {}, "confirmed", "undecided"),
        (0.25, {}, "confirmed", "smaller"),
        (-1.0, {}, "opposite", "smaller"),
        (0.1, {"q": 0.6}, "not_confirmed", "smaller"),
        (1.0, {"q": 0.02, "before": 1}, "not_confirmed", "at_least"),
        (-1.0, {"direction": "lowers"}, "confirmed", "at_least"),
    ],
)
def test_the_report_says_what_was_registered_and_what_came(
    settings: Settings, effect: float, options: dict[str, Any], verdict: str, size: str
) -> None:
    found = outcome_of(settings, effect, **options)
    assert (found.verdict, found.size) == (verdict, size)
    assert found.value == pytest.approx(effect)
    assert found.low <= found.value <= found.high
    assert found.level == pytest.approx(level_at(options.get("before", 0), Q_LEVEL))


def test_a_report_without_a_hypothesis_says_nothing_of_one(settings: Settings) -> None:
    request = InterveneRequest.model_validate(RUN)
    prompts = open_prompts(request.dataset, settings)
    report = intervene_report([unit_card("resid_post.2 #5", "validated", [edit_card(1.0)])])
    found = find_units(request, prompts, settings)
    same = with_memory(report, request, prompts, found=found, looks={}, settings=settings)
    assert same == report
    assert isinstance(inspect_report([]), InspectReport)


def test_the_dossier_lists_what_was_registered_and_what_came(settings: Settings) -> None:
    outcome = outcome_of(settings, 1.0)
    units = [unit_card("resid_post.2 #5", "validated", [edit_card(1.0)])]
    publish(settings, intervene_report(units).model_copy(update={"hypothesis": outcome}))
    with Lab.open(settings, ALL) as lab:
        parts = call(lab, "dossier", {"model": MODEL, "criterion": CRITERION}).parts  # type: ignore[attr-defined]
    (found,) = parts.hypotheses
    assert found.id == outcome.id
    assert found.verdicts == ("confirmed",)


AUROC: dict[str, Any] = {"metric": "auroc", "least_effect": 0.1}


def test_an_inspection_that_differs_from_what_was_registered_is_refused(settings: Settings) -> None:
    said = register(settings, **AUROC)
    (action,) = said.agent_next_actions
    assert action.tool == "inspect"
    with Lab.open(settings, ALL) as lab:
        call(lab, "inspect", action.arguments | {"dry_run": True})
        with pytest.raises(errors.HypothesisMismatch):
            call(lab, "inspect", action.arguments | {"dry_run": True, "seed": 1})
        with pytest.raises(errors.HypothesisMismatch, match="metric"):
            call(lab, "intervene", RUN | {"hypothesis": said.hypothesis})


@pytest.mark.parametrize(
    ("confirm", "index", "verdict", "size"),
    [
        (0.9, 5, "confirmed", "at_least"),
        (0.65, 5, "confirmed", "undecided"),
        (0.2, 5, "opposite", "smaller"),
        (0.9, 6, "not_measured", None),
    ],
)
def test_a_report_of_inspect_says_what_came_of_its_hypothesis(
    settings: Settings, confirm: float, index: int, verdict: str, size: str | None
) -> None:
    hypothesis = register(settings, **AUROC).hypothesis
    asked = {name: RUN[name] for name in ("model", "criterion", "dataset")}
    request = InspectRequest.model_validate(asked | {"hypothesis": hypothesis})
    prompts = open_prompts(InterveneRequest.model_validate(RUN).dataset, settings)
    report = inspect_report([card(1, index, "needs_causal_evidence", confirm=confirm)])
    found = inspected_with_memory(report, request, prompts, settings).hypothesis
    assert found is not None
    assert (found.verdict, found.size) == (verdict, size)
    page, text = render_html(report.model_copy(update={"hypothesis": found})), registered_words(found)
    assert verdict.replace("_", " ") in page
    assert verdict.replace("_", " ") in text[0]
