"""How an effect grows with the strength of an edit."""

from __future__ import annotations

from pydantic import FiniteFloat

from interp_lab.contracts.base import Contract


class DosePoint(Contract):
    """One strength on explore prompts."""

    strength: FiniteFloat
    """In the unit's own measure."""
    effect: FiniteFloat
    """Mean change of the metric."""
    low: FiniteFloat
    """Lower end of its interval."""
    high: FiniteFloat
    """Upper end."""
    control: FiniteFloat
    """Mean effect of the controls."""
    side_effect: FiniteFloat
    """Mean size of the change on negatives."""
