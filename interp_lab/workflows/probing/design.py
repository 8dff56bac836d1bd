"""Who trains, who chooses and who confirms: the split of a probe's examples by group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from interp_lab.contracts.probe import ProbeCounts
from interp_lab.errors import SplitImpossible
from interp_lab.evidence.split import LEAST_GROUPS, Part, Split, split_groups
from interp_lab.methods.probe.target import Target
from interp_lab.statistics.arrays import Bools, Ints
from interp_lab.workflows.probing.examples import Examples, texts_of
from interp_lab.workflows.querying.view import StoreView

SHARES: Mapping[Part, float] = {"train": 0.4, "explore": 0.3, "confirm": 0.3}
"""Explore and confirm each have to show the association by themselves before a grade says so."""
PARTS: tuple[Part, ...] = ("train", "explore", "confirm")
_TRIES = 40


@dataclass(frozen=True, slots=True, eq=False)
class Design:
    """The examples and their split."""

    examples: Examples
    split: Split

    def rows(self, part: Part) -> Ints:
        """Return the examples of a part."""
        return np.asarray(self.split.rows(part), dtype=np.intp)

    def target(self, part: Part) -> Target:
        """Return the target of a part."""
        return self.examples.target.take(self.rows(part))

    def groups(self, part: Part) -> Ints:
        """Return the group of every example of a part."""
        return self.examples.groups[self.rows(part)]

    def counts(self) -> ProbeCounts:
        """Return how many examples and groups each part has."""
        sizes = {part: (self.rows(part).size, np.unique(self.groups(part)).size) for part in PARTS}
        return ProbeCounts(
            train=sizes["train"][0],
            explore=sizes["explore"][0],
            confirm=sizes["confirm"][0],
            groups=(sizes["train"][1], sizes["explore"][1], sizes["confirm"][1]),
            left_out=self.examples.left_out,
        )


def design(view: StoreView, examples: Examples, *, seed: int) -> Design:
    """Return the split: of those that follow from the seed, the first in which every part has every class.

    Only groups and targets decide it, so choosing among splits says nothing about the activations.

    Raises:
        SplitImpossible: there are too few independent groups of a class.
    """
    texts = _keys(texts_of(view, examples), examples.groups)
    labels = _strata(examples.target).tolist()
    groups: list[int] = examples.groups.tolist()
    for attempt in range(_TRIES):
        # Far apart, so that the splits of neighbouring seeds are not each other's second choice.
        split = split_groups(texts, labels, groups, seed=seed + attempt * 1_000_003, shares=SHARES)
        found = Design(examples, split)
        if all(_is_complete(found, part) for part in PARTS):
            return found
    raise SplitImpossible(
        f"Some class of {', '.join(examples.target.classes)[:200]} has too few independent groups for "
        f"{LEAST_GROUPS} in each of train, explore and confirm."
    )


def _keys(texts: list[str], groups: Ints) -> list[str]:
    """Return what tells groups apart for the split: the text, or the group itself where an example has none."""
    return [text if text.strip() else f"g{group}" for text, group in zip(texts, groups.tolist(), strict=True)]


def _strata(target: Target) -> Bools:
    """Return two halves that every part should have its share of."""
    if target.task == "binary":
        return target.values > 0
    if target.task == "multiclass":
        return target.codes == int(np.bincount(target.codes).argmax())
    middle = float(np.median(target.values))
    above = target.values > middle
    return above if above.any() else target.values >= middle


def _is_complete(found: Design, part: Part) -> bool:
    target, groups = found.target(part), found.groups(part)
    if target.task == "regression":
        return bool(target.values.size) and float(np.ptp(target.values)) > 0
    holders = [np.unique(groups[target.codes == code]).size for code in range(len(target.classes))]
    return min(holders) >= LEAST_GROUPS
