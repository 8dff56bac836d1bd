"""The requests that realise a plan, in order. Torch-free."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import JsonValue

from interp_lab.contracts.dictionaries import BY_COUNT
from interp_lab.contracts.intervene import MAX_RANK, MAX_UNITS
from interp_lab.contracts.plan_scale import PlannedCall, PlanScaleRequest, RoutePlan
from interp_lab.machine.scale.costs import MOST_SHARDS, calls_for_shards, layers_read, n_ranks
from interp_lab.machine.scale.shape import Shape

_MOST_STRENGTHS, _MOST_CONTROLS = 8, 20


def planned_calls(request: PlanScaleRequest, shape: Shape, route: RoutePlan | None) -> tuple[PlannedCall, ...]:
    """Return the calls, cut as the route says; none without a model and a dataset, which they must name."""
    if request.model is None or request.dataset is None:
        return ()
    said = request.model_dump(mode="json", include={"model", "dataset"})
    model, dataset = said["model"], said["dataset"]
    addresses: list[JsonValue] = [f"resid_post.{layer}" for layer in layers_read(request.n_addresses, shape.n_layers)]
    stored = request.storage == "stored"
    reading: dict[str, JsonValue] = {"model": model, "dataset": dataset, "addresses": addresses}
    cut = _shards("harvest", request, route)
    harvest = PlannedCall(tool="harvest", arguments={**reading, "dtype": request.store_dtype, **cut})
    training = _training(request, shape, addresses)
    if not stored:
        training["source"] = {"kind": "stream", "model": model, "dataset": dataset}
    else:
        training |= _ranks(route)
    fill = {"source": "artifact id of the harvest"} if stored else dict[str, str]()
    train = PlannedCall(tool="train_sae", arguments=training, fill=fill)
    after = tuple(_interventions(request, model, route))
    return (harvest, train, *after) if stored else (train, *after)


def _shards(stage: str, request: PlanScaleRequest, route: RoutePlan | None) -> dict[str, JsonValue]:
    """Pieces none of which is longer than `shard_hours`, at least one for each device."""
    if route is None:
        return {}
    seconds = next((each.seconds for each in route.stages if each.stage == stage), 0.0)
    # the time is that of all devices together
    pieces = max(route.n_devices, calls_for_shards(seconds * route.n_devices, request.shard_hours))
    return {"shards": min(pieces, MOST_SHARDS[stage])} if pieces > 1 else {}


def _ranks(route: RoutePlan | None) -> dict[str, JsonValue]:
    """Processes of one machine, one for each device, that share a batch evenly."""
    ranks = 1 if route is None else n_ranks(route.n_devices)
    return {"ranks": ranks} if ranks > 1 else {}


def edit_choices(request: PlanScaleRequest) -> dict[str, JsonValue]:
    """Return the edits of a call of intervene, as many as it takes."""
    return {
        "strengths": [float(1 + place) for place in range(min(request.strengths, _MOST_STRENGTHS))],
        "n_controls": min(max(1, request.controls), _MOST_CONTROLS),
    }


def _interventions(request: PlanScaleRequest, model: JsonValue, route: RoutePlan | None) -> Iterator[PlannedCall]:
    """Yield as many calls as the units take, as far as a report ranks them."""
    most = min(request.units, MAX_RANK)
    for first in range(1, most + 1, MAX_UNITS):
        arguments: dict[str, JsonValue] = {
            "model": model,
            "ranks": list(range(first, min(first + MAX_UNITS, most + 1))),
            **edit_choices(request),
            **_shards("interventions", request, route),
        }
        fill = {
            "report": "artifact id of an inspect run that ranked the units",
            "criterion": "as in that run",
            "dataset": "the scored prompts of that run",
        }
        yield PlannedCall(tool="intervene", arguments=arguments, fill=fill)


def _training(request: PlanScaleRequest, shape: Shape, addresses: list[JsonValue]) -> dict[str, JsonValue]:
    chosen: dict[str, JsonValue] = {
        "addresses": addresses,
        "architecture": request.architecture,
        "widths": [request.n_latents or 16 * shape.d_model],
        "training": {"total_tokens": request.train_tokens or request.tokens},
    }
    if request.architecture in BY_COUNT:
        chosen["sparsities"] = [request.k]
    return chosen
