"""Patching finds where two prompts differ, and a linear estimate is close to the effect that it estimates."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from interp_lab.engine.edits import Unit, coordinate
from interp_lab.engine.intervention.attribution import estimate, estimate_error
from interp_lab.engine.intervention.measures import Behaviour
from interp_lab.engine.intervention.patching import (
    Cell,
    Way,
    head_parts,
    layer_parts,
    patch_by_head,
    patch_by_position,
    patched,
)
from interp_lab.engine.intervention.run import Subject
from interp_lab.engine.lens import Lens
from interp_lab.engine.sites import find_place
from interp_lab.errors import ImpossibleEdit, ShapeMismatch
from interp_lab.models.load import LoadedModel
from interp_lab.models.tokens import TokenizedPrompt, tokenize
from interp_lab.points import Address

TEXT = "the cat sat on the mat because the dog ran"
BEHAVIOUR = Behaviour((5, 9), (7,), distribution=False)
CHANGED = 3


def pair(loaded: LoadedModel) -> tuple[TokenizedPrompt, TokenizedPrompt]:
    (clean,) = tokenize(loaded, {"p": TEXT})
    ids = list(clean.ids)
    ids[CHANGED] = ids[CHANGED] + 11
    return clean, replace(clean, ids=tuple(ids))


@pytest.mark.parametrize("way", ["denoising", "noising"])
@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_before_the_first_block_only_the_token_that_differs_matters_and_it_is_everything(
    load_tiny, family: str, way: Way
) -> None:
    loaded = load_tiny(family)
    found = patch_by_position(loaded, *pair(loaded), BEHAVIOUR, way=way)
    first = found.share[0]
    assert float(first[CHANGED]) == pytest.approx(1.0, abs=1e-4)
    others = torch.cat([first[:CHANGED], first[CHANGED + 1 :]])
    assert float(others.abs().max()) < 1e-4
    # Nothing before the token that differs can carry anything, at any layer.
    assert float(found.share[:, :CHANGED].abs().max()) < 1e-4
    assert found.share.shape == (len(loaded.blocks), len(pair(loaded)[0]))
    assert float(found.share[-1, CHANGED + 1 :].abs().max()) > 1e-2


def test_both_ways_name_the_same_clean_and_corrupt_run(load_tiny) -> None:
    loaded = load_tiny("gpt2")
    one, other = (patch_by_position(loaded, *pair(loaded), BEHAVIOUR, way=way) for way in ("denoising", "noising"))
    assert one.clean == pytest.approx(other.clean, abs=1e-5)
    assert one.corrupt == pytest.approx(other.corrupt, abs=1e-5)
    assert one.clean != pytest.approx(one.corrupt, abs=1e-3)


def test_all_heads_of_a_layer_are_there_and_one_that_writes_nothing_has_no_share(load_tiny) -> None:
    loaded = load_tiny("gpt2")
    d_head, n_heads = loaded.facts.d_head or 0, loaded.facts.n_heads or 0
    weight = loaded.blocks[1].get_submodule("attn.c_proj").weight
    kept = weight[:d_head].clone()
    try:
        weight[:d_head] = 0.0
        found = patch_by_head(loaded, *pair(loaded), BEHAVIOUR)
    finally:
        weight[:d_head] = kept
    assert len(found.rows) == n_heads * len(loaded.blocks)
    assert float(found.share[n_heads].abs()) < 1e-5
    assert float(found.share.abs().max()) > 1e-3


def test_prompts_that_are_not_aligned_or_do_not_differ_are_refused(load_tiny) -> None:
    loaded = load_tiny("gpt2")
    clean, corrupt = pair(loaded)
    shorter = replace(corrupt, ids=corrupt.ids[1:], special=corrupt.special[1:])
    with pytest.raises(ShapeMismatch):
        patch_by_position(loaded, clean, shorter, BEHAVIOUR)
    with pytest.raises(ImpossibleEdit, match="do not differ"):
        patch_by_position(loaded, clean, clean, BEHAVIOUR)
    with pytest.raises(ImpossibleEdit, match="by position"):
        patch_by_position(loaded, clean, corrupt, BEHAVIOUR, component="logits")


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_the_estimate_of_a_small_change_is_the_effect_and_that_of_a_large_one_is_not(load_tiny, family: str) -> None:
    """Ablating to nearly the present value is a small change, to which a linear estimate is exact in the limit."""
    loaded = load_tiny(family)
    clean, corrupt = pair(loaded)
    subjects = [Subject(clean, 0), Subject(corrupt, 1)]
    address, width = Address("resid_post", 0), loaded.facts.d_model
    lens = Lens("slow", (address,), lambda x: 1e-3 * x)
    rows = torch.eye(width)
    small = estimate(loaded, subjects, BEHAVIOUR, lens, writes=address, rows=rows)
    units = [Unit(f"slow {i}", lens, i, address, rows[i]) for i in range(12)]
    error = estimate_error(loaded, subjects, BEHAVIOUR, units, found=small, rest=[0.0] * 12)
    assert float(error.exact.abs().max()) > 1e-4
    assert error.relative < 0.05
    assert error.correlation > 0.99
    large = estimate(loaded, subjects, BEHAVIOUR, address, writes=address, rest=4.0)
    cells = [coordinate(address, i, width) for i in range(12)]
    far = estimate_error(loaded, subjects, BEHAVIOUR, cells, found=large, rest=[4.0] * 12)
    assert far.relative > 2 * error.relative


def test_a_unit_that_nothing_reads_is_estimated_as_nothing_and_is_never_at_the_top(load_tiny) -> None:
    loaded = load_tiny("gpt2")
    clean, _ = pair(loaded)
    last = Address("resid_post", len(loaded.blocks) - 1)
    rows = torch.stack([torch.ones(32), torch.eye(32)[0], torch.eye(32)[5]])
    lens = Lens("three", (last,), lambda x: x[:, :3] * 0 + 1.0)
    found = estimate(loaded, [Subject(clean, 0)], BEHAVIOUR, lens, writes=last, rows=rows)
    assert abs(float(found.mean[0])) < 1e-4
    assert 0 not in found.top(2)
    assert float(found.mean[1:].abs().min()) > 1e-3


def test_the_gradient_leaves_the_model_as_it_was(load_tiny) -> None:
    loaded = load_tiny("gpt2")
    clean, _ = pair(loaded)
    hooks = [len(module._forward_hooks) for module in loaded.model.modules()]  # transformers' own
    estimate(loaded, [Subject(clean, 0)], BEHAVIOUR, Address("resid_post", 0), writes=Address("resid_post", 0))
    assert [len(module._forward_hooks) for module in loaded.model.modules()] == hooks
    assert all(parameter.grad is None for parameter in loaded.model.parameters())


def plain_hook(loaded: LoadedModel, ids: tuple[int, ...], cell: Cell, other: torch.Tensor | None) -> torch.Tensor:
    """What any user of torch would write: the logit difference, and what stands at the cell's address."""
    place, seen = find_place(loaded, cell.part.writes), []

    def change(x: torch.Tensor) -> torch.Tensor:
        seen.append(x.clone())
        if other is not None:
            rows = list(range(x.shape[1])) if cell.places is None else list(cell.places)
            x = x.clone()
            x[0, rows, cell.part.start : cell.part.stop] = other[0, rows, cell.part.start : cell.part.stop]
        return x

    if place.side == "in":
        handle = place.module.register_forward_pre_hook(lambda _m, a: (change(a[0]), *a[1:]))
    else:
        handle = place.module.register_forward_hook(
            lambda _m, _a, o: (change(o[0]), *o[1:]) if isinstance(o, tuple) else change(o)
        )
    try:
        with torch.no_grad():
            logits = loaded.model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1]
    finally:
        handle.remove()
    return seen[0] if other is None else logits[[5, 9]].mean() - logits[7]


