"""Effects along paths are what plain hooks and plain passes give, and what is held has no part in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from interp_lab.contracts.dictionaries import DictionaryConfig
from interp_lab.dictionaries.dictionary import Dictionary
from interp_lab.engine.edits import Unit, directions
from interp_lab.engine.intervention.measures import Behaviour
from interp_lab.engine.lens import Lens
from interp_lab.engine.paths.effects import PathRunner, Push, Route
from interp_lab.engine.paths.readout import Readout
from interp_lab.engine.paths.screen import Screen
from interp_lab.engine.sites import find_place
from interp_lab.errors import ImpossiblePath
from interp_lab.models.load import LoadedModel
from interp_lab.models.tokens import TokenizedPrompt, tokenize
from interp_lab.points import Address
from tests.truth.shortcuts import without_shortcuts

FAMILIES = ("gpt2", "llama", "gpt_neox", "gemma2", "mistral")
BEHAVIOUR = Behaviour((5, 9), (7,))
SCALES = (-1.0, 0.5, 3.0)


def at(text: str) -> Address:
    return Address.parse(text)


def prompt_of(loaded: LoadedModel) -> TokenizedPrompt:
    return tokenize(loaded, {"p": "the cat sat on the mat because the dog ran to the other house"})[0]


@contextmanager
def tokens_of_passes(loaded: LoadedModel) -> Iterator[list[tuple[int, int]]]:
    """Rows and tokens that go into the last block but one, pass by pass."""
    seen: list[tuple[int, int]] = []
    handle = loaded.blocks[1].register_forward_hook(
        lambda _m, _a, output: seen.append(tuple((output[0] if isinstance(output, tuple) else output).shape[:2]))
    )
    try:
        yield seen
    finally:
        handle.remove()


def some_directions(address: str, width: int, n: int, seed: int = 0) -> tuple[Unit, ...]:
    vectors = torch.randn(n, width, generator=torch.Generator().manual_seed(seed))
    return directions(at(address), vectors, [f"d{i}" for i in range(n)])


def plain_pass(
    loaded: LoadedModel, prompt: TokenizedPrompt, address: str, change: Callable[[Tensor], Tensor], reads: list[str]
) -> tuple[dict[str, Tensor], Tensor]:
    """One ordinary pass: hooks that any user of torch would write."""
    seen: dict[str, Tensor] = {}
    handles = []

    def changed(value: Any) -> Any:
        return (change(value[0]), *value[1:]) if isinstance(value, tuple) else change(value)

    def keep(name: str, value: Any) -> None:
        seen[name] = (value[0] if isinstance(value, tuple) else value).detach()[0]

    for text, writes in [(address, True), *((read, False) for read in reads)]:
        place = find_place(loaded, at(text))
        if place.side == "in":
            hook: Any = (lambda _m, a: (changed(a[0]), *a[1:])) if writes else (lambda _m, a, t=text: keep(t, a))
            handles.append(place.module.register_forward_pre_hook(hook))
        else:
            hook = (lambda _m, _a, o: changed(o)) if writes else (lambda _m, _a, o, t=text: keep(t, o))
            handles.append(place.module.register_forward_hook(hook))
    try:
        with torch.no_grad():
            logits = loaded.model(input_ids=torch.tensor([prompt.ids]), use_cache=False).logits[0, -1]
    finally:
        for handle in handles:
            handle.remove()
    return seen, logits[[5, 9]].mean() - logits[7]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("source", ["resid_post.0", "attn_out.1", "mlp_out.0"])
def test_every_total_effect_equals_one_plain_pass_per_source(load_tiny, family: str, source: str) -> None:
    loaded = load_tiny(family)
    prompt, width = prompt_of(loaded), loaded.facts.d_model
    ends = ["resid_post.1", "mlp_out.2", "resid_post.2"]
    readouts = tuple(Readout(at(end), (1, 4)) for end in ends)
    units = some_directions(source, width, 3)
    route = Route(at(source), readouts, behaviour=BEHAVIOUR)
    found = PathRunner(loaded, [Push(u, s) for u in units for s in SCALES], route, token_budget=40)(prompt)
    text = torch.tensor([not special for special in prompt.special])
    usual, metric = plain_pass(loaded, prompt, source, lambda x: x, ends)
    for row, (unit, scale) in enumerate((u, s) for u in units for s in SCALES):

        def change(x: Tensor, unit: Unit = unit, scale: float = scale) -> Tensor:
            return x + scale * (x @ unit.direction)[..., None] * unit.direction * text[:, None]

        edited, edited_metric = plain_pass(loaded, prompt, source, change, ends)
        wanted = [(edited[end] - usual[end])[text][:, [1, 4]].mean(0) for end in ends]
        expected = torch.cat([*wanted, (edited_metric - metric)[None]])
        assert torch.allclose(found.total[row], expected, rtol=1e-4, atol=1e-5)
        assert float(expected.abs().max()) > 1e-3


@pytest.mark.parametrize("family", FAMILIES)
def test_what_passes_along_is_the_source_direction_seen_by_the_target(load_tiny, family: str) -> None:
    loaded = load_tiny(family)
    prompt, width = prompt_of(loaded), loaded.facts.d_model
    (unit,) = some_directions("resid_post.0", width, 1)
    readouts = (Readout(at("resid_post.2"), tuple(range(width))), Readout(at("mlp_out.1"), (0, 1)))
    found = PathRunner(loaded, [Push(unit, -1.0)], Route(at("resid_post.0"), readouts))(prompt)
    seen, _ = plain_pass(loaded, prompt, "resid_post.0", lambda x: x, ["resid_post.0"])
    text = torch.tensor([not special for special in prompt.special])
    mean = (seen["resid_post.0"] @ unit.direction)[text].mean()
    assert torch.allclose(found.passed[0, :width], -mean * unit.direction, rtol=1e-4, atol=1e-5)
    assert not found.passed[0, width:].any(), "a block's output holds nothing that the stream carries past it"
    assert torch.allclose(found.mediated, found.total - found.passed)


def dictionary_of(width: int, seed: int, threshold: float = 0.2) -> Dictionary:
    generator = torch.Generator().manual_seed(seed)
    decoder = torch.randn(12, width, generator=generator)
    decoder = decoder / decoder.norm(dim=1, keepdim=True)
    config = DictionaryConfig(architecture="jumprelu", d_in=width, d_out=width, n_latents=12)
    zero = torch.zeros(12)
    return Dictionary(
        config, decoder.T.contiguous(), decoder, torch.zeros(width), b_enc=zero, threshold=zero + threshold
    )


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_latents_are_edited_and_read_with_both_errors_left_in_place(load_tiny, family: str) -> None:
    """The edit adds a multiple of the decoder row; the reconstruction is never put in the place of anything."""
    loaded = load_tiny(family)
    prompt, width = prompt_of(loaded), loaded.facts.d_model
    first, last = dictionary_of(width, 0), dictionary_of(width, 1)
    source = Lens("s", (at("resid_post.0"),), first.encode)
    target = Lens("t", (at("resid_post.2"),), last.encode)
    units = [Unit(str(i), source, i, at("resid_post.0"), first.W_dec[i]) for i in range(12)]
    route = Route(at("resid_post.0"), (Readout(target, tuple(range(12))),))
    found = PathRunner(loaded, [Push(unit, -1.0) for unit in units], route)(prompt)
    text = torch.tensor([not special for special in prompt.special])
    usual, _ = plain_pass(loaded, prompt, "resid_post.0", lambda x: x, ["resid_post.2"])
    for i in range(12):

        def change(x: Tensor, i: int = i) -> Tensor:
            return x - first.encode(x[0])[:, i, None] * first.W_dec[i] * text[:, None]

        edited, _ = plain_pass(loaded, prompt, "resid_post.0", change, ["resid_post.2"])
        wanted = (last.encode(edited["resid_post.2"]) - last.encode(usual["resid_post.2"]))[text].mean(0)
        assert torch.allclose(found.total[i], wanted, rtol=1e-4, atol=1e-5)
    silent = (found.size == 0).nonzero().flatten()
    assert not found.total[silent].any(), "a latent that is silent does exactly nothing"


@pytest.mark.parametrize("family", ["gpt2", "llama"])
@pytest.mark.parametrize("source", ["resid_post.0", "mlp_out.1"])
def test_edits_that_begin_late_run_the_tokens_from_there_on_and_change_no_number(
    load_tiny, family: str, source: str
) -> None:
    """What comes before the first edit is shared by all edits; without shortcuts the same numbers come out."""
    loaded = load_tiny(family)
    whole, width = prompt_of(loaded), loaded.facts.d_model
    late = replace(whole, special=(True,) * 9 + whole.special[9:])
    last = dictionary_of(width, 1)
    target = Lens("t", (at("resid_post.2"),), last.encode, encoder_of=last.encoder_of)
    units = some_directions(source, width, 5)
    for behaviour in (BEHAVIOUR, None):
        route = Route(at(source), (Readout(target, (7, 1, 4)), Readout(at("resid_post.1"), (2,))), behaviour=behaviour)
        pushes = [Push(unit, 4.0) for unit in units]
        with tokens_of_passes(loaded) as shared:
            found = PathRunner(loaded, pushes, route)(late)
        with without_shortcuts(loaded), tokens_of_passes(loaded) as plain:
            expected = PathRunner(loaded, pushes, route)(late)
        assert torch.allclose(found.total, expected.total, rtol=1e-4, atol=1e-5)
        assert torch.allclose(found.passed, expected.passed, rtol=1e-4, atol=1e-5)
        assert float(found.total.abs().max()) > 1e-2
        assert shared[:2] == [(1, len(whole.ids)), (5, len(whole.ids) - 9)]
        assert plain[:2] == [(1, len(whole.ids)), (5, len(whole.ids))]


@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma2", "gpt_neox"])
def test_a_held_model_is_linear_where_it_is_not_when_free(load_tiny, family: str) -> None:
    """With patterns and norms held, attention without MLP is linear: twice the edit is twice the effect."""
    loaded = load_tiny(family)
    prompt = prompt_of(loaded)
    (unit,) = some_directions("resid_post.0", loaded.facts.d_model, 1)
    readouts = (Readout(at("attn_out.1"), (0, 1, 2, 3)),)
    pushes = [Push(unit, 2.0), Push(unit, 4.0)]
    route = Route(at("resid_post.0"), readouts, hold=frozenset({"attention", "norms"}))
    found = PathRunner(loaded, pushes, route)(prompt)
    assert found.direct is not None
    assert torch.allclose(2 * found.direct[0], found.direct[1], rtol=1e-4, atol=1e-6)
    assert not torch.allclose(2 * found.total[0], found.total[1], rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_held_parts_of_an_unedited_run_change_nothing(load_tiny, family: str) -> None:
    loaded = load_tiny(family)
    prompt = prompt_of(loaded)
    (unit,) = some_directions("resid_post.0", loaded.facts.d_model, 1)
    readouts = (Readout(at("resid_post.2"), tuple(range(8))),)
    route = Route(at("resid_post.0"), readouts, behaviour=BEHAVIOUR, hold=frozenset({"attention", "norms"}))
    still = PathRunner(loaded, [Push(unit, 1e-9)], route)(prompt)
    assert still.direct is not None
    assert float(still.direct.abs().max()) < 1e-5
    moved = PathRunner(loaded, [Push(unit, 3.0)], route)(prompt)
    assert moved.direct is not None
    assert float((moved.direct - moved.total).abs().max()) > 1e-3


def test_holding_every_coordinate_in_between_leaves_nothing(load_tiny) -> None:
    loaded = load_tiny("gpt2")
    prompt, width = prompt_of(loaded), loaded.facts.d_model
    (unit,) = some_directions("resid_post.0", width, 1)
    basis = directions(at("resid_post.1"), torch.eye(width), [f"b{i}" for i in range(width)])
    route = Route(at("resid_post.0"), (Readout(at("resid_post.2"), (0, 1, 2)),), hold_units=basis)
    found = PathRunner(loaded, [Push(unit, 3.0)], route)(prompt)
    assert found.direct is not None
    # keys and values of block 2 all come from what is held, so nothing is left
    assert float(found.direct.abs().max()) < 1e-5
    assert float(found.total.abs().max()) > 1e-3


@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma2"])
def test_the_screen_is_the_slope_of_exact_mediated_effects(load_tiny, family: str) -> None:
    loaded = load_tiny(family)
    prompt, width = prompt_of(loaded), loaded.facts.d_model
    units = some_directions("resid_post.0", width, 4)
    last = dictionary_of(width, 1, threshold=0.0)  # a jump has no slope
    target = Lens("t", (at("resid_post.2"),), last.encode, encoder_of=last.encoder_of)
    readouts = (
        Readout(target, tuple(range(12))),
        Readout(at("mlp_out.1"), (3,)),
        Readout(at("resid_post.1"), (2, 5)),
    )
    route = Route(at("resid_post.0"), readouts, behaviour=BEHAVIOUR)
    estimate = Screen(loaded, units, route)(prompt)
    runner = PathRunner(loaded, [Push(unit, scale) for unit in units for scale in (0.002, -0.002)], route)
    small = runner(prompt)
    slope = (small.mediated[::2] - small.mediated[1::2]) / 0.004
    assert torch.allclose(estimate.slopes, slope, rtol=0.02, atol=2e-3 * float(slope.abs().max()))
    assert torch.allclose(estimate.base, small.base, rtol=1e-4, atol=1e-5)
    large = PathRunner(loaded, [Push(unit, 8.0) for unit in units], route)(prompt)
    assert not torch.allclose(estimate.slopes * 8.0, large.mediated, rtol=0.05, atol=1e-4), "large edits are not linear"


def test_paths_that_lead_nowhere_are_refused(load_tiny) -> None:
    loaded = load_tiny("gpt2")
    (unit,) = some_directions("resid_post.1", loaded.facts.d_model, 1)
    route = Route(at("resid_post.1"), (Readout(at("resid_post.1"), (0,)),))
    for broken in (
        route,
        replace(route, readouts=(Readout(at("mlp_out.0"), (0,)),)),
        replace(route, readouts=()),
        replace(route, source=at("resid_post.0")),
    ):
        with pytest.raises(ImpossiblePath):
            PathRunner(loaded, [Push(unit, 1.0)], broken)
