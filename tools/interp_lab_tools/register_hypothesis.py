"""register_hypothesis: what a run will show, said before the run."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import JsonValue

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.hypotheses import RegisterHypothesisRequest, RegisterHypothesisResult
from interp_lab.contracts.prompts import InlinePrompts
from interp_lab.evidence.grade import LEAST_CONFIRM_GROUPS, Q_LEVEL
from interp_lab.evidence.looks import level_at
from interp_lab_tools.capability import Effects, InlineCapability
from interp_lab_tools.lab import Lab


def _handle(request: RegisterHypothesisRequest, lab: Lab) -> RegisterHypothesisResult:
    from interp_lab.workflows.register_hypothesis import register_hypothesis  # lazy: prompts are only read when asked

    done = register_hypothesis(request, lab.settings)
    record = done.record
    return RegisterHypothesisResult(
        summary=(
            f"Registered at {record.registered_at.isoformat(timespec='seconds')}: {record.statement} Nothing is shown "
            f"yet; {record.n_confirm_groups} groups of positives will decide, at q ≤ "
            f"{level_at(done.earlier_looks, Q_LEVEL):.3g}."
        ),
        warnings=tuple(_warnings(done.earlier_looks, record.n_confirm_groups, done.unknown)),
        agent_next_actions=tuple(_next(request, record.id)),
        hypothesis=record.id,
        registered_at=record.registered_at,
        statement=record.statement,
        earlier_looks=done.earlier_looks,
        n_confirm_groups=record.n_confirm_groups,
        checked_against=done.checked_against,
    )


def _warnings(looks: int, groups: int, unknown: tuple[str, ...]) -> Iterator[str]:
    if looks:
        yield (
            f"{looks} runs already graded this unit on these confirm prompts with other settings, so its q counts "
            f"times {(looks + 1) ** 2}. New prompts count fresh."
        )
    if groups < LEAST_CONFIRM_GROUPS:
        yield f"Only {groups} groups of positives will decide; {LEAST_CONFIRM_GROUPS} are the least for any grade."
    if unknown:
        yield f"{len(unknown)} reports describe this unit on prompts that are no longer there, so overlap is unknown."


def _next(request: RegisterHypothesisRequest, hypothesis: str) -> Iterator[NextAction]:
    if isinstance(request.dataset, InlinePrompts):
        return
    asked = request.model_dump(mode="json", include={"model", "criterion", "dataset", "threshold", "seed", "pooling"})
    if request.metric == "auroc":
        ranked: dict[str, JsonValue] = {**asked, "top_k": 50, "hypothesis": hypothesis}
        if request.unit.dictionary is not None:
            ranked["dictionaries"] = [request.unit.dictionary]
        else:
            ranked["addresses"] = [str(request.unit.address)]
        yield NextAction(tool="inspect", arguments=ranked, why="Run the test that was registered.")
        return
    asked["metric"] = request.metric
    unit = request.unit.model_dump(mode="json", exclude_none=True)
    arguments: dict[str, JsonValue] = {**asked, "units": [unit], "hypothesis": hypothesis, "dry_run": False}
    yield NextAction(tool="intervene", arguments=arguments, why="Run the test that was registered.")


REGISTER_HYPOTHESIS = InlineCapability(
    name="register_hypothesis",
    title="Register a hypothesis before the run that tests it",
    guidance=(
        "Say beforehand which unit, which way, by which metric, at least how much, on which prompts and split. Written "
        "once to an append-only, hash-chained file of the workspace. Give the id as hypothesis to intervene (inspect "
        "for auroc): refused unless unit, metric, prompts, threshold and seed are those registered; the report shows "
        "what was said and what came. Refused here if confirm prompts, or near-duplicates of them, ranked the unit. "
        "Counts how often these confirm prompts were asked about the unit before. It shows nothing by itself."
    ),
    request=RegisterHypothesisRequest,
    result=RegisterHypothesisResult,
    handler=_handle,
    effects=Effects(read_only=False, idempotent=True),
    toolset="evidence",
    changes="No grade; the run that tests it then counts as confirmatory.",
    example={
        "model": "builtin:pocket-llama",
        "criterion": "the word is a person's name",
        "unit": {"address": "resid_post.2", "index": 5},
        "direction": "raises",
        "metric": "logit_difference",
        "least_effect": 0.2,
        "dataset": "builtin:person-name",
    },
)
