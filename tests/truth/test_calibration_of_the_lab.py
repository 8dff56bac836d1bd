"""The lab measured on one planted world, and the same measurement of pipelines that are wrong on purpose."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from interp_lab.contracts.calibration_report import WorldScore
from interp_lab.methods.calibration import bars, judge
from interp_lab.workflows.calibrating import investigate as pipeline
from interp_lab.workflows.calibrating.investigate import Answer, Question, Stop
from interp_lab.workflows.calibrating.score import score_world
from interp_lab.workflows.calibrating.sweep import Draw, settings_of

EASY = settings_of("small")[0]
SMALL = EASY.model_copy(update={"dials": EASY.dials.model_copy(update={"prompts": 48})})


def scored(investigate: pipeline.Investigate, seed: int = 1) -> WorldScore:
    return score_world(Draw(SMALL, seed), investigate, seed=0, stop=lambda: None)


def shuffled(question: Question, stop: Stop) -> Answer:
    """Labels exchanged between prompts before the pipeline sees them."""
    path = question.folder / pipeline.DATASET
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    scores = [row["score"] for row in rows]
    mixed = [{**row, "score": score} for row, score in zip(rows, scores[1::2] + scores[::2], strict=True)]
    for place, row in enumerate(mixed):
        row["score"] = float(place % 4 < 2)
    path.write_text("".join(json.dumps(row) + "\n" for row in mixed), encoding="utf-8")
    return pipeline.investigate(question, stop)


def believing(question: Question, stop: Stop) -> Answer:
    """Grading without controls: whatever goes with the criterion is called validated."""
    answer = pipeline.investigate(question, stop)
    return Answer(
        tuple(
            replace(said, grade="validated") if "association_confirmed" in said.reasons else said
            for said in answer.latents
        ),
        answer.stand_ins,
    )


def eight_like(one: WorldScore) -> list[WorldScore]:
    """As many models as a small run has, all alike."""
    return [one.model_copy(update={"seed": seed}) for seed in range(8)]


@pytest.fixture(scope="module")
def honest() -> WorldScore:
    return scored(pipeline.investigate)


def test_on_an_easy_world_causes_are_validated_decoys_are_not_and_the_pair_is_found(honest: WorldScore) -> None:
    by_name = {latent.name: latent for latent in honest.latents if latent.kind != "bystander"}
    for cause in ("trigger", "cause", "cause_relay", "redundant_relay", "suppressor", "suppressor_relay"):
        assert by_name[cause].causal
        assert by_name[cause].grade == "validated", by_name[cause]
    suppressed = by_name["suppressor"].effect
    assert suppressed is not None
    assert suppressed < 0
    for decoy in ("inert", "redundant_a", "redundant_b", "echo", "impostor", "impostor_relay"):
        assert not by_name[decoy].causal
        assert by_name[decoy].grade != "validated"
        assert not by_name[decoy].confirmed
    assert honest.joint.found == honest.joint.planted == ("redundant_a", "redundant_b")
    assert all(bar.holds for bar in bars([honest]))
    assert judge(bars(eight_like(honest))) == "undecided"


def test_the_measured_truth_of_latents_agrees_with_what_was_planted(honest: WorldScore) -> None:
    effects = {latent.name: latent.true_effect for latent in honest.latents}
    dials = SMALL.dials
    assert effects["cause"] == pytest.approx(dials.effect, rel=0.2)
    assert effects["suppressor"] == pytest.approx(-dials.effect / 2, rel=0.2)
    assert abs(effects["inert"]) < 0.1 * dials.effect


def test_a_pipeline_without_controls_is_reported_as_overclaiming(
    honest: WorldScore, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = Answer(
        tuple(
            pipeline.Said("resid_post.0", place, latent.grade or "weak", latent.reasons, latent.effect)
            for place, latent in enumerate(honest.latents)
        ),
        (),
    )
    monkeypatch.setattr(pipeline, "investigate", lambda _question, _stop: answer)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    told = believing(Question(folder=None, dictionaries=()), lambda: None)  # type: ignore[arg-type]
    again = honest.model_copy(
        update={
            "latents": tuple(
                latent.model_copy(update={"grade": said.grade})
                for latent, said in zip(honest.latents, told.latents, strict=True)
            )
        }
    )
    found = bars(eight_like(again))
    assert judge(found) == "overclaims"
    assert not next(bar for bar in found if bar.name == "precision").holds
    assert not next(bar for bar in found if bar.name == "decoys").holds


def test_a_pipeline_that_sees_exchanged_labels_is_reported_as_missing_what_is_there() -> None:
    found = bars(eight_like(scored(shuffled)))
    assert judge(found) == "misses"
    assert not next(bar for bar in found if bar.name == "recall").holds
