"""A later unit as the behaviour: what plain hooks see, whether or not the pass goes on after it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from interp_lab.engine.edits import Edit, Variant, ablate, coordinate, directions, steer
from interp_lab.engine.intervention.downstream import DOWNSTREAM, Downstream
from interp_lab.engine.intervention.measures import LOGIT_DIFFERENCE, Behaviour
from interp_lab.engine.intervention.run import Runner, Subject
from interp_lab.engine.lens import Lens
from interp_lab.engine.sites import find_place
from interp_lab.errors import ImpossibleEdit
from interp_lab.models.load import LoadedModel
from interp_lab.models.tokens import tokenize
from interp_lab.points import Address

TEXTS = {"a": "the cat sat on the mat because the dog ran", "b": "a dog sat on the other cat of the house ran"}
AT = Address("resid_post", 0)


def later(address: str, pool: Any) -> Downstream:
    lens = Lens("abs", (Address.parse(address),), lambda x: x[:, 3:5].abs())
    return Downstream("later unit", lens, 1, pool)


def edits(width: int) -> list[Edit]:
    (line,) = directions(AT, torch.randn(1, width, generator=torch.Generator().manual_seed(3)), ["line"])
    cell = coordinate(AT, 4, width)
    return [ablate(cell, to=2.0), steer(line, 5.0), steer(line, 5.0, where="last"), steer(line, 0.0)]


def plainly(loaded: LoadedModel, subject: Subject, edit: Edit | None, address: str, pool: str) -> float:
    """Hooks that any user of torch would write, in one whole pass."""
    seen: list[torch.Tensor] = []
    text = torch.tensor([not special for special in subject.prompt.special])

    def change(_m: Any, _a: Any, output: Any) -> Any:
        x = (output[0] if isinstance(output, tuple) else output).clone()
        if edit is not None and edit.target.key.endswith("#4"):
            x[0, text, 4] = 2.0
        elif edit is not None:
            places = text if edit.where == "all" else torch.arange(len(text)) == len(text) - 1
            x[0, places] += edit.push * edit.target.direction
        return (x, *output[1:]) if isinstance(output, tuple) else x

    place = find_place(loaded, Address.parse(address))

    def keep(_m: Any, given: Any) -> None:
        seen.append((given[0] if isinstance(given, tuple) else given)[0])

    read: Any = (lambda m, a, o: keep(m, o)) if place.side == "out" else keep
    handles = [find_place(loaded, AT).module.register_forward_hook(change)]
    side = place.module.register_forward_hook if place.side == "out" else place.module.register_forward_pre_hook
    handles.append(side(read))
    try:
        with torch.no_grad():
            loaded.model(input_ids=torch.tensor([subject.prompt.ids]), use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    values = seen[0][text, 4].abs()
    return float({"max": values.max(), "mean": values.mean(), "last": values[-1]}[pool])


@pytest.mark.parametrize("pool", ["max", "mean", "last"])
@pytest.mark.parametrize("address", ["resid_post.2", "mlp_out.1", "resid_mid.2"])
@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma2"])
def test_what_edits_do_to_a_later_unit_equals_plain_hooks_with_and_without_an_early_end(
    load_tiny: Any, family: str, address: str, pool: str
) -> None:
    loaded = load_tiny(family)
    subjects = [Subject(prompt, number) for number, prompt in enumerate(tokenize(loaded, TEXTS))]
    variants = [Variant(str(i), (edit,)) for i, edit in enumerate(edits(loaded.facts.d_model))]
    unit = later(address, pool)
    whole = Behaviour((5, 9), (7,), cross_entropy=True, downstream=unit)
    short = Behaviour((5, 9), (7,), downstream=unit, logits=False)
    assert short.names == (DOWNSTREAM,)
    ended, went_on = ([*Runner(loaded, variants, behaviour).many(subjects)] for behaviour in (short, whole))
    for a, b in zip(ended, went_on, strict=True):
        subject = subjects[a.prompt]
        column = whole.names.index(DOWNSTREAM)
        expected = [plainly(loaded, subject, v.edits[0], address, pool) for v in variants]
        assert a.edited[:, 0].tolist() == pytest.approx(expected, rel=1e-4, abs=1e-5)
        assert b.edited[:, column].tolist() == pytest.approx(expected, rel=1e-4, abs=1e-5)
        assert float(a.edited[3, 0]) == float(a.base[0])
        assert float((a.edited[:3, 0] - a.base[0]).abs().max()) > 1e-4


def test_reading_a_later_unit_leaves_the_other_measures_as_they_are(load_tiny: Any) -> None:
    loaded = load_tiny("llama")
    subjects = [Subject(prompt, number) for number, prompt in enumerate(tokenize(loaded, TEXTS))]
    variants = [Variant(str(i), (edit,)) for i, edit in enumerate(edits(loaded.facts.d_model))]
    plain, more = Behaviour((5, 9), (7,)), Behaviour((5, 9), (7,), downstream=later("resid_post.1", "max"))
    pairs = zip(
        Runner(loaded, variants, plain).many(subjects), Runner(loaded, variants, more).many(subjects), strict=True
    )
    for a, b in pairs:
        column = plain.names.index(LOGIT_DIFFERENCE)
        assert torch.allclose(a.edited[:, column], b.edited[:, column], atol=1e-5)


def test_a_unit_that_is_read_where_or_before_it_is_edited_is_refused(load_tiny: Any) -> None:
    loaded = load_tiny("gpt2")
    variants = [Variant("one", (edits(loaded.facts.d_model)[0],))]
    for address in ("resid_post.0", "mlp_out.0"):
        with pytest.raises(ImpossibleEdit, match="not read after"):
            Runner(loaded, variants, Behaviour((5,), (7,), downstream=later(address, "max")))
