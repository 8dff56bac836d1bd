"""From the numbers of a circuit to its grade.

A circuit is a claim about sufficiency: that these edges, with every other one replaced, carry a behaviour. `validated`:
on held-out prompts in enough groups, a lower bound of faithfulness over the stated level, random sets with as many
edges into every reader that do not do as well, and little left without it. It holds for the ablation that was used,
which every report names.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from interp_lab.contracts.base import Grade
from interp_lab.contracts.circuit_report import CircuitPoint, RandomCircuits
from interp_lab.evidence.grade import LEAST_CONFIRM_GROUPS

LEAST_FAITHFULNESS = 0.8
"""Lower bound from which a set of edges is said to carry a behaviour."""
MOST_WITHOUT = 0.5
"""Share of the behaviour that may be left with every edge but those of the circuit."""
LEVEL = 0.05
"""Largest chance of a random set that is as faithful."""


class CircuitReason(StrEnum):
    """Why a circuit is graded as it is. The value is the stable code, `meaning` says it in words."""

    meaning: str

    def __new__(cls, code: str, meaning: str) -> CircuitReason:
        """Return the member of this code and meaning."""
        member = str.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member

    CARRIES = "circuit_carries", "On held-out prompts these edges alone carry the behaviour; random sets do not."
    LIKE_RANDOM = "like_random_circuits", "Random sets with as many edges into every reader are as faithful."
    NOT_FAITHFUL = (
        "not_faithful",
        f"Faithfulness on held-out prompts has a lower bound under {LEAST_FAITHFULNESS:g} or overshoots as far.",
    )
    CARRIED_ELSEWHERE = (
        "carried_elsewhere",
        f"Without these edges more than {MOST_WITHOUT:.0%} of the behaviour is left: others carry it too.",
    )
    FEW_GROUPS = "too_few_groups", f"Fewer than {LEAST_CONFIRM_GROUPS} independent prompt groups."
    WHOLE_MODEL = "nothing_pruned", "Every edge is left, so nothing was singled out."


@dataclass(frozen=True, slots=True)
class CircuitGrading:
    """Grade and why."""

    grade: Grade
    reasons: tuple[CircuitReason, ...]


def grade_circuit(circuit: CircuitPoint, controls: RandomCircuits, *, n_groups: int) -> CircuitGrading:
    """Return the grade of a circuit measured on held-out prompts."""
    if circuit.share >= 1:
        return CircuitGrading("weak", (CircuitReason.WHOLE_MODEL,))
    if controls.p_value > LEVEL:
        return CircuitGrading("weak", (CircuitReason.LIKE_RANDOM,))
    missing = tuple(_missing(circuit, n_groups))
    return CircuitGrading("plausible", missing) if missing else CircuitGrading("validated", (CircuitReason.CARRIES,))


def _missing(circuit: CircuitPoint, n_groups: int) -> Iterator[CircuitReason]:
    if n_groups < LEAST_CONFIRM_GROUPS:
        yield CircuitReason.FEW_GROUPS
    if circuit.faithfulness_interval.low < LEAST_FAITHFULNESS or circuit.faithfulness > 2 - LEAST_FAITHFULNESS:
        yield CircuitReason.NOT_FAITHFUL
    if circuit.completeness > MOST_WITHOUT:
        yield CircuitReason.CARRIED_ELSEWHERE
