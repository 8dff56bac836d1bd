"""A screen of all latents finds the planted cause and tells how far it is off; a search finds what it looks for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from interp_lab.contracts.intervene import InterveneRequest, InterveneResult
from interp_lab.contracts.intervene_report import InterveneReport
from interp_lab.errors import InvalidRequest
from interp_lab.jobs.run import LocalRun
from interp_lab.reports.intervention import render_intervention, render_intervention_markdown
from interp_lab.settings import Settings
from interp_lab.workflows.calibrating.score import lay_out
from interp_lab.workflows.calibrating.sweep import Draw, settings_of
from interp_lab.workflows.intervene import intervene
from interp_lab.worlds.latents import HiddenLatents, hide
from interp_lab.worlds.planted import build_planted

Intervene = Callable[..., tuple[InterveneResult, InterveneReport]]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, HiddenLatents, Any]:
    folder = tmp_path_factory.mktemp("world")
    draw = Draw(settings_of("small")[0], 5)
    built = build_planted(draw.setting.dials, 5)
    hidden = hide(built, 5)
    return folder, hidden, lay_out(built, hidden, folder, draw=draw, seed=0)


@pytest.fixture
def intervene_in(world: tuple[Path, HiddenLatents, Any], tmp_path: Path) -> Intervene:
    folder, _, question = world

    def run(**options: Any) -> tuple[InterveneResult, InterveneReport]:
        request = InterveneRequest.model_validate(
            {"model": "model", "criterion": "ends in a trigger", "dataset": "prompts.jsonl", "dry_run": False}
            | {"targets": question.targets, "alternatives": question.alternatives, "edits": ["ablate_zero"]} | options
        )  # fmt: skip
        with LocalRun(tmp_path, workspace=folder) as local:
            result = intervene(request, local, settings=Settings(workspace=folder), suggest=lambda _: ())
            return result, InterveneReport.model_validate_json((local.written[0] / "report.json").read_bytes())

    return run


def cause_of(hidden: HiddenLatents) -> tuple[str, int]:
    (cause,) = [each for each in hidden.key if each.name == "cause"]
    return f"latents-{cause.address}", cause.index


def test_a_screen_of_all_latents_finds_the_cause_and_says_how_far_its_estimates_are_off(
    intervene_in: Intervene, world: tuple[Path, HiddenLatents, Any]
) -> None:
    dictionary, index = cause_of(world[1])
    result, report = intervene_in(screen={"dictionary": dictionary, "n": 3, "n_sample": 20}, n_controls=1)
    assert f"{dictionary} #{index}" in [unit.unit for unit in result.units if "effect_confirmed" in unit.reasons]
    found = report.screen
    assert found is not None
    assert found.n_units == 48
    assert len(found.estimates) == len(report.units) == 3
    assert found.sample.n_units == 20
    assert found.chosen.mean_exact > 5 * found.sample.mean_exact, "the chosen matter more than those drawn at random"
    # The planted cause is read by saturated neurons, so that a linear estimate of it is far too small: it must say so.
    assert found.chosen.relative_error is not None
    assert found.chosen.relative_error > 0.5
    assert any("attribution" in caveat for caveat in result.warnings)
    assert all(card.association is not None and card.association.n_tested == 48 for card in report.units)
    assert "table-screen" in render_intervention(report)
    assert found.recall is not None
    assert found.recall_interval is not None
    assert found.recall_interval.low <= found.recall <= found.recall_interval.high
    assert "as those drawn at random tell it" in render_intervention(report)
    assert "How far it is off" in render_intervention_markdown(report)


def test_coordinates_of_an_address_are_screened_too(intervene_in: Intervene) -> None:
    _, report = intervene_in(screen={"address": "resid_post.1", "n": 1, "n_sample": 6}, n_controls=1)
    assert report.screen is not None
    assert report.screen.of == "resid_post.1"
    assert report.units[0].unit.startswith("resid_post.1 #")


def test_a_search_gives_the_units_and_its_caveat(
    intervene_in: Intervene, world: tuple[Path, HiddenLatents, Any]
) -> None:
    dictionary, index = cause_of(world[1])
    search = {"by": {"kind": "latent", "unit": index}, "dictionary": dictionary, "n": 2}
    result, report = intervene_in(search=search, n_controls=1)
    assert len(result.units) == 2
    assert all(card.ref is not None and card.ref.dictionary == dictionary for card in report.units)
    assert index not in [card.ref.index for card in report.units if card.ref is not None]
    assert any("search chose" in caveat for caveat in result.warnings)
    with pytest.raises(InvalidRequest, match="by explanation"):
        intervene_in(search={"by": {"kind": "explanation", "words": "a trigger"}, "dictionary": dictionary})


def test_exactly_one_source_of_units_is_accepted() -> None:
    base = {"model": "model", "criterion": "ends in a trigger", "dataset": "prompts.jsonl"}
    both = {"units": [{"address": "resid_post.1", "index": 0}], "screen": {"address": "resid_post.1"}}
    for options in ({}, both):
        with pytest.raises(ValueError, match="name units"):
            InterveneRequest.model_validate(base | options)
    assert json.loads(InterveneRequest.model_validate(base | {"screen": both["screen"]}).model_dump_json())["screen"]
