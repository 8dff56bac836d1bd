# pyright: standard
"""How a dictionary does on held-out prompt groups, with an interval that counts groups."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from torch.nn.functional import cosine_similarity

from interp_lab.dictionaries.dictionary import Dictionary
from interp_lab.engine.precision import matmul_precision
from interp_lab.statistics.clustered_ratio import RatioEstimate, clustered_ratio
from interp_lab.workflows.training.feed import HeldOut, joined
from interp_lab.workflows.training.plan import Planned


class HeldOutFigures(NamedTuple):
    """Figures of one dictionary on held-out tokens."""

    fvu: RatioEstimate
    l0: float
    cosine: float
    unfired_fraction: float
    n_tokens: int


def measure(dictionary: Dictionary, planned: Planned, blocks: Iterable[HeldOut]) -> HeldOutFigures:
    """Return how a dictionary does on all blocks together; variance is around the mean of these tokens."""
    errors, norms, sums, groups, cosines = [], [], [], [], []
    n_active, fired = 0, torch.zeros(dictionary.n_latents, dtype=torch.bool)
    parts = []
    with matmul_precision():
        for block in blocks:
            x, other = joined({key: value.to(dictionary.device) for key, value in block.values.items()}, planned)
            target = x if other is None else other
            codes, made = dictionary.encode_and_reconstruct(x)
            errors.append((made - target).double().pow(2).sum(1).cpu().numpy())
            cosines.append(cosine_similarity(made.double(), target.double(), dim=1).cpu().numpy())
            sums.append(target.double().sum(0).cpu())
            norms.append(len(target))
            parts.append(target.cpu())
            groups.append(block.groups)
            n_active += len(codes.latents)
            fired[codes.latents.long().cpu()] = True
    n_tokens = sum(norms)
    mean = torch.stack(sums).sum(0) / n_tokens
    variances = np.concatenate([(part.double() - mean).pow(2).sum(1).numpy() for part in parts])
    return HeldOutFigures(
        fvu=clustered_ratio(np.concatenate(errors), variances, np.concatenate(groups)),
        l0=n_active / n_tokens,
        cosine=float(np.concatenate(cosines).mean()),
        unfired_fraction=float((~fired).float().mean()),
        n_tokens=n_tokens,
    )
