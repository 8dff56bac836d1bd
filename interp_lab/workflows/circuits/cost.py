"""What finding a circuit costs, from files and the request alone. Torch-free, so that a plan can say it."""

from __future__ import annotations

from collections.abc import Iterator

from interp_lab.contracts.find_circuit import CircuitPlan, FindCircuitRequest
from interp_lab.engine.components.nodes import Components
from interp_lab.models.facts import ModelFacts
from interp_lab.settings import Settings
from interp_lab.workflows.intervening.cost import TOKEN_CHARACTERS, seconds_for

_SIZES = 12
_BACKWARD = 3
"""Passes that one with gradients is worth."""
_CHECKED = 24


def plan(
    request: FindCircuitRequest, facts: ModelFacts | None, settings: Settings, *, n_prompts: int, n_characters: int
) -> CircuitPlan:
    """Return what the run takes; `n_characters` is the mean length of a prompt."""
    n_used = min(n_prompts, 2 * request.n_prompts)
    if facts is None or facts.n_heads is None:
        return _described(request, None, None, time=None, n_prompts=n_used)
    splits = facts.family.attn_out == facts.family.attention
    parts = Components(
        n_layers=facts.n_layers,
        n_heads=facts.n_heads if splits else 1,
        splits_heads=splits,
        parallel=facts.family.resid_mid is None,
        learned_positions=True,
    )
    n_edges = len(parts.edges)
    passes = _BACKWARD * request.n_steps + 2 * n_edges + _CHECKED + 2 * _SIZES + request.n_controls
    tokens = max(4, n_characters // TOKEN_CHARACTERS) * max(1, n_used // 2)
    seconds, source = seconds_for(request.model, facts, passes * tokens * (parts.n_heads + 1), settings)
    return _described(request, n_edges, passes, time=(seconds, source), n_prompts=n_used)


def in_words(found: CircuitPlan, model_id: str) -> str:
    """Return the plan as one sentence."""
    if found.n_edges is None or found.n_passes is None:
        return f"Edges between the components of {model_id}; their number is known once it is here."
    time = "time unknown" if found.seconds is None else f"about {found.seconds:.0f} s"
    return (
        f"{found.n_edges:,} edges of {model_id}, at most {found.n_passes:,} passes over a half of the prompts; {time}."
    )


def _described(
    request: FindCircuitRequest,
    n_edges: int | None,
    n_passes: int | None,
    *,
    time: tuple[float | None, str | None] | None,
    n_prompts: int,
) -> CircuitPlan:
    seconds, source = time or (None, None)
    return CircuitPlan(
        n_edges=n_edges,
        n_prompts=n_prompts,
        n_passes=n_passes,
        seconds=seconds,
        seconds_source=source,
        advisories=tuple(_advisories(request)),
    )


def _advisories(request: FindCircuitRequest) -> Iterator[str]:
    yield f"Edges will be ablated to {request.ablation}; run another ablation too before a circuit is believed."
    if request.metric == "logit_difference" and not request.target_tokens:
        yield "The words of the logit difference will be chosen on explore prompts; name target_tokens to fix them."
