"""Laws of grading that hold for any numbers: association never validates, more evidence never lowers a grade."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp_lab.errors import DiscoveryRowsReused
from interp_lab.evidence.claim import Asserted, Claim, Imported, Measured, Subject
from interp_lab.evidence.facts import AdjustedReading, AssociationEvidence, Effect, InterventionEvidence, Reading
from interp_lab.evidence.grade import Grading, grade
from interp_lab.evidence.reasons import Reason

LADDER = ("weak", "plausible", "needs_causal_evidence", "validated")
EXPLORE_ROWS, CONFIRM_ROWS = frozenset({"a", "b"}), frozenset({"c", "d"})
SUBJECT = Subject("builtin:pocket-gpt2", None, "resid_post.1", None, 7)

unit = st.floats(0, 1)
counts = st.integers(2, 60)
provenances = st.sampled_from(["measured", "imported", "asserted"])


@st.composite
def readings(draw: st.DrawFn, rows: frozenset[str]) -> Reading:
    low, value, high = sorted(draw(st.tuples(unit, unit, unit)))
    return Reading(
        value, low, high, draw(st.sampled_from([0.0, 0.01, 0.05, 0.3, 1.0])), draw(counts), draw(counts), rows
    )


@st.composite
def adjusted(draw: st.DrawFn) -> AdjustedReading:
    low, value, high = sorted(draw(st.tuples(unit, unit, unit)))
    return AdjustedReading(value, low, high, draw(st.booleans()))


associations = st.builds(
    AssociationEvidence,
    explore=readings(EXPLORE_ROWS),
    confirm=st.none() | readings(CONFIRM_ROWS) | readings(frozenset()),
    adjusted=st.none() | adjusted(),
    solved_by=st.sampled_from([(), ("length",)]),
    words_solve=st.booleans(),
    provenance=provenances,
)


@st.composite
def effects(draw: st.DrawFn, rows: frozenset[str]) -> Effect:
    low, value, high = sorted(draw(st.tuples(*[st.floats(-3, 3)] * 3)))
    return Effect(value, low, high, draw(st.none() | st.sampled_from([0.001, 0.05, 0.4])), draw(counts), rows)


interventions = st.builds(
    InterventionEvidence,
    edit=st.just("ablate to the mean"),
    explore=effects(EXPLORE_ROWS),
    confirm=st.none() | effects(CONFIRM_ROWS),
    side_effect=st.none() | st.floats(0, 1),
    side_effect_bound=st.just(0.2),
    metric_can_move=st.booleans(),
    provenance=provenances,
)

SOUND = AssociationEvidence(
    explore=Reading(0.9, 0.8, 0.95, 0.001, 30, 30, EXPLORE_ROWS),
    confirm=Reading(0.85, 0.75, 0.93, 0.001, 30, 30, CONFIRM_ROWS),
    adjusted=AdjustedReading(0.8, 0.7, 0.9, separable=True),
)
EFFECT = Effect(0.8, 0.5, 1.1, 0.001, 30, CONFIRM_ROWS)
ABLATION = InterventionEvidence(
    "ablate to the mean", replace(EFFECT, rows=EXPLORE_ROWS), EFFECT, 0.05, 0.2, True, "measured"
)


def _rank(graded: Grading) -> int:
    return LADDER.index(graded.grade)


@pytest.mark.guarantee("association-never-validates")
@given(associations, st.lists(associations, max_size=3))
def test_association_alone_never_validates_or_contradicts(
    association: AssociationEvidence, others: list[AssociationEvidence]
) -> None:
    assert grade(association, others=others).grade in LADDER[:3]


@given(associations, st.lists(interventions, max_size=3))
def test_said_interventions_change_nothing(association: AssociationEvidence, said: list[InterventionEvidence]) -> None:
    asserted = [replace(item, provenance="asserted") for item in said]
    assert grade(association, asserted) == grade(association)


@given(associations, st.lists(interventions, max_size=3))
def test_an_asserted_association_is_weak_unless_effects_disagree(
    association: AssociationEvidence, found: list[InterventionEvidence]
) -> None:
    assert grade(replace(association, provenance="asserted"), found).grade in {"weak", "contradicted"}


@given(associations, st.sampled_from([0.0, 0.01, 0.05]))
def test_a_smaller_q_never_lowers(association: AssociationEvidence, q: float) -> None:
    better = replace(association, explore=replace(association.explore, q=min(q, association.explore.q)))
    if better.confirm is not None:
        better = replace(better, confirm=replace(better.confirm, q=min(q, better.confirm.q)))
    assert _rank(grade(better)) >= _rank(grade(association))


@given(associations, unit)
def test_a_confirm_interval_farther_from_one_half_never_lowers(association: AssociationEvidence, step: float) -> None:
    confirm = association.confirm
    if confirm is None:
        return
    up = association.explore.sign >= 0
    moved = [v + step * ((1 - v) if up else -v) for v in (confirm.low, confirm.auroc, confirm.high)]
    low, value, high = sorted(moved)
    better = replace(association, confirm=replace(confirm, low=low, auroc=value, high=high))
    assert _rank(grade(better)) >= _rank(grade(association))


@given(associations, st.integers(0, 60))
def test_more_confirm_groups_never_lower(association: AssociationEvidence, more: int) -> None:
    confirm = association.confirm
    if confirm is None:
        return
    larger = replace(
        confirm, n_positive_groups=confirm.n_positive_groups + more, n_negative_groups=confirm.n_negative_groups + more
    )
    assert _rank(grade(replace(association, confirm=larger))) >= _rank(grade(association))


@given(associations)
def test_confirm_rows_that_agree_and_survive_control_never_lower(association: AssociationEvidence) -> None:
    up = association.explore.sign >= 0
    reading = Reading(*((0.85, 0.75, 0.93) if up else (0.15, 0.07, 0.25)), 0.001, 30, 30, CONFIRM_ROWS)
    control = AdjustedReading(*((0.8, 0.7, 0.9) if up else (0.2, 0.1, 0.3)), separable=True)
    better = replace(association, confirm=reading, adjusted=control)
    assert _rank(grade(better)) >= _rank(grade(association))


@given(associations, st.lists(interventions, max_size=2))
def test_a_sound_intervention_never_lowers_and_validates_only_a_sound_association(
    association: AssociationEvidence, found: list[InterventionEvidence]
) -> None:
    before, after = grade(association, found), grade(association, [*found, ABLATION])
    if after.grade == "contradicted":
        return
    assert _rank(after) >= _rank(before)
    if after.grade == "validated":
        assert grade(association).grade == "needs_causal_evidence"


@given(associations, st.lists(interventions, min_size=1, max_size=3))
def test_contradicted_needs_two_effects_that_exclude_their_controls(
    association: AssociationEvidence, found: list[InterventionEvidence]
) -> None:
    if grade(association, found).grade != "contradicted":
        return
    signs = {e.sign for item in found for e in (item.explore, item.confirm) if e is not None}
    assert {1, -1} <= signs


@given(associations, st.lists(interventions, max_size=2))
def test_every_grade_has_a_reason_and_every_unfinished_one_a_call(
    association: AssociationEvidence, found: list[InterventionEvidence]
) -> None:
    graded = grade(association, found)
    assert graded.reasons
    assert all(reason.meaning for reason in graded.reasons)
    if graded.grade in {"plausible", "needs_causal_evidence"}:
        assert graded.next_steps


def test_a_sound_association_asks_for_an_intervention() -> None:
    graded = grade(SOUND)
    assert graded.grade == "needs_causal_evidence"
    assert [step.capability for step in graded.next_steps] == ["intervene"]


def test_a_sound_association_with_a_sound_intervention_is_validated() -> None:
    assert grade(SOUND, [ABLATION]).grade == "validated"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"metric_can_move": False}, Reason.METRIC_CANNOT_MOVE),
        ({"confirm": None}, Reason.EFFECT_UNCONFIRMED),
        ({"side_effect": None}, Reason.FIELDS_MISSING),
        ({"side_effect": 0.5}, Reason.SIDE_EFFECTS),
        ({"confirm": replace(EFFECT, low=-0.1)}, Reason.EFFECT_LIKE_CONTROL),
        ({"confirm": replace(EFFECT, q=0.2)}, Reason.EFFECT_LIKE_CONTROL),
        ({"explore": Effect(-0.2, -0.6, 0.2, 0.3, 30, EXPLORE_ROWS)}, Reason.EFFECT_SIGN_UNSTABLE),
    ],
)
def test_an_intervention_with_one_flaw_does_not_validate(change: dict[str, object], reason: Reason) -> None:
    graded = grade(SOUND, [replace(ABLATION, **change)])
    assert graded.grade == "needs_causal_evidence"
    assert reason in graded.reasons


@pytest.mark.parametrize(
    ("change", "expected", "reason"),
    [
        ({"explore": replace(SOUND.explore, q=0.2)}, "weak", Reason.NOT_FOUND),
        ({"confirm": None}, "plausible", Reason.NOT_TESTED),
        ({"confirm": replace(SOUND.confirm, low=0.45)}, "plausible", Reason.CONFIRM_UNCERTAIN),
        ({"confirm": replace(SOUND.confirm, q=0.2)}, "plausible", Reason.CONFIRM_UNCERTAIN),
        ({"confirm": replace(SOUND.confirm, n_positive_groups=4)}, "plausible", Reason.CONFIRM_SMALL),
        ({"confirm": Reading(0.1, 0.05, 0.2, 0.001, 30, 30, CONFIRM_ROWS)}, "weak", Reason.SIGN_REVERSED),
        ({"confirm": Reading(0.52, 0.45, 0.6, 0.6, 30, 30, CONFIRM_ROWS)}, "weak", Reason.EFFECT_VANISHED),
        ({"adjusted": None}, "plausible", Reason.CONFOUNDS_UNCHECKED),
        ({"adjusted": AdjustedReading(0.55, 0.4, 0.7, True)}, "plausible", Reason.CONFOUNDED),
        ({"adjusted": AdjustedReading(0.5, 0.0, 1.0, False)}, "plausible", Reason.INSEPARABLE),
        ({"solved_by": ("length",)}, "plausible", Reason.CONFOUND_SOLVES),
        ({"words_solve": True}, "needs_causal_evidence", Reason.WORDS_SOLVE),
        ({"provenance": "asserted"}, "weak", Reason.ASSERTED),
    ],
)
def test_one_flaw_in_the_association_shows_in_grade_and_reason(
    change: dict[str, object], expected: str, reason: Reason
) -> None:
    graded = grade(replace(SOUND, **change))
    assert graded.grade == expected
    assert reason in graded.reasons


def test_two_opposite_correlations_are_hypotheses_and_not_a_contradiction() -> None:
    opposite = replace(SOUND, explore=Reading(0.1, 0.05, 0.2, 0.001, 30, 30, EXPLORE_ROWS))
    graded = grade(SOUND, others=[opposite])
    assert graded.grade == "needs_causal_evidence"
    assert Reason.OPPOSITE_CORRELATIONS in graded.reasons


def test_two_opposite_effects_are_a_contradiction() -> None:
    reverse = replace(ABLATION, confirm=Effect(-0.8, -1.1, -0.5, 0.001, 30, CONFIRM_ROWS))
    assert grade(SOUND, [ABLATION, reverse]).grade == "contradicted"


def test_rows_used_for_discovery_cannot_grade() -> None:
    reused = replace(SOUND, confirm=replace(SOUND.confirm, rows=CONFIRM_ROWS | {"a"}))
    with pytest.raises(DiscoveryRowsReused, match="1 of 3 groups"):
        grade(reused)
    leaking = replace(ABLATION, confirm=replace(EFFECT, rows=frozenset({"b"})))
    with pytest.raises(DiscoveryRowsReused):
        grade(SOUND, [leaking])


def test_an_asserted_claim_is_weak_whatever_numbers_it_carries() -> None:
    said = Claim(SUBJECT, "negation", "It writes negation.", Asserted("an agent"), SOUND, (ABLATION,))
    measured = Claim(
        SUBJECT, "negation", "It writes negation.", Measured("job1", "0.1", (("x", "0f"),)), SOUND, (ABLATION,)
    )
    assert (said.grading.grade, said.grading.reasons) == ("weak", (Reason.ASSERTED,))
    assert (measured.grading.grade, measured.provenance) == ("validated", "measured")


def test_an_imported_intervention_with_its_fields_can_validate_and_without_them_cannot() -> None:
    source = Imported("effects.jsonl", "0f")
    full = replace(ABLATION, provenance="imported")
    bare = replace(full, side_effect=None)
    assert Claim(SUBJECT, "c", "s", source, SOUND, (full,)).grading.grade == "validated"
    assert Claim(SUBJECT, "c", "s", source, SOUND, (bare,)).grading.grade == "needs_causal_evidence"
