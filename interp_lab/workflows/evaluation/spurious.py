# pyright: standard
"""Spurious-correlation removal: a probe that learnt a criterion and a label of its prompts at once, less latents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from interp_lab.contracts.evaluation_report import Attribute
from interp_lab.methods.dictionary_evaluation.choice import random_columns
from interp_lab.methods.dictionary_evaluation.perturbation import without_latents
from interp_lab.methods.dictionary_evaluation.spurious import (
    Attributes,
    Drawn,
    draw,
    latents_of_attribute,
    removal_score,
)
from interp_lab.methods.probe.fit import Linear, Prepared, train
from interp_lab.methods.probe.target import Target
from interp_lab.statistics.clustered_ratio import RatioEstimate
from interp_lab.workflows.evaluation.criteria import Criterion, Floats, Places

REMOVED = (2, 5, 10, 20, 50, 100, 500)
"""Latents that are taken away; those of SAEBench."""
RANDOM_DRAWS = 10

Bools = NDArray[np.bool_]
Of = Literal["chosen", "random"]
KINDS: tuple[Of, ...] = ("chosen", "random")
ATTRIBUTES: tuple[Attribute, ...] = ("criterion", "label")


@dataclass(frozen=True, eq=False)
class Removal:
    """The biased probe with latents of one attribute taken away, on balanced confirm prompts; random: every draw."""

    of: Of
    k: int
    removes: Attribute
    accuracy: tuple[float, ...]
    scores: tuple[RatioEstimate | None, ...]


@dataclass(frozen=True, eq=False)
class Spurious:
    """A criterion and a label of its prompts that went together on the prompts of the biased probe."""

    criterion: str
    label: str
    n_prompts: int
    """Balanced confirm prompts."""
    n_groups: int
    own: dict[Attribute, float]
    """Accuracy of the unbiased probes."""
    biased: dict[Attribute, float]
    """Accuracy of the biased probe as it is."""
    removals: tuple[Removal, ...]

    @property
    def stronger(self) -> Attribute:
        """The attribute that the biased probe tells better: what SAEBench's metric removes."""
        return "label" if self.biased["criterion"] < self.biased["label"] else "criterion"


@dataclass(frozen=True, eq=False)
class _Problem:
    criterion: Criterion
    decoder: Floats
    holds: dict[Attribute, Bools]
    fitted: Drawn
    """Explore prompts."""
    tested: Places
    """Balanced confirm prompts."""
    seed: int


@dataclass(frozen=True, eq=False)
class _Probes:
    own: dict[Attribute, Linear]
    biased: Linear


def remove_spurious(
    criterion: Criterion, label: str, attributes: Attributes, *, decoder: Floats, seed: int
) -> Spurious:
    """Return what taking latents of either attribute away does to a probe that learnt both.

    Raises:
        TooFewGroups: There are too few groups to choose a penalty on.
    """
    fitted = draw(attributes, criterion.explore, seed=seed)
    tested = draw(attributes, criterion.confirm, seed=seed).balanced
    holds: dict[Attribute, Bools] = {"criterion": attributes.first, "label": attributes.second}
    problem = _Problem(criterion, decoder, holds, fitted, tested, seed)
    own: dict[Attribute, Linear] = {name: _train(problem, holds[name], fitted.balanced) for name in ATTRIBUTES}
    probes = _Probes(own, _train(problem, attributes.first, fitted.biased))
    return Spurious(
        criterion=criterion.name,
        label=label,
        n_prompts=tested.size,
        n_groups=int(np.unique(criterion.groups[tested]).size),
        own={name: _accuracy(problem, own[name], name) for name in ATTRIBUTES},
        biased={name: _accuracy(problem, probes.biased, name) for name in ATTRIBUTES},
        removals=tuple(_removals(problem, probes, "label", "criterion"))
        + tuple(_removals(problem, probes, "criterion", "label")),
    )


def _removals(problem: _Problem, probes: _Probes, removes: Attribute, told: Attribute) -> Iterator[Removal]:
    """Yield the biased probe as a probe of `told` with latents of `removes` taken away, and with random ones."""
    criterion = problem.criterion
    clean = _right(problem, probes.own[told], told, criterion.activations)
    original = _right(problem, probes.biased, told, criterion.activations)
    for of in KINDS:
        for k in (k for k in REMOVED if k <= problem.decoder.shape[0]):
            sets = _latents(problem, probes.own[removes], removes, of=of, k=k)
            after = [_right(problem, probes.biased, told, _without(problem, latents)) for latents in sets]
            scores = (removal_score(each, original, clean, criterion.groups[problem.tested]) for each in after)
            yield Removal(of, k, removes, tuple(float(each.mean()) for each in after), tuple(scores))


def _latents(problem: _Problem, probe: Linear, removes: Attribute, *, of: Of, k: int) -> Sequence[Places]:
    rows = problem.fitted.balanced
    codes = problem.criterion.codes[rows]
    if of == "random":
        return random_columns(codes, k, draws=RANDOM_DRAWS, seed=problem.seed)
    along = problem.decoder.astype(np.float64) @ probe.directions[:, 0]
    return [latents_of_attribute(codes, problem.holds[removes][rows], along, k)]


def _without(problem: _Problem, latents: Places) -> Floats:
    criterion = problem.criterion
    return without_latents(criterion.activations, criterion.codes, problem.decoder, latents)


def _train(problem: _Problem, holds: Bools, rows: Places) -> Linear:
    criterion = problem.criterion
    target = Target("binary", holds[rows].astype(np.float64), ("no", "yes"))
    return train(Prepared.of(criterion.activations[rows]), target, criterion.groups[rows], seed=problem.seed).linear


def _right(problem: _Problem, probe: Linear, attribute: Attribute, activations: Floats) -> Bools:
    """Return which balanced confirm prompts a probe gets right, taken as a probe of that attribute."""
    rows = problem.tested
    return (probe.scores(activations[rows])[:, 0] > 0) == problem.holds[attribute][rows]


def _accuracy(problem: _Problem, probe: Linear, attribute: Attribute) -> float:
    return float(_right(problem, probe, attribute, problem.criterion.activations).mean())
