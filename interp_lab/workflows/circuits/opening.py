# pyright: standard
"""What finding a circuit begins with: components, halves of the prompts, words, what replaces edges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from interp_lab.contracts.find_circuit import FindCircuitRequest
from interp_lab.contracts.inspect import InspectRequest
from interp_lab.contracts.intervene import InterveneRequest, UnitRef
from interp_lab.engine.components.ablations import mean_writes
from interp_lab.engine.components.passes import ComponentGraph
from interp_lab.errors import ImpossibleCircuit
from interp_lab.evidence.split import Part
from interp_lab.jobs.run import Run
from interp_lab.points import Address
from interp_lab.settings import Settings
from interp_lab.workflows.circuits.half import Half, open_half
from interp_lab.workflows.inspection.inputs import Inputs, open_inputs
from interp_lab.workflows.inspection.measure import Design, design
from interp_lab.workflows.intervening.behaviour import Chosen, choose

_LEAST_PROMPTS = 2
"""Prompts of a half without which there is no interval."""


@dataclass(frozen=True, eq=False)
class Context:
    """Everything that was opened."""

    request: FindCircuitRequest
    inputs: Inputs
    design: Design
    chosen: Chosen | None
    run: Run
    explore: Half
    confirm: Half
    n_without_partner: int
    """Prompts left out because no other prompt has as many tokens."""

    @property
    def graph(self) -> ComponentGraph:
        """The model as components."""
        return self.explore.graph


def open_context(request: FindCircuitRequest, run: Run, settings: Settings) -> Context:
    """Return the model, the halves and the words of the behaviour.

    Raises:
        LabError: whatever is wrong with the request, the model or the prompts.
    """
    run.progress(0, None, "opening the model and the prompts")
    asked = {name: getattr(request, name) for name in ("model", "criterion", "dataset", "threshold", "seed")}
    inputs = open_inputs(InspectRequest(**asked), settings)
    run.seed, run.device = request.seed, str(inputs.loaded.device)
    run.inputs |= inputs.provenance()
    plan = design(inputs)
    chosen = _words(request, inputs, plan, run) if request.metric == "logit_difference" else None
    graph = ComponentGraph(inputs.loaded, inputs.tokens)
    explore_rows = plan.split.rows("explore")
    mean = mean_writes(graph, [inputs.tokens[i] for i in explore_rows]) if request.ablation == "mean" else None
    halves: dict[Part, Half] = {}
    left_out = 0
    for part in ("explore", "confirm"):
        rows, partners, alone = _rows(request, inputs, plan, part)
        left_out += alone
        halves[part] = open_half(
            graph,
            request,
            [inputs.tokens[i] for i in rows],
            rows=rows,
            behaviour=None if chosen is None else chosen.behaviour(cross_entropy=False),
            mean=mean,
            partners=None if partners is None else [inputs.tokens[partners[i]] for i in rows],
        )
    return Context(request, inputs, plan, chosen, run, halves["explore"], halves["confirm"], left_out)


def _words(request: FindCircuitRequest, inputs: Inputs, plan: Design, run: Run) -> Chosen:
    wanted = InterveneRequest(
        model=request.model,
        criterion=request.criterion,
        dataset=request.dataset,
        units=(UnitRef(address=Address("resid_post", 0), index=0),),
        targets=request.target_tokens,
        alternatives=request.alternative_tokens,
    )
    labels, explore = plan.sample.labels, plan.split.rows("explore")
    on = [inputs.tokens[i] for i in explore if labels[i]]
    off = [inputs.tokens[i] for i in explore if not labels[i]]
    return choose(inputs.loaded, wanted, on, off, check=run.check)


def _rows(
    request: FindCircuitRequest, inputs: Inputs, plan: Design, part: Part
) -> tuple[list[int], Mapping[int, int] | None, int]:
    """Return the rows of a half that are used, the partner of each if there are any, and how many have none."""
    every = plan.split.rows(part)
    labels = plan.sample.labels
    rows = [row for row in every if request.metric != "logit_difference" or labels[row]]
    dice = np.random.default_rng([request.seed, part == "confirm"])
    partners: dict[int, int] | None = None
    alone = 0
    if request.ablation == "resample":
        partners = _partners(inputs, plan, rows, every, dice=dice)
        alone = len(rows) - len(partners)
        rows = [row for row in rows if row in partners]
    rows = sorted(dice.permutation(rows)[: request.n_prompts].tolist())
    if len(rows) < _LEAST_PROMPTS:
        raise ImpossibleCircuit(
            f"Only {len(rows)} {part} prompts can be used; {alone} have no partner of their length."
        )
    return rows, partners, alone


def _partners(
    inputs: Inputs, plan: Design, rows: Sequence[int], every: Sequence[int], *, dice: np.random.Generator
) -> dict[int, int]:
    """Another prompt of as many tokens, of the other label where there is one."""
    labels, groups, lengths = plan.sample.labels, plan.sample.groups, inputs.lengths
    found: dict[int, int] = {}
    for row in rows:
        equal = [i for i in every if lengths[i] == lengths[row] and groups[i] != groups[row]]
        other = [i for i in equal if labels[i] != labels[row]] or equal
        if other:
            found[row] = int(dice.choice(other))
    return found
