"""Policies as data: a declared network, and a harvest of its activations while it acts in an environment."""

from __future__ import annotations

import itertools
import re
from typing import Annotated, Literal, Self

from pydantic import Field, FiniteFloat, NonNegativeInt, PositiveInt, StringConstraints, model_validator

from interp_lab.contracts.base import Contract, Seed
from interp_lab.contracts.jobs import JobRequest
from interp_lab.contracts.models import DeviceName
from interp_lab.contracts.results import Result
from interp_lab.contracts.store import StoreDtype
from interp_lab.points import Address

Width = Annotated[int, Field(ge=1, le=65_536)]
Numbers = Annotated[tuple[FiniteFloat, ...], Field(max_length=65_536)]
ActionChoice = Literal["mode", "sample"]
EnvironmentId = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][\w.-]{0,80}(/[A-Za-z0-9][\w.-]{0,80})?-v\d{1,4}$")
]
"""Id of a registered environment; never with a module to import."""
MetricText = Annotated[
    str,
    StringConstraints(
        pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,63}=(abs|square|sum)?\(?((obs|action)\[\d{1,5}\]|reward)\)?$"
    ),
]
"""NAME=SOURCE or NAME=FUNCTION(SOURCE): 'angle=abs(obs[2])', 'score=sum(reward)'."""


class MlpPolicy(Contract):
    """A multilayer perceptron from observations to action scores; model.safetensors beside it holds the weights.

    Tensors are `layers.I.weight` `(out, in)` and `layers.I.bias` `(out,)` for every layer, and for a continuous policy
    that samples `log_std` `(n_actions,)`. Activations are read at `module:layers.I` (before the nonlinearity) and
    `module:activations.I` (after it).
    """

    schema_version: Literal["1"] = "1"
    """Version of this record."""
    kind: Literal["mlp"] = "mlp"
    """Kind of network."""
    n_observations: Width
    """Length of the flattened observation."""
    hidden: Annotated[tuple[Width, ...], Field(max_length=64)]
    """Width of every hidden layer."""
    n_actions: Width
    """Scores of a discrete policy, or components of a continuous action."""
    activation: Literal["tanh", "relu", "elu", "gelu", "silu"] = "tanh"
    """Nonlinearity after every hidden layer."""
    actions: Literal["discrete", "continuous"]
    """Whether the outputs score the actions or are the action."""
    squash: bool = False
    """Whether a continuous action is tanh of the output, stretched to the bounds of the action space."""
    observation_mean: Numbers | None = None
    """Subtracted from every observation."""
    observation_std: Numbers | None = None
    """Divides every observation afterwards; all positive."""
    observation_clip: Annotated[FiniteFloat, Field(gt=0)] | None = None
    """Bound of the normalised observation."""

    @model_validator(mode="after")
    def _normalisation_fits(self) -> Self:
        for numbers in (self.observation_mean, self.observation_std):
            if numbers is not None and len(numbers) != self.n_observations:
                raise ValueError("the normalisation needs one number per observation")
        if any(std <= 0 for std in self.observation_std or ()):
            raise ValueError("every observation_std must be positive")
        if self.squash and self.actions == "discrete":
            raise ValueError("only continuous actions are squashed")
        return self

    @property
    def layers(self) -> tuple[tuple[int, int], ...]:
        """Inputs and outputs of every linear layer."""
        sizes = (self.n_observations, *self.hidden, self.n_actions)
        return tuple(itertools.pairwise(sizes))

    @property
    def n_parameters(self) -> int:
        """Weights and biases."""
        return sum(given * made + made for given, made in self.layers)


