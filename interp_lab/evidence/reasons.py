"""The machine-readable reasons behind a grade, each with its meaning and the call that would move it."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class NextStep(NamedTuple):
    """A call that could change the grade, in the lab's own words; who can make it is not said here."""

    capability: str
    why: str


class Reason(StrEnum):
    """Why a grade is what it is. The value is the stable code, `meaning` says it in words."""

    meaning: str

    def __new__(cls, code: str, meaning: str) -> Reason:
        """Return the member of this code and meaning."""
        member = str.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member

    ASSERTED = "asserted", "Somebody said it; nothing was measured or imported, so nothing is graded."
    NOT_FOUND = "not_found_in_explore", "On the explore rows q is not under the level over all latents tested."
    NOT_TESTED = "not_tested_on_confirm", "There is no statistic from confirm rows."
    ROWS_UNKNOWN = "confirm_rows_unknown", "The record does not say which groups it comes from, so it cannot confirm."
    CONFIRM_SMALL = "confirm_too_small", "The confirm rows hold too few independent groups of a label."
    CONFIRM_UNCERTAIN = "confirm_uncertain", "On the confirm rows the interval holds 0.5, or q is not under the level."
    EFFECT_VANISHED = "effect_vanished", "The confirm interval holds 0.5 and excludes half of what explore rows showed."
    SIGN_REVERSED = "sign_reversed", "The confirm rows show the opposite sign, with an interval that excludes 0.5."
    CONFIRMED = "association_confirmed", "Same sign on confirm rows, interval excludes 0.5, q under the level."
    CONFOUNDS_UNCHECKED = (
        "confounds_unchecked",
        "The association was not controlled for surface properties of the prompts.",
    )
    CONFOUND_SOLVES = "confound_solves_dataset", "A surface property alone solves the dataset."
    INSEPARABLE = (
        "inseparable_from_confounds",
        "Surface properties explain the label; nothing can be told apart from them.",
    )
    CONFOUNDED = "explained_by_confounds", "After control for surface properties the interval no longer excludes 0.5."
    WORDS_SOLVE = "words_alone_solve", "A bag of words solves the dataset: a detector of words would look the same."
    NO_INTERVENTION = "no_intervention", "Correlation only: what the latent does in the model was not measured."
    OPPOSITE_CORRELATIONS = (
        "opposite_correlations",
        "Another run shows the opposite sign; both are untested hypotheses.",
    )
    METRIC_CANNOT_MOVE = (
        "metric_cannot_move",
        "The behaviour metric is saturated or near zero; the effect is not graded.",
    )
    FIELDS_MISSING = "intervention_lacks_fields", "An intervention lacks a field that the grade needs."
    UNCONTROLLED = (
        "effect_without_controls",
        "No control was run on the same prompts, so any edit of this size may do as much.",
    )
    STRENGTH_CHOSEN = (
        "strength_chosen_on_graded_rows",
        "The strength was chosen on the prompts that would grade it, or the record does not say on which.",
    )
    OTHER_PROMPTS = (
        "intervention_on_other_prompts",
        "The intervention was made on other prompts or another split than this report's, so it cannot confirm it.",
    )
    OTHER_CRITERION = "criterion_not_named", "The intervention does not name the criterion that it is about."
    EFFECT_UNCONFIRMED = "effect_not_on_confirm", "An intervention has no effect measured on confirm rows."
    EFFECT_LIKE_CONTROL = (
        "effect_like_control",
        "The effect's interval holds the control effect, or q is not under the level.",
    )
    EFFECT_SIGN_UNSTABLE = "effect_sign_unstable", "The effect on confirm rows has not the sign seen in discovery."
    SIDE_EFFECTS = "side_effects", "The same edit moves the negatives more than the stated bound."
    EFFECTS_DISAGREE = "effects_disagree", "Interventions that each exclude their control disagree in sign."
    EFFECT_CONFIRMED = "effect_confirmed", "An intervention moves the behaviour beyond its control on confirm rows."
    MATCH_LIKE_CHANCE = (
        "match_like_chance",
        "On confirm rows exchanges, other units or random edits are as close; q is not under the level.",
    )
    MATCH_SIGN_REVERSED = "match_sign_reversed", "The confirm rows show the opposite sign of what explore rows chose."
    MATCH_CONFIRMED = (
        "match_confirmed",
        "Alike on confirm rows beyond exchanges and beyond other units or random edits.",
    )
    EFFECTS_AGREE = "effects_agree", "Interventions on both sides exceed their controls and agree in sign."


_MORE_PROMPTS = "More independent prompt groups of both labels narrow the interval."
_BALANCED = "Prompts in which the surface property does not go with the label tell the two apart."

NEXT_STEPS: dict[Reason, NextStep] = {
    Reason.ASSERTED: NextStep("inspect", "Measure the association on labelled prompts."),
    Reason.NOT_FOUND: NextStep(
        "inspect", "Other addresses or a dictionary may hold it; more groups see smaller effects."
    ),
    Reason.NOT_TESTED: NextStep("inspect", "Test the latent on the confirm rows of the split."),
    Reason.ROWS_UNKNOWN: NextStep("inspect", "Measure it here, where the rows of each number are recorded."),
    Reason.CONFIRM_SMALL: NextStep("build_prompts", _MORE_PROMPTS),
    Reason.CONFIRM_UNCERTAIN: NextStep("build_prompts", _MORE_PROMPTS),
    Reason.CONFOUNDS_UNCHECKED: NextStep("audit_prompts", "See which surface properties go with the label."),
    Reason.CONFOUND_SOLVES: NextStep("build_prompts", _BALANCED),
    Reason.INSEPARABLE: NextStep("build_prompts", _BALANCED),
    Reason.CONFOUNDED: NextStep("build_prompts", _BALANCED),
    Reason.NO_INTERVENTION: NextStep("intervene", "Ablate and amplify the latent against matched controls."),
    Reason.METRIC_CANNOT_MOVE: NextStep("intervene", "Choose target tokens whose probability can go both ways."),
    Reason.FIELDS_MISSING: NextStep("intervene", "Measure the effect here, with controls and side effects."),
    Reason.UNCONTROLLED: NextStep("intervene", "Edit it here, where every edit runs beside controls."),
    Reason.STRENGTH_CHOSEN: NextStep("intervene", "Choose the strength on explore prompts and grade it on the others."),
    Reason.OTHER_PROMPTS: NextStep("intervene", "Edit it on the prompts of this report, with its seed and threshold."),
    Reason.OTHER_CRITERION: NextStep("intervene", "Measure the effect for this criterion."),
    Reason.EFFECT_UNCONFIRMED: NextStep("intervene", "Repeat the same edit on the confirm rows."),
    Reason.EFFECT_LIKE_CONTROL: NextStep("build_prompts", "More groups show a smaller effect; read its power first."),
    Reason.EFFECT_SIGN_UNSTABLE: NextStep("intervene", "Measure the dose response: the sign may depend on strength."),
    Reason.SIDE_EFFECTS: NextStep("steer", "A smaller strength may keep the effect and lose the side effect."),
    Reason.MATCH_LIKE_CHANCE: NextStep("build_prompts", _MORE_PROMPTS),
    Reason.MATCH_SIGN_REVERSED: NextStep("build_prompts", _MORE_PROMPTS),
    Reason.EFFECTS_DISAGREE: NextStep("trace_paths", "Two paths of opposite sign would explain it."),
}
"""What would move a grade that rests on this reason; reasons that need no further call are absent."""
