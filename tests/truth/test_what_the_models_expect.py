# pyright: standard
"""What the models in the box predict where a dataset says that a property is read off the next word."""

from __future__ import annotations

from copy import copy

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from interp_lab.corpus.catalogue import load_builtin_dataset
from interp_lab.corpus.dice import Dice
from interp_lab.corpus.families.factual import opinion
from interp_lab.corpus.lexicon import lexicon
from interp_lab.corpus.splits import Split
from interp_lab.corpus.writer import Writer
from interp_lab.models.resolve import locate_model
from interp_lab.statistics.auroc import auroc

NAMES = ("pocket-gpt2", "pocket-llama")
N_REVIEWS = 80
N_PROMPTS = 160


class _Reader:
    def __init__(self, name: str) -> None:
        source = locate_model(f"builtin:{name}")
        assert source is not None
        self.model = AutoModelForCausalLM.from_pretrained(source.directory, dtype=torch.float32).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(source.directory)

    def untrained(self) -> _Reader:
        other = copy(self)
        torch.manual_seed(0)
        other.model = AutoModelForCausalLM.from_config(self.model.config).eval()
        return other

    def first(self, words: set[str]) -> list[int]:
        return sorted({self.tokenizer(f" {word}", add_special_tokens=False).input_ids[0] for word in words})

    def next_word(self, text: str) -> torch.Tensor:
        ids = self.tokenizer(f"{self.tokenizer.bos_token}{text}", add_special_tokens=False, return_tensors="pt")
        with torch.no_grad():
            return self.model(input_ids=ids.input_ids).logits[0, -1].softmax(-1)


@pytest.fixture(scope="module", params=NAMES)
def reader(request: pytest.FixtureRequest) -> _Reader:
    return _Reader(request.param)


def _reached(scores: list[float], holds: list[bool]) -> float:
    return float(np.ravel(auroc(np.array(scores)[:, None], np.array(holds)))[0])


def test_a_unit_is_expected_where_the_dataset_says_that_one_follows(reader: _Reader) -> None:
    units = [unit for kind in lexicon().units.values() for unit in kind]
    ids = reader.first({name.split()[0] for unit in units for name in (unit.name, unit.plural, unit.symbol)})
    prompts = load_builtin_dataset("measurement-unit")[:N_PROMPTS]
    holds = [prompt.score > 0.5 for prompt in prompts]
    expected, guessed = (
        [float(own.next_word(prompt.text)[ids].sum()) for prompt in prompts] for own in (reader, reader.untrained())
    )
    assert _reached(expected, holds) > 0.75
    assert 0.35 < _reached(guessed, holds) < 0.65


def _reviews() -> list[tuple[str, bool]]:
    found: list[tuple[str, bool]] = []
    for number in range(N_REVIEWS):
        w, good = Writer(Dice(number, "reviews"), Split.CRITERIA), number % 2 == 0
        product, aspect = w.dice.pick(w.words.reviews.products), w.dice.pick(w.words.reviews.aspects)
        verdict = w.sentence(lambda w=w, product=product, good=good: opinion(w, product, good))
        found.append((f"{verdict} The {aspect} of this {product} is", good))
    return found


def test_only_one_of_the_models_goes_on_with_the_judgement_of_a_review_as_the_caveat_says() -> None:
    words = lexicon().reviews
    reached: dict[str, float] = {}
    for name in NAMES:
        reader = _Reader(name)
        good, bad = reader.first(set(words.positive)), reader.first(set(words.negative))
        apart = sorted(set(good) - set(bad)), sorted(set(bad) - set(good))
        found = [(reader.next_word(text), holds) for text, holds in _reviews()]
        odds = [float(after[apart[0]].sum().log() - after[apart[1]].sum().log()) for after, _ in found]
        reached[name] = _reached(odds, [holds for _, holds in found])
    assert reached["pocket-llama"] > 0.9
    assert 0.35 < reached["pocket-gpt2"] < 0.65
