"""How often one set of confirm prompts was asked about one unit, and what that costs.

Held-out prompts that are asked again and again stop being held out: with other edits, target words or strengths,
something passes at last. The k-th look is therefore held to the level over k squared: the first look costs nothing, and
however many follow, a unit without effect is called with a probability under pi²/6 = 1.65 times the stated level.
"""

from __future__ import annotations


def level_at(looks_before: int, level: float) -> float:
    """Return the level for a look after `looks_before` others at the same prompts and unit."""
    return level / (looks_before + 1) ** 2


def corrected_q(q: float, looks_before: int) -> float:
    """Return q as it counts after `looks_before` looks, so that it can be held to the stated level; at most 1."""
    return min(1.0, q * (looks_before + 1) ** 2)
