# pyright: standard
"""Exact mediated effects of many sources at the graded strength, as means: what chooses those measured in full."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from interp_lab.engine.batches import make_batch
from interp_lab.engine.capture import capture
from interp_lab.engine.intervention.changes import read_units
from interp_lab.engine.paths.effects import PathRunner, Push
from interp_lab.engine.precision import matmul_precision
from interp_lab.errors import NonFiniteActivations
from interp_lab.workflows.tracing.context import Context
from interp_lab.workflows.tracing.ends import Ends
from interp_lab.workflows.tracing.measure import Floats, typical_size
from interp_lab.workflows.tracing.shares import Passes, Share, Stage


@dataclass(frozen=True, eq=False)
class Compared:
    """Exact mediated effects `(n_sources, n_targets)` at the graded strength, means over the prompts."""

    effects: Floats
    scale: Floats
    """Typical size of every target, `(n_targets,)`."""
    n_runs: int
    """Edited runs; a source that is silent on a prompt costs none."""


def active_sources(context: Context, ends: Ends, prompts: Sequence[int]) -> NDArray[np.intp]:
    """Return on how many of the prompts each source is active, `(n_sources,)`."""
    inputs, units = context.inputs, [ends.unit(place) for place in range(len(ends.sources))]
    centers = torch.tensor([unit.center for unit in units], device=inputs.loaded.device)[:, None]
    found = np.zeros(len(units), dtype=np.intp)
    with capture(inputs.loaded, list(dict.fromkeys(address for unit in units for address in unit.reads))) as run:
        for done, prompt in enumerate(prompts):
            context.run.progress(done, len(prompts), "reading which sources are active", "prompts")
            tokens = inputs.tokens[prompt]
            seen = {address: values[0] for address, values in run(make_batch(inputs.loaded, [tokens])).items()}
            text = ~torch.tensor(tokens.special, device=inputs.loaded.device)
            found += ((read_units(units, seen) != centers) & text).any(1).cpu().numpy()
    return found


def compare(
    context: Context, ends: Ends, sources: Sequence[int], prompts: Sequence[int], *, stage: Stage, share: Share | None
) -> Compared:
    """Return what the sources do to the targets on these prompts, one strength, nothing held, no random sources.

    Raises:
        NonFiniteActivations: A target is NaN or infinite.
        ShareDone: The prompts of the share have been run.
    """
    scale, tokens = context.request.scales[0], context.inputs.tokens
    route = replace(ends.route, hold=frozenset(), hold_units=())
    runner = PathRunner(context.inputs.loaded, [Push(ends.unit(place), scale) for place in sources], route)

    def effects(prompt: int) -> dict[str, Tensor]:
        found = runner(tokens[prompt])
        if not bool(found.total.isfinite().all() and found.base.isfinite().all()):
            raise NonFiniteActivations(f"A target is not finite in {tokens[prompt].id}.")
        return {"mediated": found.mediated, "base": found.base, "runs": (found.size > 0).sum()}

    passes = Passes.of(context, stage, ["compare", [ends.sources[place].key for place in sources]])
    total, n_runs, bases = np.zeros((len(sources), route.n_targets)), 0, []
    with matmul_precision():
        for found in passes.over(prompts, effects, context.run, share, what="comparing sources exactly"):
            total += found["mediated"].double().numpy()
            bases.append(found["base"].double().numpy())
            n_runs += int(found["runs"])
    return Compared(total / len(prompts), typical_size(np.stack(bases)), n_runs)
