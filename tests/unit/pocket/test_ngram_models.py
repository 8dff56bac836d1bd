from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interp_lab.errors import NgramOrderUnfit
from interp_lab.pocket.ngram import KneserNey, cross_entropy, unigram

# a b a b a c: bigrams ab ab ba ba ac, so n1 = 1, n2 = 2 and D = 1 / 5; every unigram has one left neighbour, so its
# discount is 1 and the lowest order is uniform
STREAM = np.array([0, 1, 0, 1, 0, 2])


@pytest.mark.parametrize(
    ("context", "token", "expected"),
    [
        (0, 1, (2 - 0.2) / 3 + 0.2 * 2 / 3 / 3),
        (0, 2, (1 - 0.2) / 3 + 0.2 * 2 / 3 / 3),
        (0, 0, 0.2 * 2 / 3 / 3),
        (1, 0, (2 - 0.2) / 2 + 0.2 * 1 / 2 / 3),
        (2, 1, 1 / 3),
    ],
)
def test_a_bigram_model_agrees_with_the_sum_done_by_hand(context: int, token: int, expected: float) -> None:
    model = KneserNey(STREAM, order=2, vocabulary=3)
    assert model.probabilities(np.array([context, token]))[1] == pytest.approx(expected, abs=1e-12)


def test_lower_orders_count_left_neighbours_and_not_occurrences() -> None:
    # 'francisco' (1) is frequent but follows one word only; 'glasses' (2) is rarer but follows three
    stream = np.array([0, 1, 0, 1, 0, 1, 0, 1, 3, 2, 4, 2, 5, 2, 6, 7, 6, 7])
    model = KneserNey(stream, order=2, vocabulary=9)
    after_unseen = [model.probabilities(np.array([8, token]))[1] for token in (1, 2)]
    assert after_unseen[1] > after_unseen[0]
    assert unigram(stream, np.array([1]), 9)[0] > unigram(stream, np.array([2]), 9)[0]


streams = st.lists(st.integers(0, 4), min_size=8, max_size=80).map(np.array)


@settings(max_examples=60, deadline=None)
@given(streams, st.integers(1, 5), st.lists(st.integers(0, 4), max_size=6))
def test_the_probabilities_after_any_context_sum_to_one(stream: np.ndarray, order: int, context: list[int]) -> None:
    model = KneserNey(stream, order=order, vocabulary=5)
    total = sum(model.probabilities(np.array([*context, token]))[-1] for token in range(5))
    assert total == pytest.approx(1.0, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(streams, st.integers(1, 5))
def test_no_probability_is_negative_or_above_one(stream: np.ndarray, order: int) -> None:
    probabilities = KneserNey(stream, order=order, vocabulary=5).probabilities(stream)
    assert np.all((probabilities >= 0) & (probabilities <= 1 + 1e-12))


def test_a_longer_memory_helps_on_a_text_with_long_rules_and_not_on_noise() -> None:
    generator = np.random.default_rng(0)
    rule = np.tile(np.array([0, 1, 2, 0, 1, 3]), 300)
    noise = generator.integers(0, 4, 1800)
    gains = {}
    for name, stream in (("rule", rule), ("noise", noise)):
        train, held = stream[:1200], stream[1200:]
        losses = [cross_entropy(KneserNey(train, order, 4).probabilities(held)) for order in (2, 5)]
        gains[name] = losses[0] - losses[1]
    assert gains["rule"] > 0.2
    assert gains["noise"] < 0.01


def test_an_order_that_cannot_be_counted_is_refused() -> None:
    with pytest.raises(NgramOrderUnfit, match="bits"):
        KneserNey(STREAM, order=6, vocabulary=4096)
    with pytest.raises(NgramOrderUnfit, match="tokens"):
        KneserNey(STREAM[:3], order=4, vocabulary=3)
