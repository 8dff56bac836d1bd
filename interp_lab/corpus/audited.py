"""The audit of a prompt set as a record: verdicts, issues with their numbers, power, and rows to add and to drop."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator

import numpy as np

from interp_lab.contracts.base import Interval
from interp_lab.contracts.prompt_audit import (
    BAG_OF_WORDS,
    Power,
    PromptAudit,
    SetIssue,
    SurfaceScore,
    Usability,
    WantedRows,
)
from interp_lab.corpus.advice import rows_to_add, rows_to_drop
from interp_lab.corpus.audit import LEVEL, Grouped, Surface, audit_surface, surface_of
from interp_lab.evidence.grade import LEAST_CONFIRM_GROUPS
from interp_lab.evidence.groups import folded, normalise
from interp_lab.methods.confounds import ConfoundAudit, ConfoundScore, Verdict
from interp_lab.statistics.power import detectable_auroc

RANKED_LATENTS = 1_000
"""Latents that the stated power of a ranking counts on."""
_ALPHA = 0.05
_MOST_ROWS = 20
_LENGTH_RATIO = 1.5
"""Median length of one side over the other's from which the set is called imbalanced."""


def audit_set(grouped: Grouped) -> PromptAudit:
    """Return the audit of a set with at least one positive and one negative."""
    surface = surface_of(grouped.prompts)
    found = _audit(grouped, surface)
    power = _power(grouped)
    issues = sorted(_issues(grouped, found, power), key=lambda issue: _ORDER[issue.severity])
    prompts = grouped.prompts.prompts
    return PromptAudit(
        usability=_usability(issues),
        n_prompts=len(prompts),
        n_positive=sum(grouped.labels),
        n_negative=len(prompts) - sum(grouped.labels),
        n_pairs=_pairs(grouped),
        n_spans=sum(bool(prompt.spans) for prompt in prompts),
        issues=tuple(issues),
        surface=tuple(_score(score) for score in found.scores) if found else (),
        power=power,
        rows_to_add=_wanted(grouped, surface, found),
        rows_to_drop=_unwanted(grouped, surface, found),
    )


_ORDER = {"error": 0, "warning": 1, "info": 2}


def _audit(grouped: Grouped, surface: Surface) -> ConfoundAudit | None:
    if grouped.sample is None:
        return None
    return audit_surface(grouped.prompts, grouped.sample, surface, seed=grouped.seed)


def _score(score: ConfoundScore) -> SurfaceScore:
    interval = Interval(low=score.low, high=score.high, level=LEVEL, method="clustered by prompt group")
    return SurfaceScore(
        name=score.name, auroc=score.auroc, interval=interval, fitted=score.held_out, verdict=score.verdict.value
    )


def _power(grouped: Grouped) -> Power:
    confirm = [grouped.n_groups("confirm", positive=side) for side in (True, False)]
    explore = [grouped.n_groups("explore", positive=side) for side in (True, False)]
    return Power(
        n_groups=len(set(grouped.groups)),
        n_mixed_groups=grouped.n_mixed,
        n_confirm_positive_groups=confirm[0],
        n_confirm_negative_groups=confirm[1],
        detectable_auroc=detectable_auroc(*confirm, alpha=_ALPHA) if min(confirm) > 1 else None,
        detectable_auroc_ranked=(
            detectable_auroc(*explore, alpha=_ALPHA / RANKED_LATENTS) if min(explore) > 1 else None
        ),
        smallest_p=grouped.smallest_p(),
    )


def _issues(grouped: Grouped, found: ConfoundAudit | None, power: Power) -> Iterator[SetIssue]:
    yield from _too_few(power)
    yield from _shortcuts(found)
    yield from _texts(grouped)


def _too_few(power: Power) -> Iterator[SetIssue]:
    fewest = min(power.n_confirm_positive_groups, power.n_confirm_negative_groups)
    if not fewest:
        text = f"{power.n_groups} independent groups are too few to keep any back for confirmation."
        yield SetIssue(severity="error", code="nothing_to_confirm", message=text)
    elif fewest < LEAST_CONFIRM_GROUPS:
        text = f"One label has {fewest} independent groups to confirm on; a grade needs {LEAST_CONFIRM_GROUPS}."
        yield SetIssue(severity="warning", code="confirm_too_small", message=text)
    if power.smallest_p is not None and power.smallest_p * RANKED_LATENTS > _ALPHA:
        together = min(RANKED_LATENTS, math.ceil(power.smallest_p * RANKED_LATENTS / _ALPHA))
        text = (
            f"The smallest p-value that the explore groups allow is {power.smallest_p:.2g}: of {RANKED_LATENTS:,} "
            f"latents at least {together} must reach it together before any has q 0.05."
        )
        yield SetIssue(severity="info", code="ranking_has_little_power", message=text)


