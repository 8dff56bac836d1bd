# pyright: standard
"""Which weights differ between two versions of a model, how far, and of what rank the difference is."""

from __future__ import annotations

import torch

from interp_lab.contracts.diff_models import ChangedWeight
from interp_lab.errors import InvalidRequest
from interp_lab.models.load import LoadedModel

_DECOMPOSED = 1024
"""Smaller side up to which the rank of a difference is computed."""
_TOLERANCE = 1e-4


def changed_weights(base: LoadedModel, changed: LoadedModel) -> tuple[int, tuple[ChangedWeight, ...]]:
    """Return how many weights were compared, and those that differ, the most changed first.

    Raises:
        InvalidRequest: The models do not have the same weights by name and shape.
    """
    before = dict(base.model.named_parameters())
    after = dict(changed.model.named_parameters())
    shapes = [{name: tuple(weight.shape) for name, weight in each.items()} for each in (before, after)]
    if shapes[0] != shapes[1]:
        raise InvalidRequest(
            "The two models do not have the same weights by name and shape, so one is not a version of the other.",
            remedy="For models of different shape call compare.",
        )
    found = [_changed(name, weight, after[name]) for name, weight in before.items()]
    return len(found), tuple(sorted((each for each in found if each), key=lambda each: -each.relative))


@torch.no_grad()
def _changed(name: str, before: torch.Tensor, after: torch.Tensor) -> ChangedWeight | None:
    difference = after.float().cpu() - before.float().cpu()
    if not difference.any():
        return None
    length = float(before.float().norm())
    relative = float(difference.norm()) / length if length > 0 else 1.0
    flat = torch.atleast_2d(difference)
    flat = flat.flatten(1)
    small = min(flat.shape) <= _DECOMPOSED
    rank = int(torch.linalg.matrix_rank(flat.double(), rtol=_TOLERANCE)) if small else None
    return ChangedWeight(name=name, relative=round(relative, 8), rank=rank)
