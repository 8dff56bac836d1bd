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
from interp_lab.points import Address, every_layer

Way = Literal["denoising", "noising"]
COMPONENTS = ("resid_pre", "attn_out", "mlp_out")
"""What can be patched by layer and position."""


@dataclass(frozen=True, eq=False)
class Cell:
    """One patch: which coordinates, at which tokens."""

    part: Slice
    places: tuple[int, ...] | None = None
    """Positions; None for all."""
    turned: int | None = None
    """Seed of a control that changes the same tokens by the same length along random directions; None for the patch."""


@dataclass(frozen=True, eq=False)
class Patched:
    """What patches do to one pair, as logit differences."""

    begin: float
    """Of the run that is patched."""
    other: float
    """Of the run that patches are taken from."""
    edited: Float[Tensor, " cell"]
    """Of the patched run under each patch alone."""


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


def layer_parts(loaded: LoadedModel, component: str) -> tuple[Slice, ...]:
    """Return the stream, or what attention or MLP adds to it, of every layer.

    Raises:
        ImpossibleEdit: The component is not one of `COMPONENTS`.
    """
    if component not in COMPONENTS:
        raise ImpossibleEdit(f"{component!r} is not patched by position.", remedy=f"Choose of {', '.join(COMPONENTS)}.")
    width = loaded.facts.d_model
    return tuple(Slice(str(a), a, 0, width) for a in every_layer(component, len(loaded.blocks)))


def head_parts(loaded: LoadedModel) -> tuple[Slice, ...]:
    """Return every head, those of one layer after another.

    Raises:
        ImpossibleEdit: The configuration does not tell how many heads there are.
    """
    d_head, n_heads = loaded.facts.d_head, loaded.facts.n_heads
    if d_head is None or n_heads is None:
        raise ImpossibleEdit("The configuration does not tell how many heads there are.")
    return tuple(head(a, number, d_head) for a in every_layer("z", len(loaded.blocks)) for number in range(n_heads))


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
    parts = layer_parts(loaded, component)
    ids = (corrupt if way == "denoising" else clean).ids
    columns = tuple(f"{number}: {loaded.tokenizer.decode([token])}" for number, token in enumerate(ids))
    cells = [Cell(part, (place,)) for part in parts for place in range(len(clean))]
    return _mapped(patched(loaded, clean, corrupt, behaviour, cells=cells, way=way), way, parts, columns)


def patch_by_head(
    loaded: LoadedModel,
    clean: TokenizedPrompt,
    corrupt: TokenizedPrompt,
    behaviour: Behaviour,
    *,
    way: Way = "denoising",
) -> PatchMap:
    """Return the share of every head at all tokens together; raises as `patch_by_position`."""
    parts = head_parts(loaded)
    found = patched(loaded, clean, corrupt, behaviour, cells=[Cell(part) for part in parts], way=way)
    return _mapped(found, way, parts, ("all tokens",))


def patched(
    loaded: LoadedModel,
    clean: TokenizedPrompt,
    corrupt: TokenizedPrompt,
    behaviour: Behaviour,
    *,
    cells: Sequence[Cell],
    way: Way,
) -> Patched:
    """Return what each patch alone does to a pair.

    Raises:
        ShapeMismatch: The prompts differ in length.
        ImpossibleEdit: A place cannot be written to in this model.
    """
    if len(clean) != len(corrupt):
        raise ShapeMismatch(
            f"The clean prompt has {len(clean)} tokens and the corrupt one {len(corrupt)}.",
            remedy="Give prompts that differ in single tokens, so that positions mean the same in both.",
        )
    # Whatever is no text is patched too: the runs are compared as wholes.
    given, changed = (_all_text(p) for p in ((clean, corrupt) if way == "denoising" else (corrupt, clean)))
    addresses = list(dict.fromkeys(cell.part.writes for cell in cells))
    source = base_run(loaded, given.ids, addresses, keep_cache=False).seen
    turned = any(cell.turned is not None for cell in cells)
    own = base_run(loaded, changed.ids, addresses, keep_cache=False).seen if turned else source
    variants = [
        Variant(f"{cell.part.key} {number}", (patch(cell.part, _goal(source, own, cell)),))
        for number, cell in enumerate(cells)
    ]
    column = behaviour.names.index(LOGIT_DIFFERENCE)
    outcome = Runner(loaded, variants, behaviour)(changed, 0)
    other = Runner(loaded, variants[:1], behaviour)(given, 0).base[column]
    return Patched(float(outcome.base[column]), float(other), outcome.edited[:, column])


def _mapped(found: Patched, way: Way, parts: Sequence[Slice], columns: tuple[str, ...]) -> PatchMap:
    if abs(found.other - found.begin) < 1e-6:
        raise ImpossibleEdit(
            "The two prompts do not differ in the behaviour, so there is nothing to bring back.",
            remedy="Choose targets and alternatives that tell them apart.",
        )
    share = (found.edited - found.begin) / (found.other - found.begin)
    clean, corrupt = (found.other, found.begin) if way == "denoising" else (found.begin, found.other)
    rows = tuple(part.key for part in parts)
    return PatchMap(way, rows, columns, share.reshape(len(rows), -1), clean=clean, corrupt=corrupt)


def _goal(source: dict[Address, Tensor], own: dict[Address, Tensor], cell: Cell) -> Float[Tensor, "pos part"]:
    """What the coordinates become: NaN where they stay as they are."""
    part = cell.part
    goal = source[part.writes][:, part.start : part.stop].float()
    if cell.turned is not None:
        before = own[part.writes][:, part.start : part.stop].float()
        random = torch.randn(goal.shape, generator=torch.Generator().manual_seed(cell.turned)).to(goal)
        goal = before + random * ((goal - before).norm(dim=1) / random.norm(dim=1)).unsqueeze(1)
    if cell.places is None:
        return goal
    kept = torch.full_like(goal, torch.nan)
    kept[list(cell.places)] = goal[list(cell.places)]
    return kept


def _all_text(prompt: TokenizedPrompt) -> TokenizedPrompt:
    return replace(prompt, special=(False,) * len(prompt))
