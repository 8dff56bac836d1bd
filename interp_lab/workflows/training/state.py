"""How far a training run is, besides the weights: what a checkpoint holds as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import NonNegativeFloat, NonNegativeInt

from interp_lab.contracts.base import Contract

Line = dict[str, float]
"""One row of measurements: step, tokens and figures by name."""
MOST_LINES = 2000
"""Rows of measurements kept of one run."""


class DictionaryState(Contract):
    """How far one dictionary is."""

    tokens: NonNegativeInt = 0
    """Trained on so far."""
    seconds: NonNegativeFloat = 0.0
    """In training steps."""
    done: bool = False
    """Whether it stopped early."""
    best: float | None = None
    """Lowest held-out FVU."""
    stale: NonNegativeInt = 0
    """Evaluations since it improved."""
    evaluations: tuple[tuple[int, float], ...] = ()
    """Tokens and held-out FVU, in order."""
    dead_fraction: float = 0.0
    """Share of latents silent for the window, at the last step."""


class SavedState(Contract):
    """A whole run."""

    step: NonNegativeInt = 0
    epoch: NonNegativeInt = 0
    batch: NonNegativeInt = 0
    dictionaries: dict[str, DictionaryState]
    lines: tuple[Line, ...] = ()


@dataclass
class RunState:
    """A whole run while it changes."""

    dictionaries: dict[str, DictionaryState]
    step: int = 0
    epoch: int = 0
    batch: int = 0
    lines: list[Line] = field(default_factory=list[Line])

    @classmethod
    def fresh(cls, names: tuple[str, ...]) -> RunState:
        """Return the state before the first step."""
        return cls({name: DictionaryState() for name in names})

    @classmethod
    def loaded(cls, text: bytes) -> RunState:
        """Return the state that `saved` wrote."""
        saved = SavedState.model_validate_json(text)
        return cls(dict(saved.dictionaries), saved.step, saved.epoch, saved.batch, list(saved.lines))

    def saved(self) -> bytes:
        """Return the state as JSON."""
        record = SavedState(
            step=self.step,
            epoch=self.epoch,
            batch=self.batch,
            dictionaries=self.dictionaries,
            lines=tuple(self.lines),
        )
        return record.model_dump_json().encode()

    def update(self, name: str, **changes: Any) -> DictionaryState:
        """Change what is known of one dictionary and return it."""
        self.dictionaries[name] = self.dictionaries[name].model_copy(update=changes)
        return self.dictionaries[name]

    def add_line(self, values: Mapping[str, float]) -> None:
        """Keep one row of measurements."""
        self.lines.append({"step": self.step, **values})
