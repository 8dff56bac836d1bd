# pyright: standard
"""Make steering vector: a direction from explore prompts, what it says on the others, and files for other tools."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from pydantic import ValidationError

from interp_lab.artifacts.store import ArtifactStore
from interp_lab.artifacts.vector_hash import vector_hash
from interp_lab.artifacts.workspace import WorkspacePaths
from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.base import Grade
from interp_lab.contracts.steer import STEER_KIND, SteerReport
from interp_lab.contracts.steering_vector import (
    VECTOR_KIND,
    ContrastSource,
    MakeSteeringVectorRequest,
    MakeSteeringVectorResult,
    SteeringVector,
)
from interp_lab.errors import InvalidRequest, VectorNotValidated
from interp_lab.jobs.run import Run
from interp_lab.points import Address
from interp_lab.settings import Settings
from interp_lab.workflows.inspection.inputs import Inputs, model_facts, open_inputs
from interp_lab.workflows.inspection.measure import Design, design
from interp_lab.workflows.inspection.passes import pool_prompts
from interp_lab.workflows.intervening.cost import idle_seconds, record_pace
from interp_lab.workflows.steering.cost import VECTOR, vector_work
from interp_lab.workflows.steering.directions import (
    Direction,
    Floats,
    as_inspected,
    contrasts,
    default_addresses,
    given_direction,
    refuse_unfit,
    residual_norm,
)
from interp_lab.workflows.steering.evidence import Seen, explore_strength, look
from interp_lab.workflows.steering.files import write_vector

_MAX_REPORT = 64 * 2**20
UNVALIDATED = (
    "Not validated: that text steered with this direction shows the criterion, beyond what a random direction of the "
    "same length does, was not confirmed. Use it to explore, not as a measured effect."
)


class _Chosen(NamedTuple):
    """The direction that explore prompts chose, and where every prompt lies along it."""

    direction: Direction
    coordinates: Floats
    n_tried: int


def make_steering_vector(
    request: MakeSteeringVectorRequest,
    run: Run,
    *,
    settings: Settings,
    suggest: Callable[[str], tuple[NextAction, ...]],
) -> MakeSteeringVectorResult:
    """Return the short form of the record; the vector is published as an artifact of the run, whose id `suggest` gets.

    Raises:
        VectorNotValidated: It must be validated and is not, or the steer report is about another direction.
        LabError: whatever is wrong with the request, the model or the prompts.
    """
    clock = time.perf_counter(), time.process_time()
    run.progress(0, None, "opening the model and the prompts")
    given = given_direction(request, settings)
    inputs = _open(request, given, settings)
    run.seed, run.device = request.seed, str(inputs.loaded.device)
    run.inputs |= inputs.provenance() | ({"steered": request.steered} if request.steered else {})
    plan = design(inputs)
    chosen = _choose(request, inputs, plan, given=given, run=run)
    seen = look(chosen.coordinates, plan, chosen.n_tried, explore_q=chosen.direction.explore_q)
    record = _record(request, inputs, chosen, seen=seen, norm=residual_norm(inputs, plan, chosen.direction.address))
    record = _graded(request, record, settings)
    result = _publish(record, inputs, chosen, run=run, suggest=suggest)
    if run.attempt < 2:  # of a second attempt only a part was done here
        read = [each for each in inputs.sites if isinstance(each, Address)]
        work = vector_work(inputs.loaded.facts, inputs.lengths, read)
        record_pace(work, idle_seconds(clock), request.model, settings, kind=VECTOR)
    return result


def _open(request: MakeSteeringVectorRequest, given: Direction | None, settings: Settings) -> Inputs:
    if given is not None:
        inputs = open_inputs(as_inspected(request, (given.address,)), settings)
        refuse_unfit(given, inputs)
        return inputs
    assert isinstance(request.source, ContrastSource)
    if request.source.addresses:
        return open_inputs(as_inspected(request, request.source.addresses), settings)
    inputs = open_inputs(as_inspected(request, ()), settings)
    kept = default_addresses(inputs.loaded.facts.n_layers)
    return Inputs(inputs.request, inputs.prompts, inputs.tokens, inputs.loaded, kept, inputs.checks)


def _choose(
    request: MakeSteeringVectorRequest, inputs: Inputs, plan: Design, *, given: Direction | None, run: Run
) -> _Chosen:
    pooled = pool_prompts(inputs, run)
    made = (given,) if given is not None else ()
    if isinstance(request.source, ContrastSource):
        made = contrasts(request.source.method, inputs, plan, pooled)
    values = [pooled.values[:, pooled.columns[each.address]].astype(np.float64) @ each.unit for each in made]
    best = max(range(len(made)), key=lambda place: explore_strength(values[place], plan))
    return _Chosen(made[best], values[best], len(made))


def _record(
    request: MakeSteeringVectorRequest, inputs: Inputs, chosen: _Chosen, *, seen: Seen, norm: float
) -> SteeringVector:
    unit = chosen.direction.unit.astype(np.float32)
    grading = seen.grading
    return SteeringVector(
        address=str(chosen.direction.address),
        method=chosen.direction.method,
        criterion=request.criterion,
        width=unit.size,
        residual_norm=norm,
        raw_norm=float(np.linalg.norm(chosen.direction.vector)),
        explore_auroc=seen.explore_auroc,
        held_out=seen.held_out,
        grade=grading.grade,
        reasons=tuple(grading.reasons),
        provenance=chosen.direction.provenance,
        unvalidated_warning=UNVALIDATED,
        model=model_facts(inputs.loaded),
        dataset=f"{inputs.prompts.name} sha256:{inputs.prompts.sha256}",
        seed=request.seed,
        n_positive=sum(inputs.prompts.positive(request.threshold)),
        source=dict(chosen.direction.source),
        direction_sha256=vector_hash(unit),
    )


def _graded(request: MakeSteeringVectorRequest, record: SteeringVector, settings: Settings) -> SteeringVector:
    """Return the record with the grade of a steer run of this very direction, where there is one."""
    if request.steered is not None:
        report = _steer_report(request.steered, settings)
        if report.direction_sha256 != record.direction_sha256 or report.criterion != record.criterion:
            raise VectorNotValidated(
                "The steer report is about another direction or criterion, so it says nothing about this one."
            )
        grade: Grade = report.grade
        warning = None if grade == "validated" else UNVALIDATED
        changed = {"grade": grade, "reasons": report.reasons, "steered": request.steered}
        record = record.model_copy(update={**changed, "unvalidated_warning": warning})
    if request.require_validated and record.grade != "validated":
        raise VectorNotValidated(f"The vector is graded {record.grade} ({', '.join(record.reasons)}), not validated.")
    return record


def _steer_report(artifact: str, settings: Settings) -> SteerReport:
    store = ArtifactStore(WorkspacePaths.of(settings))
    store.open_as(artifact, STEER_KIND)
    try:
        return SteerReport.model_validate_json(store.read_file(artifact, "report.json", limit=_MAX_REPORT))
    except ValidationError as error:
        raise InvalidRequest(f"The report of artifact {artifact} is not one this version reads.") from error


def _publish(
    record: SteeringVector,
    inputs: Inputs,
    chosen: _Chosen,
    *,
    run: Run,
    suggest: Callable[[str], tuple[NextAction, ...]],
) -> MakeSteeringVectorResult:
    with run.artifact(VECTOR_KIND, f"Direction of {record.criterion[:120].rstrip('.')} at {record.address}") as files:
        written, notes = write_vector(
            files,
            record,
            chosen.direction.unit.astype(np.float32),
            prompts=inputs.prompts.prompts,
            coordinates=[float(value) for value in chosen.coordinates],
            model_type=str(getattr(inputs.loaded.model.config, "model_type", "")),
        )
        warnings = _warnings(record, notes)
        files.metrics |= {"grade": record.grade, "residual_norm": record.residual_norm}
        files.warnings += warnings
    return MakeSteeringVectorResult(
        summary=_summary(record, chosen.n_tried),
        warnings=warnings,
        agent_next_actions=suggest(files.id),
        address=record.address,
        method=record.method,
        residual_norm=record.residual_norm,
        held_out=record.held_out,
        grade=record.grade,
        reasons=record.reasons,
        files=written,
    )


def _warnings(record: SteeringVector, notes: Sequence[str]) -> tuple[str, ...]:
    told = (record.unvalidated_warning,) if record.unvalidated_warning else ()
    return (*told, *notes)


def _summary(record: SteeringVector, n_tried: int) -> str:
    held = "too few prompts were left to test it"
    if record.held_out is not None:
        found = record.held_out
        held = (
            f"on held-out prompts it tells the criterion with AUROC {found.auroc:.2f} [{found.low:.2f}, "
            f"{found.high:.2f}], {found.n_groups} groups"
        )
    steered = "its effect on text is confirmed" if record.grade == "validated" else "whether it steers is untested"
    if record.steered and record.grade != "validated":
        steered = "steering with it was tried and did not validate it"
    of = f" (best of {n_tried} addresses on explore prompts)" if n_tried > 1 else ""
    return (
        f"A {record.method.replace('_', ' ')} direction at {record.address}{of}: {held}; {steered}.\n"
        f"Strength 1 is {record.residual_norm:.3g}, the mean length of the residual stream there."
    )
