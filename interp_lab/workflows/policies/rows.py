# pyright: standard
"""Steps as rows of a store: observation, action and reward beside the activations that belong to them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from interp_lab.bridges.gymnasium import Spaces
from interp_lab.contracts.policy import DerivedMetric
from interp_lab.contracts.store import LabelField, MetricField
from interp_lab.errors import InvalidRequest
from interp_lab.store.blocks import RowBlock
from interp_lab.workflows.policies.episodes import Episode, Step

StepMetric = Callable[[Step], float]
"""A number of one step; what it is given already belongs together."""
MAX_COMPONENTS = 256
"""Components of an observation or action that become metrics; images are left to the activations."""

_LABELS = (
    LabelField(name="episode", type="integer", scope="row", description="episode, from 0"),
    LabelField(name="step", type="integer", scope="row", description="step within the episode, from 0"),
    LabelField(name="terminated", type="boolean", scope="row", description="the environment ended after this step"),
    LabelField(name="truncated", type="boolean", scope="row", description="the episode was cut off after this step"),
    LabelField(name="end", type="category", scope="prompt", description="how the episode ended"),
    LabelField(name="return", type="number", scope="prompt", description="sum of the episode's rewards"),
    LabelField(name="length", type="integer", scope="prompt", description="steps of the episode"),
)
_ACTION = LabelField(name="action", type="integer", scope="row", description="action taken, from 0")


@dataclass(frozen=True, slots=True, eq=False)
class Recorder:
    """What is written of every step."""

    spaces: Spaces
    derived: tuple[DerivedMetric, ...] = ()
    metrics: Mapping[str, StepMetric] | None = None
    """Further numbers by name, computed in Python."""
    totals: Mapping[str, StepMetric] | None = None
    """Like `metrics`, each summed over the episode up to and including the step."""

    def labels(self) -> tuple[LabelField, ...]:
        """Return the labels of steps and episodes."""
        return (*_LABELS, _ACTION) if self.spaces.actions == "discrete" else _LABELS

    def fields(self) -> tuple[MetricField, ...]:
        """Return the metrics of steps.

        Raises:
            InvalidRequest: two have the same name, or one reads a component that is not there.
        """
        own = [*self._observed(), *self._acted(), "reward", "return_so_far"]
        asked = [metric.name for metric in self.derived] + [*(self.metrics or {}), *(self.totals or {})]
        twice = {name for name in (*own, *asked) if (*own, *asked).count(name) > 1}
        if twice:
            raise InvalidRequest(f"Two metrics are called {', '.join(sorted(twice))}.")
        sizes = {"obs": self.spaces.n_observations, "action": len(self._acted()) or 1, "reward": 1}
        for metric in self.derived:
            if metric.index >= sizes[metric.source]:
                raise InvalidRequest(
                    f"{metric.name} reads {metric.source}[{metric.index}]; there are {sizes[metric.source]}."
                )
        return tuple(MetricField(name=name) for name in (*own, *asked))

    def block(self, episode: Episode) -> RowBlock:
        """Return the rows of a complete episode."""
        steps = episode.steps
        n = len(steps)
        rows: dict[str, Any] = {
            "prompt": np.full(n, episode.number, dtype=np.int32),
            "position": np.arange(n, dtype=np.int32),
            "label:episode": np.full(n, episode.number),
            "label:step": np.arange(n),
            "label:terminated": [step.terminated for step in steps],
            "label:truncated": [step.truncated for step in steps],
        }
        if self.spaces.actions == "discrete":
            rows["label:action"] = [int(step.action) for step in steps]
        rows |= {f"metric:{name}": values for name, values in self._numbers(steps).items()}
        columns = {
            str(address): np.stack([own[address] for own in episode.activations]) for address in episode.activations[0]
        }
        return RowBlock(rows, columns)

    def _observed(self) -> list[str]:
        n = self.spaces.n_observations
        return [f"obs.{i}" for i in range(n)] if n <= MAX_COMPONENTS else []

    def _acted(self) -> list[str]:
        n = self.spaces.n_actions
        return [f"action.{i}" for i in range(n)] if self.spaces.actions == "continuous" and n <= MAX_COMPONENTS else []

    def _numbers(self, steps: Sequence[Step]) -> dict[str, Any]:
        rewards = np.array([step.reward for step in steps])
        observations = np.stack([step.observation for step in steps])
        actions = np.stack([np.atleast_1d(np.asarray(step.action, dtype=np.float64)).ravel() for step in steps])
        found: dict[str, Any] = {name: observations[:, i] for i, name in enumerate(self._observed())}
        found |= {name: actions[:, i] for i, name in enumerate(self._acted())}
        found |= {"reward": rewards, "return_so_far": np.cumsum(rewards)}
        tables = {"obs": observations.astype(np.float64), "action": actions, "reward": rewards[:, None]}
        found |= {
            metric.name: _FUNCTIONS[metric.function](tables[metric.source][:, metric.index]) for metric in self.derived
        }
        found |= {name: _called(metric, steps) for name, metric in (self.metrics or {}).items()}
        found |= {name: np.cumsum(_called(metric, steps)) for name, metric in (self.totals or {}).items()}
        return found


def prompts_of(episodes: Sequence[tuple[int, float, str, int, str]]) -> dict[str, Any]:
    """Return the prompt table of summaries `(number, total, end, length, course)` in order.

    Episodes that took the same course share a group: a policy without chance in an environment without chance plays
    one episode over and over, which is evidence once.
    """
    groups: dict[str, int] = {}
    return {
        "id": [f"episode-{number:06d}" for number, *_ in episodes],
        "text": [""] * len(episodes),
        "group": [groups.setdefault(course, len(groups)) for *_, course in episodes],
        "label:end": [end for _, _, end, _, _ in episodes],
        "label:return": [total for _, total, _, _, _ in episodes],
        "label:length": [length for _, _, _, length, _ in episodes],
    }


def summary_of(episode: Episode) -> tuple[int, float, str, int, str]:
    """Return what the prompt table needs of an episode."""
    digest = hashlib.sha256()
    for step in episode.steps:
        digest.update(step.observation.tobytes() + np.asarray(step.action, dtype=np.float64).tobytes())
    return episode.number, episode.total, episode.end, len(episode.steps), digest.hexdigest()


def _called(metric: StepMetric, steps: Sequence[Step]) -> np.ndarray:
    return np.array([float(metric(step)) for step in steps])


_FUNCTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "value": lambda values: values,
    "abs": np.abs,
    "square": np.square,
    "sum": np.cumsum,
}
