# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""Activation patching between two prompts of one length: which place, at which token, carries what tells them apart.

Denoising puts pieces of the clean run into the corrupt one and asks how much of the behaviour comes back; noising puts
pieces of the corrupt run into the clean one and asks how much is lost. The first finds what suffices, the second what
is needed, and they need not agree.

Source: Heimersheim and Nanda, "How to use and interpret activation patching" (2024), section 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from interp_lab.engine.edits import Slice, Variant, head, patch
from interp_lab.engine.intervention.measures import LOGIT_DIFFERENCE, Behaviour
from interp_lab.engine.intervention.resume import base_run
from interp_lab.engine.intervention.run import Runner
from interp_lab.errors import ImpossibleEdit, ShapeMismatch
from interp_lab.models.load import LoadedModel
from interp_lab.models.tokens import TokenizedPrompt
from interp_lab.points import every_layer

Way = Literal["denoising", "noising"]
COMPONENTS = ("resid_pre", "attn_out", "mlp_out")
"""What can be patched by layer and position."""


@dataclass(frozen=True, eq=False)
class PatchMap:
    """What each patch does, as a share of the difference between the two unedited runs."""

    way: Way
    rows: tuple[str, ...]
    """What is patched, one row each."""
    columns: tuple[str, ...]
    """The tokens of the run that is patched, or one column for all of them (untrusted text)."""
    share: Float[Tensor, "row column"]
    """1 where a patch alone gives the other run's logit difference, 0 where it changes nothing; may go beyond."""
    clean: float
    """Logit difference of the clean run."""
    corrupt: float
    """Logit difference of the corrupt run."""


def patch_by_position(
    loaded: LoadedModel,
    clean: TokenizedPrompt,
    corrupt: TokenizedPrompt,
    behaviour: Behaviour,
    *,
    component: str = "resid_pre",
    way: Way = "denoising",
) -> PatchMap:
    """Return the share of every layer at every token, of the stream or of what attention or MLP adds.

    Raises:
        ShapeMismatch: The prompts differ in length.
        ImpossibleEdit: They do not differ in the behaviour, or the component is not one of `COMPONENTS`.
    """
    if component not in COMPONENTS:
        raise ImpossibleEdit(f"{component!r} is not patched by position.", remedy=f"Choose of {', '.join(COMPONENTS)}.")
    width = loaded.facts.d_model
    slices = [Slice(str(a), a, 0, width) for a in every_layer(component, len(loaded.blocks))]
    columns = tuple(f"{number}: {token}" for number, token in enumerate(_texts(loaded, clean, corrupt, way)))
    each = [(one, place) for one in slices for place in range(len(clean))]
    return _patched(loaded, (clean, corrupt), behaviour, each, way=way, columns=columns)


def patch_by_head(
    loaded: LoadedModel,
    clean: TokenizedPrompt,
    corrupt: TokenizedPrompt,
    behaviour: Behaviour,
    *,
    way: Way = "denoising",
) -> PatchMap:
    """Return the share of every head at all tokens together; raises as `patch_by_position`."""
    d_head, n_heads = loaded.facts.d_head, loaded.facts.n_heads
    if d_head is None or n_heads is None:
        raise ImpossibleEdit("The configuration does not tell how many heads there are.")
    heads = [head(a, number, d_head) for a in every_layer("z", len(loaded.blocks)) for number in range(n_heads)]
    each: list[tuple[Slice, int | None]] = [(one, None) for one in heads]
    return _patched(loaded, (clean, corrupt), behaviour, each, way=way, columns=("all tokens",))


def _patched(
    loaded: LoadedModel,
    prompts: tuple[TokenizedPrompt, TokenizedPrompt],
    behaviour: Behaviour,
    each: Sequence[tuple[Slice, int | None]],
    *,
    way: Way,
    columns: tuple[str, ...],
) -> PatchMap:
    clean, corrupt = prompts
    if len(clean) != len(corrupt):
        raise ShapeMismatch(
            f"The clean prompt has {len(clean)} tokens and the corrupt one {len(corrupt)}.",
            remedy="Give prompts that differ in single tokens, so that positions mean the same in both.",
        )
    given, patched = (clean, corrupt) if way == "denoising" else (corrupt, clean)
    addresses = list(dict.fromkeys(one.writes for one, _ in each))
    source = base_run(loaded, given.ids, addresses, keep_cache=False).seen
    variants = [Variant(one.key, (patch(one, _goal(source[one.writes], one, place)),)) for one, place in each]
    column = behaviour.names.index(LOGIT_DIFFERENCE)
    # Whatever is no text is patched too: the runs are compared as wholes.
    whole = [_all_text(prompt) for prompt in (patched, given)]
    outcome = Runner(loaded, variants, behaviour)(whole[0], 0)
    other = Runner(loaded, variants[:1], behaviour)(whole[1], 0).base[column]
    begin = outcome.base[column]
    if abs(float(other - begin)) < 1e-6:
        raise ImpossibleEdit(
            "The two prompts do not differ in the behaviour, so there is nothing to bring back.",
            remedy="Choose targets and alternatives that tell them apart.",
        )
    share = (outcome.edited[:, column] - begin) / (other - begin)
    ends = (float(other), float(begin)) if way == "denoising" else (float(begin), float(other))
    rows = tuple(dict.fromkeys(one.key for one, _ in each))
    return PatchMap(way, rows, columns, share.reshape(len(rows), -1), clean=ends[0], corrupt=ends[1])


def _goal(values: Float[Tensor, "pos width"], one: Slice, place: int | None) -> Float[Tensor, "pos part"]:
    own = values[:, one.start : one.stop].float()
    if place is None:
        return own
    goal = torch.full_like(own, torch.nan)
    goal[place] = own[place]
    return goal


def _all_text(prompt: TokenizedPrompt) -> TokenizedPrompt:
    return replace(prompt, special=(False,) * len(prompt))


def _texts(loaded: LoadedModel, clean: TokenizedPrompt, corrupt: TokenizedPrompt, way: Way) -> tuple[str, ...]:
    ids = (corrupt if way == "denoising" else clean).ids
    return tuple(str(loaded.tokenizer.decode([token])) for token in ids)
