"""What a plan counts of an intervention: blocks that run again, logits that are read, and tokens that attend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from interp_lab.contracts.intervene import InterveneRequest
from interp_lab.contracts.models import ModelRef
from interp_lab.models.facts import ModelFacts
from interp_lab.models.preflight import preflight
from interp_lab.models.reference import locate
from interp_lab.points import Address
from interp_lab.settings import Settings
from interp_lab.workflows.intervening.cost import Work
from interp_lab.workflows.intervening.work import Halves, blocks_after, work_of

MODEL = ModelRef(id="builtin:pocket-gpt2")
HALVES = Halves(explore=(20, 20), confirm=(20, 20))


@pytest.fixture(scope="module")
def facts() -> ModelFacts:
    source = locate(MODEL, Settings(workspace=Path("unused"), offline=True))
    assert source is not None
    return preflight(source.directory)


def work(facts: ModelFacts, *, place: str = "resid_post.1", length: int = 16, n_units: int = 1, **asked: Any) -> Work:
    units = [{"address": place, "index": index} for index in range(n_units)]
    fields = {"model": MODEL, "criterion": "as asked", "dataset": "builtin:person-name", "units": units, **asked}
    request = InterveneRequest.model_validate(fields)
    blocks = [blocks_after(Address.parse(place), facts.n_layers)] * n_units
    return work_of(request, facts, HALVES, kinds=[2] * n_units, blocks=blocks, lengths=[length] * 80)


def test_what_leaves_a_block_runs_only_the_blocks_after_it(facts: ModelFacts) -> None:
    n = facts.n_layers
    assert blocks_after(Address.parse("resid_post.0"), n) == n - 1
    assert blocks_after(Address.parse("attn_out.0"), n) == n
    assert blocks_after(Address.parse(f"resid_post.{n - 1}"), n) == 0
    assert blocks_after(None, n) == n
    early, late = (work(facts, place=f"resid_post.{layer}") for layer in (0, 2))
    assert early.macs > late.macs
    assert early.n_rows == late.n_rows


def test_twice_as_long_prompts_compare_four_times_as_many_tokens(facts: ModelFacts) -> None:
    short, long = (work(facts, length=length) for length in (16, 32))
    assert long.n_scores == pytest.approx(4 * short.n_scores)
    assert long.macs == pytest.approx(2 * short.macs, rel=0.1)


def test_an_edit_of_the_last_token_runs_no_token_before_it_again(facts: ModelFacts) -> None:
    every, last = (work(facts, where=where, n_controls=20) for where in ("all", "last"))
    assert last.macs < every.macs / 2
    assert last.n_rows == every.n_rows


def test_controls_have_all_logits_read_only_where_the_metric_needs_them(facts: ModelFacts) -> None:
    words, divergence = (work(facts, metric=metric, n_controls=20) for metric in ("logit_difference", "kl"))
    assert facts.n_vocab is not None
    controls = words.n_rows - 3 * 40 - 2 * 40  # of the unit: three doses on explore prompts, two edits on the others
    assert divergence.macs - words.macs == pytest.approx(controls * facts.n_vocab * facts.d_model)


def test_text_that_is_written_costs_the_whole_model_for_every_token(facts: ModelFacts) -> None:
    scorer = {"name": "length", "max_new_tokens": 8}
    silent, written = work(facts), work(facts, metric="score", scorer=scorer)
    assert silent.n_written == 0
    assert written.n_written == 8 * written.n_rows
    assert written.seconds > silent.seconds


def test_leaving_units_out_adds_the_runs_of_every_set_on_explore_positives(facts: ModelFacts) -> None:
    asked: dict[str, Any] = {"n_units": 4, "together": True, "alone": False, "edits": ["ablate_zero"]}
    whole, fewest = (work(facts, **asked, smallest=smallest) for smallest in (False, True))
    assert fewest.n_rows - whole.n_rows >= 20 * (1 + 4 + 3 + 2)
    assert fewest.macs > whole.macs


def test_a_screen_adds_runs_on_explore_positives(facts: ModelFacts) -> None:
    plain = work(facts, edits=["ablate_zero"])
    fields = {"model": MODEL, "criterion": "as asked", "dataset": "builtin:person-name", "edits": ["ablate_zero"]}
    request = InterveneRequest.model_validate({**fields, "screen": {"address": "resid_post.1", "n": 1, "n_sample": 32}})
    found = work_of(request, facts, HALVES, kinds=[2], blocks=[2], lengths=[16] * 80)
    assert found.n_rows - plain.n_rows == 20 * 33
