"""What each grade is called and means, in the words of the evidence rules; every format reads this table."""

from __future__ import annotations

from typing import NamedTuple

from interp_lab.contracts.base import Grade


class GradeWords(NamedTuple):
    """One grade as shown: its order from strongest to weakest, its label and what it means."""

    order: int
    label: str
    meaning: str


GRADES: dict[Grade, GradeWords] = {
    "validated": GradeWords(
        0, "validated", "an intervention moved the behaviour on held-out prompts, beyond its controls"
    ),
    "needs_causal_evidence": GradeWords(
        1, "needs causal evidence", "a confirmed association; nothing was intervened on yet"
    ),
    "plausible": GradeWords(2, "plausible", "an association that confirmation has not settled"),
    "contradicted": GradeWords(3, "contradicted", "interventions disagree in sign"),
    "weak": GradeWords(4, "weak", "too little, or explained by something else"),
}
"""Every grade, strongest first. Association alone never reaches the first row."""
