"""Batched edited runs are what one plain forward pass per edit gives, in every family, and identities hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from interp_lab.engine.edits import (
    Edit,
    Slice,
    Unit,
    Variant,
    ablate,
    amplify,
    clamp,
    coordinate,
    directions,
    head,
    patch,
    steer,
    suppress,
)
from interp_lab.engine.intervention.measures import Behaviour
from interp_lab.engine.intervention.run import Runner
from interp_lab.engine.lens import Lens
from interp_lab.engine.sites import find_place
from interp_lab.errors import ImpossibleEdit
from interp_lab.models.load import LoadedModel
from interp_lab.models.tokens import TokenizedPrompt, tokenize
from interp_lab.points import Address

TEXT = "the cat sat on the mat because the dog ran to the other house"
OTHER = "it was raining there and the other cat ran"
FAMILIES = ("gpt2", "llama", "gpt_neox", "gemma2", "opt", "gpt_neo")
BEHAVIOUR = Behaviour(targets=(5, 9), alternatives=(7,), cross_entropy=True)
CHEAP = replace(BEHAVIOUR, cross_entropy=False)
TOLERANCE = 1e-5


def at(text: str) -> Address:
    return Address.parse(text)


def prompt_of(loaded: LoadedModel, text: str = TEXT) -> TokenizedPrompt:
    return tokenize(loaded, {"p": text})[0]


def some_directions(address: str, width: int, n: int, seed: int = 0) -> tuple[Unit, ...]:
    vectors = torch.randn(n, width, generator=torch.Generator().manual_seed(seed))
    return directions(at(address), vectors, [f"d{i}" for i in range(n)])


def one(*edits: Edit) -> Variant:
    return Variant(" and ".join(f"{e.kind} {e.target.key}" for e in edits), edits)


def plain_run(loaded: LoadedModel, prompt: TokenizedPrompt, changes: dict[str, Callable[[Tensor], Tensor]]) -> Tensor:
    """Logits of one ordinary forward pass with one ordinary hook per address."""
    handles = []
    for text, change in changes.items():
        place = find_place(loaded, at(text))

        def before(_m: Any, args: Any, kwargs: Any, change: Any = change) -> Any:
            if args:
                return (change(args[0]), *args[1:]), kwargs
            return args, {**kwargs, "hidden_states": change(kwargs["hidden_states"])}

        def after(_m: Any, _a: Any, output: Any, change: Any = change) -> Any:
            return (change(output[0]), *output[1:]) if isinstance(output, tuple) else change(output)

        if place.side == "in":
            handles.append(place.module.register_forward_pre_hook(before, with_kwargs=True))
        else:
            handles.append(place.module.register_forward_hook(after))
    try:
        with torch.no_grad():
            ids = torch.tensor([prompt.ids])
            return loaded.model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False).logits[0]
    finally:
        for handle in handles:
            handle.remove()


def measures_of(logits: Tensor, base: Tensor, prompt: TokenizedPrompt) -> Tensor:
    """The measures, written down a second time from their definitions."""
    p, q = base[-1].double().log_softmax(-1), logits[-1].double().log_softmax(-1)
    difference = logits[-1, [5, 9]].double().mean() - logits[-1, [7]].double().mean()
    nats = [-logits[i].double().log_softmax(-1)[prompt.ids[i + 1]] for i in range(len(prompt) - 1)]
    return torch.stack([difference, q[[5, 9]].exp().sum().log(), (p.exp() * (p - q)).sum(), torch.stack(nats).mean()])


def text_mask(prompt: TokenizedPrompt) -> Tensor:
    return torch.tensor([not special for special in prompt.special])[:, None].float()


def expect_equal(
    loaded: LoadedModel, variant: Variant, changes: dict[str, Callable[[Tensor], Tensor]], behaviour: Behaviour = CHEAP
) -> None:
    prompt = prompt_of(loaded)
    outcome = Runner(loaded, [variant], behaviour)(prompt, 0)
    base = plain_run(loaded, prompt, {})
    wanted = measures_of(plain_run(loaded, prompt, changes), base, prompt)[: len(behaviour.names)]
    assert torch.allclose(outcome.edited[0], wanted, rtol=TOLERANCE, atol=TOLERANCE), (outcome.edited[0], wanted)
    assert not torch.allclose(wanted, measures_of(base, base, prompt)[: len(wanted)], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("behaviour", [BEHAVIOUR, CHEAP], ids=["every token", "last token"])
@pytest.mark.parametrize("family", FAMILIES)
def test_steering_any_stream_equals_one_plain_pass(load_tiny, family: str, behaviour: Behaviour) -> None:
    loaded = load_tiny(family)
    for address in ("resid_pre.0", "resid_post.0", "resid_pre.2", "resid_post.1", "resid_post.2"):
        (unit,) = some_directions(address, loaded.facts.d_model, 1)
        mask = text_mask(prompt_of(loaded))
        add = {address: lambda x, u=unit, m=mask: x + 3.0 * m * u.direction}
        expect_equal(loaded, one(steer(unit, 3.0)), add, behaviour)


@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma2", "mistral"])
@pytest.mark.parametrize("where", ["last", "span"])
def test_late_edits_that_share_keys_and_values_equal_one_plain_pass(load_tiny, family: str, where: str) -> None:
    loaded = load_tiny(family)
    prompt = prompt_of(loaded)
    span = [i >= len(prompt) - 3 for i in range(len(prompt))]
    mask = torch.tensor(span if where == "span" else [i == len(prompt) - 1 for i in range(len(prompt))])[:, None]
    units = some_directions("resid_post.0", loaded.facts.d_model, 5)
    variants = [one(steer(unit, 2.0 + i, where=where)) for i, unit in enumerate(units)]
    base = plain_run(loaded, prompt, {})
    for behaviour in (BEHAVIOUR, CHEAP):
        outcome = Runner(loaded, variants, behaviour)(prompt, 0, span)
        for i, unit in enumerate(units):
            changed = plain_run(
                loaded, prompt, {"resid_post.0": lambda x, u=unit, i=i: x + (2.0 + i) * mask * u.direction}
            )
            wanted = measures_of(changed, base, prompt)[: len(behaviour.names)]
            assert torch.allclose(outcome.edited[i], wanted, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_no_token_sees_a_later_one_in_a_resumed_run(load_tiny, family: str, attention: str) -> None:
    """A block that is run without its mask would be bidirectional and nobody would notice: the middle token would."""
    loaded = load_tiny(family)
    usual = loaded.model.config._attn_implementation
    loaded.model.set_attn_implementation(attention)
    try:
        (unit,) = some_directions("resid_post.0", loaded.facts.d_model, 1)
        mask = text_mask(prompt_of(loaded))
        expect_equal(
            loaded, one(steer(unit, 3.0)), {"resid_post.0": lambda x: x + 3.0 * mask * unit.direction}, BEHAVIOUR
        )
    finally:
        loaded.model.set_attn_implementation(usual)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_every_kind_of_edit_of_a_coordinate_equals_its_definition(load_tiny, family: str) -> None:
    loaded = load_tiny(family)
    unit, mask = coordinate(at("mlp_out.1"), 4, loaded.facts.d_model), text_mask(prompt_of(loaded))[:, 0].bool()

    def replaced(rule: Callable[[Tensor], Tensor]) -> dict[str, Callable[[Tensor], Tensor]]:
        def change(x: Tensor) -> Tensor:
            new = x.clone()
            new[..., 4] = torch.where(mask, rule(x[..., 4]), x[..., 4])
            return new

        return {"mlp_out.1": change}

    expect_equal(loaded, one(ablate(unit)), replaced(lambda a: a * 0))
    expect_equal(loaded, one(ablate(unit, to=2.0, strength=0.5)), replaced(lambda a: 0.5 * a + 1.0))
    expect_equal(loaded, one(clamp(unit, -5.0)), replaced(lambda a: a * 0 - 5.0))
    expect_equal(loaded, one(steer(unit, 4.0)), replaced(lambda a: a + 4.0))
    expect_equal(loaded, one(amplify(unit, 4.0)), replaced(lambda a: a + 4.0 * a.sign()))
    expect_equal(loaded, one(suppress(unit, 0.7)), replaced(lambda a: a.sign() * (a.abs() - 0.7).clamp(min=0)))


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_a_head_is_its_slice_of_z(load_tiny, family: str) -> None:
    loaded = load_tiny(family)
    d_head = loaded.facts.d_head or 0
    mask = text_mask(prompt_of(loaded))

    def scaled(factor: float) -> dict[str, Callable[[Tensor], Tensor]]:
        def change(x: Tensor) -> Tensor:
            new = x.clone()
            new[..., d_head : 2 * d_head] *= 1 + (factor - 1) * mask
            return new

        return {"z.1": change}

    expect_equal(loaded, one(ablate(head(at("z.1"), 1, d_head))), scaled(0.0))
    expect_equal(loaded, one(suppress(head(at("z.1"), 1, d_head), 0.5)), scaled(0.5))
    expect_equal(loaded, one(amplify(head(at("z.1"), 1, d_head), 2.0)), scaled(3.0))


def test_edits_made_together_see_each_other_in_the_order_of_the_model(load_tiny) -> None:
    loaded = load_tiny("gpt2")
    mask = text_mask(prompt_of(loaded))
    (early,), (late,) = some_directions("resid_post.0", 32, 1), some_directions("resid_post.1", 32, 1, seed=1)
    middle = coordinate(at("mlp_out.1"), 3, 32)

    def without(unit: Unit) -> Callable[[Tensor], Tensor]:
        return lambda x: x - mask * (x @ unit.direction)[..., None] * unit.direction

    changes = {"resid_post.0": lambda x: x + 3 * mask * early.direction, "mlp_out.1": without(middle)}
    expect_equal(
        loaded, one(steer(early, 3.0), ablate(middle), ablate(late)), changes | {"resid_post.1": without(late)}
    )


def test_two_units_of_one_address_are_edited_together(load_tiny) -> None:
    loaded = load_tiny("llama")
    mask = text_mask(prompt_of(loaded))[:, 0]
    a, b = (coordinate(at("resid_post.0"), i, loaded.facts.d_model) for i in (2, 5))

    def both(x: Tensor) -> Tensor:
        new = x.clone()
        new[..., 2] *= 1 - mask
        new[..., 5] *= 1 - mask
        return new

    expect_equal(loaded, one(ablate(a), ablate(b)), {"resid_post.0": both})


def test_rows_of_a_batch_do_not_touch_each_other(load_tiny) -> None:
    loaded = load_tiny("gpt2")
    prompt = prompt_of(loaded)
    units = some_directions("resid_post.0", 32, 7) + some_directions("resid_post.1", 32, 4, seed=2)
    variants = [one(steer(unit, 1.0 + i)) for i, unit in enumerate(units)] + [
        one(ablate(units[0]), steer(units[8], 2.0))
    ]
    together = Runner(loaded, variants, BEHAVIOUR, token_budget=40)(prompt, 0).edited
    alone = torch.cat([Runner(loaded, [variant], BEHAVIOUR)(prompt, 0).edited for variant in variants])
    assert torch.allclose(together, alone, rtol=TOLERANCE, atol=TOLERANCE)
    assert len(together.unique(dim=0)) == len(variants)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_strength_zero_leaves_the_logits_bit_identical(load_tiny, family: str) -> None:
    loaded = load_tiny(family)
    prompt = prompt_of(loaded)
    width = loaded.facts.d_model
    (unit,) = some_directions("resid_post.1", width, 1)
    cell, slot = coordinate(at("mlp_out.2"), 0, width), head(at("z.0"), 0, loaded.facts.d_head or 0)
    edits = [ablate(unit, strength=0.0), suppress(unit, 0.0), amplify(unit, 0.0), clamp(unit, 3.0, strength=0.0)]
    edits += [steer(unit, 0.0), patch(cell, 7.0, strength=0.0), ablate(slot, strength=0.0)]
    for edit in edits:
        outcome = Runner(loaded, [one(edit)], BEHAVIOUR)(prompt, 0)
        assert torch.equal(outcome.edited[0], outcome.base)


def test_an_edit_of_a_direction_that_nothing_reads_does_nothing(load_tiny) -> None:
    """The last norm takes the mean away, so what is added equally to all coordinates is never read."""
    loaded = load_tiny("gpt2")
    unread, read = directions(at("resid_post.2"), torch.stack([torch.ones(32), torch.eye(32)[0]]), ["mean", "first"])
    outcome = Runner(loaded, [one(steer(unread, 5.0)), one(steer(read, 5.0))], CHEAP)(prompt_of(loaded), 0)
    assert torch.allclose(outcome.edited[0], outcome.base, atol=1e-4)
    assert not torch.allclose(outcome.edited[1], outcome.base, atol=1e-2)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_patching_everything_gives_the_other_run(load_tiny, family: str) -> None:
    loaded = load_tiny(family)
    first = prompt_of(loaded)
    second = replace(first, ids=tuple(reversed(first.ids)))
    seen: dict[str, Tensor] = {}
    plain_run(loaded, second, {"resid_post.1": lambda x: seen.setdefault("x", x)})
    whole = Slice("all", at("resid_post.1"), 0, loaded.facts.d_model)
    wanted = plain_run(loaded, second, {})
    everywhere = replace(first, special=(False,) * len(first))
    outcome = Runner(loaded, [one(patch(whole, lambda _: seen["x"][0]))], CHEAP)(everywhere, 0)
    assert torch.allclose(outcome.edited[0, :2], measures_of(wanted, wanted, second)[:2], atol=1e-5)
    assert not torch.allclose(outcome.edited[0, :2], outcome.base[:2], atol=1e-2)


def test_a_token_without_a_goal_is_left_alone(load_tiny) -> None:
    loaded = load_tiny("gpt2")
    prompt = prompt_of(loaded)
    unit = coordinate(at("resid_post.0"), 1, 32)
    nothing = torch.full((len(prompt),), torch.nan)
    last = nothing.clone()
    last[-1] = 4.0
    variants = [
        one(patch(unit, lambda _: nothing)),
        one(patch(unit, lambda _: last)),
        one(clamp(unit, 4.0, where="last")),
    ]
    outcome = Runner(loaded, variants, BEHAVIOUR)(prompt, 0)
    assert torch.equal(outcome.edited[0], outcome.base)
    assert torch.allclose(outcome.edited[1], outcome.edited[2], atol=1e-6)
    assert not torch.allclose(outcome.edited[1], outcome.base, atol=1e-3)


def _dictionary(width: int, n_latents: int) -> tuple[Lens, Tensor]:
    generator = torch.Generator().manual_seed(3)
    encoder, decoder = (
        torch.randn(width, n_latents, generator=generator),
        torch.randn(n_latents, width, generator=generator),
    )
    return Lens("resid_post.1/toy", (at("resid_post.1"),), lambda x: torch.relu(x @ encoder - 2.0)), decoder


def test_a_latent_is_edited_along_its_decoder_and_the_error_stays(load_tiny) -> None:
    loaded = load_tiny("gpt2")
    lens, decoder = _dictionary(32, 12)
    unit = Unit("latent 7", lens, 7, at("resid_post.1"), decoder[7])
    mask = text_mask(prompt_of(loaded))

    def whole_dictionary(x: Tensor) -> Tensor:
        codes = lens.encode(x[0])
        error = x[0] - codes @ decoder
        codes[:, 7] = torch.where(mask[:, 0].bool(), 0.0, codes[:, 7])
        return (codes @ decoder + error)[None]

    expect_equal(loaded, one(ablate(unit)), {"resid_post.1": whole_dictionary})


def test_an_identity_dictionary_edits_as_the_coordinate_itself(load_tiny) -> None:
    loaded = load_tiny("llama")
    width = loaded.facts.d_model
    lens = Lens("resid_post.1/identity", (at("resid_post.1"),), lambda x: x)
    latent = Unit("identity 3", lens, 3, at("resid_post.1"), torch.eye(width)[3])
    direct = coordinate(at("resid_post.1"), 3, width)
    edits = [[ablate(u, to=0.4), clamp(u, 2.0), amplify(u, 1.0), steer(u, -2.0)] for u in (latent, direct)]
    outcome = Runner(loaded, [one(edit) for pair in edits for edit in pair], BEHAVIOUR)(prompt_of(loaded), 0)
    assert torch.equal(outcome.edited[:4], outcome.edited[4:])


def test_edits_where_a_unit_is_active_leave_other_tokens_alone(load_tiny) -> None:
    loaded = load_tiny("gpt2")
    lens, decoder = _dictionary(32, 12)
    unit = Unit("latent 7", lens, 7, at("resid_post.1"), decoder[7])
    mask = text_mask(prompt_of(loaded))[:, 0].bool()
    fired: list[Tensor] = []

    def where_active(x: Tensor) -> Tensor:
        active = (lens.encode(x[0])[:, 7] > 0) & mask
        fired.append(active)
        return x + 2.0 * active[:, None] * decoder[7]

    expect_equal(loaded, one(steer(unit, 2.0, where="active")), {"resid_post.1": where_active}, BEHAVIOUR)
    assert 0 < int(fired[0].sum()) < len(fired[0])


def test_hooks_and_skipped_blocks_are_gone_after_a_run(load_tiny) -> None:
    loaded = load_tiny("gpt2")
    prompt = prompt_of(loaded)
    before = plain_run(loaded, prompt, {})
    hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in loaded.model.modules()]  # transformers' own
    (unit,) = some_directions("resid_post.1", 32, 1)
    Runner(loaded, [one(steer(unit, 9.0, where="last"))], CHEAP)(prompt, 0)
    assert torch.equal(plain_run(loaded, prompt, {}), before)
    assert not any("forward" in vars(module) for module in loaded.model.modules())
    assert [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in loaded.model.modules()] == hooks


@pytest.mark.parametrize("address", ["logits", "attn_probs.1", "q.0"])
def test_places_that_cannot_be_replaced_are_refused(load_tiny, address: str) -> None:
    loaded = load_tiny("gpt2")
    with pytest.raises(ImpossibleEdit):
        Runner(loaded, [one(ablate(coordinate(at(address), 0, 8)))], CHEAP)


def test_a_head_cannot_be_clamped_to_one_number() -> None:
    with pytest.raises(ImpossibleEdit):
        clamp(head(at("z.0"), 0, 8), 1.0)


def test_dose_and_size_say_what_was_added(load_tiny) -> None:
    loaded = load_tiny("gpt2")
    prompt = prompt_of(loaded)
    (unit,) = some_directions("resid_post.0", 32, 1)
    seen: dict[str, Tensor] = {}
    plain_run(loaded, prompt, {"resid_post.0": lambda x: seen.setdefault("x", x)})
    n_text = sum(not special for special in prompt.special)
    outcome = Runner(loaded, [one(steer(unit, 2.0)), one(ablate(unit, where="last"))], CHEAP)(prompt, 0)
    lengths = seen["x"][0].norm(dim=1)[text_mask(prompt)[:, 0].bool()]
    assert outcome.dose[0] == pytest.approx(2.0 * n_text)
    assert outcome.size[0] == pytest.approx(float((2.0 / lengths).max()), rel=1e-5)
    assert outcome.dose[1] == pytest.approx(-float(seen["x"][0, -1] @ unit.direction), rel=1e-4)
