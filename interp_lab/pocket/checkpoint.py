"""Training state on disk: weights, optimiser moments and the step, published together or not at all."""
# pyright: standard

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from interp_lab.errors import CheckpointMismatch


@dataclass(frozen=True)
class Mark:
    """What a checkpoint belongs to and how far it is."""

    step: int
    recipe: str
    corpus: str


def save(folder: Path, mark: Mark, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Publish the state of this step and drop older ones."""
    final = folder / f"step-{mark.step:06d}"
    temporary = folder / f"{final.name}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    save_file(_weights(model), temporary / "model.safetensors")
    save_file(_moments(optimizer), temporary / "optimizer.safetensors")
    (temporary / "mark.json").write_text(json.dumps(mark.__dict__), encoding="utf-8")
    temporary.replace(final)
    for old in steps(folder)[:-1]:
        shutil.rmtree(old)


def steps(folder: Path) -> list[Path]:
    """Published checkpoints, oldest first."""
    return sorted(path for path in folder.glob("step-*") if not path.name.endswith(".tmp"))


def restore(
    folder: Path, expected: Callable[[int], Mark], model: torch.nn.Module, optimizer: torch.optim.Optimizer
) -> int:
    """Load the newest state into model and optimiser; the step it was at, 0 without one.

    Raises:
        CheckpointMismatch: it was made under another recipe or text than the mark that is expected of its step names.
    """
    found = steps(folder)
    if not found:
        return 0
    newest = found[-1]
    saved = Mark(**json.loads((newest / "mark.json").read_text(encoding="utf-8")))
    if saved != expected(saved.step):
        raise CheckpointMismatch(remedy=f"Remove {folder} or give another work folder.")
    with torch.no_grad():
        for name, tensor in load_file(newest / "model.safetensors").items():
            model.get_parameter(name).copy_(tensor)
    _restore_moments(optimizer, load_file(newest / "optimizer.safetensors"))
    return saved.step


def _weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def _parameters(optimizer: torch.optim.Optimizer) -> list[torch.nn.Parameter]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _moments(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    return {
        f"{place}.{key}": value.detach().clone()
        for place, parameter in enumerate(_parameters(optimizer))
        for key, value in optimizer.state[parameter].items()
    }


def _restore_moments(optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]) -> None:
    parameters = _parameters(optimizer)
    for name, tensor in tensors.items():
        place, _, key = name.partition(".")
        optimizer.state[parameters[int(place)]][key] = tensor
