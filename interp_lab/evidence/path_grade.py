"""From the numbers of a path to its status and grade.

A path is a claim about mediation: that the blocks between two units turn a change of the one into a change of the
other. What the residual stream hands on by itself is no evidence for it. `validated`: on held-out prompts in enough
groups, q under the level over every pair searched, an interval beyond the controls, the sign of the discovery, most
prompts the same way, and no larger effect than stated on negatives. `contradicted`: both parts exceed their controls
and disagree in sign. `plausible`: beyond controls, with something missing. `weak`: all else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from interp_lab.contracts.base import Grade
from interp_lab.contracts.path_report import PathFigures, PathStatus
from interp_lab.evidence.grade import LEAST_CONFIRM_GROUPS, Q_LEVEL

LEAST_CONSISTENCY = 0.75
"""Share of prompts that must move the way of the mean."""
MOST_AS_LARGE = 0.25
"""Share of random sources that may do as much."""
_PASSING = 3.0
"""Times the mediated effect from which what the stream hands on is called the path's only substance."""


class PathReason(StrEnum):
    """Why a path is graded as it is. The value is the stable code, `meaning` says it in words."""

    meaning: str

    def __new__(cls, code: str, meaning: str) -> PathReason:
        """Return the member of this code and meaning."""
        member = str.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member

    NOT_CONFIRMED = "not_tested_on_confirm", "It was found on these prompts; held-out prompts have not been run."
    CONFIRMED = "path_confirmed", "On held-out prompts the mediated effect exceeds random sources, with the same sign."
    BEYOND_CONTROLS = "beyond_controls", "The mediated effect exceeds random sources of the same size."
    LIKE_CONTROLS = "like_controls", "Random sources of the same size move the target as much, or q is above the level."
    UNCERTAIN = "uncertain_over_prompts", "The interval over prompt groups does not leave the controls' effect out."
    PASSES_ALONG = (
        "passes_along",
        "What arrives is what the residual stream hands on; the blocks add nothing beyond controls.",
    )
    SIGN_REVERSED = "sign_reversed", "Held-out prompts show the opposite sign, beyond controls."
    SIGN_UNSTABLE = "sign_unstable", "The sign differs from the discovery, or too many prompts move the other way."
    FEW_GROUPS = "too_few_groups", f"Fewer than {LEAST_CONFIRM_GROUPS} independent prompt groups."
    ON_NEGATIVES = "side_effects", "On negatives the same edit moves the target more than the stated bound."
    NO_EFFECT = "no_effect", "The edit does not move the target on these prompts; the source may be silent there."
    IMPORTED = "discovery_imported", "The claim was read from records; what is graded was measured here."


@dataclass(frozen=True, slots=True)
class PathGrading:
    """Status, grade and why."""

    status: PathStatus
    grade: Grade
    reasons: tuple[PathReason, ...]


def grade_found(explore: PathFigures) -> PathGrading:
    """Return the grade of a path that only explore prompts have seen: at most plausible."""
    doubts = tuple(_doubts(explore))
    if doubts:
        return PathGrading(_missed(explore, doubts), "weak", doubts)
    return PathGrading("candidate", "plausible", (PathReason.BEYOND_CONTROLS, PathReason.NOT_CONFIRMED))


def grade_rerun(
    explore_sign: int,
    confirm: PathFigures,
    *,
    found: PathFigures | None,
    off_positives: float | None,
    off_bound: float,
    imported: bool = False,
) -> PathGrading:
    """Return the grade of a path rerun on held-out prompts.

    `explore_sign` is the sign that was claimed, 0 if none was; `found` are the figures of its discovery, if measured.
    """
    origin = (PathReason.IMPORTED,) if imported else ()
    doubts = tuple(_doubts(confirm))
    if doubts:
        return PathGrading(_missed(confirm, doubts), "weak", (*origin, *doubts))
    sign = 1 if confirm.mediated > 0 else -1
    if explore_sign * sign < 0:
        both = found is not None and not tuple(_doubts(found))
        grade: Grade = "contradicted" if both else "weak"
        return PathGrading("sign_reversed", grade, (*origin, PathReason.SIGN_REVERSED))
    missing = tuple(_missing(confirm, off_positives, off_bound))
    if missing:
        return PathGrading("suggestive", "plausible", (*origin, PathReason.BEYOND_CONTROLS, *missing))
    return PathGrading("validated", "validated", (*origin, PathReason.CONFIRMED))


def _doubts(figures: PathFigures) -> Iterator[PathReason]:
    if figures.total == 0 and figures.mediated == 0:
        yield PathReason.NO_EFFECT
        return
    low, high = figures.beyond_control.low, figures.beyond_control.high
    crowded = max((control.as_large for control in figures.controls), default=1.0) > MOST_AS_LARGE
    if figures.q_value > Q_LEVEL or crowded:
        yield PathReason.LIKE_CONTROLS
    elif not (low > 0 or high < 0) or (low > 0) != (figures.mediated > 0):
        yield PathReason.UNCERTAIN
    else:
        return
    if abs(figures.passed_along) > _PASSING * abs(figures.mediated):
        yield PathReason.PASSES_ALONG


def _missing(confirm: PathFigures, off_positives: float | None, off_bound: float) -> Iterator[PathReason]:
    if confirm.n_groups < LEAST_CONFIRM_GROUPS:
        yield PathReason.FEW_GROUPS
    if confirm.sign_consistency < LEAST_CONSISTENCY:
        yield PathReason.SIGN_UNSTABLE
    if off_positives is None or off_positives > off_bound:
        yield PathReason.ON_NEGATIVES


def _missed(figures: PathFigures, doubts: tuple[PathReason, ...]) -> PathStatus:
    if PathReason.PASSES_ALONG in doubts:
        return "passes_along"
    return "untested" if figures.total == 0 else "like_controls"
