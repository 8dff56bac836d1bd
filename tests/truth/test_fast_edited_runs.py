"""Shortcuts of edited runs are used where a model allows them and nowhere else, and change no number."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from interp_lab.engine.edits import Variant, ablate, directions, head, steer
from interp_lab.engine.intervention.fast import fast_path, in_use
from interp_lab.engine.intervention.measures import LOGIT_DIFFERENCE, Behaviour
from interp_lab.engine.intervention.run import Runner, Subject
from interp_lab.models.load import LoadedModel
from interp_lab.models.tokens import TokenizedPrompt, tokenize
from interp_lab.points import Address
from tests.truth.shortcuts import without_shortcuts

TEXTS = {
    "a": "the cat sat on the mat because the dog ran",
    "b": "the dog sat on the mat because the cat ran",
    "c": "it was raining there and the other cat ran to the house",
    "d": "it ran",
}
WIDE = Behaviour((5, 9), (7,))
NARROW = replace(WIDE, distribution=False)
TOLERANCE = 1e-5


def prompts_of(loaded: LoadedModel) -> list[TokenizedPrompt]:
    return list(tokenize(loaded, TEXTS))


def some_variants(loaded: LoadedModel, n: int, where: str) -> list[Variant]:
    width = loaded.facts.d_model
    vectors = torch.randn(n, width, generator=torch.Generator().manual_seed(3))
    units = directions(Address("resid_post", 0), vectors, [str(i) for i in range(n)])
    return [Variant(str(i), (steer(unit, 1.0 + i, where=where),)) for i, unit in enumerate(units)]  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("family", ["gpt2", "llama", "gpt_neox"])
def test_families_with_plain_causal_attention_take_every_shortcut(load_tiny, family: str) -> None:
    path = fast_path(load_tiny(family))
    assert (path.attention, path.trim, path.head) == (True, True, True)
    assert max(path.errors.values()) <= TOLERANCE


@pytest.mark.parametrize("family", ["gemma2", "mistral"])
def test_attention_with_a_window_or_a_cap_is_not_replaced(load_tiny, family: str) -> None:
    loaded = load_tiny(family)
    path = fast_path(loaded)
    assert not path.attention
    assert "attention off" in path.in_words()


@pytest.mark.parametrize("behaviour", [WIDE, NARROW], ids=["distribution", "words only"])
@pytest.mark.parametrize("where", ["all", "last", "span"])
@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_shortcuts_and_prompts_taken_together_change_no_number(
    load_tiny, family: str, where: str, behaviour: Behaviour
) -> None:
    loaded = load_tiny(family)
    prompts = prompts_of(loaded)
    spans = [[i >= len(prompt) - 2 for i in range(len(prompt))] for prompt in prompts]
    runner = Runner(loaded, some_variants(loaded, 5, where), behaviour)
    subjects = [Subject(p, i, span) for i, (p, span) in enumerate(zip(prompts, spans, strict=True))]
    together = {outcome.prompt: outcome for outcome in runner.many(subjects)}
    with without_shortcuts(loaded):
        for subject in subjects:
            alone = runner(subject.prompt, subject.number, subject.span)
            found = together[subject.number]
            assert torch.allclose(found.base, alone.base, rtol=TOLERANCE, atol=TOLERANCE)
            assert torch.allclose(found.edited, alone.edited, rtol=TOLERANCE, atol=TOLERANCE)
            assert not torch.allclose(found.edited[4], found.base, atol=1e-3)


def test_prompts_are_taken_shortest_first_and_each_once(load_tiny) -> None:
    loaded = load_tiny("gpt2")
    prompts = prompts_of(loaded)
    outcomes = list(
        Runner(loaded, some_variants(loaded, 2, "all"), NARROW).many([Subject(p, i) for i, p in enumerate(prompts)])
    )
    lengths = [len(prompts[outcome.prompt]) for outcome in outcomes]
    assert lengths == sorted(lengths)
    assert sorted(outcome.prompt for outcome in outcomes) == [0, 1, 2, 3]


@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma2"])
def test_strength_zero_is_bit_identical_among_many_other_rows(load_tiny, family: str) -> None:
    loaded = load_tiny(family)
    (unit,) = directions(Address("resid_post", 1), torch.ones(1, loaded.facts.d_model), ["u"])
    part = head(Address("z", 0), 0, loaded.facts.d_head or 0)
    still = [Variant("s", (steer(unit, 0.0),)), Variant("h", (ablate(part, strength=0.0),))]
    variants = [*some_variants(loaded, 30, "all"), *still]
    for outcome in Runner(loaded, variants, WIDE).many([Subject(p, i) for i, p in enumerate(prompts_of(loaded))]):
        assert torch.equal(outcome.edited[-1], outcome.base)
        assert torch.equal(outcome.edited[-2], outcome.base)
        assert not torch.equal(outcome.edited[0], outcome.base)


def test_words_only_gives_the_logit_difference_and_nothing_else(load_tiny) -> None:
    loaded = load_tiny("gpt2")
    (prompt,) = prompts_of(loaded)[:1]
    variants = some_variants(loaded, 3, "all")
    narrow, wide = (Runner(loaded, variants, behaviour)(prompt, 0) for behaviour in (NARROW, WIDE))
    assert NARROW.names == (LOGIT_DIFFERENCE,)
    assert torch.allclose(narrow.edited[:, 0], wide.edited[:, 0], rtol=TOLERANCE, atol=TOLERANCE)


def test_a_model_is_left_as_it_was(load_tiny) -> None:
    loaded = load_tiny("llama")
    usual = loaded.model.config._attn_implementation
    head_module: nn.Module = loaded.model.get_output_embeddings()
    with in_use(loaded, fast_path(loaded), tokens=(1, 2)):
        assert loaded.model.config._attn_implementation != usual
    assert loaded.model.config._attn_implementation == usual
    assert "forward" not in vars(head_module)
    assert not head_module._forward_pre_hooks
