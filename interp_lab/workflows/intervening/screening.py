# pyright: standard
"""Which units are worth an intervention: all of a place are estimated at once, and the estimate is held to account."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from interp_lab.contracts.base import Interval
from interp_lab.contracts.intervene import UnitRef
from interp_lab.contracts.unit_selection import EstimateErrorFigures, UnitScreen, UnitScreenFacts
from interp_lab.engine.edits import Unit, coordinate
from interp_lab.engine.intervention.attribution import EstimateError, estimate, estimate_error
from interp_lab.engine.intervention.measures import Behaviour
from interp_lab.engine.intervention.run import Subject
from interp_lab.engine.lens import Site
from interp_lab.engine.precision import matmul_of_runs
from interp_lab.errors import InvalidRequest
from interp_lab.methods.screen_margin import recall_of
from interp_lab.points import Address
from interp_lab.settings import Settings
from interp_lab.workflows.inspection.inputs import Inputs
from interp_lab.workflows.inspection.measure import Design
from interp_lab.workflows.intervening.sources import Found
from interp_lab.workflows.intervening.units import latent_of, opened_dictionary

RECALL_METHOD = "Wilson, over units drawn at random among those not chosen"
MOST_PROMPTS = 64
"""Explore positives that a screen reads, the first of them."""


@dataclass(frozen=True, eq=False)
class _Place:
    """Everything that is screened, as units on demand."""

    name: str
    site: Site
    writes: Address
    rows: torch.Tensor | None
    n_units: int

    def unit(self, index: int) -> Unit:
        if self.rows is None:
            assert isinstance(self.site, Address)
            return coordinate(self.site, index, self.n_units)
        return Unit(f"{self.name} #{index}", self.site, index, self.writes, self.rows[index])


def screened(
    asked: UnitScreen, inputs: Inputs, design: Design, *, behaviour: Behaviour, settings: Settings, seed: int
) -> tuple[tuple[Found, ...], UnitScreenFacts]:
    """Return the units with the largest estimates on explore positives, and how far estimates are off.

    Raises:
        InvalidRequest: The address has no width.
        LabError: whatever is wrong with the dictionary.
    """
    loaded, labels = inputs.loaded, design.sample.labels
    place = _place(asked, inputs, settings)
    explore = [i for i in design.split.rows("explore") if labels[i]][:MOST_PROMPTS]
    subjects = [Subject(inputs.tokens[i], i) for i in explore]
    with matmul_of_runs(loaded.facts.d_model):
        found = estimate(loaded, subjects, behaviour, place.site, writes=place.writes, rows=place.rows)
        best = found.top(asked.n)
        sample = _drawn(place.n_units, best, asked.n_sample, seed)
        errors = [
            estimate_error(
                loaded, subjects, behaviour, [place.unit(i) for i in units], found=found, rest=[0.0] * len(units)
            )
            for units in (best, sample)
        ]
    facts = UnitScreenFacts(
        of=place.name,
        n_units=place.n_units,
        n_prompts=len(subjects),
        n_chosen=len(best),
        estimates=tuple(_rounded(float(found.mean[i])) for i in best),
        chosen=_figures(errors[0]),
        sample=_figures(errors[1]),
        **_recall(errors[0], errors[1], n_others=place.n_units - len(best)),
    )
    return tuple(_found(asked, index, place.n_units) for index in best), facts


def _place(asked: UnitScreen, inputs: Inputs, settings: Settings) -> _Place:
    loaded = inputs.loaded
    if asked.dictionary is not None:
        dictionary, lens = opened_dictionary(asked.dictionary, loaded, settings)
        first = latent_of("first", dictionary, lens, 0)
        config = dictionary.config
        factor = config.scale if config.normalize == "expected_average_norm" else 1.0
        return _Place(asked.dictionary, lens, first.writes, dictionary.W_dec.float() / factor, config.n_latents)
    assert asked.address is not None
    loaded.facts.check(asked.address)
    width = loaded.facts.width(asked.address)
    if width is None:
        raise InvalidRequest(f"The width of {asked.address} is not known.", remedy="Use a named hook point.")
    return _Place(str(asked.address), asked.address, asked.address, None, width)


def _found(asked: UnitScreen, index: int, n_units: int) -> Found:
    ref = UnitRef(dictionary=asked.dictionary, address=asked.address, index=index)
    return Found(ref, n_tested=n_units)


def _drawn(n_units: int, best: Sequence[int], n: int, seed: int) -> tuple[int, ...]:
    """Further units at random, as many as there are; the best again where there are no others."""
    others = np.setdiff1d(np.arange(n_units), np.asarray(best))
    drawn = np.random.default_rng((seed, 7)).permutation(others)[:n]
    return tuple(int(i) for i in np.sort(drawn)) or tuple(best)


def _recall(chosen: EstimateError, drawn: EstimateError, *, n_others: int) -> dict[str, Any]:
    """What the exact effects of units drawn at random say of those that were not chosen."""
    if n_others == 0:
        return {"recall": 1.0}
    own, others = chosen.exact.abs().numpy(), drawn.exact.abs().numpy()
    cut = float(np.sort(np.concatenate([own, others]))[-len(own)])
    if cut <= 0:  # fewer units do anything than were chosen
        return {}
    found = recall_of(int((own >= cut).sum()), n_others, n_drawn=len(others), n_missed=int((others >= cut).sum()))
    if found is None:
        return {}
    interval = Interval(low=round(found.low, 3), high=round(found.high, 3), method=RECALL_METHOD)
    return {"recall": round(found.share, 3), "recall_interval": interval}


def _figures(error: EstimateError) -> EstimateErrorFigures:
    exact, estimated = error.exact, error.estimated
    varies = len(error.units) > 1 and float(exact.std()) > 0 and float(estimated.std()) > 0
    return EstimateErrorFigures(
        n_units=len(error.units),
        correlation=_rounded(error.correlation) if varies else None,
        relative_error=_rounded(error.relative) if float(exact.norm()) > 0 else None,
        mean_estimate=_rounded(float(estimated.abs().mean())),
        mean_exact=_rounded(float(exact.abs().mean())),
    )


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
