# pyright: standard
"""From what a policy puts out to the actions that are taken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from interp_lab.bridges.gymnasium import Spaces
from interp_lab.contracts.policy import ActionChoice, MlpPolicy
from interp_lab.errors import PolicyUnusable

Action = int | NDArray[np.float32]
Generators = Sequence[np.random.Generator]
"""One per environment, each belonging to the episode that is played in it."""
Choose = Callable[[Any, Generators], Sequence[Action]]
"""(output of the policy, generators) → one action per environment."""


def chooser(network: nn.Module, spaces: Spaces, actions: ActionChoice) -> Choose:
    """Return how actions follow from the first tensor that the network puts out.

    Discrete: scores, of which the highest is taken or one is drawn by softmax. Continuous: the mean action, which is
    taken or drawn around with the network's own `log_std`, then held within the bounds of the action space; a network
    that says `squash` has its output stretched to them by tanh first.

    Raises:
        PolicyUnusable: continuous actions are to be drawn and the network has no log_std.
    """
    if spaces.actions == "discrete":
        return lambda output, rngs: _discrete(_scores(output, spaces), rngs, actions)
    spread = getattr(network, "log_std", None)
    if actions == "sample" and spread is None:
        raise PolicyUnusable(
            "The policy says no log_std, so its actions cannot be drawn.", remedy="Use actions 'mode'."
        )
    std = None if spread is None or actions == "mode" else np.exp(spread.detach().float().cpu().numpy().ravel())
    squash = bool(getattr(getattr(network, "config", None), "squash", False))
    return lambda output, rngs: _continuous(_scores(output, spaces), rngs, spaces, std=std, squash=squash)


def check_fit(network: nn.Module, spaces: Spaces) -> None:
    """Refuse a network whose description does not fit the environment; one without a description shows it in use.

    Raises:
        PolicyUnusable: the message says what differs.
    """
    config = getattr(network, "config", None)
    if not isinstance(config, MlpPolicy):
        return
    described = (config.n_observations, config.actions, config.n_actions)
    there = (spaces.n_observations, spaces.actions, spaces.n_actions)
    if described != there:
        raise PolicyUnusable(
            "The policy is for {} observations and {} actions ({}), ".format(*described)
            + "the environment has {} and {} ({}).".format(*there)
        )
    if config.squash and not (np.isfinite(spaces.low).all() and np.isfinite(spaces.high).all()):
        raise PolicyUnusable(
            "The policy stretches its actions to the bounds of the action space, and the environment has none."
        )


def _scores(output: Any, spaces: Spaces) -> NDArray[np.float64]:
    while isinstance(output, tuple | list) and output:
        output = output[0]
    if not isinstance(output, Tensor):
        raise PolicyUnusable(f"The policy puts out {type(output).__name__}, not a tensor.")
    scores = output.detach().double().cpu().numpy().reshape(len(output), -1)
    if scores.shape[1] != spaces.n_actions:
        raise PolicyUnusable(f"The policy puts out {scores.shape[1]} numbers; {spaces.n_actions} are needed.")
    if not np.isfinite(scores).all():
        raise PolicyUnusable("The policy put out a value that is not finite.")
    return scores


def _discrete(scores: NDArray[np.float64], rngs: Generators, actions: ActionChoice) -> list[Action]:
    if actions == "mode":
        return [int(best) for best in scores.argmax(axis=1)]
    # The largest of scores with Gumbel noise is a draw from their softmax.
    return [int(np.argmax(own + rng.gumbel(size=own.size))) for own, rng in zip(scores, rngs, strict=True)]


def _continuous(
    means: NDArray[np.float64], rngs: Generators, spaces: Spaces, *, std: NDArray[np.float32] | None, squash: bool
) -> list[Action]:
    taken: list[Action] = []
    for mean, rng in zip(means, rngs, strict=True):
        action = mean if std is None else mean + std * rng.normal(size=mean.size)
        if squash:
            action = spaces.low + (np.tanh(action) + 1) / 2 * (spaces.high - spaces.low)
        taken.append(np.clip(action, spaces.low, spaces.high).astype(np.float32))
    return taken
