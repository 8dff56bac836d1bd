"""Ways to read the criterion beside single latents: sets, directions and a probe, on the same split; and redundancy."""

from __future__ import annotations

from typing import Literal

from pydantic import FiniteFloat, NonNegativeInt

from interp_lab.contracts.base import Contract, Interval, Probability

HandleKind = Literal[
    "coordinate", "small_set", "difference_of_means", "linear_discriminant", "principal_component", "probe"
]


class Handle(Contract):
    """One way to read the criterion, chosen and fitted on explore prompts, scored on the others."""

    kind: HandleKind
    """What it is."""
    address: str
    """Where; a set may name several."""
    members: tuple[str, ...] = ()
    """Of a coordinate or a set, which: 'ADDRESS #INDEX'."""
    explore_auroc: Probability
    """What chose it: of a coordinate as measured but folded, of all else on held-out folds of explore prompts."""
    confirm_auroc: Probability | None
    """On prompts that had no part in it; absent if there were too few."""
    confirm_interval: Interval | None
    """Its interval."""


class HandleComparison(Contract):
    """The best single coordinate beside the best of the other ways, on the same confirm prompts."""

    best: Literal["coordinate", "other", "undecided", "untested"]
    """Which tells positives from negatives better: other if any way does, coordinate if it beats all of them."""
    other: HandleKind | None
    """The other way: of those that are better, else of all, the one that held-out folds of explore liked best."""
    difference: FiniteFloat | None
    """AUROC of the other less that of the coordinate, paired."""
    interval: Interval | None
    """Its interval, wide enough for all ways at once."""
    text: str
    """The same in words."""


class AlikeMember(Contract):
    """One coordinate that says what another says."""

    name: str
    """'ADDRESS #INDEX'."""
    correlation: FiniteFloat
    """Of its values with the leader's, over explore prompts."""
    firing: FiniteFloat
    """Phi correlation of their firing."""
    decoder_cosine: FiniteFloat | None
    """Of their decoder rows; absent where either has none."""


class AlikeGroup(Contract):
    """Coordinates that say the same: one finding, not several."""

    leader: str
    """The strongest of them on explore prompts."""
    members: tuple[AlikeMember, ...]
    """The others, strongest first; the first dozen."""
    n_members: NonNegativeInt
    """How many others there are."""


class Handles(Contract):
    """Every way that was compared."""

    ways: tuple[Handle, ...]
    """Best single coordinate, best small set, best of each direction, and the probe."""
    comparison: HandleComparison
    """Whether a single coordinate is the best handle."""
    alike: tuple[AlikeGroup, ...]
    """Groups among the strongest coordinates."""
    n_compared: NonNegativeInt
    """Coordinates that were looked at for such groups."""
