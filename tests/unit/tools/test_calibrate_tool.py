"""What calibrate plans and refuses, and what its report says of scores that are given."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from interp_lab.contracts.calibrate import CalibrateRequest
from interp_lab.contracts.calibration_report import CalibrationReport, JointScore, LatentScore, WorldScore
from interp_lab.contracts.jobs import JobView
from interp_lab.jobs.run import LocalRun
from interp_lab.reports.calibration import render_calibration, render_calibration_markdown
from interp_lab.settings import Settings
from interp_lab.workflows import calibrate as calibrate_module
from interp_lab.workflows.calibrate import calibrate
from interp_lab.workflows.calibrating.report import assemble, short_form
from interp_lab.workflows.calibrating.sweep import Draw, draws, settings_of
from interp_lab_tools.calibrate import suggest
from interp_lab_tools.dispatch import dispatch
from interp_lab_tools.lab import Lab


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with Lab.open(Settings(workspace=tmp_path, offline=True, worker_command=("/bin/sleep", "600"))) as opened:
        yield opened


def latent(name: str, kind: str, **said: Any) -> LatentScore:
    told = {"grade": "weak", "confirmed": False, "effect": None, "reasons": ()} | said
    causal = kind in {"cause", "suppressor"}
    place = {"address": "resid_post.1", "index": 0, "name": name, "kind": kind, "causal": causal, "true_effect": 1.0}
    return LatentScore.model_validate(place | told)


def world(seed: int, **changes: Any) -> WorldScore:
    confirmed = {"grade": "validated", "confirmed": True, "reasons": ("effect_confirmed",)}
    fields: dict[str, Any] = {
        "seed": seed,
        "axis": "easy",
        "value": "",
        "meant_to_hold": True,
        "latents": (
            latent("cause", "cause", effect=2.0, **confirmed),
            latent("suppressor", "suppressor", effect=-1.0, **confirmed),
            latent("inert", "inert", grade="needs_causal_evidence", reasons=("effect_like_control",)),
        ),
        "joint": JointScore(planted=("a", "b"), found=("a", "b")),
        "seconds": 1.0,
    }
    return WorldScore(**fields | changes)


def report_of(*worlds: WorldScore) -> CalibrationReport:
    with LocalRun(Path("unused")) as run:
        return assemble(CalibrateRequest(), worlds, run=run)


def test_the_plan_names_settings_and_seeds_and_starts_nothing(lab: Lab) -> None:
    view = dispatch(lab, "calibrate", {"size": "whole", "worlds": 2, "first_seed": 10, "dry_run": True})
    assert isinstance(view, JobView)
    assert view.state == "planned"
    assert view.plan is not None
    n_settings = len(settings_of("whole"))
    assert view.plan["n_worlds"] == 2 * n_settings
    assert view.plan["seeds"] == f"10-{10 + 2 * n_settings - 1}"


def test_seeds_never_run_from_development_into_the_reported_range(lab: Lab) -> None:
    with pytest.raises(Exception, match="two ranges"):
        dispatch(lab, "calibrate", {"size": "whole", "worlds": 50, "first_seed": 0, "dry_run": True})


def test_every_model_has_a_seed_of_its_own_and_bases_take_turns() -> None:
    drawn = list(draws(CalibrateRequest(worlds=2)))
    assert len({draw.seed for draw in drawn}) == len(drawn)
    assert {draw.setting.dials.base for draw in drawn if draw.setting.axis == "easy"} == {"tiny-gpt2", "tiny-llama"}


def test_bars_apply_to_no_setting_with_noise_or_a_confound() -> None:
    for setting in settings_of("whole"):
        if setting.meant_to_hold:
            assert setting.dials.noise == 0
            assert setting.dials.confounding == 0.5


def worlds(n: int, **changes: Any) -> list[WorldScore]:
    return [world(seed, **changes) for seed in range(n)]


def test_right_answers_on_enough_models_are_as_stated_and_the_summary_says_so() -> None:
    report = report_of(*worlds(80))
    assert report.verdict == "as_stated"
    assert {bar.state for bar in report.bars} == {"met"}
    short = short_form(report)
    assert short.summary.startswith("The lab is as right as it says")
    assert len(short.model_dump_json()) < 6000
    assert {row.grade: row.causal.share for row in report.grades if row.causal} == {
        "validated": 1.0,
        "needs_causal_evidence": 0.0,
    }


def test_right_answers_on_a_few_models_show_nothing_yet_and_more_are_offered() -> None:
    report = report_of(*worlds(8))
    assert report.verdict == "undecided"
    assert report.headline.startswith("Nothing here speaks against this lab, but there are too few models to show prec")
    assert suggest(CalibrateRequest(), report)[0].arguments == {"size": "held", "first_seed": 0}


def test_suppressors_with_the_wrong_sign_are_an_overclaim() -> None:
    wrong = latent("suppressor", "suppressor", grade="validated", confirmed=True, effect=1.0)
    report = report_of(*worlds(8, latents=(wrong, latent("cause", "cause"))))
    assert report.verdict == "overclaims"
    assert suggest(CalibrateRequest(), report)[0].arguments == {"size": "whole", "first_seed": 0}


def test_pairs_that_are_never_found_are_a_miss_and_not_an_overclaim() -> None:
    report = report_of(*worlds(8, joint=JointScore(planted=("a", "b"), found=())))
    assert report.verdict == "misses"
    assert suggest(CalibrateRequest(), report)[0].arguments == {"size": "whole", "first_seed": 0}


def test_one_pair_of_nine_that_is_not_found_leaves_a_bar_of_nine_tenths_undecided() -> None:
    report = report_of(*worlds(8), world(8, joint=JointScore(planted=("a", "b"), found=())))
    (bar,) = [bar for bar in report.bars if bar.name == "redundancy"]
    assert (bar.holds, bar.state) == (False, "undecided")
    assert report.verdict == "undecided"
    assert report.headline.startswith("Undecided: redundancy as found would miss the bar")


def test_settings_that_are_meant_to_break_do_not_decide_the_verdict() -> None:
    broken = world(1, axis="noise", value="0.3", meant_to_hold=False, latents=(latent("cause", "cause"),))
    report = report_of(world(0), broken)
    assert report.verdict == "undecided"
    assert all(bar.holds for bar in report.bars)
    assert report.curve[1].recall is not None
    assert report.curve[1].recall.share == 0


def test_markdown_and_html_show_the_same_shares() -> None:
    report = report_of(world(0), world(1, axis="effect", value="2.0"))
    page, text = render_calibration(report), render_calibration_markdown(report)
    for shown in ("Where it breaks", "needs_causal_evidence", "1.000 [0.012, 1.000], 4"):
        assert shown in page
        assert shown in text.replace("\\", "")
    assert "<script" not in page
    assert page.count("<polyline") > 0


def test_a_second_attempt_goes_on_where_the_first_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def scored(draw: Draw, _pipeline: object, *, seed: int, stop: object) -> WorldScore:
        if len(made) == 3 and seed == 0:
            made.append(-1)
            raise KeyboardInterrupt
        made.append(draw.seed)
        return world(draw.seed)

    monkeypatch.setattr(calibrate_module, "score_world", scored)
    request = CalibrateRequest(worlds=1)
    with pytest.raises(KeyboardInterrupt), LocalRun(tmp_path) as run:
        calibrate(request, run, suggest=lambda _: ())
    with LocalRun(tmp_path) as run:
        result = calibrate(request, run, suggest=lambda _: ())
    assert made == [0, 1, 2, -1, 3]
    assert result.n_worlds == 4
