"""What was measured of a pocket model, as it is kept beside the weights. Torch-free."""

from __future__ import annotations

from interp_lab.contracts.base import Contract, Probability


class SectionRecord(Contract):
    """Held-out surprise on one kind of text, in nats per token unless said otherwise."""

    tokens: int
    windows: int
    model: float
    bits_per_byte: float
    unigram: float
    bigram: float
    fivegram: float
    gain: float
    """Of the model over the five-gram model."""
    gain_low: float
    gain_high: float
    """95 % interval of the gain, by window."""


class HeadScore(Contract):
    """An attention head and its prefix-matching score."""

    layer: int
    head: int
    score: Probability


class InductionRecord(Contract):
    """Surprise on random tokens and on their repetition, and the heads that find the earlier copy."""

    sequences: int
    length: int
    first_half: float
    second_half: float
    heads: tuple[HeadScore, ...]


class TaskRecord(Contract):
    """Accuracy on one kind of question, with a 95 % Wilson interval, beside chance and the five-gram model."""

    name: str
    title: str
    chance: Probability
    items: int
    accuracy: Probability
    low: Probability
    high: Probability
    fivegram: Probability


class Sample(Contract):
    """The loss on documents that any machine can write again."""

    documents: int
    tokens: int
    loss: float


class Evaluation(Contract):
    """Every measurement of one model and what it was measured on."""

    python: str
    """Version whose standard library is in the text."""
    corpus: str
    """Hash of the text."""
    train_tokens_once: int
    """Tokens of the training text, every document counted once: what the n-gram models have seen."""
    sections: dict[str, SectionRecord]
    induction: InductionRecord
    tasks: tuple[TaskRecord, ...]
    sample: Sample


class Training(Contract):
    """How a model came to be."""

    recipe: str
    """Hash of the recipe."""
    parameters: int
    steps: int
    cycles: tuple[int, ...]
    """The step that each cycle ended before."""
    tokens: int
    """Tokens seen in training."""
    torch: str
    transformers: str


class Record(Contract):
    """The file `measured.json` beside a model's weights."""

    name: str
    training: Training
    evaluation: Evaluation
