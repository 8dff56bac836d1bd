"""Which pairs will line up token by token, from prompts and token ids alone. Torch-free, so that a plan can say it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

from interp_lab.contracts.patch_activations import PatchRequest
from interp_lab.corpus.prompt_set import PromptSet
from interp_lab.errors import ImpossibleEdit
from interp_lab.workflows.intervening.cost import TOKEN_CHARACTERS

_ROLES = 3
_REMEDY = "Give prompts with 'pair', one at or above the threshold and one below, or use intervene."


@dataclass(frozen=True, slots=True)
class LinedUp:
    """What patching will find of the pairs."""

    n_pairs: int
    """Pairs that can be patched, of both halves, at most as many as are asked for."""
    left_out: Counter[str]
    """Pairs that cannot, by reason."""
    n_columns: float
    """Mean places by token, or by role, of a pair."""
    n_tokens: float
    """Mean tokens of a prompt."""


def line_up(request: PatchRequest, prompts: PromptSet, ids: Sequence[Sequence[int]] | None) -> LinedUp:
    """Return the pairs that can be patched; without token ids every pair may.

    Raises:
        ImpossibleEdit: No two prompts are a pair, or no pair has as many tokens on both sides.
    """
    sides: dict[str, list[tuple[bool, int]]] = {}
    for row, (prompt, positive) in enumerate(zip(prompts.prompts, prompts.positive(request.threshold), strict=True)):
        if prompt.pair is not None:
            sides.setdefault(prompt.pair, []).append((positive, row))
    both = [rows for rows in sides.values() if sorted(side for side, _ in rows) == [False, True]]
    if not both:
        raise ImpossibleEdit("No two prompts are a pair of one clean and one corrupt prompt.", remedy=_REMEDY)
    most = 2 * request.max_pairs
    if ids is None:
        tokens = max(4.0, mean(map(len, prompts.texts())) / TOKEN_CHARACTERS)
        return LinedUp(min(len(both), most), Counter(), tokens if request.columns == "tokens" else _ROLES, tokens)
    left_out: Counter[str] = Counter()
    spans: list[tuple[int, int, int]] = []
    for (_, one), (_, other) in both:
        found = _differs(ids[one], ids[other])
        if isinstance(found, str):
            left_out[found] += 1
        else:
            spans.append((len(ids[one]), *found))
    if not spans:
        told = " and ".join(f"{name} in {n}" for name, n in left_out.items())
        raise ImpossibleEdit(
            f"No pair of prompts can be patched ({told}).",
            remedy="Give pairs of one clean and one corrupt prompt that have as many tokens and differ in some.",
        )
    kept = spans[:most]
    return LinedUp(len(kept), left_out, _columns(request, kept), mean(length for length, _, _ in kept))


def _differs(one: Sequence[int], other: Sequence[int]) -> tuple[int, int] | str:
    """First and last place that differ, or why the two cannot be patched."""
    if len(one) != len(other):
        return "other length"
    places = [place for place, (a, b) in enumerate(zip(one, other, strict=True)) if a != b]
    return (places[0], places[-1]) if places else "same tokens"


def _columns(request: PatchRequest, spans: Sequence[tuple[int, int, int]]) -> float:
    """Single tokens where all pairs line up or that is asked; else differing tokens, those after them, the last."""
    if request.columns == "tokens" or (request.columns == "auto" and len(set(spans)) == 1):
        return spans[0][0]
    return mean(1 + (end - last > 1) + (end > last) for end, last in ((length - 1, last) for length, _, last in spans))
