"""Targeted probe perturbation: does taking a class's latents away hurt that class's probe and no other? Torch-free.

Activations are means over the tokens of a prompt, so that taking a latent away is exact: its mean code times its
decoder row is subtracted, and the error of the reconstruction stays in place.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from interp_lab.methods.dictionary_evaluation.choice import mean_difference

Floats = NDArray[np.floating]
Places = NDArray[np.intp]


class Perturbation(NamedTuple):
    """Falls of accuracy when the latents of one class are taken away."""

    intended: float
    """Of the probe of that class."""
    unintended: float
    """Of the probes of all others, on average."""

    @property
    def total(self) -> float:
        """The measure: what is hit less what is hit besides."""
        return self.intended - self.unintended


def latents_of_class(codes: Floats, positive: NDArray[np.bool_], along_probe: Floats, k: int) -> Places:
    """Return the `k` latents that feed the probe of a class most, strongest first; none that does not feed it.

    `codes` `(n_prompts, n_latents)` are means over tokens, `along_probe` `(n_latents,)` the inner products of decoder
    rows with the direction of the class's probe.

    Source: SAEBench (Karvonen et al. 2025): mean difference towards positives, times the decoder row along the probe.
    """
    effects = np.maximum(mean_difference(codes, positive), 0) * along_probe
    order = np.argsort(-effects, kind="stable")[:k]
    return order[effects[order] > 0]


def without_latents(activations: Floats, codes: Floats, decoder: Floats, latents: Places) -> Floats:
    """Return mean activations `(n_prompts, width)` after the latents are taken away."""
    return activations - codes[:, latents] @ decoder[latents]


def perturbation(clean: Floats, ablated: Floats, own: int) -> Perturbation:
    """Return the falls of accuracy of all probes when the latents of class `own` are taken away."""
    falls = np.asarray(clean, dtype=np.float64) - np.asarray(ablated, dtype=np.float64)
    return Perturbation(float(falls[own]), float(np.delete(falls, own).mean()))
