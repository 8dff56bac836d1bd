"""Words that score text are words: a comma is chosen only where nothing else differs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from interp_lab.models.tokens import tokenize
from interp_lab.workflows.intervening import behaviour
from interp_lab.workflows.intervening.behaviour import choose, words


@dataclass(frozen=True)
class Asked:
    targets: tuple[str, ...] = ()
    alternatives: tuple[str, ...] = ()


@pytest.mark.parametrize("wordlike", [True, False])
def test_punctuation_is_left_out_of_chosen_words_where_it_is_asked(
    load_tiny: Any, monkeypatch: pytest.MonkeyPatch, wordlike: bool
) -> None:
    loaded = load_tiny("gpt2")
    marks = [
        i for i in range(loaded.facts.n_vocab or 0) if str(loaded.tokenizer.decode([i])).strip() in {",", ".", ";"}
    ]
    assert marks
    ahead, after = np.full((2, 320), 1e-3), np.full((2, 320), 1e-3)
    ahead[:, marks] = 0.2
    ahead[:, 40:46] += 0.01
    after[:, 50:56] += 0.01
    given = iter((ahead, after))
    monkeypatch.setattr(behaviour, "_next_token", lambda *_: next(given))
    prompts = tokenize(loaded, {"a": "the cat"})
    chosen = choose(loaded, Asked(), prompts, prompts, check=lambda: None, wordlike=wordlike)
    assert bool(set(chosen.targets) & set(marks)) is not wordlike
    assert all(any(c.isalnum() for c in word) for word in words(loaded, chosen.alternatives)) or not wordlike
