# pyright: standard
"""Opens both sides of a comparison on the same anchor prompts."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from interp_lab.contracts.compare import CompareRequest, Side
from interp_lab.corpus.prompt_set import PromptSet
from interp_lab.errors import DifferentAnchors
from interp_lab.jobs.run import Run
from interp_lab.settings import Settings
from interp_lab.workflows.comparing.anchors import asked_of, named_anchors, order_of
from interp_lab.workflows.comparing.described import described
from interp_lab.workflows.comparing.sides import ReadSide, table_of
from interp_lab.workflows.inspection.inputs import open_inputs
from interp_lab.workflows.inspection.measure import Design, design
from interp_lab.workflows.inspection.recorded import Recorded, open_recorded


class Sides(NamedTuple):
    """Both models on the anchor prompts."""

    left: ReadSide
    right: ReadSide
    prompts: PromptSet


def open_sides(request: CompareRequest, run: Run, settings: Settings) -> Sides:
    """Return both sides, read.

    Raises:
        DifferentAnchors: They do not have the same prompts.
        LabError: as `open_inputs`, `open_recorded`, `design` and `harvest`.
    """
    prompts = named_anchors(request, settings)
    recorded: dict[str, Recorded] = {}
    for name, side in (("left", request.left), ("right", request.right)):
        if side.evidence is not None:
            recorded[name] = open_recorded(asked_of(side, request, None), settings)
            prompts = prompts or recorded[name].prompts
    if prompts is None:
        raise DifferentAnchors("Neither a dataset nor values on disk bring prompts.")
    left = _opened(request.left, request, recorded.get("left"), prompts=prompts, run=run, settings=settings)
    right = _opened(request.right, request, recorded.get("right"), prompts=prompts, run=run, settings=settings)
    return Sides(left, right, prompts)


def _opened(
    asked: Side,
    request: CompareRequest,
    recorded: Recorded | None,
    *,
    prompts: PromptSet,
    run: Run,
    settings: Settings,
) -> ReadSide:
    side, units = described(asked, request, prompts, settings)
    if recorded is None:
        inputs = open_inputs(asked_of(side, request, prompts), settings)
        return ReadSide(side, inputs, design(inputs), table_of(inputs, None, run), settings, prompts.sha256, units)
    order = order_of(prompts, recorded.prompts.texts(), source=recorded.values.name)
    plan = _design(recorded, prompts, order)
    table = table_of(recorded, order, run)
    return ReadSide(side, recorded, plan, table, settings, prompts.sha256, units, tuple(order))


def _design(recorded: Recorded, prompts: PromptSet, order: list[int]) -> Design:
    lengths = recorded.values.lengths
    values = replace(recorded.values, lengths=None if lengths is None else [lengths[place] for place in order])
    return design(replace(recorded, prompts=prompts, values=values))
