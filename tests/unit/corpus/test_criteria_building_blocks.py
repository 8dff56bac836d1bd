from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp_lab.contracts.presets import CriterionDescription
from interp_lab.corpus.criteria.contrast import (
    Context,
    Contrast,
    Criterion,
    Earlier,
    Side,
    either_side,
    opened,
    unmarked,
)
from interp_lab.corpus.criteria.near import THRESHOLD, Groups, overlap, pieces
from interp_lab.corpus.criteria.rows import rows, span_texts
from interp_lab.corpus.criteria.scene import TOPICS, Scene
from interp_lab.corpus.dice import Dice
from interp_lab.corpus.splits import Split, owner
from interp_lab.errors import OperationError

PLAIN = st.text(alphabet=st.characters(exclude_characters="⟦⟧", exclude_categories=("Cs",)), max_size=20)
INSIDE = PLAIN.filter(bool)
DESCRIPTION = CriterionDescription(
    name="tiny",
    title="Tiny",
    criterion="The text says so.",
    description="A criterion for tests.",
    positives="Says so, in words.",
    negatives="Does not say so.",
    subtypes={"yes": "positive: says so", "no": "negative: does not"},
    labels={},
    pooling="last",
)


@given(before=PLAIN, inside=INSIDE, between=PLAIN, second=INSIDE, after=PLAIN)
def test_spans_cut_out_exactly_what_the_marks_enclosed(
    before: str, inside: str, between: str, second: str, after: str
) -> None:
    text, spans = unmarked(f"{before}⟦{inside}⟧{between}⟦{second}⟧{after}")
    assert text == before + inside + between + second + after
    assert [text[span.start : span.end] for span in spans] == [inside, second]


def test_text_without_marks_has_no_spans() -> None:
    assert unmarked("nothing here") == ("nothing here", ())


def test_a_sentence_opens_in_upper_case_behind_a_mark_too() -> None:
    assert opened("⟦no⟧ baker") == "⟦No⟧ baker"
    assert opened("the baker") == "The baker"


@given(one=st.text(max_size=60), two=st.text(max_size=60))
def test_overlap_is_symmetric_and_complete_only_for_the_same_pieces(one: str, two: str) -> None:
    first, second = pieces(one), pieces(two)
    assert overlap(first, second) == overlap(second, first)
    assert (overlap(first, second) == 1.0) == (first == second)


@given(st.text(alphabet="abcde ", min_size=1, max_size=60))
def test_overlap_does_not_see_case_or_the_amount_of_space(text: str) -> None:
    assert pieces(text) == pieces(text.upper().replace(" ", "  "))


def test_a_near_duplicate_of_an_accepted_group_is_refused_and_not_remembered() -> None:
    groups = Groups()
    assert groups.accept(("The old baker sold the lamp in the kitchen.", "The old baker hid the lamp in the kitchen."))
    assert not groups.accept(("The old baker sold the lamp in the garden.", "Something else entirely, far away."))
    assert groups.accept(("Something else entirely, far away.",))


def test_texts_that_share_little_are_accepted() -> None:
    groups = Groups()
    assert groups.accept(("The old baker sold the lamp in the kitchen.",))
    assert groups.accept(("A quick river crossed three valleys near Oslo.",))
    assert overlap(pieces("The old baker sold the lamp."), pieces("A quick river crossed three.")) < THRESHOLD


@pytest.mark.parametrize("topic", TOPICS)
def test_a_scene_never_draws_the_same_word_twice(topic: str) -> None:
    scene = Scene(Dice(1, topic), topic)  # pyright: ignore[reportArgumentType]
    drawn = [scene.role() for _ in range(12)] + [scene.noun() for _ in range(8)] + [scene.verb() for _ in range(4)]
    assert len(set(drawn)) == len(drawn)


def test_plain_sentences_belong_to_the_criterion_split_and_avoid_what_they_must() -> None:
    scene = Scene(Dice(2, "plain"))
    sentences = [scene.plain(frozenset({"and", "by"})) for _ in range(10)]
    assert all({"and", "by"}.isdisjoint(sentence.split()) for sentence in sentences)
    assert all(owner(sentence) is Split.CRITERIA for sentence in sentences)


def test_plain_sentences_that_must_avoid_every_word_are_refused_rather_than_sought_for_ever() -> None:
    with pytest.raises(OperationError, match="avoids"):
        Scene(Dice(2, "plain")).plain(frozenset({"the"}))


def _contrast(scene: Scene) -> Contrast:
    thing = scene.thing()
    return Contrast(
        Side(f"⟦{scene.verb()}⟧ {thing} {scene.place()}", "yes"), Side(f"⟦keep⟧ {thing} {scene.place()}", "no")
    )


def test_what_stands_before_a_contrast_is_the_same_on_both_sides_and_labelled() -> None:
    earlier = Earlier(lambda scene, family: either_side(scene, family) + ". ", "earlier")
    context = Context(sentences=(0,), earlier=earlier)
    prompts = rows(Criterion(DESCRIPTION, {"only": _contrast}, module="tests", context=context), 7)
    for one, two in zip(prompts[::2], prompts[1::2], strict=True):
        starts = {prompt.text[: prompt.spans[0].start] for prompt in (one, two)}
        assert len(starts) == 1
        assert one.labels["earlier"] == two.labels["earlier"] == bool(starts.pop())
    assert {prompt.labels["earlier"] for prompt in prompts} == {True, False}


def test_rows_are_the_same_for_the_same_seed_and_others_for_another() -> None:
    criterion = Criterion(DESCRIPTION, {"only": _contrast}, module="tests", context=Context(sentences=(0, 1)))
    assert rows(criterion, 7) == rows(criterion, 7)
    assert rows(criterion, 7) != rows(criterion, 8)


def test_spans_move_with_the_context_before_them() -> None:
    criterion = Criterion(DESCRIPTION, {"only": _contrast}, module="tests", context=Context(sentences=(2,)))
    negatives = [prompt for prompt in rows(criterion, 7) if prompt.score == 0]
    assert {span_texts(prompt) for prompt in negatives} == {("keep",)}


def test_a_family_with_too_few_fillings_is_refused_rather_than_repeated() -> None:
    def one_text(scene: Scene) -> Contrast:
        del scene
        return Contrast(Side("always this", "yes"), Side("never that", "no"))

    criterion = Criterion(
        DESCRIPTION, {"only": one_text}, module="tests", context=Context(sentences=(0,)), draws_owned=True
    )
    with pytest.raises(OperationError, match="ran out of new texts"):
        rows(criterion, 7)
