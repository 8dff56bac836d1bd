"""What patching costs, from files and the request alone. Torch-free, so that a plan can say it."""

from __future__ import annotations

from interp_lab.contracts.patch_activations import PatchRequest
from interp_lab.models.facts import ModelFacts
from interp_lab.settings import Settings
from interp_lab.workflows.intervening.cost import TOKEN_CHARACTERS, seconds_for

_UNKNOWN_LAYERS, _UNKNOWN_HEADS, _ROLES = 12, 12, 3


def n_cells(request: PatchRequest, facts: ModelFacts | None, characters: int) -> int:
    """Return about how many places there are in one pair."""
    layers = _UNKNOWN_LAYERS if facts is None else facts.n_layers
    heads = (facts.n_heads if facts is not None else None) or _UNKNOWN_HEADS
    columns = max(1, characters // TOKEN_CHARACTERS) if request.columns == "tokens" else _ROLES
    by_token = sum(component != "heads" for component in request.components)
    return layers * (columns * by_token + heads * ("heads" in request.components))


def seconds_of(
    request: PatchRequest, facts: ModelFacts, n_passes: int, *, characters: int, settings: Settings
) -> tuple[float | None, str | None]:
    """Return the estimated time and what it rests on."""
    tokens = max(4, characters // TOKEN_CHARACTERS)
    # on average half of the layers run again, and two unedited runs a pair and way
    return seconds_for(request.model, facts, n_passes * tokens // 2, settings)
