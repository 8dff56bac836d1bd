"""A model in the box is what its record says: it loads, reproduces its loss, copies, agrees and beats a five-gram."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from interp_lab.models.resolve import builtin_models
from interp_lab.pocket.architecture import build
from interp_lab.pocket.evaluate import sample_windows
from interp_lab.pocket.export import WEIGHTS, record_of
from interp_lab.pocket.recipe import BOS_ID, RECIPES, VOCABULARY
from interp_lab.pocket.scoring import correct, induction, random_repeats, surprise
from interp_lab.pocket.tasks import TASKS, items

NAMES = builtin_models()
AGREEMENT = ("relative", "place")
"""Questions of the generator that every model in the box answers; docs/models.md has all of them, measured."""


@pytest.fixture(scope="module", params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def model(name: str) -> PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(WEIGHTS / name).eval()


@pytest.fixture(scope="module")
def untrained(name: str) -> PreTrainedModel:
    return build(RECIPES[name]).eval()


@pytest.fixture(scope="module")
def tokenizer(name: str) -> Tokenizer:
    return Tokenizer.from_file(str(WEIGHTS / name / "tokenizer.json"))


def test_it_loads_by_name_in_float32_with_finite_logits(name: str, model: PreTrainedModel) -> None:
    tokenizer = AutoTokenizer.from_pretrained(WEIGHTS / name)
    ids = tokenizer("When Anna and Peter went to the harbor, Anna gave a lamp to", return_tensors="pt").input_ids
    with torch.inference_mode():
        logits = model(input_ids=ids).logits
    assert model.dtype is torch.float32
    assert logits.shape == (1, ids.shape[1], VOCABULARY)
    assert torch.isfinite(logits).all()
    assert model.config.architectures == [type(build(RECIPES[name])).__name__]


def test_the_tokenizer_marks_the_beginning_and_gives_text_back(name: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(WEIGHTS / name)
    text = 'def f(x):\n    return {"é": x}  # "quoted", 12 km\n'
    ids = tokenizer(text).input_ids
    assert ids[0] == BOS_ID
    assert tokenizer.decode(ids, skip_special_tokens=True) == text
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (0, 1, 2)


def test_no_weight_needs_more_than_float16(model: PreTrainedModel) -> None:
    assert all(torch.equal(parameter, parameter.half().float()) for parameter in model.parameters())


def test_the_recorded_loss_is_reproduced_and_an_untrained_model_has_another(
    name: str, model: PreTrainedModel, untrained: PreTrainedModel, tokenizer: Tokenizer
) -> None:
    recorded = record_of(name).evaluation.sample
    windows = sample_windows(tokenizer)
    assert windows[:, 1:].size == recorded.tokens
    assert surprise(model, windows).mean() == pytest.approx(recorded.loss, abs=2e-3)
    assert surprise(untrained, windows).mean() > 2 * recorded.loss


def test_it_beats_the_five_gram_on_every_kind_of_text(name: str) -> None:
    for section in record_of(name).evaluation.sections.values():
        assert section.gain_low > 0.1
        assert section.model < section.fivegram < section.bigram < section.unigram


def test_repetition_helps_it_and_not_an_untrained_model(model: PreTrainedModel, untrained: PreTrainedModel) -> None:
    ids = random_repeats(VOCABULARY, sequences=8, length=48, seed=123)
    found, control = induction(model, ids), induction(untrained, ids)
    assert found.first_half - found.second_half > 3.0
    assert found.heads[0][2] > 0.3
    assert abs(control.first_half - control.second_half) < 0.2
    assert control.heads[0][2] < 0.1


@pytest.mark.parametrize("task", [task for task in TASKS if task.name in AGREEMENT], ids=lambda task: task.name)
def test_verbs_agree_far_above_chance_and_not_in_an_untrained_model(
    task: object, model: PreTrainedModel, untrained: PreTrainedModel, tokenizer: Tokenizer
) -> None:
    asked = items(task, 120, seed=4242)  # pyright: ignore[reportArgumentType]
    chance = task.chance  # pyright: ignore[reportAttributeAccessIssue]
    spread = np.sqrt(chance * (1 - chance) / len(asked))
    assert correct(model, tokenizer, asked).mean() > chance + 4 * spread
    assert correct(untrained, tokenizer, asked).mean() < chance + 4 * spread
