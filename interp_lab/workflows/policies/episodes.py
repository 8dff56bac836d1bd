# pyright: standard
"""Playing episodes: many at once, each the same whichever others are played beside it, given out in their order.

A step is what belongs together: the observation the policy saw, the activations it computed from that, the action it
took for that, and the reward and end that followed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from interp_lab.bridges.gymnasium import Environment, Observation
from interp_lab.engine.modules import ModuleReader
from interp_lab.points import Address
from interp_lab.workflows.policies.acting import Action, Choose


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One step of an episode."""

    episode: int
    number: int
    """From 0 within the episode."""
    observation: Observation
    """What the policy saw."""
    action: Action
    """What it did."""
    reward: float
    """What that brought."""
    terminated: bool
    """Whether the environment ended there."""
    truncated: bool
    """Whether it was cut off there."""
    info: Mapping[str, Any]
    """What the environment said after the action."""


@dataclass(slots=True, eq=False)
class Episode:
    """One episode, complete when its last step has ended it."""

    number: int
    steps: list[Step] = field(default_factory=list[Step])
    activations: list[dict[Address, NDArray[np.float32]]] = field(
        default_factory=list[dict[Address, NDArray[np.float32]]]
    )
    """Per step, what the policy computed from its observation."""

    @property
    def total(self) -> float:
        """Sum of the rewards."""
        return float(sum(step.reward for step in self.steps))

    @property
    def end(self) -> str:
        """How it ended: terminated or truncated."""
        return "terminated" if self.steps[-1].terminated else "truncated"


@dataclass(slots=True, eq=False)
class _Table:
    """A seat at which episodes are played one after another."""

    environment: Environment
    episode: Episode
    observation: Observation
    rng: np.random.Generator


@dataclass(frozen=True, slots=True, eq=False)
class Player:
    """A policy at its environments."""

    reader: ModuleReader
    choose: Choose
    environments: Sequence[Environment]
    seed: int
    max_steps: int
    device: torch.device

    def play(self, n_episodes: int) -> Iterator[Episode]:
        """Yield episodes 0, 1, … in order."""
        tables = [self._sit(env, number) for number, env in enumerate(self.environments[:n_episodes])]
        waiting, begun, given = dict[int, Episode](), len(tables), 0
        while tables:
            ended = self._round(tables)
            for table in ended:
                waiting[table.episode.number] = table.episode
                place = tables.index(table)
                if begun < n_episodes:
                    tables[place] = self._sit(table.environment, begun)
                    begun += 1
                else:
                    del tables[place]
            while given in waiting:
                yield waiting.pop(given)
                given += 1

    def _sit(self, environment: Environment, number: int) -> _Table:
        """Begin an episode; its seeds follow from the request's and its number, so that the table does not matter."""
        seeds = np.random.SeedSequence([self.seed, number])
        first = environment.reset(int(seeds.generate_state(1)[0]) & 0x7FFFFFFF)
        return _Table(environment, Episode(number), first, np.random.default_rng(seeds))

    def _round(self, tables: list[_Table]) -> list[_Table]:
        """Take one step at every table and return those whose episode has ended."""
        batch = torch.from_numpy(np.stack([table.observation for table in tables])).to(self.device)
        output, seen = self.reader(batch)
        actions = self.choose(output, [table.rng for table in tables])
        values = {address: rows.numpy() for address, rows in seen.items()}
        for place, (table, action) in enumerate(zip(tables, actions, strict=True)):
            self._step(table, action, {address: rows[place].copy() for address, rows in values.items()})
        return [table for table in tables if table.episode.steps[-1].terminated or table.episode.steps[-1].truncated]

    def _step(self, table: _Table, action: Action, activations: dict[Address, NDArray[np.float32]]) -> None:
        episode, outcome = table.episode, table.environment.step(action)
        number = len(episode.steps)
        episode.steps.append(
            Step(
                episode=episode.number,
                number=number,
                observation=table.observation.ravel(),
                action=action,
                reward=outcome.reward,
                terminated=outcome.terminated,
                truncated=outcome.truncated or (number + 1 >= self.max_steps and not outcome.terminated),
                info=outcome.info,
            )
        )
        episode.activations.append(activations)
        table.observation = outcome.observation
