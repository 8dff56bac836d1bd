"""Scores of text by name: each on texts whose score is plain to see, and what is refused."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from interp_lab.contracts.scorers import Scorer
from interp_lab.errors import InvalidRequest, NonFiniteInput
from interp_lab.methods.text_scorers import open_scorer, register_scorer, scorer_names


@pytest.mark.parametrize(
    ("asked", "text", "score"),
    [
        ({"name": "lexicon", "words": [" Good", "fine"]}, "good, FINE and bad", 0.5),
        ({"name": "lexicon", "words": ["good"]}, "", 0.0),
        ({"name": "regex", "pattern": r"\d{3}"}, "room 101", 1.0),
        ({"name": "regex", "pattern": r"\d{3}"}, "room 10", 0.0),
        ({"name": "length"}, "it's four words long", 4.0),
        ({"name": "repetition"}, "a b a b a b", 0.6),
        ({"name": "repetition"}, "a b c", 0.0),
    ],
)
def test_a_scorer_gives_what_its_name_says(asked: dict[str, object], text: str, score: float) -> None:
    assert open_scorer(Scorer.model_validate(asked))(text) == pytest.approx(score)


@pytest.mark.parametrize(
    "asked",
    [{"name": "lexicon"}, {"name": "regex"}, {"name": "length", "words": ["a"]}, {"name": "regex", "pattern": "("}],
)
def test_a_scorer_without_what_it_needs_is_refused(asked: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Scorer.model_validate(asked)


def test_a_scorer_of_ones_own_is_found_by_name_once_and_must_give_finite_numbers() -> None:
    register_scorer("vowels", lambda text: sum(letter in "aeiou" for letter in text))
    register_scorer("broken", lambda _: float("nan"))
    assert "vowels" in scorer_names()
    assert open_scorer(Scorer(name="vowels"))("audio") == 4.0
    with pytest.raises(InvalidRequest, match="already"):
        register_scorer("vowels", len)
    with pytest.raises(NonFiniteInput):
        open_scorer(Scorer(name="broken"))("x")
    with pytest.raises(InvalidRequest, match="no scorer"):
        open_scorer(Scorer(name="nobody"))
