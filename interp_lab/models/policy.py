# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""A policy network from its description and safetensors weights; no code comes with the weights."""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from interp_lab.contracts.policy import MlpPolicy
from interp_lab.errors import PolicyUnusable
from interp_lab.models.policy_files import CONFIG, WEIGHTS, read_config

_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "tanh": nn.Tanh, "relu": nn.ReLU, "elu": nn.ELU, "gelu": nn.GELU, "silu": nn.SiLU,
}  # fmt: skip


class PolicyNetwork(nn.Module):
    """The network of an `MlpPolicy`: normalised observations in, one score or component per action out."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: MlpPolicy) -> None:
        super().__init__()
        self.config = config
        self.layers = nn.ModuleList(nn.Linear(*sizes) for sizes in config.layers)
        self.activations = nn.ModuleList(_ACTIVATIONS[config.activation]() for _ in config.hidden)
        if config.actions == "continuous":
            self.log_std = nn.Parameter(torch.zeros(config.n_actions))
        mean, std = config.observation_mean, config.observation_std
        self.register_buffer("mean", torch.tensor(mean or [0.0] * config.n_observations), persistent=False)
        self.register_buffer("std", torch.tensor(std or [1.0] * config.n_observations), persistent=False)

    def forward(self, observation: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch n_actions"]:
        """Return action scores, or actions before they are bounded."""
        at = (observation.flatten(1) - self.mean) / self.std
        if self.config.observation_clip is not None:
            at = at.clamp(-self.config.observation_clip, self.config.observation_clip)
        for layer, activation in zip(self.layers, self.activations, strict=False):
            at = activation(layer(at))
        return self.layers[-1](at)


def load_policy(folder: Path) -> PolicyNetwork:
    """Return the network of a folder, in float32 on the CPU, in evaluation mode.

    Raises:
        PolicyUnusable: a file is missing or damaged, or the weights are not those of the description.
    """
    network = PolicyNetwork(read_config(folder))
    try:
        weights = load_file(folder / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise PolicyUnusable(f"{WEIGHTS} cannot be read: {str(error)[:200]}") from error
    optional = {"log_std"} - weights.keys()
    wanted = {name: tensor for name, tensor in network.state_dict().items() if name not in optional}
    different = [
        f"{name} {list(weights[name].shape) if name in weights else 'missing'}"
        for name in sorted(wanted.keys() | weights.keys())
        if name not in weights or name not in wanted or weights[name].shape != wanted[name].shape
    ]
    if different:
        raise PolicyUnusable(f"The weights do not fit {CONFIG}: {', '.join(different)[:400]}.")
    if not all(bool(tensor.isfinite().all()) for tensor in weights.values()):
        raise PolicyUnusable("The weights hold values that are not finite.")
    network.load_state_dict({name: tensor.float() for name, tensor in weights.items()}, strict=not optional)
    return network.eval()


def save_policy(network: PolicyNetwork, folder: Path) -> None:
    """Write the description and the weights of a network into a folder that exists."""
    (folder / CONFIG).write_text(network.config.model_dump_json(indent=2), encoding="utf-8")
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, folder / WEIGHTS)
