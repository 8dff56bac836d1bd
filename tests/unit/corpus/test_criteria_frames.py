from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp_lab.corpus.criteria.contrast import unmarked
from interp_lab.corpus.criteria.frames import Frame, fill, framed, section, slotted
from interp_lab.corpus.criteria.registry import CRITERIA
from interp_lab.corpus.criteria.scene import Scene
from interp_lab.corpus.dice import Dice

DATA = Path(__file__).parents[3] / "interp_lab" / "corpus" / "data" / "criteria"
SEEDS = st.integers(min_value=0, max_value=10_000)


def _scene(seed: int = 1) -> Scene:
    return Scene(Dice(seed, "frames"))


@given(SEEDS)
def test_a_slot_stands_for_the_same_words_on_both_sides_and_another_number_for_others(seed: int) -> None:
    one, other = fill("{who}|{who2}|<a/b>|{who}", _scene(seed), {})
    first, second, side, again = one.split("|")
    assert first == again != second
    assert (side, other.split("|")[2]) == ("a", "b")
    assert other.split("|")[:2] == [first, second]


@given(SEEDS)
def test_forms_of_a_verb_or_noun_share_its_base(seed: int) -> None:
    scene = _scene(seed)
    one, _ = fill("{verb} {Verb} {noun} {NOUN} {verb2}", scene, {})
    verb, opening, noun, upper, second = one.split(" ")
    assert verb.capitalize() == opening
    assert noun.upper() == upper
    assert verb != second


@given(SEEDS)
def test_the_same_list_makes_the_same_choice_wherever_it_stands(seed: int) -> None:
    one, other = fill("[x|y|z]<[x|y|z]/[x|y|z]>", _scene(seed), {})
    assert one == other
    assert one in ("xx", "yy", "zz")


def test_a_list_makes_every_choice() -> None:
    assert {fill("[x|y|z]", _scene(seed), {})[0] for seed in range(50)} == {"x", "y", "z"}


def test_a_choice_may_hold_sides_and_a_side_may_hold_choices() -> None:
    texts = {fill("[<a/b>|<c/d>]", _scene(seed), {}) for seed in range(30)}
    assert texts == {("a", "b"), ("c", "d")}


def test_slots_of_a_criterion_come_before_those_of_every_scene() -> None:
    assert fill("{who}", _scene(), {"who": lambda _: "nobody else"}) == ("nobody else", "nobody else")


def test_a_slot_that_nobody_draws_is_an_error() -> None:
    with pytest.raises(KeyError, match="no_such"):
        fill("{no_such}", _scene(), {})


def test_braces_that_are_no_slot_stay() -> None:
    assert slotted('{"{noun}": {}}', {"{noun}": "key"}) == '{"key": {}}'


def test_a_frame_gives_both_sides_their_kind_labels_and_span() -> None:
    frame = Frame(
        kinds=("yes", "no"),
        text="⟦<no/one>⟧ lamp.",
        labels={"both": 1},
        positive={"own": True},
        negative={"own": False},
    )
    contrast = frame.contrast(_scene(), {})
    assert unmarked(contrast.positive.text)[0] == "No lamp."
    assert unmarked(contrast.negative.text)[0] == "One lamp."
    assert (contrast.positive.subtype, contrast.negative.subtype) == ("yes", "no")
    assert (contrast.labels, contrast.positive.labels, contrast.negative.labels) == (
        {"both": 1},
        {"own": True},
        {"own": False},
    )


def test_the_families_of_a_file_keep_its_order() -> None:
    assert list(framed("negation")) == list(section("negation"))


@pytest.mark.parametrize("path", sorted(DATA.glob("*.json")), ids=lambda path: path.stem)
def test_no_file_names_a_family_twice_and_every_family_is_used(path: Path) -> None:
    pairs = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=list)
    names = [name for name, _ in pairs]
    assert len(set(names)) == len(names)
    own = [criterion for criterion in CRITERIA if criterion.module.endswith(f".{path.stem}")]
    assert own
    assert all(set(names) <= set(criterion.families) for criterion in own)
