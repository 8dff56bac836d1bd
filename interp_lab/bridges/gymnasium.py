"""Gymnasium environments as this lab uses them: flat observations, executed actions, an end that is said as it is.

Every environment is stepped and reset by itself: the automatic resets of vector environments differ between versions
and mix the last observation of one episode with the first of the next.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from interp_lab.errors import EnvironmentUnusable, PackageMissing

MakeEnvironment = Callable[[], Any]
"""Returns a new `gymnasium.Env`."""
Observation = NDArray[np.float32]


class Spaces(NamedTuple):
    """What a policy is given and what it must give."""

    observation_shape: tuple[int, ...]
    """Shape that the policy sees: that of a box, else one flat vector."""
    actions: Literal["discrete", "continuous"]
    n_actions: int
    """Number of discrete actions, or of components of a continuous one."""
    low: NDArray[np.float32]
    """Bounds of a continuous action `(n_actions,)`; empty for discrete ones."""
    high: NDArray[np.float32]

    @property
    def n_observations(self) -> int:
        """Length of the flattened observation."""
        return math.prod(self.observation_shape)


class Outcome(NamedTuple):
    """What followed an action."""

    observation: Observation
    reward: float
    terminated: bool
    truncated: bool
    info: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Environment:
    """One environment with its spaces."""

    env: Any
    spaces: Spaces
    _gymnasium: ModuleType = field(repr=False)

    def reset(self, seed: int) -> Observation:
        """Return the first observation of an episode that follows from the seed."""
        observation, _ = self.env.reset(seed=seed)
        return self._flat(observation)

    def step(self, action: int | NDArray[np.float32]) -> Outcome:
        """Return what follows an action: its number from 0, or its components within the bounds."""
        space = self.env.action_space
        given = int(space.start) + int(action) if self.spaces.actions == "discrete" else _shaped(space, action)
        observation, reward, terminated, truncated, info = self.env.step(given)
        return Outcome(self._flat(observation), float(reward), bool(terminated), bool(truncated), dict(info))

    def close(self) -> None:
        """Release what the environment holds."""
        self.env.close()

    def _flat(self, observation: Any) -> Observation:
        space = self.env.observation_space
        if not isinstance(space, self._gymnasium.spaces.Box):
            observation = self._gymnasium.spaces.flatten(space, observation)
        return np.array(observation, dtype=np.float32)


def registered(environment_id: str) -> MakeEnvironment:
    """Return a maker of a registered environment, checked by making one.

    Raises:
        EnvironmentUnusable: there is none of that id, or it cannot be made here.
        PackageMissing: gymnasium is not installed.
    """
    gymnasium = _gymnasium()
    if ":" in environment_id:
        raise EnvironmentUnusable(f"{environment_id[:80]!r} names a module to import, which is never done.")

    def make() -> Any:
        try:
            return gymnasium.make(environment_id, disable_env_checker=True)
        except (gymnasium.error.Error, ImportError) as error:
            raise EnvironmentUnusable(f"{environment_id} cannot be made: {str(error)[:300]}") from error

    return make


def open_environments(makers: Sequence[MakeEnvironment]) -> list[Environment]:
    """Return an open environment per maker; all must have the same spaces.

    Raises:
        EnvironmentUnusable: their spaces differ or are not supported; those already open are closed.
    """
    gymnasium = _gymnasium()
    opened: list[Environment] = []
    try:
        for make in makers:
            env = make()
            opened.append(Environment(env, _spaces(gymnasium, env), gymnasium))
            if repr(opened[0].spaces) != repr(opened[-1].spaces):
                raise EnvironmentUnusable("The environments do not have the same spaces.")
    except EnvironmentUnusable:
        for environment in opened:
            environment.close()
        raise
    return opened


def _gymnasium() -> ModuleType:
    try:
        import gymnasium  # lazy: an optional extra  # pyright: ignore
    except ImportError as error:
        raise PackageMissing("Gymnasium is not installed: pip install 'interp-lab-mcp[gym]'.") from error
    return gymnasium


def _spaces(gymnasium: ModuleType, env: Any) -> Spaces:
    spaces, seen, acted = gymnasium.spaces, env.observation_space, env.action_space
    if not isinstance(seen, spaces.Box) and not getattr(seen, "is_np_flattenable", False):
        raise EnvironmentUnusable(f"The observation space {str(seen)[:200]} has no fixed size.")
    shape = tuple(seen.shape) if isinstance(seen, spaces.Box) else (int(spaces.flatdim(seen)),)
    nothing = np.empty(0, dtype=np.float32)
    if isinstance(acted, spaces.Discrete):
        return Spaces(shape, "discrete", int(acted.n), nothing, nothing)
    if isinstance(acted, spaces.Box) and np.issubdtype(acted.dtype, np.floating):
        low, high = (np.asarray(bound, dtype=np.float32).ravel() for bound in (acted.low, acted.high))
        return Spaces(shape, "continuous", int(low.size), low, high)
    raise EnvironmentUnusable(f"Actions of the space {str(acted)[:200]} are not supported.")


def _shaped(space: Any, action: int | NDArray[np.float32]) -> Any:
    return np.asarray(action, dtype=space.dtype).reshape(space.shape)
