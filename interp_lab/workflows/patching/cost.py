"""What patching costs, from files and the request alone. Torch-free, so that a plan can say it."""

from __future__ import annotations

from interp_lab.contracts.patch_activations import PatchRequest
from interp_lab.models.facts import ModelFacts
from interp_lab.models.rates import macs_per_token
from interp_lab.workflows.intervening.cost import ONE_BY_ONE, Work
from interp_lab.workflows.patching.line_up import LinedUp

KIND = "patch"
"""Of runs whose speeds are kept together."""
_UNKNOWN_LAYERS, _UNKNOWN_HEADS = 12, 12
_UNEDITED = 4
"""Unedited runs of a pair and way, about."""


def n_cells(request: PatchRequest, facts: ModelFacts | None, columns: float) -> int:
    """Return about how many places there are in one pair that has so many by token or role."""
    layers = _UNKNOWN_LAYERS if facts is None else facts.n_layers
    heads = (facts.n_heads if facts is not None else None) or _UNKNOWN_HEADS
    by_token = sum(component != "heads" for component in request.components)
    return round(layers * (columns * by_token + heads * ("heads" in request.components)))


def n_patched(request: PatchRequest, cells: int, n_pairs: int) -> int:
    """Return the patched runs: every place of explore pairs, the strongest of the others beside their controls."""
    explore, confirm = (n_pairs + 1) // 2, n_pairs // 2
    return len(request.ways) * (explore * cells + confirm * min(cells, request.top_k) * (1 + request.n_controls))


def work_of(request: PatchRequest, facts: ModelFacts, pairs: LinedUp) -> Work:
    """Return the work of a request: half of the blocks run again on average, beside unedited runs of each pair."""
    passes = n_patched(request, n_cells(request, facts, pairs.n_columns), pairs.n_pairs)
    unedited = _UNEDITED * len(request.ways) * pairs.n_pairs
    block, whole = macs_per_token(facts, 0) or 0, macs_per_token(facts, None) or 0
    again = passes * pairs.n_tokens * block * (facts.n_layers + 1) / 2
    return Work(
        unedited, passes, again + unedited * pairs.n_tokens * whole + passes * _head(facts), 0, speeds=ONE_BY_ONE
    )


def _head(facts: ModelFacts) -> int:
    return (facts.n_vocab or 0) * facts.d_model
