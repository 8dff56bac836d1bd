# pyright: standard
"""Sparse probing of criteria, and what becomes of their probes when latents are taken away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from interp_lab.methods.dictionary_evaluation.choice import most_different, random_columns
from interp_lab.methods.dictionary_evaluation.perturbation import (
    Perturbation,
    latents_of_class,
    perturbation,
    without_latents,
)
from interp_lab.methods.probe.fit import Linear, Prepared, train
from interp_lab.methods.probe.target import Target
from interp_lab.statistics.prediction_score import PredictionScore, auroc_score, balanced_accuracy
from interp_lab.statistics.sample import Sample
from interp_lab.workflows.evaluation.criteria import Criterion, Floats, Places

KS = (1, 2, 5)
"""Columns that sparse probes see."""
REMOVED = (2, 5, 10, 20, 50)
"""Latents that are taken away for one criterion."""
RANDOM_DRAWS = 10
_CLASSES = ("negative", "positive")

Of = Literal["latents", "coordinates", "random_latents"]


@dataclass(frozen=True, eq=False)
class Scores:
    """One probe on the confirm prompts."""

    auroc: PredictionScore
    accuracy: PredictionScore


@dataclass(frozen=True, eq=False)
class Probed:
    """A probe on some columns; several draws where they are random."""

    of: Of
    k: int
    columns: Places
    scores: tuple[Scores, ...]


@dataclass(frozen=True, eq=False)
class Probing:
    """One criterion: the probe on all coordinates, and those on few columns."""

    criterion: Criterion
    dense_probe: Linear
    dense: Scores
    sparse: tuple[Probed, ...]


@dataclass(frozen=True, eq=False)
class Removal:
    """All criteria with at most `k` latents taken away for one after another."""

    of: Literal["chosen", "random"]
    k: int
    per_criterion: tuple[Perturbation, ...]


def probe(criterion: Criterion, seed: int) -> Probing:
    """Return the probes of a criterion: columns chosen and probes trained on explore prompts, scored on confirm.

    Raises:
        TooFewGroups, LabelsUnusable: There are too few prompts of a label.
    """
    dense = _train(criterion, criterion.activations, seed)
    sparse: list[Probed] = []
    positive = criterion.positive[criterion.explore]
    choices: tuple[tuple[Of, Floats], ...] = (("latents", criterion.codes), ("coordinates", criterion.activations))
    for of, values in choices:
        for k in KS:
            columns = most_different(values[criterion.explore], positive, k)
            sparse.append(Probed(of, k, columns, (_on_columns(criterion, values, columns, seed),)))
    for k in KS:
        sets = random_columns(criterion.codes[criterion.explore], k, draws=RANDOM_DRAWS, seed=seed)
        scores = tuple(_on_columns(criterion, criterion.codes, columns, seed) for columns in sets)
        sparse.append(Probed("random_latents", k, np.zeros(0, dtype=np.intp), scores))
    return Probing(criterion, dense, _score(criterion, dense, criterion.activations), tuple(sparse))


def remove(found: Sequence[Probing], decoder: Floats, seed: int) -> tuple[Removal, ...]:
    """Return the falls of all dense probes when the latents of each criterion are taken away, beside random latents."""
    clean = np.asarray([_accuracy(each, each.criterion.activations) for each in found])
    removals: list[Removal] = []
    for of in ("chosen", "random"):
        for k in REMOVED:
            if k <= decoder.shape[0]:
                rows = [
                    _remove_one(found, own, clean, decoder=decoder, k=k, of=of, seed=seed) for own in range(len(found))
                ]
                removals.append(Removal(of, k, tuple(rows)))
    return tuple(removals)


def _remove_one(
    found: Sequence[Probing],
    own: int,
    clean: NDArray[np.float64],
    *,
    decoder: Floats,
    k: int,
    of: Literal["chosen", "random"],
    seed: int,
) -> Perturbation:
    criterion = found[own].criterion
    codes = criterion.codes[criterion.explore]
    if of == "chosen":
        along = decoder.astype(np.float64) @ found[own].dense_probe.directions[:, 0]
        latents = latents_of_class(codes, criterion.positive[criterion.explore], along, k)
    else:
        latents = random_columns(codes, k, draws=1, seed=seed + own)[0]
    ablated = [
        _accuracy(each, without_latents(each.criterion.activations, each.criterion.codes, decoder, latents))
        for each in found
    ]
    return perturbation(clean, np.asarray(ablated), own)


def _on_columns(criterion: Criterion, values: Floats, columns: Places, seed: int) -> Scores:
    return _score(criterion, _train(criterion, values[:, columns], seed), values[:, columns])


def _train(criterion: Criterion, values: Floats, seed: int) -> Linear:
    rows = criterion.explore
    target = Target("binary", criterion.positive[rows].astype(np.float64), _CLASSES)
    return train(Prepared.of(values[rows]), target, criterion.groups[rows], seed=seed).linear


def _score(criterion: Criterion, linear: Linear, values: Floats) -> Scores:
    rows = criterion.confirm
    scores = linear.scores(values[rows])[:, 0]
    labels, groups = criterion.positive[rows], criterion.groups[rows]
    right = balanced_accuracy((scores > 0).astype(np.intp), labels.astype(np.intp), groups)
    return Scores(auroc_score(scores, Sample.of(labels, groups)), right)


def _accuracy(each: Probing, activations: Floats) -> float:
    """Balanced accuracy of the dense probe on the confirm prompts with these activations."""
    criterion = each.criterion
    right = (each.dense_probe.scores(activations[criterion.confirm])[:, 0] > 0) == criterion.positive[criterion.confirm]
    labels = criterion.positive[criterion.confirm]
    return float((right[labels].mean() + right[~labels].mean()) / 2)
