"""The sentence about an intervention: what speaks against a unit is in the line that gets quoted."""

from __future__ import annotations

import pytest

from interp_lab.contracts.intervene import InterveneRequest
from interp_lab.workflows.intervening.report import headline
from interp_lab_tools.intervene import INTERVENE
from tests.unit.workflows.memory.past_runs import edit_card, intervene_report, unit_card

REQUEST = InterveneRequest.model_validate(INTERVENE.example)
LIKE_CONTROL = ("association_confirmed", "side_effects", "effect_like_control")
SIDE_EFFECTS = ("association_confirmed", "effect_confirmed", "side_effects")


@pytest.mark.parametrize(
    ("reasons", "ending"),
    [
        ([LIKE_CONTROL], "u0 is not validated as a cause of '{}' on these prompts: side_effects, effect_like_control."),
        (
            [LIKE_CONTROL, SIDE_EFFECTS],
            "None of 2 units is validated as a cause of '{}' on these prompts: "
            "side_effects (2), effect_like_control (1).",
        ),
        (
            [("association_confirmed",)],
            "u0 is not validated as a cause of '{}' on these prompts; the reasons tell what is missing.",
        ),
    ],
)
def test_what_speaks_against_a_unit_is_in_the_sentence_and_what_speaks_for_it_is_not(
    reasons: list[tuple[str, ...]], ending: str
) -> None:
    cards = [unit_card(f"u{k}", "needs_causal_evidence", [edit_card(0.5)], each) for k, each in enumerate(reasons)]
    said = headline(REQUEST, intervene_report(cards).units, ())
    assert said == ending.format(REQUEST.criterion)


def test_a_validated_unit_is_told_by_its_effect_and_not_by_reasons() -> None:
    card = unit_card("u0", "validated", [edit_card(0.5)], ("association_confirmed", "effect_confirmed"))
    said = headline(REQUEST, intervene_report([card]).units, ())
    assert said.startswith("u0 raises the ")
    assert "effect_confirmed" not in said
