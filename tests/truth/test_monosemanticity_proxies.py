"""A latent of one word, or of one kind of context, scores as one thing; a latent of anything does not."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from interp_lab.methods.dictionary_evaluation.monosemanticity import (
    LEAST_TOKENS,
    WINDOW,
    Monosemanticity,
    MonosemanticitySum,
)

TOKENS, PROMPTS, LENGTH, TOPICS = 60, 60, 40, 3
ONE_WORD, TWO_WORDS, TOPIC, ANYTHING, RARE = range(5)


def _text(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return the tokens of prompts, each of one of three topics with words of its own, and the topic of every token."""
    rng = np.random.default_rng(seed)
    topics = np.arange(PROMPTS) % TOPICS
    own = rng.integers(0, TOKENS // TOPICS, (PROMPTS, LENGTH)) + topics[:, None] * (TOKENS // TOPICS)
    return own.ravel(), np.repeat(topics, LENGTH)


def _codes(tokens: np.ndarray, topics: np.ndarray, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    codes = np.zeros((tokens.size, 5))
    codes[:, ONE_WORD] = tokens == 7
    codes[:, TWO_WORDS] = (tokens == 7) | (tokens == 30)
    codes[:, TOPIC] = (topics == 1) * (rng.random(tokens.size) < 0.3)
    codes[:, ANYTHING] = rng.random(tokens.size) < 0.1
    codes[:3, RARE] = 1
    return codes * rng.uniform(0.5, 1.5, codes.shape)


def _measured(codes: np.ndarray, tokens: np.ndarray, step: int) -> Monosemanticity:
    total = MonosemanticitySum(codes.shape[1])
    prompts = np.repeat(np.arange(PROMPTS), LENGTH)
    for start in range(0, tokens.size, step):
        part = slice(start, start + step)
        rows, latents = codes[part].nonzero()
        indptr = np.concatenate([[0], np.bincount(rows, minlength=len(codes[part])).cumsum()])
        fired = (torch.from_numpy(each) for each in (indptr, latents, codes[part][rows, latents]))
        total.add(*fired, tokens=tokens[part], prompts=prompts[part], groups=prompts[part])
    found = total.figures()
    assert found is not None
    return found


def test_latents_of_one_thing_score_above_latents_of_anything() -> None:
    tokens, topics = _text()
    found = _measured(_codes(tokens, topics), tokens, 2400)
    assert found.latents.tolist() == [ONE_WORD, TWO_WORDS, TOPIC, ANYTHING]
    assert found.tokens[[ONE_WORD, TWO_WORDS]] == pytest.approx([1, 2], abs=0.05)
    assert found.tokens[TOPIC] > 15
    assert found.tokens[ANYTHING] > 40
    assert found.selectivity[ONE_WORD] == pytest.approx(1)
    assert found.selectivity[ANYTHING] < 0.7
    assert found.similarity[TOPIC] > 2 * found.similarity[ANYTHING]
    assert found.similarity[ANYTHING] == pytest.approx(found.similarity_of_all, abs=0.02)


def test_figures_equal_loops_over_all_pairs_and_do_not_depend_on_blocks() -> None:
    tokens, topics = _text(2)
    codes = _codes(tokens, topics, 3)
    found = _measured(codes, tokens, 2400)
    for one, other in zip(found, _measured(codes, tokens, 333), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-9)
    prompts = np.repeat(np.arange(PROMPTS), LENGTH)
    holders = {token: len(set(prompts[tokens == token])) for token in set(tokens)}
    vectors = np.zeros((tokens.size, TOKENS))
    for i in range(tokens.size):
        for j in range(max(i - WINDOW + 1, prompts[i] * LENGTH), i + 1):
            vectors[i, tokens[j]] += math.log((1 + PROMPTS) / (1 + holders[tokens[j]]))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    for place, latent in enumerate(found.latents):
        own = np.flatnonzero(codes[:, latent])
        assert len(own) >= LEAST_TOKENS
        apart = prompts[own][:, None] != prompts[own]
        weights = np.outer(codes[own, latent], codes[own, latent]) * apart
        cosines = vectors[own] @ vectors[own].T
        assert found.similarity[place] == pytest.approx((weights * cosines).sum() / weights.sum(), rel=1e-6)
        means = np.asarray([codes[tokens == token, latent].mean() for token in range(TOKENS)])
        others = (means.sum() - means.max()) / (TOKENS - 1)
        assert found.selectivity[place] == pytest.approx((means.max() - others) / (means.max() + others))
        shares = np.bincount(tokens, codes[:, latent]) / codes[:, latent].sum()
        entropy = -sum(share * math.log(share) for share in shares if share > 0)
        assert found.tokens[place] == pytest.approx(math.exp(entropy))


def test_nothing_is_said_of_latents_that_hardly_fire() -> None:
    total = MonosemanticitySum(2)
    assert total.figures() is None
    both = np.arange(2)
    one = torch.tensor([0])
    total.add(torch.tensor([0, 1, 1]), one, torch.ones(1), tokens=both, prompts=both, groups=both)
    assert total.figures() is None
