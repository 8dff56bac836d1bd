from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interp_lab.corpus import morphology
from interp_lab.corpus.dice import Dice
from interp_lab.corpus.grammar import KINDS, Clause, Grammar, NounPhrase, named
from interp_lab.corpus.lexicon import lexicon
from interp_lab.corpus.morphology import Tense

DOGS = NounPhrase("the dogs", "plural", "animal", "dog")
DOG = NounPhrase("the dog", "singular", "animal", "dog")


def grammar(seed: int) -> Grammar:
    return Grammar(Dice(seed, "test"), lexicon())


@pytest.mark.parametrize(
    ("noun", "expected"),
    [
        ("box", "boxes"),
        ("story", "stories"),
        ("key", "keys"),
        ("child", "children"),
        ("knife", "knives"),
        ("bus", "buses"),
    ],
)
def test_plurals_follow_the_rule_or_the_list(noun: str, expected: str) -> None:
    assert morphology.plural(noun) == expected


@pytest.mark.parametrize(
    ("verb", "third", "past", "participle", "gerund"),
    [
        ("carry", "carries", "carried", "carried", "carrying"),
        ("drop", "drops", "dropped", "dropped", "dropping"),
        ("write", "writes", "wrote", "written", "writing"),
        ("watch", "watches", "watched", "watched", "watching"),
        ("see", "sees", "saw", "seen", "seeing"),
        ("play", "plays", "played", "played", "playing"),
    ],
)
def test_verbs_inflect(verb: str, third: str, past: str, participle: str, gerund: str) -> None:
    forms = (
        morphology.third_person(verb),
        morphology.past(verb),
        morphology.participle(verb),
        morphology.gerund(verb),
    )
    assert forms == (third, past, participle, gerund)


@pytest.mark.parametrize(
    ("phrase", "expected"),
    [("apple", "an apple"), ("uniform", "a uniform"), ("honest man", "an honest man"), ("house", "a house")],
)
def test_the_article_goes_by_sound(phrase: str, expected: str) -> None:
    assert morphology.with_article(phrase) == expected


@pytest.mark.parametrize(
    ("clause", "statement", "question", "denial"),
    [
        (
            Clause(DOGS, "present", "chase", "a cat"),
            "the dogs chase a cat",
            "do the dogs chase a cat",
            "the dogs do not chase a cat",
        ),
        (
            Clause(DOG, "past", "see", "a cat", "today"),
            "the dog saw a cat today",
            "did the dog see a cat today",
            "the dog did not see a cat today",
        ),
        (Clause(DOG, "present", "be", "wet", copula=True), "the dog is wet", "is the dog wet", "the dog is not wet"),
        (
            Clause(DOGS, "future", "be", "wet", copula=True),
            "the dogs will be wet",
            "will the dogs be wet",
            "the dogs will not be wet",
        ),
        (Clause(named("Anna"), "future", "run"), "Anna will run", "will Anna run", "Anna will not run"),
    ],
)
def test_a_clause_is_stated_asked_and_denied(clause: Clause, statement: str, question: str, denial: str) -> None:
    assert (clause.statement(), clause.question(), clause.negated().statement()) == (statement, question, denial)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(KINDS), st.sampled_from(["singular", "plural"]))
def test_a_copula_agrees_with_its_head_and_not_with_nouns_between(seed: int, kind: str, number: str) -> None:
    g = grammar(seed)
    subject = g.noun_phrase(kind, number, 2)  # pyright: ignore[reportArgumentType]
    said = g.describing(subject, "present").statement()
    assert said.removeprefix(subject.text).split()[0] == ("is" if number == "singular" else "are")


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000))
def test_sentences_and_questions_are_closed_and_spaced(seed: int) -> None:
    g = grammar(seed)
    for text, end in ((g.sentence(), "."), (g.question(), "?")):
        assert text.endswith(end)
        assert text[0].isupper()
        assert "  " not in text
        assert "None" not in text


def test_relative_clauses_nest() -> None:
    texts = [grammar(seed).noun_phrase("role", depth=3).text for seed in range(600)]
    assert any(text.count(" that ") + text.count(" who ") >= 2 for text in texts)


@pytest.mark.parametrize(("tense", "word"), [("past", "was"), ("present", "is"), ("future", "will be")])
def test_tense_reaches_the_verb(tense: Tense, word: str) -> None:
    assert grammar(1).describing(DOG, tense).predicate().startswith(word)


def test_no_word_list_is_empty() -> None:
    for section in ("names", "nouns", "verbs", "modifiers", "places"):
        assert all(len(words) > 0 for _, words in getattr(lexicon(), section))
