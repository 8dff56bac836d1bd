"""Writes reference statistics of SAELens' synthetic generator for the parity test of sparse worlds.

Run once, in an environment with sae-lens 6.54.12:
python scripts/saelens_synthetic.py tests/truth/data/saelens_synthetic.json
"""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path

import torch
from sae_lens.synthetic import (
    FoldedNormalMagnitudeConfig,
    HierarchyConfig,
    LinearMagnitudeConfig,
    LowRankCorrelationConfig,
    OrthogonalizationConfig,
    SyntheticModel,
    SyntheticModelConfig,
    ZipfianFiringProbabilityConfig,
)

FEATURES, WIDTH, ROWS, ROOTS = 256, 64, 20_000, 8
SEEDS = (0, 1, 2, 3)


def config(seed: int) -> SyntheticModelConfig:
    """Return a small SynthSAEBench world."""
    return SyntheticModelConfig(
        num_features=FEATURES,
        hidden_dim=WIDTH,
        firing_probability=ZipfianFiringProbabilityConfig(exponent=0.5, max_prob=0.4, min_prob=5e-4),
        hierarchy=HierarchyConfig(
            total_root_nodes=ROOTS,
            branching_factor=4,
            max_depth=2,
            mutually_exclusive_portion=1.0,
            compensate_probabilities=True,
            scale_children_by_parent=True,
        ),
        orthogonalization=OrthogonalizationConfig(num_steps=100, lr=3e-4),
        correlation=LowRankCorrelationConfig(rank=25, correlation_scale=0.1),
        mean_firing_magnitudes=LinearMagnitudeConfig(start=5.0, end=4.0),
        std_firing_magnitudes=FoldedNormalMagnitudeConfig(mean=0.5, std=0.5),
        bias=0.5,
        seed=seed,
    )


def statistics(seed: int) -> dict[str, object]:
    """Return what is compared, for one seed."""
    model = SyntheticModel(config(seed))
    torch.manual_seed(seed + 1000)
    hidden, features = model.sample_with_features(ROWS)
    fires = (features > 0).float()
    cosines = model.feature_dict.feature_vectors @ model.feature_dict.feature_vectors.T
    apart = cosines[~torch.eye(FEATURES, dtype=torch.bool)]
    common = fires[:, :ROOTS]
    correlation = torch.corrcoef(common.T)[~torch.eye(ROOTS, dtype=torch.bool)]
    return {
        "rates": [round(rate, 5) for rate in fires.mean(0).tolist()],
        "l0_mean": float(fires.sum(1).mean()),
        "l0_sd": float(fires.sum(1).std()),
        "cosine_rms": float(apart.pow(2).mean().sqrt()),
        "cosine_max": float(apart.abs().max()),
        "root_correlation_rms": float(correlation.pow(2).mean().sqrt()),
        "magnitude_mean": float(features[features > 0].mean()),
        "norm_mean": float(hidden.norm(dim=1).mean()),
    }


def main() -> None:
    """Write the file named on the command line."""
    reference = {"sae_lens": version("sae-lens"), "rows": ROWS, "seeds": [statistics(seed) for seed in SEEDS]}
    Path(sys.argv[1]).write_text(json.dumps(reference, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