class DerivedMetric(Contract):
    """A number per step that follows from what is recorded anyway; data, never code."""

    name: str
    """Name of the metric."""
    source: Literal["obs", "action", "reward"]
    """What is read."""
    index: NonNegativeInt = 0
    """Which component."""
    function: Literal["value", "abs", "square", "sum"] = "value"
    """sum: over the episode up to and including the step."""

    @classmethod
    def parse(cls, text: str) -> DerivedMetric:
        """Return the metric that a text such as 'angle=abs(obs[2])' declares.

        Raises:
            ValueError: the text has not that form.
        """
        found = _METRIC.fullmatch(text)
        if found is None:
            raise ValueError(f"{text[:80]!r} is no metric: NAME=SOURCE or NAME=FUNCTION(SOURCE)")
        function, source = found["function"] or "value", found["source"] or "reward"
        fields = {"name": found["name"], "source": source, "index": int(found["index"] or 0), "function": function}
        return cls.model_validate(fields)


_SOURCE = r"(?:(?P<source>obs|action)\[(?P<index>\d{1,5})\]|reward)"
_METRIC = re.compile(
    rf"(?P<name>[A-Za-z_][A-Za-z0-9_.-]{{0,63}})=(?:(?P<function>abs|square|sum)(?=\())?(?P<open>\()?{_SOURCE}(?(open)\))"
)


class HarvestPolicyRequest(JobRequest):
    """Let a policy act in an environment and keep its activations at every step."""

    policy: Annotated[str, StringConstraints(min_length=1, max_length=500)] = Field(examples=["policies/cartpole"])
    """Folder in the workspace with policy.json and model.safetensors."""
    environment: EnvironmentId = Field(examples=["CartPole-v1"])
    """Id of a registered Gymnasium environment."""
    addresses: Annotated[tuple[Address, ...], Field(min_length=1, max_length=100)] = Field(
        examples=[["module:activations.1", "module:layers.0@in"]]
    )
    """Modules of the policy, read on their input or output."""
    episodes: Annotated[int, Field(ge=1, le=1_000_000)] = 100
    """Episodes to play."""
    max_steps: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    """An episode that is longer ends as truncated."""
    environments: Annotated[int, Field(ge=1, le=256)] = 8
    """Episodes that are played at once; the data do not depend on it."""
    actions: ActionChoice = "mode"
    """The best action each time, or one drawn from the policy's distribution."""
    metrics: Annotated[tuple[MetricText, ...], Field(max_length=50)] = ()
    """Further numbers per step, for example ['angle=abs(obs[2])', 'score=sum(reward)']."""
    dtype: StoreDtype = "float32"
    """Number format in the store."""
    device: DeviceName = "cpu"
    """Where the policy runs."""
    seed: Seed = 0
    """Seed of the environments and of drawn actions; episode i uses what follows from the seed and i."""

    @model_validator(mode="after")
    def _metrics_are_metrics(self) -> Self:
        names = [DerivedMetric.parse(text).name for text in self.metrics]
        if len(set(names)) != len(names):
            raise ValueError("two metrics have the same name")
        if any(address.point != "module" for address in self.addresses):
            raise ValueError("a policy is read at modules: 'module:PATH' or 'module:PATH@in'")
        return self


class HarvestPolicyResult(Result):
    """What was played and where it is."""

    environment: str
    """Environment."""
    n_episodes: NonNegativeInt
    """Episodes."""
    n_steps: NonNegativeInt
    """Rows of the store."""
    n_groups: NonNegativeInt
    """Episodes that took different courses: the units of evidence."""
    ends: dict[str, NonNegativeInt]
    """Episodes by how they ended."""
    mean_return: FiniteFloat
    """Mean reward in all of an episode."""
    columns: dict[str, PositiveInt]
    """Width of every column of the store."""
    metrics: tuple[str, ...]
    """Metrics of every step."""
    labels: tuple[str, ...]
    """Labels of steps and episodes."""


class HarvestPolicyPlan(Contract):
    """What a harvest would do at most."""

    n_episodes: NonNegativeInt
    """Episodes."""
    n_steps_at_most: NonNegativeInt
    """Steps if no episode ends before max_steps."""
    n_parameters: NonNegativeInt
    """Parameters of the policy."""
    columns: tuple[str, ...]
    """Addresses."""
