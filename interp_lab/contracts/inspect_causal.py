"""Interventions beside an association: what edits of a described coordinate did, and whether they count."""

from __future__ import annotations

from typing import Literal

from pydantic import FiniteFloat, NonNegativeInt

from interp_lab.contracts.base import Contract, Interval, Probability, Provenance
from interp_lab.contracts.doses import DosePoint


class CausalFigures(Contract):
    """An edit on one part of the prompts, beside its controls."""

    part: Literal["explore", "confirm", "unknown"]
    """Which part of this report's split; unknown if the prompts are not this report's."""
    n_prompts: NonNegativeInt
    """Positives."""
    n_groups: NonNegativeInt
    """Their independent groups."""
    effect: FiniteFloat
    """Mean change of the metric, positive if more of the coordinate raises it."""
    controls: dict[str, FiniteFloat]
    """Mean effect by kind of control on the same prompts; empty if none was run."""
    difference: FiniteFloat
    """Effect less the control that goes farthest the same way; without controls, less the smallest that matters.
    0, which estimates nothing, where it does not exceed them."""
    interval: Interval
    """Test of both directions: holds `effect` and leaves 0 out only if that exceeds its controls in one direction."""
    q_value: Probability | None
    """Benjamini-Hochberg over the effects of the source on this part, after earlier looks; absent if not said."""


class CausalEdit(Contract):
    """One kind of edit of one coordinate, from one source."""

    edit: str
    """What was done, in the words of the source (untrusted text)."""
    strength: FiniteFloat | None
    """Chosen on explore prompts; absent where the edit has none."""
    metric: str
    """The behaviour that was measured, in the words of the source (untrusted text)."""
    source: str
    """Artifact id or file."""
    provenance: Provenance
    """Measured by this software, or imported from a file."""
    figures: tuple[CausalFigures, ...]
    """Explore first, then confirm; one of an unknown part."""
    side_effect: FiniteFloat | None
    """Upper bound of the shift on negatives; absent if the source does not say."""
    side_effect_bound: FiniteFloat
    """The largest shift that counts as acceptable."""
    counts: bool
    """It moves the coordinate beyond its controls on confirm prompts, by every rule of the grade."""
    reasons: tuple[str, ...]
    """Reason codes: what keeps it from counting, or effect_confirmed."""
    doses: tuple[DosePoint, ...] = ()
    """All strengths, on explore prompts, where there are several."""
