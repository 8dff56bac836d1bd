# pyright: standard
"""What both workflows begin with: the model, the prompts and their halves, the words of the behaviour, rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from interp_lab.contracts.inspect import InspectRequest
from interp_lab.contracts.intervene import InterveneRequest, UnitRef
from interp_lab.contracts.trace_paths import PathRequest
from interp_lab.engine.edits import Unit
from interp_lab.engine.paths.effects import check_route
from interp_lab.jobs.run import Run
from interp_lab.points import Address
from interp_lab.settings import Settings
from interp_lab.workflows.inspection.inputs import open_inputs
from interp_lab.workflows.inspection.measure import Design, design
from interp_lab.workflows.intervening.behaviour import choose
from interp_lab.workflows.intervening.values import read
from interp_lab.workflows.tracing.context import Context, Suggest
from interp_lab.workflows.tracing.ends import Ends, centred, with_behaviour


def open_context(request: PathRequest, run: Run, settings: Settings, suggest: Suggest) -> Context:
    """Return the model, the prompts split as an inspection of them would be, and the words of the behaviour.

    Raises:
        LabError: whatever is wrong with the request, the model or the prompts.
    """
    run.progress(0, None, "opening the model and the prompts")
    inputs = open_inputs(_as_inspected(request), settings)
    run.seed, run.device = request.seed, str(inputs.loaded.device)
    run.inputs |= inputs.provenance()
    plan = design(inputs)
    chosen = None
    if request.behaviour:
        run.progress(0, None, "choosing target tokens")
        labels, explore = plan.sample.labels, plan.split.rows("explore")
        on = [inputs.tokens[i] for i in explore if labels[i]]
        off = [inputs.tokens[i] for i in explore if not labels[i]]
        chosen = choose(inputs.loaded, _as_intervened(request), on, off, check=run.check)
    return Context(request, inputs, plan, chosen, run, suggest)


def prepared(context: Context, ends: Ends) -> Ends:
    """Return the ends with the behaviour among the targets and every source at rest where the request says, checked."""
    behaviour = None if context.chosen is None else context.chosen.behaviour(cross_entropy=False)
    ends = with_behaviour(ends, replace(ends.route, behaviour=behaviour))
    check_route(context.inputs.loaded, ends.route, [ends.unit(place) for place in range(len(ends.sources))])
    return _rested(context, ends) if context.request.rest == "mean" else ends


def positives(plan: Design, rows: Sequence[int], *, positive: bool = True) -> list[int]:
    """Return those of the rows that have the criterion, or have not."""
    labels = plan.sample.labels
    return [row for row in rows if bool(labels[row]) is positive]  # pyright: ignore[reportArgumentType]


def _rested(context: Context, ends: Ends) -> Ends:
    """Coordinates and directions are scaled from their mean over explore tokens; latents rest at zero as they are."""
    inputs, explore = context.inputs, context.design.split.rows("explore")
    plain = [s.target for s in ends.sources if not s.is_latent and isinstance(s.target, Unit)]
    if not plain:
        return ends
    reading = read(inputs.loaded, inputs.tokens, plain, explore=explore, latents=frozenset(), check=context.run.check)
    found = tuple(
        replace(s, target=centred(s.target, float(reading.scales[s.target].center[0])))
        if isinstance(s.target, Unit) and not s.is_latent
        else s
        for s in ends.sources
    )
    return Ends(found, ends.targets, ends.route)


def _as_inspected(request: PathRequest) -> InspectRequest:
    """The same model, prompts, threshold and seed, so that both split the prompts alike."""
    return InspectRequest(
        model=request.model,
        criterion=request.criterion,
        dataset=request.dataset,
        threshold=request.threshold,
        seed=request.seed,
    )


def _as_intervened(request: PathRequest) -> InterveneRequest:
    """The words of the behaviour, as an intervention names them."""
    return InterveneRequest(
        model=request.model,
        criterion=request.criterion,
        dataset=request.dataset,
        units=(UnitRef(address=Address("resid_post", 0), index=0),),
        targets=request.target_tokens,
        alternatives=request.alternative_tokens,
    )
