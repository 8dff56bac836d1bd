"""How many runs a request asks for, and what can be refused before a model is opened. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence

from interp_lab.contracts.intervene import GRADED_EDITS, EditName, InterveneRequest
from interp_lab.errors import ImpossibleEdit, InvalidRequest
from interp_lab.methods.text_scorers import scorer_names

_WHILE_WRITING = "Ablate to zero or to the mean, suppress, amplify, clamp or steer."
EFFECT_ALIKE = 3
"""The edit, its opposite and its placebo."""


def strengths_of(name: EditName, request: InterveneRequest) -> tuple[float, ...]:
    """Return the strengths at which an edit is made; one that has none is made whole."""
    return request.strengths if name in GRADED_EDITS else (1.0,)


def refuse_unfit(request: InterveneRequest, *, has_pairs: bool, has_heads: bool) -> None:
    """Check what needs no model.

    Raises:
        ImpossibleEdit: Patching without pairs, a head with an edit that needs one number, or values of other text while
            text is written.
        InvalidRequest: There is no scorer of that name.
    """
    if request.scorer is not None:
        if {"patch", "ablate_resample"} & set(request.edits):
            raise ImpossibleEdit("Values of other text say nothing of tokens yet to be written.", remedy=_WHILE_WRITING)
        if request.scorer.name not in scorer_names():
            raise InvalidRequest(
                f"There is no scorer {request.scorer.name!r}.", remedy=f"Use one of {', '.join(scorer_names())}."
            )
    if "patch" in request.edits and not has_pairs:
        raise ImpossibleEdit(
            "Patching takes values from the other prompt of a pair, and no prompt has a pair.",
            remedy="Give prompts with 'pair', or use another edit.",
        )
    if has_heads and {"clamp", "steer"} & set(request.edits):
        raise ImpossibleEdit("A head has many values, so it cannot be clamped or steered.")
    if has_heads and request.where == "active":
        raise ImpossibleEdit("A head is active everywhere.", remedy="Choose other tokens with where.")


def edited_at_once(request: InterveneRequest, n_units: int) -> tuple[tuple[int, ...], ...]:
    """Return the places of the units that each edited run edits; one unit is always edited alone."""
    each = tuple((place,) for place in range(n_units))
    if n_units < 2 or not request.together:
        return each
    return (*(each if request.alone else ()), tuple(range(n_units)))


def n_trials(request: InterveneRequest, *, kinds: Sequence[int], once: bool = False) -> tuple[int, int]:
    """Return the edited runs per positive and per negative; `kinds` has the controls per unit and control number.

    `once` counts each edit at one strength, as confirm prompts see it.
    """
    per_unit = sum(1 if once else len(strengths_of(name, request)) for name in request.edits)
    units = [min(kinds[place] for place in places) for places in edited_at_once(request, len(kinds))]
    return per_unit * sum(EFFECT_ALIKE + request.n_controls * n for n in units), per_unit * len(units)


def n_sets(request: InterveneRequest, n_units: int) -> int:
    """Return how many sets of units are edited on explore positives to leave out what is not needed, at most."""
    return n_units * (n_units + 1) // 2 if request.smallest and n_units > 1 else 0
