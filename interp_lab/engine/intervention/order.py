# pyright: standard
"""Which part of the model an edit leaves alone: the order in which a pass meets addresses, and where it can resume."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from interp_lab.engine.edits import Edit, Slice, Variant
from interp_lab.engine.sites import Place, find_place
from interp_lab.errors import ImpossibleEdit
from interp_lab.models.load import LoadedModel
from interp_lab.points import Address, first_block, place_in_order

_WITHIN = ("resid_pre", "q", "k", "v", "z", "attn_out", "resid_mid", "mlp_in", "mlp_act", "mlp_out", "resid_post")
_ONE_AFTER_ANOTHER = frozenset(_WITHIN)

Reach = Literal["last", "some", "all"]
"""Whether edits touch the last token, a few tokens, or every one; passes of one reach can begin at one position."""


class Group(NamedTuple):
    """Variants that can share passes: they begin at the same block and reach the same tokens."""

    block: int
    reach: Reach
    members: tuple[int, ...]


def groups_of(loaded: LoadedModel, variants: Sequence[Variant]) -> tuple[Group, ...]:
    """Return the variants in groups, each variant in one.

    Raises:
        ImpossibleEdit: There is nothing to edit, an address cannot be written to, or edits cannot be combined.
    """
    found: dict[tuple[int, Reach], list[int]] = {}
    for number, variant in enumerate(variants):
        _refuse_unclear(variant)
        block = min(first_block(edit.target.writes) for edit in variant.edits)
        found.setdefault((block, _reach(variant.edits)), []).append(number)
    for address in {edit.target.writes for variant in variants for edit in variant.edits}:
        writable(loaded, address)
    return tuple(Group(block, reach, tuple(members)) for (block, reach), members in sorted(found.items()))


def writable(loaded: LoadedModel, address: Address) -> Place:
    """Return the place of an address whose tensor can be replaced as a whole.

    Raises:
        ImpossibleEdit: It is the logits, attention probabilities, or part of a larger tensor.
        HookPointUnavailable, LayerOutOfRange: The model does not have the place.
    """
    place = find_place(loaded, address)
    whole = place.take == "whole" or (place.take != "probs" and loaded.family.qkv_layout == "separate")
    if address.point == "logits" or not whole:
        raise ImpossibleEdit(
            f"{address} cannot be edited in {loaded.family.name} models.",
            remedy="Edit z, attn_out or the residual stream.",
        )
    return place


def is_live(edit: Edit, variant: Variant) -> bool:
    """Whether the value that the edit starts from depends on another edit of the variant."""
    first = min(place_in_order(address) for address in edit.target.reads)
    return isinstance(edit.target, Slice) or any(
        place_in_order(other.target.writes) < first for other in variant.edits if other is not edit
    )


def _refuse_unclear(variant: Variant) -> None:
    if not variant.edits:
        raise ImpossibleEdit(f"{variant.key} edits nothing.", remedy="Name at least one edit.")
    addresses = {address for edit in variant.edits for address in (*edit.target.reads, edit.target.writes)}
    if len(addresses) > 1 and any(a.point not in _ONE_AFTER_ANOTHER and a.point != "embed" for a in addresses):
        raise ImpossibleEdit(
            f"{variant.key}: edits at module addresses cannot be combined.", remedy="Use named hook points."
        )
    for edit in variant.edits:
        if edit.target.reads != (edit.target.writes,) and is_live(edit, variant):
            raise ImpossibleEdit(
                f"{edit.target.key} reads {', '.join(map(str, edit.target.reads))} and writes {edit.target.writes}, so "
                "it cannot be edited together with something before it.",
                remedy="Edit it alone.",
            )


def _reach(edits: Sequence[Edit]) -> Reach:
    kinds = {edit.where for edit in edits}
    if kinds == {"last"}:
        return "last"
    return "all" if "all" in kinds else "some"