def _shortcuts(found: ConfoundAudit | None) -> Iterator[SetIssue]:
    for score in found.scores if found else ():
        low, high = _folded(score)
        text = f"{score.name} alone reaches AUROC {score.reach:.2f} [{low:.2f}, {high:.2f}]."
        if score.verdict is Verdict.SOLVES and score.name == BAG_OF_WORDS:
            told = f"{text} A claim on this set is one about words: a detector of words would look the same."
            yield SetIssue(severity="warning", code="words_solve_dataset", message=told)
        elif score.verdict is Verdict.SOLVES:
            yield SetIssue(severity="error", code="confound_solves_dataset", message=text)
        elif score.verdict is Verdict.ASSOCIATED:
            yield SetIssue(severity="warning", code="confound_associated", message=text)


def _folded(score: ConfoundScore) -> tuple[float, float]:
    """Return the interval in the direction that helps, as the reach is."""
    if score.held_out or score.auroc >= 0.5:
        return score.low, score.high
    return 1 - score.high, 1 - score.low


def _texts(grouped: Grouped) -> Iterator[SetIssue]:
    prompts = grouped.prompts.prompts
    sides: defaultdict[str, set[bool]] = defaultdict(set)
    for prompt, positive in zip(prompts, grouped.labels, strict=True):
        sides[folded(prompt.text)].add(positive)
    if n := sum(len(found) > 1 for found in sides.values()):
        yield SetIssue(severity="error", code="label_conflict", message=f"{n} texts have both labels.")
    distinct = {(normalise(prompt.text), side) for prompt, side in zip(prompts, grouped.labels, strict=True)}
    if n := len(prompts) - len(distinct):
        yield SetIssue(severity="warning", code="duplicate_texts", message=f"{n} texts occur more than once.")
    lengths = [_median_length(grouped, side=side) for side in (True, False)]
    if max(lengths) > _LENGTH_RATIO * min(lengths):
        text = f"Median length is {lengths[0]:.0f} characters for positives, {lengths[1]:.0f} for negatives."
        yield SetIssue(severity="warning", code="length_imbalance", message=text)
    if not any(prompt.subtype for prompt in prompts):
        text = "No subtypes: nothing tells which kind of negative a latent confuses with the positives."
        yield SetIssue(severity="info", code="no_subtypes", message=text)
    if not _pairs(grouped):
        yield SetIssue(severity="info", code="no_pairs", message="No counterfactual pairs: patching has no partner.")


def _median_length(grouped: Grouped, *, side: bool) -> float:
    rows = zip(grouped.prompts.prompts, grouped.labels, strict=True)
    return float(np.median([len(prompt.text) for prompt, positive in rows if positive is side]))


def _pairs(grouped: Grouped) -> int:
    rows = zip(grouped.prompts.prompts, grouped.labels, strict=True)
    sides = {(prompt.pair, positive) for prompt, positive in rows if prompt.pair}
    return sum(n == 2 for n in Counter(pair for pair, _ in sides).values())


def _usability(issues: list[SetIssue]) -> Usability:
    severities = {issue.severity for issue in issues}
    return "unusable" if "error" in severities else "weak" if "warning" in severities else "usable"


def _tempting(surface: Surface, found: ConfoundAudit | None) -> Iterator[str]:
    for score in found.scores if found else ():
        if score.verdict is not Verdict.CLEAN and score.name in surface:
            yield score.name


def _wanted(grouped: Grouped, surface: Surface, found: ConfoundAudit | None) -> tuple[WantedRows, ...]:
    rows = [row for name in _tempting(surface, found) for row in rows_to_add(name, surface[name], grouped.labels)]
    return tuple(rows[:_MOST_ROWS])


def _unwanted(grouped: Grouped, surface: Surface, found: ConfoundAudit | None) -> tuple[str, ...]:
    ids = grouped.prompts.ids()
    rows = [
        ids[int(i)] for name in _tempting(surface, found) for i in rows_to_drop(surface[name], grouped.labels).tolist()
    ]
    return tuple(dict.fromkeys(rows))[:_MOST_ROWS]
