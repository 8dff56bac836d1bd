"""What edited runs cost, from files and the request alone. Torch-free, so that a plan can say it."""

from __future__ import annotations

from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.contracts.models import ModelRef
from interp_lab.models.facts import ModelFacts
from interp_lab.models.rates import known_rate, macs_per_token
from interp_lab.models.reference import fingerprint
from interp_lab.settings import Settings
from interp_lab.workflows.harvesting.cost import device_key

ASSUMED_RATE = 5e9
"""Multiply-adds per second of one processor core that are taken for granted before anything was measured."""
TOKEN_CHARACTERS = 3
"""Fewer than most tokenizers put into a token, so that counts are upper estimates."""


def seconds_for(
    model: ModelRef, facts: ModelFacts, n_tokens: int, settings: Settings
) -> tuple[float | None, str | None]:
    """Return the estimated seconds for so many tokens through the whole model, and what the estimate rests on."""
    macs = macs_per_token(facts, None)
    if not macs:
        return None, None
    dtype = model.dtype if model.dtype != "auto" else "float32"
    key = device_key("cpu", dtype, settings.threads_per_slot())
    rate = known_rate(WorkspacePaths.of(settings).root, fingerprint(model, settings), key)
    if rate is not None:
        return max(0.1, round(n_tokens * macs / rate.macs_per_s, 1)), "an earlier harvest of this model here"
    return max(0.1, round(n_tokens * macs / ASSUMED_RATE, 1)), "an assumed speed; a harvest of this model measures it"
