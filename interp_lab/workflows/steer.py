# pyright: standard
"""Steer: text with and without a direction, at a strength that explore prompts chose, beside controls."""

from __future__ import annotations

import math
import time

import numpy as np

from interp_lab.contracts.inspect import InspectRequest
from interp_lab.contracts.intervene import InterveneRequest, UnitRef
from interp_lab.contracts.steer import SteerReport, SteerRequest, SteerResult
from interp_lab.evidence.facts import Effect, InterventionEvidence
from interp_lab.evidence.grade import Grading, grade
from interp_lab.jobs.run import Run
from interp_lab.methods.causal_effect import contrast
from interp_lab.settings import Settings
from interp_lab.workflows.inspection.inputs import Inputs, open_inputs
from interp_lab.workflows.inspection.measure import Design, design
from interp_lab.workflows.inspection.passes import pool_prompts
from interp_lab.workflows.intervening.behaviour import Chosen, choose
from interp_lab.workflows.intervening.cost import idle_seconds, record_pace
from interp_lab.workflows.steering.arms import Desk
from interp_lab.workflows.steering.checks import refuse_unfit
from interp_lab.workflows.steering.cost import STEERING, Texts, instruction_of, steer_work
from interp_lab.workflows.steering.directions import residual_norm
from interp_lab.workflows.steering.evidence import Seen, look
from interp_lab.workflows.steering.files import Saved, read_vector
from interp_lab.workflows.steering.measure import Confirmed, Explored, Half, confirm, explore
from interp_lab.workflows.steering.records import record_lines
from interp_lab.workflows.steering.report import Suggest, assemble, finished, publish, short_form


def steer(request: SteerRequest, run: Run, *, settings: Settings, suggest: Suggest) -> SteerResult:
    """Return the short form of the report; the report itself is published as an artifact of the run.

    Raises:
        DiscoveryRowsReused: The vector was made on rows that would grade it here.
        LabError: whatever is wrong with the request, the vector, the model or the prompts.
    """
    clock = time.perf_counter(), time.process_time()
    run.progress(0, None, "opening the model, the vector and the prompts")
    saved = read_vector(request.vector, settings)
    inputs = open_inputs(_as_inspected(request, saved), settings)
    refuse_unfit(request, saved, inputs.prompts, inputs.loaded.facts)
    run.seed, run.device = request.seed, str(inputs.loaded.device)
    run.inputs |= inputs.provenance() | {"vector": f"{request.vector} {saved.digest}"}
    plan = design(inputs)
    desk = _desk(request, inputs, plan, saved=saved, run=run)
    halves = _half(request, inputs, plan, "explore"), _half(request, inputs, plan, "confirm")
    explored = explore(desk, halves[0], run)
    enough = len(set(halves[1].groups.tolist())) > 1
    confirmed = confirm(desk, halves[1], explored.strength, run) if enough else None
    pooled = pool_prompts(inputs, run).values.astype(np.float64) @ saved.unit
    grading = graded(request, plan, look(pooled, plan, 1), explored=(explored, halves[0]), confirmed=confirmed)
    report = assemble(
        request, inputs, plan, desk=desk, saved=saved, halves=halves, found=(explored, confirmed), grading=grading
    )
    report = finished(report, caveats=caveats(request, saved, inputs, report), suggest=suggest, run=run)
    block = saved.address.layer if saved.address.point == "resid_post" else None
    records = () if block is None else record_lines(report, block=block, halves=halves, found=(explored, confirmed))
    publish(report, list(records), run)
    if run.attempt < 2:  # of a second attempt only a part was done here
        texts = Texts(inputs.lengths, *([len(prompt) for prompt in half.prompts] for half in halves))
        work = steer_work(request, inputs.loaded.facts, texts, saved.address)
        record_pace(work, idle_seconds(clock), request.model, settings, kind=STEERING)
    return short_form(report)


