# pyright: standard
"""What can be measured without the rest of the model: reconstruction, sparsity, geometry, and recovery on a world."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from interp_lab.contracts.evaluation_report import Subject
from interp_lab.dictionaries.dictionary import Dictionary
from interp_lab.dictionaries.random_twin import random_twin
from interp_lab.engine.precision import matmul_precision
from interp_lab.jobs.run import Run
from interp_lab.methods.dictionary_evaluation.absorption import Absorption, AbsorptionSum
from interp_lab.methods.dictionary_evaluation.geometry import Geometry, geometry
from interp_lab.methods.dictionary_evaluation.monosemanticity import Monosemanticity, MonosemanticitySum
from interp_lab.methods.dictionary_evaluation.reconstruction import Reconstruction, ReconstructionSum
from interp_lab.methods.dictionary_evaluation.recovery import (
    DetectionSum,
    Detectors,
    Directions,
    directions_recovered,
)
from interp_lab.methods.dictionary_evaluation.sparsity import Sparsity, SparsitySum
from interp_lab.workflows.evaluation.tokens import Block, Tokens, Truth, Wholes

Subjects = Mapping[Subject, Dictionary]
"""The dictionary and, where there can be one, its random twin."""


class _Sums(NamedTuple):
    made: ReconstructionSum
    parts: tuple[ReconstructionSum, ...]
    fired: SparsitySum
    one: MonosemanticitySum


_SAMPLE = 4096


@dataclass(frozen=True, eq=False)
class Measured:
    """Figures of one dictionary."""

    reconstruction: Reconstruction
    sparsity: Sparsity
    mean: torch.Tensor
    """Mean of what it is to give, over the tokens."""
    parts: tuple[Reconstruction, ...]
    """Of a crosscoder, the same for every address."""
    monosemanticity: Monosemanticity | None
    """None where rows are no tokens of a text, or no latent fired often enough."""


@dataclass(frozen=True, eq=False)
class Recovered:
    """What a world shows of one dictionary."""

    directions: Directions
    detectors: Detectors
    absorption: Absorption


def with_twin(dictionary: Dictionary, tokens: Tokens, seed: int) -> Subjects:
    """Return the dictionary with its random twin; only a dictionary that gives what it reads has one."""
    if not tokens.places.same:
        return {"dictionary": dictionary}
    with matmul_precision():
        sample = tokens.sample(_SAMPLE).to(dictionary.device, torch.float32)
        l0 = len(dictionary.encode_sparse(sample).latents) / len(sample)
        return {
            "dictionary": dictionary,
            "random": random_twin(sample, n_latents=dictionary.n_latents, l0=l0, seed=seed),
        }


def measure(subjects: Subjects, tokens: Tokens, run: Run) -> dict[Subject, Measured]:
    """Return the figures of each over all tokens, in one pass over them."""
    config = subjects["dictionary"].config
    sums: dict[Subject, _Sums] = {
        name: _Sums(
            ReconstructionSum(tokens.n_groups, config.d_out),
            tuple(ReconstructionSum(tokens.n_groups, width) for width in config.sections),
            SparsitySum(each.n_latents),
            MonosemanticitySum(each.n_latents),
        )
        for name, each in subjects.items()
    }
    done = 0
    with matmul_precision():
        for block in tokens.blocks():
            for name, dictionary in subjects.items():
                _add(dictionary, block, np.searchsorted(tokens.group_ids, block.groups), sums[name])
            done += len(block.groups)
            run.progress(done, tokens.n_tokens, "reconstructing", "tokens")
    return {
        name: Measured(
            found.made.figures(),
            found.fired.figures(),
            found.made.mean,
            tuple(part.figures() for part in found.parts),
            found.one.figures(),
        )
        for name, found in sums.items()
    }


def _add(dictionary: Dictionary, block: Block, groups: Wholes, sums: _Sums) -> None:
    codes, output = dictionary.encode_and_reconstruct(block.x.to(dictionary.device))
    sums.made.add(block.target, output, groups)
    widths = [part.width for part in sums.parts]
    if widths:
        each = zip(sums.parts, block.target.split(widths, dim=1), output.split(widths, dim=1), strict=True)
        for part, target, given in each:
            part.add(target, given, groups)
    owners = {"groups": block.groups, "prompts": block.prompts}
    sums.fired.add(codes.indptr, codes.latents, codes.values, **owners)
    if block.tokens is not None:
        sums.one.add(codes.indptr, codes.latents, codes.values, tokens=block.tokens, **owners)


def weights_geometry(dictionary: Dictionary) -> Geometry:
    """Return how the latents of a dictionary lie."""
    return geometry(dictionary.W_enc, dictionary.W_dec, same_space=dictionary.config.kind != "transcoder")


def recover(dictionary: Dictionary, tokens: Tokens, truth: Truth) -> Recovered:
    """Return how far the latents are the true features of a world."""
    decoder = dictionary.W_dec.float().cpu().numpy()
    detection = DetectionSum(decoder, truth.directions)
    absorption = AbsorptionSum(decoder, truth.directions, truth.parents)
    start = 0
    for block in tokens.blocks():
        true = truth.features[start : start + len(block.groups)]
        codes = dictionary.encode(block.x.to(dictionary.device)).float().cpu().numpy()
        detection.add(codes > 0, true > 0)
        absorption.add(codes, true)
        start += len(block.groups)
    density = (truth.features > 0).mean(axis=0).astype(np.float64)
    return Recovered(
        directions_recovered(decoder, truth.directions, density), detection.figures(), absorption.figures()
    )
