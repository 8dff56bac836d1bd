# pyright: standard
# ruff: noqa: ARG002 - a rule reads what it needs
"""Gated: one half of the encoder decides what fires, the other how strongly; they share their directions.

Source: Rajamanoharan et al. 2024 (arXiv 2404.16014), section 3.2. Loss: squared error + λ · Σ relu(gate) · length +
the squared error of reconstructing from relu(gate) through a decoder that does not learn from it. The paper has unit
decoder rows; weighting by length keeps the loss the same there and right where lengths are free.
"""

from __future__ import annotations

from torch import Tensor

from interp_lab.dictionaries.architectures.base import Architecture, Chosen, Moment, Pull
from interp_lab.dictionaries.parameters import Parameters, decoder_norms


class Gated(Architecture):
    """A latent fires where its gate is above zero, as strongly as its magnitude."""

    name = "gated"
    choice = "above"
    bias = "b_gate"
    vectors = ("b_gate", "b_mag", "r_mag")

    def infer(self, pre: Tensor, parameters: Parameters, k: float | None) -> Tensor:
        """Return magnitudes where the gate is open."""
        return (pre > 0) * _magnitude(pre, *(parameters[name] for name in self.vectors)).relu()

    def codes(self, pre: Tensor, parameters: Parameters, moment: Moment) -> Tensor:
        """Return magnitudes where the gate is open; the step itself has no gradient."""
        return self.infer(pre, parameters, moment.k)

    def penalty(self, pre: Tensor, codes: Tensor, parameters: Parameters, moment: Moment) -> Tensor:
        """Return λ times the mean sum of open gates, each times the length of its decoder row."""
        return moment.sparsity * (pre.relu() @ decoder_norms(parameters["decoder"], moment.widths)).mean()

    def gate_codes(self, pre: Tensor) -> Tensor:
        """Return the gates, which must reconstruct too."""
        return pre.relu()

    def values(self, chosen: Chosen, parameters: Parameters) -> Tensor:
        """Return magnitudes where the gate is open."""
        latents, pre = chosen
        return (pre > 0) * _magnitude(pre, *(parameters[name][latents] for name in self.vectors)).relu()

    def pull(self, chosen: Chosen, upstream: Tensor, parameters: Parameters, moment: Moment) -> Pull:
        """Return the gradients of magnitudes and of the penalty; the gate's reconstruction is added by the caller."""
        latents, pre = chosen
        rate = moment.sparsity / moment.n_tokens
        norms = decoder_norms(parameters["decoder"], moment.widths)[latents]
        gate_bias, bias, log_scale = (parameters[name][latents] for name in self.vectors)
        scale = log_scale.exp()
        towards_magnitude = upstream * (pre > 0) * (_magnitude(pre, gate_bias, bias, log_scale) > 0)
        towards_gate = rate * norms * (pre > 0)
        extras = {
            "b_gate": towards_gate,
            "b_mag": towards_magnitude,
            "r_mag": towards_magnitude * (pre - gate_bias) * scale,
        }
        gate = pre.relu()
        return Pull(towards_magnitude * scale + towards_gate, rate * (gate @ norms), extras, norm_weight=rate * gate)


def _magnitude(pre: Tensor, gate_bias: Tensor, bias: Tensor, log_scale: Tensor) -> Tensor:
    return (pre - gate_bias) * log_scale.exp() + bias