def graded(
    request: SteerRequest,
    plan: Design,
    seen: Seen,
    *,
    explored: tuple[Explored, Half],
    confirmed: Confirmed | None,
) -> Grading:
    """Return the grade of the claim that this direction brings the criterion about in text."""
    found, half = explored
    one, chance = found.steered[found.best], found.random[found.best]
    before = contrast_of(one.score - found.plain.score, chance.score - found.plain.score, half)
    after, strain = None, None
    if confirmed is not None:
        told = confirmed.contrast
        low, high = min(told.low, told.difference), max(told.high, told.difference)
        keys = plan.split.keys("confirm")
        after = Effect(told.difference, low, high, told.p, told.effect.n_groups, keys)
        strain = confirmed.strain.high
    moved = bool(np.any([np.abs(w.score - found.plain.score).max() > 0 for w in (*found.steered, *found.random)]))
    evidence = InterventionEvidence(
        edit="steer",
        explore=Effect(*before, None, len(set(half.groups.tolist())), plan.split.keys("explore")),
        confirm=after,
        side_effect=strain,
        side_effect_bound=math.log(request.perplexity_bound),
        metric_can_move=moved,
        provenance="measured",
    )
    return grade(seen.evidence, [evidence])


def contrast_of(gain: np.ndarray, by_chance: np.ndarray, half: Half) -> tuple[float, float, float]:
    """Return the difference on explore prompts with its interval, its sign being all that is asked of it."""
    one = contrast(gain, by_chance[None], half.groups)
    return one.difference, min(one.low, one.difference), max(one.high, one.difference)


def caveats(request: SteerRequest, saved: Saved, inputs: Inputs, report: SteerReport) -> tuple[str, ...]:
    """Return what a careful reader must know."""
    told = ["Target words stand for the criterion; a text may use them without it, or show it without them."]
    if not request.targets:
        told.append(
            "The target words are what the model predicts after explore positives; read them before the figures."
        )
    if saved.record is None:
        told.append("The direction's record does not say which prompts made it: these may be among them.")
    elif saved.record.dataset.rsplit(":", 1)[-1] != inputs.prompts.sha256:
        told.append("The direction was made from other prompts; those here that resemble them are not told apart.")
    if saved.record is not None and saved.record.model.weights_sha256 != report.model.weights_sha256:
        told.append("The direction was made for a model with other weights.")
    if not report.within_bound:
        told.append("No strength keeps the text within the perplexity bound; the one with the largest gain was taken.")
    if report.n_groups < 10:
        told.append(f"Only {report.n_groups} independent groups of held-out prompts were continued.")
    return tuple(told)


def _as_inspected(request: SteerRequest, saved: Saved) -> InspectRequest:
    return InspectRequest(
        model=request.model,
        criterion=request.criterion,
        dataset=request.dataset,
        addresses=(saved.address,),
        pooling=request.pooling,
        threshold=request.threshold,
        seed=request.seed,
    )


def _desk(request: SteerRequest, inputs: Inputs, plan: Design, *, saved: Saved, run: Run) -> Desk:
    chosen = _words(request, inputs, plan, run)
    norm = saved.record.residual_norm if saved.record else residual_norm(inputs, plan, saved.address)
    return Desk(
        inputs.loaded,
        request,
        saved.address,
        saved.unit,
        norm,
        chosen.targets,
        chosen.alternatives,
        instruction_of(request),
        run.check,
    )


def _words(request: SteerRequest, inputs: Inputs, plan: Design, run: Run) -> Chosen:
    """Choose words as interventions do, from explore prompts."""
    labels, rows = plan.sample.labels, plan.split.rows("explore")
    asked = InterveneRequest(
        model=request.model,
        criterion=request.criterion,
        dataset=request.dataset,
        units=(UnitRef(address=inputs.request.addresses[0], index=0),),
        targets=request.targets,
        alternatives=request.alternatives,
    )
    on = [inputs.tokens[i] for i in rows if labels[i]]
    return choose(
        inputs.loaded, asked, on, [inputs.tokens[i] for i in rows if not labels[i]], check=run.check, wordlike=True
    )


def _half(request: SteerRequest, inputs: Inputs, plan: Design, part: str) -> Half:
    labels = plan.sample.labels
    wanted = {"negatives": (False,), "positives": (True,), "all": (False, True)}[request.on]
    rows = [i for i in plan.split.rows(part) if bool(labels[i]) in wanted][: request.max_prompts]  # pyright: ignore[reportArgumentType]
    return Half(tuple(inputs.tokens[i] for i in rows), np.asarray(plan.sample.groups)[rows])
