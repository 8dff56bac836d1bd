"""How much work the interventions of a large plan are: the same count as a dry run of `intervene` makes. Torch-free."""

from __future__ import annotations

from dataclasses import replace

from interp_lab.contracts.intervene import MAX_UNITS, InterveneRequest
from interp_lab.contracts.plan_scale import PlanScaleRequest
from interp_lab.machine.scale.costs import Edits
from interp_lab.machine.scale.shape import Shape
from interp_lab.points import Address
from interp_lab.workflows.intervening.cost import Work, bytes_beside_weights
from interp_lab.workflows.intervening.work import Halves, Sizes, blocks_after, work_at
from interp_lab.workflows.scale_calls import edit_choices

_HEAD = 64
"""Width of a head that is taken for granted."""
_KINDS = 2
"""Controls of a coordinate per control number: another coordinate and a random direction."""


def planned_edits(request: PlanScaleRequest, shape: Shape) -> Edits:
    """Return the runs and the time on an ordinary core, of as many calls as the units take."""
    full, rest = divmod(request.units, MAX_UNITS)
    calls = [MAX_UNITS] * min(full, 1) + ([rest] if rest else [])
    times = [full if n == MAX_UNITS else 1 for n in calls]
    works = [edited_work(request, shape, n) for n in calls]
    found = [0.0, 0.0, 0.0, 0.0]
    for n, work in zip(times, works, strict=True):
        fixed = replace(work, macs=0.0, n_scores=0.0).seconds
        each = (work.n_rows, work.macs, fixed, work.seconds - fixed)
        found = [total + n * one for total, one in zip(found, each, strict=True)]
    d_mlp, n_vocab = 4 * shape.d_model, shape.head // shape.d_model
    return Edits(*found, memory=bytes_beside_weights(shape.d_model, d_mlp, n_vocab))


def edited_work(request: PlanScaleRequest, shape: Shape, n_units: int) -> Work:
    """Return the work of one call; half of the prompts explore, half have the property."""
    place = Address("resid_post", shape.n_layers // 2)
    units = [{"address": str(place), "index": index} for index in range(n_units)]
    choices = {"model": "planned/model", "criterion": "planned", "dataset": "builtin:planned", "units": units}
    asked = InterveneRequest.model_validate({**choices, **edit_choices(request)})
    quarter = max(1, request.prompts // 4)
    block = shape.active / shape.n_layers
    return work_at(
        asked,
        Sizes(block, shape.head, shape.n_layers, max(1, shape.d_model // _HEAD)),
        Halves((quarter, quarter), (quarter, quarter)),
        kinds=[_KINDS] * n_units,
        blocks=[blocks_after(place, shape.n_layers)] * n_units,
        lengths={request.prompt_tokens: 4 * quarter},
    )
