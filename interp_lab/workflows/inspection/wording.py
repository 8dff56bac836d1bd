"""What the report says in sentences: the headline that can be quoted, the caveats, the confounds in words."""

from __future__ import annotations

import math
from collections.abc import Sequence

from interp_lab.contracts.base import Interval
from interp_lab.contracts.inspect_report import Confound, ConfoundAudit, CoordinateCard, Measured
from interp_lab.contracts.prompt_audit import BAG_OF_WORDS
from interp_lab.evidence.grade import Q_LEVEL
from interp_lab.methods.association import Association
from interp_lab.methods.confounds import ConfoundAudit as Audit
from interp_lab.methods.confounds import ConfoundScore, Verdict
from interp_lab.reports.confounds import confound_words
from interp_lab.reports.orientation import oriented, turned
from interp_lab.statistics.false_discovery import fewest_together
from interp_lab.statistics.sample import Sample

_WORDS = {
    Verdict.CLEAN: "not enough to tell positives from negatives",
    Verdict.ASSOCIATED: "it goes with the label",
    Verdict.SOLVES: "enough to tell positives from negatives",
}
_FOUND = ("validated", "needs_causal_evidence", "plausible")


def headline(criterion: str, cards: Sequence[CoordinateCard], audit: ConfoundAudit, *, n_significant: int) -> str:
    """Return one sentence that is true when quoted alone; `n_significant` counts over every coordinate tested.

    Its AUROC is that of the direction which it names, as in the layer profile.
    """
    if audit.flagged:
        names = ", or by ".join(confound_words(c.name) for c in audit.confounds if c.flagged)
        return f"No conclusion about '{criterion}' can be drawn: without any model the dataset is solved by {names}."
    found = next((card for grade in _FOUND for card in cards if card.grade == grade), None)
    if found is None and (opposed := next((card for card in cards if card.grade == "contradicted"), None)):
        return f"Interventions on {opposed.address} #{opposed.index} disagree in sign about '{criterion}'."
    if found is None:
        return _nothing_found(criterion, cards, n_significant)
    where = f"{found.address} #{found.index}"
    way = "higher" if found.sign > 0 else "lower"
    if found.grade == "plausible" or found.confirm is None:
        auroc = found.explore.auroc
        return (
            f"{where} is {way} where '{criterion}' holds, on the prompts that chose it (AUROC "
            f"{turned(auroc.value, found.sign):.2f}, {auroc.n_groups} groups); this is not confirmed, and "
            f"{_edited(found)}."
        )
    value, low, high = oriented(found.confirm.auroc, found.sign)
    bounds = "" if low is None else f" [{low:.2f}, {high:.2f}]"
    return (
        f"{where} is {way} where '{criterion}' holds, on held-out prompts (AUROC {value:.2f}{bounds}, "
        f"{found.confirm.auroc.n_groups} groups); {_edited(found)}."
    )


def _edited(card: CoordinateCard) -> str:
    """What interventions say beside the correlation."""
    counting = next((edit for edit in card.causal if edit.counts), None)
    if counting is not None:
        found = counting.figures[-1]
        way = "raises" if found.effect > 0 else "lowers"
        told = f"{counting.metric} by {abs(found.effect):.3g}, [{found.interval.low:.3g}, {found.interval.high:.3g}]"
        beyond = f"{told} beyond its controls on held-out prompts ({counting.provenance})"
        verdict = "" if card.grade == "validated" else f", but the correlation is graded {card.association_grade}"
        return f"more of it {way} {beyond}{verdict}"
    if card.causal:
        return "correlation only: the interventions on it do not show that it is a cause"
    return "correlation only, no intervention was made"


def _nothing_found(criterion: str, cards: Sequence[CoordinateCard], n_significant: int) -> str:
    described = sum(card.explore.q_value is not None and card.explore.q_value <= Q_LEVEL for card in cards)
    if n_significant <= described:
        return f"No tested coordinate follows '{criterion}' beyond chance on these prompts."
    return (
        f"None of the {len(cards)} strongest coordinates follows '{criterion}' beyond chance on these prompts; "
        f"{n_significant - described} weaker ones pass on explore and are not described."
    )


def caveats(
    cards: Sequence[CoordinateCard], audit: ConfoundAudit, *, confirmed: bool, unverified: Sequence[str]
) -> tuple[str, ...]:
    """Return what a careful reader must know before using the numbers."""
    lines = ["Association shows that the model carries the information, not that it uses it."]
    if (n := sum(card.grade == "contradicted" for card in cards)) > 0:
        lines.append(f"Interventions on {n} described coordinates disagree in sign; the cards list both sides.")
    if audit.flagged:
        lines.append("The dataset is solved by a confound; every number below may be about that confound.")
    if any(c.name == BAG_OF_WORDS and c.flagged for c in audit.confounds):
        lines.append("Single words alone solve the dataset: a coordinate that detects words would look the same.")
    if not confirmed:
        lines.append("There were too few independent prompt groups to set some aside, so nothing is confirmed.")
    if unverified:
        lines.append(f"No identity verifies {', '.join(unverified)} on this model; read those addresses with care.")
    if cards and all(card.grade == "weak" for card in cards):
        lines.append("Absence of evidence at these addresses and this pooling is not evidence of absence in the model.")
    return tuple(lines)


def too_few_groups(explore: Association, n_groups: int) -> tuple[str, ...]:
    """Return what must be known where nothing is called because so few groups could hardly have called anything."""
    if explore.least_p is None or (explore.q <= Q_LEVEL).any():
        return ()
    least, together = float(explore.least_p.min()), fewest_together(explore.least_p)
    if together == 1:
        return ()
    said = (
        f"No labels of {n_groups} independent groups give a p below {least:.2g}, so a search over {explore.n_latents} "
        "coordinates "
    )
    if together is None:
        return (
            f"{said}cannot call any of them, however well it follows the criterion: more prompt groups are needed.",
        )
    more = math.ceil(math.log2(together))
    return (
        f"{said}calls none unless {together} reach that together; with about {2 * more} more prompt groups, of which "
        "half explore, one alone could be called.",
    )


def audit_record(audit: Audit, sample: Sample) -> ConfoundAudit:
    """Return the audit as the report shows it."""
    confounds = tuple(_confound(score, sample) for score in audit.scores)
    return ConfoundAudit(flagged=any(c.flagged and c.name != BAG_OF_WORDS for c in confounds), confounds=confounds)


def _confound(score: ConfoundScore, sample: Sample) -> Confound:
    name = confound_words(score.name)
    how = f"A held-out linear model of {name}" if score.held_out else f"Ranking prompts by {name}"
    low, high = (score.low, score.high) if score.held_out or score.auroc >= 0.5 else (1 - score.high, 1 - score.low)
    method = "Wilson, on the variance between prompt groups"
    return Confound(
        name=score.name,
        auroc=Measured(
            value=round(score.reach, 4),
            unit="AUROC",
            n_prompts=sample.n_rows,
            n_groups=sample.n_groups,
            interval=Interval(low=round(low, 4), high=round(high, 4), method=method),
        ),
        flagged=score.verdict is Verdict.SOLVES,
        text=f"{how} reaches AUROC {score.reach:.2f}: {_WORDS[score.verdict]}.",
    )
