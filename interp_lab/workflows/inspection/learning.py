# pyright: standard
"""Directions that labelled activations teach: once by all rows, and by what lies before each block of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from interp_lab.contracts.inspect_evidence import LearnedMethod
from interp_lab.methods.directions import fit_direction, principal_components
from interp_lab.methods.probe.fit import Prepared, train
from interp_lab.methods.probe.target import Target
from interp_lab.statistics.arrays import Floats, Ints, Matrix
from interp_lab.statistics.sample import Sample


class Learned(NamedTuple):
    """The directions of one method, each of length 1, or 0 where nothing varies."""

    whole: Floats
    """`(n_directions, width)`, taught by every row."""
    earlier: tuple[Floats, ...]
    """The same taught by the blocks before block 1, 2, and so on; empty for a method that knows no label."""


def learn(
    method: LearnedMethod, values: Matrix, sample: Sample, blocks: Ints, *, n_components: int, seed: int
) -> Learned:
    """Return the directions of activations `(n_rows, width)`; principal components are several and know no label."""
    if method == "principal_component":
        return Learned(_unit(principal_components(values, n_components)), ())
    earlier = (np.flatnonzero(blocks < block) for block in range(1, int(blocks.max()) + 1))
    return Learned(
        _taught(method, values, sample, seed),
        tuple(_taught(method, values[rows], _rows(sample, rows), seed) for rows in earlier),
    )


def _rows(sample: Sample, rows: Ints) -> Sample:
    return Sample(sample.labels[rows], np.unique(sample.groups[rows], return_inverse=True)[1].ravel())


def _taught(method: LearnedMethod, values: Matrix, sample: Sample, seed: int) -> Floats:
    if method == "probe":
        target = Target("binary", sample.labels.astype(np.float64), ("without", "with"))
        direction = train(Prepared.of(values), target, sample.groups, seed=seed).linear.directions[:, 0]
    else:
        assert method != "principal_component"
        direction = fit_direction(method, values, sample.labels)
    return _unit(direction[None])


def _unit(rows: Floats) -> Floats:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1.0), dtype=np.float64)
