# pyright: standard
"""Diff two versions of a model: weights, activations, units that carry a criterion, latents that look exclusive."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.compare import Side
from interp_lab.contracts.diff_models import DiffModelsRequest, DiffModelsResult, ModelDiffReport, PlaceShift
from interp_lab.contracts.inspect import InspectRequest
from interp_lab.contracts.models import ModelRef
from interp_lab.engine.lens import addresses_of
from interp_lab.errors import InvalidRequest
from interp_lab.jobs.run import Run
from interp_lab.methods.model_shift import activation_shift
from interp_lab.models.quantised import round_weights
from interp_lab.settings import Settings
from interp_lab.workflows.comparing.sides import ReadSide, table_of
from interp_lab.workflows.diffing.exclusive import Exclusive, exclusive_latents
from interp_lab.workflows.diffing.report import caveats_of, headline, publish, short_form
from interp_lab.workflows.diffing.units import unit_changes
from interp_lab.workflows.diffing.validated import validated_units
from interp_lab.workflows.diffing.weights import changed_weights
from interp_lab.workflows.inspection.inputs import Inputs, open_inputs
from interp_lab.workflows.inspection.measure import design
from interp_lab.workflows.report_facts import run_facts

Suggest = Callable[[ModelDiffReport], tuple[NextAction, ...]]


def diff_models(request: DiffModelsRequest, run: Run, *, settings: Settings, suggest: Suggest) -> DiffModelsResult:
    """Return the short form of the report; the report itself is published as an artifact of the run.

    Raises:
        InvalidRequest: One model is not a version of the other.
        LabError: whatever is wrong with the request, a model or the prompts.
    """
    base = _read(request.base, request, run, settings)
    changed = _read(request.changed, request, run, settings, quantise=request.quantise is not None)
    one, two = _inputs_of(base), _inputs_of(changed)
    if [prompt.ids for prompt in one.tokens] != [prompt.ids for prompt in two.tokens]:
        raise InvalidRequest("The two models read these prompts as different tokens.", remedy="Call compare instead.")
    run.seed, run.device = request.seed, str(one.loaded.device)
    run.inputs |= {f"{name} {key}": value for name, inputs in (("base", one), ("changed", two))
                   for key, value in inputs.provenance().items()}  # fmt: skip
    n_weights, weights = changed_weights(one.loaded, two.loaded)
    validated = validated_units(request, one.prompts.sha256, settings)
    found = Exclusive((), 0, 0, 0)
    if request.crosscoder is not None:
        found = exclusive_latents(request.crosscoder, one, two, settings)
    confirm = base.plan.rows("confirm")
    report = ModelDiffReport(
        headline="-",
        criterion=request.criterion,
        base=one.facts,
        changed=two.facts,
        quantise=request.quantise,
        dataset=one.prompts.name,
        dataset_sha256=one.prompts.sha256,
        n_explore=len(base.plan.rows("explore")),
        n_confirm=len(confirm),
        n_groups=len({int(group) for group in base.plan.sample.groups[confirm]}),
        n_weights=n_weights,
        weights=weights[:200],
        shifts=_shifts(base, changed, run),
        units=unit_changes(base, changed, validated, request),
        exclusive=found.latents,
        n_crosscoder_latents=found.n_active if request.crosscoder else None,
        n_exclusive=found.n_found if request.crosscoder else None,
        n_artefacts=found.n_artefacts if request.crosscoder else None,
        caveats=(),
        agent_next_actions=(),
        run=run_facts(run, seed=request.seed, checks={}),
    )
    report = report.model_copy(update={"headline": headline(report, len(weights)), "caveats": caveats_of(report)})
    report = report.model_copy(update={"agent_next_actions": suggest(report)})
    publish(report, run)
    return short_form(report, len(weights))


def _read(
    model: ModelRef, request: DiffModelsRequest, run: Run, settings: Settings, *, quantise: bool = False
) -> ReadSide:
    asked = InspectRequest(
        model=model,
        criterion=request.criterion,
        dataset=request.dataset,
        addresses=request.addresses,
        dictionaries=request.dictionaries,
        pooling=request.pooling,
        threshold=request.threshold,
        seed=request.seed,
    )
    inputs = open_inputs(asked, settings)
    if quantise:
        loaded = inputs.loaded
        n = len(round_weights(loaded.model, loaded.blocks, loaded.source.id))
        run.inputs["changed quantised"] = f"int8 weights of {n} linear layers"
    side = Side(model=model, addresses=request.addresses, dictionaries=request.dictionaries)
    return ReadSide(side, inputs, design(inputs), table_of(inputs, None, run), settings, inputs.prompts.sha256)


def _inputs_of(side: ReadSide) -> Inputs:
    assert isinstance(side.inputs, Inputs)  # both sides were opened as models just above
    return side.inputs


def _shifts(base: ReadSide, changed: ReadSide, run: Run) -> tuple[PlaceShift, ...]:
    """Return how the mean activation of a prompt differs at every address that is read."""
    confirm = base.plan.rows("confirm")
    if not confirm.size:
        return ()
    addresses = addresses_of(_inputs_of(base).sites)
    one, two = (side.mean_rows(addresses, run) for side in (base, changed))
    fit, test = np.zeros((2, len(base.values)), bool)
    fit[base.plan.rows("explore")], test[confirm] = True, True
    found: list[PlaceShift] = []
    for address in addresses:
        shift = activation_shift(one[address], two[address], fit=fit, test=test)
        found.append(
            PlaceShift(
                address=str(address),
                relative=round(shift.relative, 8),
                first=min(1.0, round(shift.first, 4)),
                n_directions=shift.n_directions,
            )
        )
    return tuple(found)
