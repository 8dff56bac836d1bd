"""The requests that realise a plan, in order. Torch-free."""

from __future__ import annotations

from pydantic import JsonValue

from interp_lab.contracts.dictionaries import BY_COUNT
from interp_lab.contracts.plan_scale import PlannedCall, PlanScaleRequest
from interp_lab.machine.scale.costs import layers_read
from interp_lab.machine.scale.shape import Shape


def planned_calls(request: PlanScaleRequest, shape: Shape) -> tuple[PlannedCall, ...]:
    """Return the calls; none without a model and a dataset, which they must name."""
    if request.model is None or request.dataset is None:
        return ()
    said = request.model_dump(mode="json", include={"model", "dataset"})
    model, dataset = said["model"], said["dataset"]
    addresses: list[JsonValue] = [f"resid_post.{layer}" for layer in layers_read(request.n_addresses, shape.n_layers)]
    stored = request.storage == "stored"
    reading: dict[str, JsonValue] = {"model": model, "dataset": dataset, "addresses": addresses}
    harvest = PlannedCall(tool="harvest", arguments={**reading, "dtype": request.store_dtype})
    training = _training(request, shape, addresses)
    if not stored:
        training["source"] = {"kind": "stream", "model": model, "dataset": dataset}
    fill = {"source": "artifact id of the harvest"} if stored else dict[str, str]()
    train = PlannedCall(tool="train_sae", arguments=training, fill=fill)
    return (harvest, train) if stored else (train,)


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