@pytest.mark.parametrize("way", ["denoising", "noising"])
@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_every_kind_of_patch_equals_a_plain_hook(load_tiny, family: str, way: Way) -> None:
    loaded = load_tiny(family)
    clean, corrupt = pair(loaded)
    parts = [layer_parts(loaded, name)[layer] for name in ("resid_pre", "attn_out", "mlp_out") for layer in (0, 2)]
    cells = [Cell(part, places) for part in parts for places in ((CHANGED,), (CHANGED, 5, 6), None)]
    cells += [Cell(part) for part in head_parts(loaded)[1::3]]
    found = patched(loaded, clean, corrupt, BEHAVIOUR, cells=cells, way=way)
    given, changed = (clean, corrupt) if way == "denoising" else (corrupt, clean)
    for cell, value in zip(cells, found.edited, strict=True):
        source = plain_hook(loaded, given.ids, cell, None)
        assert float(value) == pytest.approx(float(plain_hook(loaded, changed.ids, cell, source)), abs=1e-5)


def test_a_control_changes_the_same_tokens_by_the_same_length_another_way(load_tiny) -> None:
    loaded = load_tiny("llama")
    clean, corrupt = pair(loaded)
    part = layer_parts(loaded, "resid_pre")[1]
    cells = [Cell(part, (5,)), *(Cell(part, (5,), seed) for seed in (1, 2, 1))]
    found = patched(loaded, clean, corrupt, BEHAVIOUR, cells=cells, way="denoising").edited
    assert float(found[1]) == float(found[3])
    assert len({float(value) for value in found[:3]}) == 3
    # Before the token that differs nothing is to be changed, so that neither patch nor control changes anything.
    none = patched(loaded, clean, corrupt, BEHAVIOUR, cells=[Cell(part, (1,)), Cell(part, (1,), 7)], way="denoising")
    assert torch.allclose(none.edited, torch.full_like(none.edited, none.begin), atol=1e-5)
