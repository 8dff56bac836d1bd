"""Text written under an edit is what a plain hook and a pass per token write; an edit of nothing changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from interp_lab.engine.edits import (
    Unit,
    Variant,
    ablate,
    amplify,
    coordinate,
    directions,
    head,
    patch,
    steer,
)
from interp_lab.engine.generation import Sampling, continuations
from interp_lab.engine.intervention.run import Subject
from interp_lab.engine.intervention.writing import written_under
from interp_lab.engine.sites import find_place
from interp_lab.errors import ImpossibleEdit
from interp_lab.models.load import LoadedModel
from interp_lab.models.tokens import tokenize
from interp_lab.points import Address

TEXTS = {"a": "the cat sat on the mat because the dog ran", "b": "a dog", "c": "the house of the other cat"}
GREEDY = Sampling(max_new_tokens=6, temperature=0.0, seed=(0,), token_budget=64)
AT = Address("resid_post", 0)


def subjects(loaded: LoadedModel) -> list[Subject]:
    return [Subject(prompt, number) for number, prompt in enumerate(tokenize(loaded, TEXTS))]


def plainly(loaded: LoadedModel, subject: Subject, change: Any) -> tuple[int, ...]:
    """One whole pass per new token, with a hook that any user of torch would write."""
    ids, n = list(subject.prompt.ids), len(subject.prompt)
    special = torch.tensor([*subject.prompt.special, *[False] * GREEDY.max_new_tokens])
    place = find_place(loaded, AT)

    def hook(_module: Any, _args: Any, output: Any) -> Any:
        x = output[0] if isinstance(output, tuple) else output
        x = torch.where(special[: x.shape[1], None], x, change(x, n))
        return (x, *output[1:]) if isinstance(output, tuple) else x

    handle = place.module.register_forward_hook(hook)
    try:
        for _ in range(GREEDY.max_new_tokens):
            with torch.no_grad():
                logits = loaded.model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1]
            ids.append(int(logits.argmax()))
            if ids[-1] == loaded.tokenizer.eos_token_id:
                break
    finally:
        handle.remove()
    return tuple(ids[n:])


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_edits_go_on_with_every_new_token_as_a_plain_hook_would(load_tiny, family: str) -> None:
    loaded = load_tiny(family)
    width = loaded.facts.d_model
    cell = coordinate(AT, 3, width)
    (line,) = directions(AT, torch.randn(1, width, generator=torch.Generator().manual_seed(1)), ["line"])

    def to_five(x: torch.Tensor, _n: int) -> torch.Tensor:
        x = x.clone()
        x[..., 3] = 5.0
        return x

    def pushed(x: torch.Tensor, n: int) -> torch.Tensor:
        late = torch.arange(x.shape[1]) >= n - 1
        return x + 4.0 * late[:, None] * line.direction

    plain = continuations(loaded, [s.prompt for s in subjects(loaded)], GREEDY)
    for variant, change in (
        (Variant("five", (ablate(cell, to=5.0),)), to_five),
        (Variant("push", (steer(line, 4.0, where="last"),)), pushed),
    ):
        found = written_under(loaded, variant, subjects(loaded), GREEDY)
        assert found == [plainly(loaded, subject, change) for subject in subjects(loaded)]
        assert found != plain


@pytest.mark.parametrize("family", ["gpt2", "llama", "opt"])
def test_an_edit_of_nothing_writes_the_very_same_text(load_tiny, family: str) -> None:
    loaded = load_tiny(family)
    plain = continuations(loaded, [s.prompt for s in subjects(loaded)], GREEDY)
    hooks = [len(module._forward_hooks) for module in loaded.model.modules()]  # transformers' own
    unit = coordinate(AT, 3, loaded.facts.d_model)
    still = [amplify(unit, 0.0), steer(unit, 0.0), ablate(unit, strength=0.0)]
    for edit in still:
        assert written_under(loaded, Variant("none", (edit,)), subjects(loaded), GREEDY) == plain
    assert written_under(loaded, Variant("no edit", ()), subjects(loaded), GREEDY) == plain
    assert [len(module._forward_hooks) for module in loaded.model.modules()] == hooks


def test_a_span_stays_in_the_prompt_and_a_head_without_weight_writes_nothing(load_tiny) -> None:
    loaded = load_tiny("gpt2")
    unit = coordinate(AT, 3, loaded.facts.d_model)
    nowhere = [Subject(s.prompt, s.number, [False] * len(s.prompt)) for s in subjects(loaded)]
    plain = continuations(loaded, [s.prompt for s in nowhere], GREEDY)
    assert written_under(loaded, Variant("span", (steer(unit, 50.0, where="span"),)), nowhere, GREEDY) == plain
    d_head = loaded.facts.d_head or 0
    weight = loaded.blocks[1].get_submodule("attn.c_proj").weight
    kept = weight[:d_head].clone()
    try:
        weight[:d_head] = 0.0
        silent = continuations(loaded, [s.prompt for s in nowhere], GREEDY)
        edit = ablate(head(Address("z", 1), 0, d_head), to=torch.full((d_head,), 9.0))
        assert written_under(loaded, Variant("head", (edit,)), nowhere, GREEDY) == silent
    finally:
        weight[:d_head] = kept


def test_values_of_other_text_are_refused(load_tiny) -> None:
    loaded = load_tiny("gpt2")
    unit: Unit = coordinate(AT, 3, loaded.facts.d_model)
    with pytest.raises(ImpossibleEdit, match="yet to be written"):
        written_under(loaded, Variant("p", (patch(unit, lambda _: torch.zeros(3)),)), subjects(loaded), GREEDY)
