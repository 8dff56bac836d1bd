"""Which sources a trace measures in full: the strongest of all by exact effects, or what an estimate is held to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from interp_lab.contracts.base import Interval
from interp_lab.contracts.path_report import ScreenFacts
from interp_lab.contracts.trace_paths import TracePathsRequest
from interp_lab.engine.paths.effects import PathRunner, Push
from interp_lab.jobs.run import LocalRun
from interp_lab.methods.screen_margin import strengths
from interp_lab.settings import Settings
from interp_lab.statistics.arrays import Floats
from interp_lab.workflows.tracing import choosing
from interp_lab.workflows.tracing.choosing import Choice, amount_of, choose
from interp_lab.workflows.tracing.context import Context, Suggest
from interp_lab.workflows.tracing.cost import affordable, how_screened, plan
from interp_lab.workflows.tracing.ends import Ends, open_ends
from interp_lab.workflows.tracing.opening import open_context, positives, prepared
from interp_lab.workflows.tracing.report import missed_by_estimate
from tests.unit.workflows.test_sharded_interventions import PROMPTS

N = 6
REQUEST: dict[str, Any] = {
    "model": "builtin:pocket-llama",
    "criterion": "a distance is named",
    "dataset": {"kind": "inline", "prompts": PROMPTS},
    "sources": [{"address": "resid_post.1", "index": index} for index in range(64)],
    "targets": [{"address": "resid_post.4", "index": index} for index in (2, 5, 8)],
    "scales": [-1.0],
    "n_measured": N,
    "behaviour": False,
}


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Context, Ends, list[int]]]:
    folder: Path = tmp_path_factory.mktemp("choosing")
    settings, request = Settings(workspace=folder), TracePathsRequest.model_validate(REQUEST)
    with LocalRun(folder / "run", workspace=folder) as run:
        context = open_context(request, run, settings, Suggest())
        ends = open_ends(request.sources, request.targets, request, loaded=context.inputs.loaded, settings=settings)
        ends = prepared(context, ends)
        yield context, ends, positives(context.design, context.design.split.rows("explore"))


def chosen(opened: tuple[Context, Ends, list[int]], **change: Any) -> Choice:
    context, ends, prompts = opened
    return choose(context, ends, TracePathsRequest.model_validate(REQUEST | change), prompts, share=None)


def strongest(opened: tuple[Context, Ends, list[int]]) -> list[int]:
    """By every source's own exact effects, computed here."""
    context, ends, prompts = opened
    pushes = [Push(ends.unit(place), -1.0) for place in range(len(ends.sources))]
    runner = PathRunner(context.inputs.loaded, pushes, ends.route)
    found = [runner(context.inputs.tokens[prompt]) for prompt in prompts]
    effects = torch.stack([each.mediated for each in found]).double().mean(0).numpy()
    base = torch.stack([each.base for each in found]).double().numpy()
    order = np.argsort(-strengths(effects, np.abs(base).mean(0) + base.std(0)))
    return [int(place) for place in order[:N]]


def test_by_default_the_sources_of_the_largest_exact_effects_are_measured(
    opened: tuple[Context, Ends, list[int]],
) -> None:
    choice = chosen(opened)
    assert list(choice.chosen) == strongest(opened)
    facts = choice.facts
    assert (facts.how, facts.n_checked, facts.n_measured, facts.recall) == ("exact", 64, N, 1.0)
    assert choice.n_runs == 64 * len(opened[2])


def test_an_estimate_is_followed_by_exact_effects_of_what_its_error_leaves_open(
    opened: tuple[Context, Ends, list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choosing, "N_DRAWN", 25)
    choice = chosen(opened, screen="gradient")
    facts = choice.facts
    assert facts.how == "gradient"
    assert facts.n_checked is not None
    assert N + 25 <= facts.n_checked <= 64
    assert facts.recall is not None
    share = len(set(choice.chosen) & set(strongest(opened))) / N
    assert share >= (1.0 if facts.recall_interval is None else facts.recall_interval.low)


def test_sources_drawn_in_too_small_a_number_rule_no_source_out(
    opened: tuple[Context, Ends, list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choosing, "N_DRAWN", 2)
    choice = chosen(opened, screen="gradient")
    assert (choice.facts.n_checked, choice.facts.recall, choice.facts.error_bound) == (64, 1.0, None)
    assert list(choice.chosen) == strongest(opened)


def test_many_active_latents_are_estimated_and_few_are_compared(
    opened: tuple[Context, Ends, list[int]], tmp_path: Path
) -> None:
    context, ends, _ = opened
    asked = TracePathsRequest.model_validate(
        {**{k: v for k, v in REQUEST.items() if k != "sources"}, "source_dictionary": "d" * 64, "shards": 2}
    )
    amount = amount_of(asked, context, ends)
    most = affordable(asked, amount)
    assert how_screened(asked, amount, most) == "exact"
    assert how_screened(asked, amount, most + 1) == "gradient"
    forced = asked.model_copy(update={"screen": "exact"})
    assert how_screened(forced, amount_of(forced, context, ends), most + 1) == "exact"
    told = plan(asked, amount, None, Settings(workspace=tmp_path))
    assert (told.screen, told.n_backward) == ("exact", 8 * 3 if amount.n_prompts > 8 else amount.n_prompts * 3)


def test_of_sources_that_are_all_silent_none_is_missed(
    opened: tuple[Context, Ends, list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_active(*_: object) -> Floats:
        return np.zeros(len(opened[1].sources))

    monkeypatch.setattr(choosing, "active_sources", none_active)
    facts = chosen(opened, screen="gradient").facts
    assert (facts.n_checked, facts.recall) == (0, 1.0)
    assert list(missed_by_estimate(facts)) == []


def test_what_an_estimate_may_miss_is_said_without_counting_silent_sources_as_left_out() -> None:
    facts = ScreenFacts(
        n_sources=24576, n_targets=1, n_pairs=24576, n_measured=16, how="gradient", n_checked=265, errors=()
    )
    (unknown,) = missed_by_estimate(facts)
    assert unknown.startswith("Of 24,576 sources 265 were compared exactly; the others are silent, or")
    assert "nothing tells" in unknown
    told = facts.model_copy(update={"recall": 0.9, "recall_interval": Interval(low=0.3, high=1.0, method="Wilson")})
    assert "0.90 [0.30, 1.00]" in next(iter(missed_by_estimate(told)))
