# pyright: standard
# ruff: noqa: F722 - jaxtyping shapes
"""A program as parts: slots of the residual stream, heads that look things up, neurons that combine.

Everything is said in slots; where the slots lie in a model is decided by `compile_model`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from interp_lab.contracts.worlds import CircuitKind
from interp_lab.worlds.vocabulary import Vocabulary

SHARPNESS = 40.0
"""Attention score of a match; half of it for the resting place, 0 for everything else."""

LAYERS, HEADS = 2, 2
DISTRACTION = "distraction"
"""The slots that nothing of a program reads: what distractors write."""

Matrix = Float[Tensor, "from to"]


class Slots:
    """Named stretches of the residual stream, one coordinate per value of a variable."""

    def __init__(self, **sizes: int) -> None:
        self.sizes = {**sizes, DISTRACTION: 4}
        ends = torch.tensor([0, *self.sizes.values()]).cumsum(0).tolist()
        self._start = dict(zip(self.sizes, ends, strict=False))
        self.total = ends[-1]

    def rows(self, name: str) -> list[int]:
        """Return the coordinates of one variable."""
        return list(range(self._start[name], self._start[name] + self.sizes[name]))

    def pick(self, name: str, values: Sequence[int] | None = None) -> Matrix:
        """Return `(total, n)`: reads the chosen values of a variable, all by default, one per column."""
        rows = self.rows(name) if values is None else [self.rows(name)[value] for value in values]
        matrix = torch.zeros(self.total, len(rows), dtype=torch.float64)
        matrix[rows, range(len(rows))] = 1.0
        return matrix


@dataclass(frozen=True)
class Head:
    """One attention head: where it looks (`query` against `key`) and what it moves (`value` to `output`)."""

    layer: int
    head: int
    query: Matrix
    key: Matrix
    value: Matrix
    output: Matrix
    always: Float[Tensor, " to"]
    """Added to the query whatever the input."""

    @property
    def name(self) -> str:
        """Name of its node."""
        return f"head.{self.layer}.{self.head}"


@dataclass(frozen=True)
class Neuron:
    """One rectified neuron: `max(0, reads · x + bias)` times `writes`."""

    layer: int
    reads: Float[Tensor, " slots"]
    bias: float
    writes: Float[Tensor, " slots"]
    name: str = ""


@dataclass(frozen=True)
class Example:
    """One input, how far the world's criterion holds of it, and what is known about it."""

    words: tuple[str, ...]
    score: float
    subtype: str


@dataclass(frozen=True)
class Blueprint:
    """A whole program: its vocabulary, its parts, its behaviour in Python, and which connections it runs along."""

    kind: CircuitKind
    program: str
    vocabulary: Vocabulary
    slots: Slots
    """Among them `position`: one per place in the context."""
    embed: Matrix
    heads: tuple[Head, ...]
    neurons: tuple[Neuron, ...]
    unembed: Matrix
    expected: Callable[[Sequence[int]], Float[Tensor, "pos n_vocab"]]
    """Logits at every position for a list of token ids."""
    examples: tuple[Example, ...]
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    """Slot name → the address at which it is complete."""
    reads: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """Node → the nodes that the program needs it to see."""
    roles: Mapping[str, str] = field(default_factory=dict[str, str])
    """Node → what it computes."""

    @property
    def edges(self) -> frozenset[tuple[str, str]]:
        """The connections that the program runs along."""
        return frozenset((source, target) for target, sources in self.reads.items() for source in sources)


def lookup(layer: int, head: int, *, ask: Matrix, match: Matrix, move: tuple[Matrix, Matrix], rest: Matrix) -> Head:
    """Return a head that attends where `match` equals `ask`, else rests where `rest` is on."""
    width = ask.shape[1]
    query = torch.cat([ask, torch.zeros(len(ask), 1, dtype=torch.float64)], dim=1) * SHARPNESS
    key = torch.cat([match, 0.5 * rest.sum(1, keepdim=True)], dim=1)
    always = torch.zeros(width + 1, dtype=torch.float64)
    always[-1] = SHARPNESS
    value, output = move
    return Head(layer, head, query, key, value, output.T, always)


def one_hot(total: int, places: Sequence[int]) -> Matrix:
    """Return rows with a single 1 each, at the given places."""
    matrix = torch.zeros(len(places), total, dtype=torch.float64)
    matrix[range(len(places)), list(places)] = 1.0
    return matrix
