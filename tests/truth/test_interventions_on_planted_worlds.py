"""Grades on models whose causal structure is planted: the cause is found with its sign, decoys are not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from interp_lab.contracts.intervene import InterveneRequest, InterveneResult, UnitEffect
from interp_lab.contracts.intervene_report import InterveneReport
from interp_lab.contracts.worlds import PlantedTruth
from interp_lab.jobs.run import LocalRun
from interp_lab.reports.intervention import render_intervention_markdown
from interp_lab.settings import Settings
from interp_lab.workflows.intervene import intervene
from interp_lab.worlds.catalogue import make_world
from interp_lab.worlds.folder import write_world

SEEDS = (2, 3)
BASES = ("tiny-gpt2", "tiny-llama")
DECOYS = ("inert", "redundant", "suppressor", "echo", "impostor")

Intervene = Callable[..., tuple[InterveneResult, PlantedTruth, Path]]


asked_in: list[tuple[Path, InterveneRequest]] = []
"""Every request that was made, with the folder it was made in."""


@pytest.fixture(scope="module")
def intervene_in(tmp_path_factory: pytest.TempPathFactory) -> Intervene:
    made: dict[int, tuple[Path, Any]] = {}

    def run(seed: int, roles: tuple[str, ...], **options: Any) -> tuple[InterveneResult, PlantedTruth, Path]:
        if seed not in made:
            world = make_world("planted", seed, base=BASES[seed % 2], decoys=DECOYS, prompts=64, confounding=0.5)
            folder = tmp_path_factory.mktemp("world") / "world"
            write_world(world, folder)
            made[seed] = folder, world.truth
        folder, truth = made[seed]
        units = [
            {"address": f.address, "direction": f.direction, "name": f.name} for f in truth.features if f.name in roles
        ]
        given = {"targets": truth.targets, "alternatives": truth.alternatives, "edits": ["ablate_zero"], "units": units}
        request = InterveneRequest.model_validate(
            {"model": "model", "criterion": "ends in a trigger", "dataset": "prompts.jsonl", "dry_run": False}
            | {"n_controls": 1, **given, **options}
        )
        asked_in.append((folder, request))
        out = tmp_path_factory.mktemp("out")
        with LocalRun(out, workspace=folder) as local:
            result = intervene(request, local, settings=Settings(workspace=folder), suggest=lambda _: ())
        return result, truth, local.written[0]

    return run


def by_name(result: InterveneResult) -> dict[str, UnitEffect]:
    return {unit.unit: unit for unit in result.units}


@pytest.mark.parametrize("seed", SEEDS)
def test_the_planted_cause_moves_the_behaviour_as_planted_and_decoys_do_not(intervene_in: Intervene, seed: int) -> None:
    result, truth, _ = intervene_in(seed, ("cause", "inert", "redundant_a", "echo", "impostor"))
    units = by_name(result)
    planted = next(feature for feature in truth.features if feature.name == "cause")
    assert units["cause"].effect == pytest.approx(planted.measured_effect, rel=0.1)
    assert "effect_confirmed" in units["cause"].reasons
    assert units["cause"].beyond_control is not None
    assert units["cause"].beyond_control[0] > 0
    assert units["cause"].grade in {"validated", "plausible"}
    for decoy in ("inert", "redundant_a", "echo", "impostor"):
        assert "effect_like_control" in units[decoy].reasons
        assert units[decoy].grade != "validated"


def test_a_suppressor_is_found_with_its_negative_sign(intervene_in: Intervene) -> None:
    result, truth, _ = intervene_in(2, ("suppressor",))
    planted = next(feature for feature in truth.features if feature.name == "suppressor")
    found = by_name(result)["suppressor"]
    assert found.effect == pytest.approx(planted.measured_effect, rel=0.15)
    assert found.beyond_control is not None
    assert found.beyond_control[1] < 0
    assert "effect_confirmed" in found.reasons


def test_a_redundant_pair_is_seen_only_together(intervene_in: Intervene) -> None:
    result, truth, _ = intervene_in(2, ("redundant_a", "redundant_b"), together=True)
    units = by_name(result)
    (pair,) = truth.redundant
    assert units["all together"].effect == pytest.approx(pair.measured_joint_effect, rel=0.15)
    assert "effect_confirmed" in units["all together"].reasons
    for member in pair.members:
        assert "effect_like_control" in units[member].reasons


def test_units_asked_only_together_give_the_same_effect_of_all_and_no_run_of_each(intervene_in: Intervene) -> None:
    both, _, _ = intervene_in(2, ("redundant_a", "redundant_b"), together=True)
    only, _, _ = intervene_in(2, ("redundant_a", "redundant_b"), together=True, alone=False)
    (found,) = only.units
    assert found.unit == "all together"
    assert found.effect == pytest.approx(by_name(both)["all together"].effect, rel=1e-4)
    assert found.reasons == by_name(both)["all together"].reasons
    assert only.n_runs < both.n_runs / 2


def test_of_many_candidates_the_fewest_whose_joint_effect_lasts_are_the_redundant_pair(intervene_in: Intervene) -> None:
    candidates = ("redundant_a", "inert", "echo", "redundant_b", "impostor")
    result, truth, _ = intervene_in(2, candidates, together=True, alone=False, smallest=True)
    (pair,) = truth.redundant
    found = result.smallest
    assert found is not None
    assert found.moves
    assert set(found.asked) == set(candidates)
    assert set(found.kept) == set(pair.members)
    (unit,) = result.units
    assert unit.effect == pytest.approx(pair.measured_joint_effect, rel=0.15)
    assert "effect_confirmed" in unit.reasons
    assert any("Explore prompts left out 3 of 5 units" in warning for warning in result.warnings)


def test_among_candidates_that_do_nothing_together_no_set_is_confirmed(intervene_in: Intervene) -> None:
    candidates = ("redundant_a", "inert", "echo", "impostor")
    result, _, _ = intervene_in(2, candidates, together=True, alone=False, smallest=True)
    assert "effect_confirmed" not in result.units[-1].reasons
    assert result.units[-1].grade != "validated"


def test_words_that_the_cause_has_no_say_in_show_no_effect(intervene_in: Intervene) -> None:
    """The negative twin: the same unit and edit, with targets that are not its own."""
    truth = intervene_in(2, ("cause",))[1]
    result, _, _ = intervene_in(2, ("cause",), targets=truth.plain, alternatives=truth.triggers)
    assert "effect_confirmed" not in by_name(result)["cause"].reasons, by_name(result)["cause"]


def test_chosen_target_words_are_what_positives_are_followed_by(intervene_in: Intervene) -> None:
    result, truth, _ = intervene_in(2, ("cause",), targets=(), alternatives=())
    assert result.target_tokens == "chosen"
    assert set(result.targets) <= set(truth.targets)
    assert "effect_confirmed" in by_name(result)["cause"].reasons


def test_the_report_has_doses_controls_a_silent_placebo_and_every_run(intervene_in: Intervene) -> None:
    edits = ["ablate_zero", "ablate_mean", "ablate_resample", "suppress", "amplify", "clamp", "steer", "patch"]
    result, _, folder = intervene_in(2, ("cause",), edits=edits, strengths=(0.5, 1.0), where="last")
    report = InterveneReport.model_validate_json((folder / "report.json").read_text(encoding="utf-8"))
    (card,) = report.units
    assert {edit.edit for edit in card.edits} == set(edits)
    for edit in card.edits:
        assert len(edit.doses) == (1 if edit.edit.startswith(("ablate", "patch")) else 2)
        assert edit.confirm is not None
        assert edit.confirm.placebo < 1e-4
        assert edit.confirm.controls.keys() == {"random_direction"}
    lines = [json.loads(line) for line in (folder / "interventions.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {line["schema_version"] for line in lines} == {"interp-lab.intervention_record.v1"}
    assert {line["metadata"].get("control_type") for line in lines} == {None, "random", "negative_control", "placebo"}
    effects = [r for r in lines if "control_type" not in r["metadata"] and r["metadata"]["part"] == "confirm"]
    ablated = [r["baseline_score"] - r["intervention_score"] for r in effects if r["metadata"]["edit"] == "ablate_zero"]
    found = next(edit.confirm for edit in card.edits if edit.edit == "ablate_zero")
    assert found is not None
    assert sum(ablated) / len(ablated) == pytest.approx(found.effect, rel=1e-3)
    assert len(result.model_dump_json()) < 4000
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.count("<script") == 1
    assert 'src="' not in page
    assert (folder / "report.csv").read_text(encoding="utf-8").count("\n") == 1 + 2 * len(edits)
    assert (folder / "report.md").read_text(encoding="utf-8").startswith("# Intervention report")


def test_the_same_request_gives_the_same_numbers(intervene_in: Intervene) -> None:
    first, _, _ = intervene_in(2, ("cause",), edits=["ablate_resample"])
    again, _, _ = intervene_in(2, ("cause",), edits=["ablate_resample"])
    assert first == again


class _CutOff(Exception):
    pass


class _Interrupted(LocalRun):
    """A run whose process ends after so many prompts."""

    left = 0

    def progress(self, done: float, total: float | None, message: str, unit: str = "") -> None:
        self.left -= unit == "prompts"
        if self.left < 0:
            raise _CutOff


def test_a_sweep_that_was_cut_off_goes_on_to_the_same_bytes(intervene_in: Intervene, tmp_path: Path) -> None:
    _, _, whole = intervene_in(2, ("cause",), edits=["ablate_zero", "amplify"])
    folder, request = asked_in[-1]
    settings = Settings(workspace=folder)
    for prompts in (5, 30):
        run = _Interrupted(tmp_path / "out", workspace=folder)
        run.left = prompts
        with pytest.raises(_CutOff), run:
            intervene(request, run, settings=settings, suggest=lambda _: ())
    kept = sorted(path.name for path in (tmp_path / "out" / "ckpt").glob("*.jsonl"))
    assert kept[0].startswith("explore")
    with LocalRun(tmp_path / "out", workspace=folder) as last:
        intervene(request, last, settings=settings, suggest=lambda _: ())
    name = "interventions.jsonl"
    assert (last.written[0] / name).read_bytes() == (whole / name).read_bytes()


def test_the_cause_moves_its_relay_downstream_and_a_decoy_does_not(intervene_in: Intervene) -> None:
    _, truth, _ = intervene_in(2, ("cause",))
    relay = next(feature for feature in truth.features if feature.role == "relay")
    later = {"address": relay.address, "direction": relay.direction, "name": "relay"}
    result, _, out = intervene_in(2, ("cause", "inert"), metric="downstream", downstream=later)
    report = InterveneReport.model_validate_json((out / "report.json").read_bytes())
    assert report.behaviour.of == "relay"
    units = by_name(result)
    assert "effect_confirmed" in units["cause"].reasons
    assert units["cause"].effect == pytest.approx(relay.typical, rel=0.3)
    assert "effect_like_control" in units["inert"].reasons
    assert "value of relay" in result.summary


def test_without_its_cause_the_words_are_not_written_and_without_a_decoy_they_are(intervene_in: Intervene) -> None:
    _, truth, _ = intervene_in(2, ("cause",))
    scorer = {"name": "lexicon", "words": truth.targets, "max_new_tokens": 1}
    result, _, _ = intervene_in(2, ("cause", "inert"), metric="score", scorer=scorer)
    units = by_name(result)
    assert units["cause"].effect is not None
    assert units["cause"].effect > 0.3
    assert "effect_confirmed" in units["cause"].reasons
    assert units["inert"].effect == pytest.approx(0.0, abs=0.05)


def test_a_divergence_tells_the_cause_from_a_decoy_and_has_no_direction(intervene_in: Intervene) -> None:
    result, _, out = intervene_in(2, ("cause", "inert"), metric="kl")
    units = by_name(result)
    assert units["cause"].effect is not None
    assert units["cause"].effect > 3 * abs(units["inert"].effect or 0.0), "positive, though the unit was taken away"
    report = InterveneReport.model_validate_json((out / "report.json").read_bytes())
    assert any("no direction" in caveat for caveat in report.caveats)


def test_cross_entropy_is_flagged_where_the_cause_stands_in_the_last_word_and_moves_where_it_can(
    intervene_in: Intervene,
) -> None:
    stuck, _, _ = intervene_in(2, ("cause",), metric="cross_entropy")
    assert stuck.flags == ("does_not_move",)
    pushed = {"units": [{"address": "resid_post.0", "index": 3}], "edits": ["steer"], "strengths": [20.0]}
    moved, _, _ = intervene_in(2, (), metric="cross_entropy", **pushed)
    assert moved.flags == ()


def test_confirming_stops_once_intervals_are_narrow_and_goes_on_where_they_are_not(intervene_in: Intervene) -> None:
    reports = []
    for precise_to in (10.0, 1e-6):
        result, _, out = intervene_in(3, ("cause",), precise_to=precise_to)
        reports.append(InterveneReport.model_validate_json((out / "report.json").read_bytes()))
        assert "effect_confirmed" in by_name(result)["cause"].reasons
    early, late = (report.stopping for report in reports)
    assert early is not None
    assert late is not None
    assert (early.n_looks, late.n_looks) == (1, len(late.planned))
    assert early.n_groups < late.n_groups
    assert early.interval_level > 0.95
    assert early.widest <= early.target
    assert late.widest > late.target
    told = [edit.confirm for unit in reports[1].units for edit in unit.edits if edit.confirm is not None]
    halves = [(figures.effect_interval.high - figures.effect_interval.low) / 2 for figures in told]
    assert late.widest == pytest.approx(max(halves), rel=1e-3)  # of the effect, not of what it exceeds
    confirm = reports[0].units[0].edits[0].confirm
    assert confirm is not None
    assert confirm.n_groups == early.n_groups
    assert "look 1 of" in render_intervention_markdown(reports[0])
