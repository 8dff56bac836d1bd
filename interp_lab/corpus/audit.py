"""The audit of a prompt set before any model reads it: shortcuts on the surface, power, and what is wrong with the set.

Counting and judging belong to the layers below; here they are put together for one set.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from interp_lab.contracts.prompt_audit import BAG_OF_WORDS
from interp_lab.corpus.prompt_set import PromptSet, prompt_groups
from interp_lab.errors import SplitImpossible, TooFewGroups
from interp_lab.evidence.split import Split, split_groups
from interp_lab.methods.confounds import ConfoundAudit, audit_confounds
from interp_lab.methods.surface import bag_of_words, one_hot, surface_features
from interp_lab.statistics.relabelling import Relabelling
from interp_lab.statistics.sample import Sample

LEVEL = 0.95

Surface = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Grouped:
    """A prompt set with its labels, its independent groups and its split."""

    prompts: PromptSet
    threshold: float
    seed: int

    @cached_property
    def labels(self) -> tuple[bool, ...]:
        """Whether each prompt is a positive."""
        return self.prompts.positive(self.threshold)

    @cached_property
    def groups(self) -> list[int]:
        """Group of each prompt, near-duplicates joined."""
        return prompt_groups(self.prompts)

    @cached_property
    def split(self) -> Split | None:
        """Explore and confirm halves, or None if there are too few groups for both."""
        try:
            return split_groups(self.prompts.texts(), self.labels, self.groups, seed=self.seed)
        except SplitImpossible:
            return None

    @cached_property
    def sample(self) -> Sample | None:
        """Labels and groups for a statistic, or None if a label has fewer than two groups."""
        return self._sample(range(len(self.labels)))

    @property
    def n_mixed(self) -> int:
        """Groups that have both labels."""
        sides = set(zip(self.groups, self.labels, strict=True))
        return sum(n == 2 for n in Counter(group for group, _ in sides).values())

    def n_groups(self, part: str, *, positive: bool) -> int:
        """Groups of that part that hold a prompt of that label."""
        rows = self.split.rows("confirm" if part == "confirm" else "explore") if self.split else []
        return len({self.groups[i] for i in rows if self.labels[i] is positive})

    def smallest_p(self) -> float | None:
        """Return the smallest two-sided p-value that the group test can give on the explore rows."""
        sample = self._sample(self.split.rows("explore")) if self.split else None
        if sample is None:
            return None
        first, second = Relabelling(sample).n_halves
        # Whole numbers: of two thousand groups they are larger than any float.
        return min(1.0, max(2 / (first * second), sys.float_info.min))

    def _sample(self, rows: Sequence[int]) -> Sample | None:
        try:
            return Sample.of([self.labels[i] for i in rows], [self.groups[i] for i in rows])
        except TooFewGroups:
            return None


def surface_of(prompts: PromptSet, *, n_tokens: Sequence[int] | None = None) -> dict[str, NDArray[np.float64]]:
    """Return the numbers that can be counted on each text, those that are the same everywhere left out."""
    features = surface_features(prompts.texts(), n_tokens=n_tokens)
    return {name: values for name, values in features.items() if np.ptp(values) > 0}


def audit_surface(prompts: PromptSet, sample: Sample, surface: Surface, *, seed: int) -> ConfoundAudit:
    """Return how far each number, the words and the template alone get."""
    tables = {BAG_OF_WORDS: bag_of_words(prompts.texts())}
    families = [str(p.labels.get("template_family", "")) for p in prompts.prompts]
    if len(set(families)) > 1:
        tables["template"] = one_hot(families)
    return audit_confounds(sample, numeric=surface, tables=tables, seed=seed, level=LEVEL)
