"""What making a steering vector and writing with it cost, from files and the request alone. Torch-free, for plans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Final

from interp_lab.contracts.steer import SteerRequest
from interp_lab.models.facts import ModelFacts
from interp_lab.models.rates import macs_per_token
from interp_lab.points import Address
from interp_lab.workflows.intervening.cost import TOKEN_CHARACTERS, Speeds, Work

STEERING: Final = "steer"
VECTOR: Final = "make_steering_vector"
"""Of runs whose speeds are kept together."""
PASS_TOKENS: Final = 2048
"""Tokens of a pass at most, those that are still to be written among them."""
_WRITING: Speeds = (0.7, 0.0, 4.4e-4, 6e-11, 0.0, 0.0)
"""Seconds of any run, a prompt, a pass of a batch through one block, a multiply-add (of small products, and of logits
that are turned into probabilities): fitted to 15 runs in two small models."""
_BESIDE_BLOCKS = 4
"""Blocks that choosing a token and what surrounds the blocks are worth in a pass."""
_READ_EVERYWHERE, _ARMS_BESIDE = 2, 4
"""Passes over what was written or given with the logits of every token; plain, steered, opposite and instruction."""


@dataclass(frozen=True, slots=True)
class Texts:
    """The tokens of every prompt, and of those that are continued in each half."""

    every: Sequence[int]
    explore: Sequence[int]
    confirm: Sequence[int]


@dataclass(slots=True)
class _Counted:
    """Work as it adds up."""

    facts: ModelFacts
    n_new: int
    calls: int = 0
    macs: float = 0.0

    def passed(self, lengths: Sequence[int], *, blocks: int | None = None, head: bool = False) -> None:
        """Count one pass over these prompts, through so many blocks; with `head` the logits of every token."""
        n = self.facts.n_layers if blocks is None else blocks
        self.calls += n_batches(lengths) * (n + _BESIDE_BLOCKS)
        self.macs += sum(lengths) * (n * _block(self.facts) + (_head(self.facts) if head else 0))

    def wrote(self, lengths: Sequence[int]) -> None:
        """Count one arm: the next token, the text, and what the unedited model makes of the text."""
        whole = [length + self.n_new for length in lengths]
        self.passed(lengths, head=True)
        self.passed(lengths)
        self.passed(whole, head=True)
        per_token = self.facts.n_layers * _block(self.facts) + _head(self.facts)
        self.calls += self.n_new * n_batches(whole) * (self.facts.n_layers + _BESIDE_BLOCKS)
        self.macs += self.n_new * len(lengths) * per_token


def instruction_of(request: SteerRequest) -> str:
    """Return what stands before the prompts of the arm that is told in words what to write."""
    if request.instruction is not None:
        return request.instruction
    return f"Write a text in which this is true: {request.criterion.rstrip('.')}.\n\n"


def n_arms(request: SteerRequest) -> tuple[int, int]:
    """Return the ways of writing on explore and on confirm prompts."""
    return 1 + 2 * len(request.strengths), _ARMS_BESIDE + request.n_controls


def n_steered_passes(request: SteerRequest, n_prompts: int, n_explore: int, n_confirm: int) -> int:
    """Return the runs of the model: each text takes three and one more for every new token."""
    explore, confirm = n_arms(request)
    texts = explore * n_explore + confirm * n_confirm
    return texts * (_READ_EVERYWHERE + request.max_new_tokens) + n_explore + n_confirm + 2 * n_prompts


def steer_work(request: SteerRequest, facts: ModelFacts, texts: Texts, address: Address) -> Work:
    """Return the work of a steer run; the text of an arm may end sooner than is reckoned here."""
    found = _Counted(facts, request.max_new_tokens)
    explore, confirm = n_arms(request)
    for lengths, arms in ((texts.explore, explore), (texts.confirm, confirm - 1)):
        if lengths:
            found.passed(lengths, head=True)
        for _ in range(arms if lengths else 0):
            found.wrote(lengths)
    if texts.confirm:
        longer = len(instruction_of(request)) // TOKEN_CHARACTERS
        found.wrote([longer + length for length in texts.confirm])
    found.passed(texts.every)  # the words
    found.passed(texts.every, blocks=_depth(facts, address))
    return Work(len(texts.every), found.calls, found.macs, 0, speeds=_WRITING)


def vector_work(facts: ModelFacts, every: Sequence[int], addresses: Sequence[Address]) -> Work:
    """Return the work of making a vector: all prompts up to the deepest address, and half of them once more."""
    found = _Counted(facts, 0)
    deepest = max((_depth(facts, each) for each in addresses), default=facts.n_layers)
    found.passed(every, blocks=deepest)
    found.passed(every[: ceil(len(every) / 2)], blocks=deepest)
    return Work(len(every), found.calls, found.macs, 0, speeds=_WRITING)


def n_batches(lengths: Sequence[int]) -> int:
    """Passes that prompts of such lengths take, longest first, padded to the longest of each."""
    n, width, room = 0, 0, 0
    for length in sorted(lengths, reverse=True):
        if not n or width * (room + 1) > PASS_TOKENS:
            n, width, room = n + 1, length, 0
        room += 1
    return n


def _depth(facts: ModelFacts, address: Address) -> int:
    return facts.n_layers if address.layer is None else min(facts.n_layers, address.layer + 1)


def _block(facts: ModelFacts) -> int:
    return macs_per_token(facts, 0) or 0


def _head(facts: ModelFacts) -> int:
    return (facts.n_vocab or 0) * facts.d_model
