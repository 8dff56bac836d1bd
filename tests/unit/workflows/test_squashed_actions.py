"""A policy that stretches its actions to bounds needs an environment that has some."""

from __future__ import annotations

import numpy as np
import pytest

from interp_lab.bridges.gymnasium import Spaces
from interp_lab.contracts.policy import MlpPolicy
from interp_lab.errors import PolicyUnusable
from interp_lab.models.policy import PolicyNetwork
from interp_lab.workflows.policies.acting import check_fit


def spaces(low: float, high: float) -> Spaces:
    bounds = np.array([low], np.float32), np.array([high], np.float32)
    return Spaces((2,), "continuous", 1, *bounds)


def test_bounds_without_end_are_refused_and_others_are_not() -> None:
    squashed = PolicyNetwork(MlpPolicy(n_observations=2, hidden=(), n_actions=1, actions="continuous", squash=True))
    check_fit(squashed, spaces(-2.0, 2.0))
    with pytest.raises(PolicyUnusable, match="bounds"):
        check_fit(squashed, spaces(-np.inf, np.inf))
    plain = PolicyNetwork(MlpPolicy(n_observations=2, hidden=(), n_actions=1, actions="continuous"))
    check_fit(plain, spaces(-np.inf, np.inf))
