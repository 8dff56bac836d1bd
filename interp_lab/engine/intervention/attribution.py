# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""What a linear estimate says of every unit of a site at once: one forward and one backward pass per prompt.

It chooses which units are worth an intervention. It is an attribution, never an effect: how far it is from the exact
effect is measured on a sample, and belongs beside every use of it.

Source: Nanda, "Attribution patching" (2023); Marks et al., "Sparse feature circuits" (2024), section 3.1. Differs in
that values are moved to their resting value at every text token, as `ablate` does, instead of to another prompt's.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from interp_lab.engine.edits import Unit, Variant, ablate
from interp_lab.engine.intervention.measures import LOGIT_DIFFERENCE, Behaviour
from interp_lab.engine.intervention.order import writable
from interp_lab.engine.intervention.replace import register
from interp_lab.engine.intervention.run import Runner, Subject
from interp_lab.engine.lens import Site, coordinates_at
from interp_lab.errors import NonFiniteActivations
from interp_lab.models.load import LoadedModel
from interp_lab.points import Address


@dataclass(frozen=True, eq=False)
class Estimate:
    """The estimated change of the logit difference when each unit of a site alone is ablated."""

    change: Float[Tensor, "prompt unit"]
    """Per prompt, float64, on the processor."""

    @property
    def mean(self) -> Float[Tensor, " unit"]:
        """Mean over prompts."""
        return self.change.mean(0)

    def top(self, n: int) -> tuple[int, ...]:
        """Return the units with the largest mean change, either way, the largest first."""
        return tuple(self.mean.abs().topk(min(n, self.change.shape[1])).indices.tolist())


@dataclass(frozen=True, eq=False)
class EstimateError:
    """How far estimates are from the effects of edited runs, on a sample of units and prompts."""

    units: tuple[int, ...]
    estimated: Float[Tensor, " unit"]
    """Means over prompts."""
    exact: Float[Tensor, " unit"]
    """Means over prompts, by ablation."""

    @property
    def relative(self) -> float:
        """Length of the difference over the length of the exact effects."""
        return float((self.estimated - self.exact).norm() / self.exact.norm().clamp(min=1e-30))

    @property
    def correlation(self) -> float:
        """Pearson correlation over the sampled units; 0 where either does not vary."""
        a, b = self.estimated - self.estimated.mean(), self.exact - self.exact.mean()
        size = float(a.norm() * b.norm())
        return float(a @ b) / size if size > 0 else 0.0


def estimate(
    loaded: LoadedModel,
    subjects: Sequence[Subject],
    behaviour: Behaviour,
    site: Site,
    *,
    writes: Address,
    rows: Float[Tensor, "unit width"] | None = None,
    rest: Float[Tensor, " unit"] | float = 0.0,
) -> Estimate:
    """Return the estimate of ablating every unit of `site` to `rest`, one at a time, on each prompt.

    `rows` are what a change of each unit by 1 adds at `writes`: decoder rows of a dictionary; None for coordinates.

    Raises:
        ImpossibleEdit: `writes` cannot be written to.
        NonFiniteActivations: A gradient or a value is NaN or infinite.
    """
    found: list[Tensor] = []
    for subject in subjects:
        gradient, seen = _gradient(loaded, subject, behaviour, site=site, writes=writes)
        along = gradient if rows is None else gradient @ rows.to(gradient).T
        values = coordinates_at(site, {address: value.unsqueeze(0) for address, value in seen.items()})[0].float()
        text = torch.tensor([not special for special in subject.prompt.special], device=values.device)
        moved = torch.as_tensor(rest, device=values.device) - values
        change = (along * moved)[text].double().sum(0)
        if not bool(change.isfinite().all()):
            raise NonFiniteActivations(f"An attribution is not finite in {subject.prompt.id}.")
        found.append(change.cpu())
    return Estimate(torch.stack(found))


def estimate_error(
    loaded: LoadedModel,
    subjects: Sequence[Subject],
    behaviour: Behaviour,
    units: Sequence[Unit],
    *,
    found: Estimate,
    rest: Sequence[float],
) -> EstimateError:
    """Return estimates beside exact effects of ablating the units to `rest`, on the prompts of the estimate."""
    variants = [Variant(unit.key, (ablate(unit, to=value),)) for unit, value in zip(units, rest, strict=True)]
    runner = Runner(loaded, variants, behaviour)
    column = behaviour.names.index(LOGIT_DIFFERENCE)
    changes = [outcome.edited[:, column] - outcome.base[column] for outcome in runner.many(subjects)]
    places = tuple(unit.index for unit in units)
    return EstimateError(places, found.mean[list(places)], torch.stack(changes).mean(0))


def _gradient(
    loaded: LoadedModel, subject: Subject, behaviour: Behaviour, *, site: Site, writes: Address
) -> tuple[Float[Tensor, "pos width"], dict[Address, Tensor]]:
    """The gradient of the logit difference where units write, and what their values are computed from."""
    addresses = (site,) if isinstance(site, Address) else site.addresses
    seen: dict[Address, Tensor] = {}
    probes: list[Tensor] = []

    def probed(x: Tensor) -> Tensor:
        probes.append(torch.zeros_like(x, requires_grad=True))
        return x + probes[-1]

    ids = torch.tensor([list(subject.prompt.ids)], device=loaded.device)
    with ExitStack() as stack:
        stack.enter_context(loaded.lock)
        for address in dict.fromkeys(addresses):
            stack.callback(register(writable(loaded, address), partial(_kept, seen, address)).remove)
        stack.callback(register(writable(loaded, writes), probed).remove)
        stack.enter_context(torch.enable_grad())
        final = loaded.model(input_ids=ids, use_cache=False).logits[0, -1].float()
        difference = final[list(behaviour.targets)].mean() - final[list(behaviour.alternatives)].mean()
        (gradient,) = torch.autograd.grad(difference, probes[:1])
    shape = (len(subject.prompt), -1)
    return gradient.reshape(shape).float(), {address: value.reshape(shape) for address, value in seen.items()}


def _kept(seen: dict[Address, Tensor], address: Address, x: Tensor) -> Tensor:
    seen.setdefault(address, x.detach())
    return x
