"""What finding a circuit costs, from files and the request alone. Torch-free, so that a plan can say it."""

from __future__ import annotations

from collections.abc import Iterator

from interp_lab.contracts.find_circuit import CircuitPlan, FindCircuitRequest
from interp_lab.engine.components.nodes import Components
from interp_lab.models.facts import ModelFacts
from interp_lab.models.rates import macs_per_token
from interp_lab.settings import Settings
from interp_lab.workflows.intervening.cost import Speeds, Work, planned_seconds, record_pace

WHAT = "find_circuit"
_SIZES = 12
_BACKWARD = 3
"""Passes that one with gradients is worth."""
_CHECKED = 24
_SPEEDS: Speeds = (0.7, 0.0, 1.35e-3, 5.5e-11, 0.0, 0.0)
"""Seconds of any run, a prompt, a pass of a batch through one head or MLP, a multiply-add: of runs in a small model."""
_TESTS, _AT, _MORE, _LEAST, _MOST = 0.45, 0.01, 0.6, 1 / 16, 2.0
"""Exact tests per edge at a tolerance, seen in three runs, and the power by which finer ones take more (1.2 at 0.002);
at least one in a group of edges, and at most what halving every group takes."""
_RUN_AGAIN = 0.6
"""Share of blocks that a test runs, as seen in small models."""


def plan(
    request: FindCircuitRequest, facts: ModelFacts | None, settings: Settings, *, n_prompts: int, tokens: float
) -> CircuitPlan:
    """Return what the run takes; `tokens` is the mean length of a prompt."""
    n_used = min(n_prompts, 2 * request.n_prompts)
    if facts is None or facts.n_heads is None:
        return _described(request, None, None, time=None, n_prompts=n_used)
    parts = _parts(facts)
    n_edges = len(parts.edges)
    passes = _whole_passes(request) + 2 * n_edges + _CHECKED
    half = max(1, n_used // 2)
    work = work_of(request, facts, n_prompts=half, tokens=tokens)
    time = (None, None) if work is None else planned_seconds(work, request.model, settings, kind=WHAT)
    return _described(request, n_edges, passes, time=time, n_prompts=n_used)


def work_of(
    request: FindCircuitRequest, facts: ModelFacts, *, n_prompts: int, tokens: float, n_tests: int | None = None
) -> Work | None:
    """Return the work of a run over that many prompts of each half; None where the configuration does not say.

    In a block attention runs once per head and once more, the MLP once where it does not read beside attention. How
    many tests there are is known when they were made; before, as many are taken as such a tolerance usually takes.
    """
    block = macs_per_token(facts, 0)
    if not block or facts.n_vocab is None:
        return None
    parts, attention = _parts(facts), 4 * facts.d_model**2
    rows = parts.n_heads + 1
    blocks = parts.n_layers * (rows * block if parts.parallel else rows * attention + block - attention)
    head = facts.n_vocab * facts.d_model
    whole = _whole_passes(request)
    tests = (_tests_of(request, len(parts.edges)) if n_tests is None else n_tests) + _CHECKED
    macs = n_prompts * tokens * (whole * (blocks + head) + tests * (_RUN_AGAIN * blocks + head))
    calls = round((whole + tests) * parts.n_layers * rows)
    return Work(n_prompts=2 * n_prompts, n_rows=calls, macs=macs, n_written=0, speeds=_SPEEDS)


def _tests_of(request: FindCircuitRequest, n_edges: int) -> float:
    """Exact tests that pruning takes, about: fewer where more may be lost at once."""
    if not request.tolerance:
        return _MOST * n_edges
    return n_edges * min(_MOST, max(_LEAST, _TESTS * (_AT / request.tolerance) ** _MORE))


def keep_pace(
    request: FindCircuitRequest,
    facts: ModelFacts,
    settings: Settings,
    *,
    half: tuple[int, float],
    n_tests: int,
    seconds: float,
) -> None:
    """Keep how long a run took, for the plans of later ones; `half` has its prompts and their mean tokens."""
    work = work_of(request, facts, n_prompts=half[0], tokens=half[1], n_tests=n_tests)
    if work is not None:
        record_pace(work, seconds, request.model, settings, kind=WHAT)


def _parts(facts: ModelFacts) -> Components:
    splits = facts.family.attn_out == facts.family.attention
    return Components(
        n_layers=facts.n_layers,
        n_heads=(facts.n_heads or 1) if splits else 1,
        splits_heads=splits,
        parallel=facts.family.resid_mid is None,
        learned_positions=True,
    )


def _whole_passes(request: FindCircuitRequest) -> int:
    return _BACKWARD * request.n_steps + 2 * _SIZES + request.n_controls


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
