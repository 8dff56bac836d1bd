"""The steps of explaining in words: sentences to quote with their caveats, and what to call next."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import JsonValue

from interp_lab.contracts.actions import NextAction
from interp_lab.contracts.base import Interval
from interp_lab.contracts.explain import (
    AskEvidence,
    BlindScore,
    Breaks,
    Challenge,
    ExplanationRecord,
    LatentEvidence,
)
from interp_lab.evidence.grade import LEAST_CONFIRM_GROUPS

CAVEAT = "How well its words foresee activity on this store's held-out text; it shows no cause."


def evidence_words(feature: str, evidence: LatentEvidence) -> str:
    """Return the sentence of the first step."""
    return (
        f"{feature} is active on {evidence.n_active} tokens in {evidence.n_groups} independent groups of the explore "
        "half. Examples suggest a meaning, they do not test it: write when it is active, then call step 'submit'."
    )


def evidence_actions(step: AskEvidence, evidence: LatentEvidence) -> tuple[NextAction, ...]:
    """Return the test of the most frequent tokens as a rule: where it fails is what words have to add."""
    named = [token.token for token in evidence.tokens if token.share >= 0.05 and not token.token.endswith("…")]
    if not named:
        return ()
    latent = step.latent.model_dump(mode="json", exclude_none=True)
    breaks: dict[str, JsonValue] = {"kind": "breaks", "latent": latent, "rule": {"one_of": [*named]}}
    return (
        NextAction(
            tool="explain_latent",
            arguments={"step": breaks},
            why="See where its most frequent tokens alone do not say when it is active.",
        ),
    )


def submit_words(challenge: Challenge) -> str:
    """Return what to do with a challenge."""
    return (
        f"Kept as asserted. Label {len(challenge.detection)} contexts (detection: active anywhere?), "
        f"{len(challenge.fuzzing)} (fuzzing: are the tokens in ⟦⟧ the active ones?) and {len(challenge.intruder)} sets "
        "of four (intruder: 1 to 4, where is it not active?) from the explanation alone, then call step 'label' with "
        "this challenge's id. The key is used once."
    )


def submit_warnings(challenge: Challenge, n_items: int, n_scored: int) -> tuple[str, ...]:
    """Return what to know before labelling."""
    return tuple(_before_labelling(challenge, n_items, n_scored))


def _before_labelling(challenge: Challenge, n_items: int, n_scored: int) -> Iterator[str]:
    yield "Do not look these contexts up (query_activations, show_feature): it would make the score worthless."
    if len(challenge.detection) < n_items - 1 or len(challenge.fuzzing) < n_items - 1:
        yield "Held-out contexts are few: the test is smaller than asked for."
    if n_scored:
        yield f"This latent was scored before (so far: {n_scored}): the best of several tries looks better than it is."


def label_words(record: ExplanationRecord) -> str:
    """Return the scores in a sentence."""
    told = "; ".join(_score(score) for score in record.scores) or "no kind of test had enough groups for a score"
    return f"{record.feature}, “{record.text[:120]}”: {told}. {CAVEAT}"


def label_warnings(record: ExplanationRecord, *, resumed: bool) -> tuple[str, ...]:
    """Return what weakens the score, and whether it is that of labels given before an interruption."""
    first = ("Labels were given before and interrupted: this is the score of the first.",) if resumed else ()
    return (*first, *_after_labelling(record))


def _after_labelling(record: ExplanationRecord) -> Iterator[str]:
    if record.attempt > 1:
        yield f"Scored challenge number {record.attempt} of this latent: the best of several looks better than it is."
    few = [score.kind for score in record.scores if score.n_groups < LEAST_CONFIRM_GROUPS]
    if few:
        yield f"Fewer than {LEAST_CONFIRM_GROUPS} independent groups: {', '.join(few)}."
    low = [score.kind for score in record.scores if not score.above_chance]
    if low:
        yield f"Not told from chance: {', '.join(low)}."
    hard = [s for s in record.scores if s.hard is not None and s.kind == "detection" and s.hard < s.accuracy - 0.15]
    if hard:
        yield "It fails where neighbouring latents are active: the words fit them as well."


def breaks_words(feature: str, found: Breaks) -> str:
    """Return how often rule and latent agree."""
    fits = "no token fits the rule"
    if found.precision is not None:
        fits = f"it is active on {_percent(found.precision, found.precision_interval)} of the tokens that fit"
    active = "it is never active"
    if found.recall is not None:
        active = f"{_percent(found.recall, found.recall_interval)} of its active tokens fit"
    return (
        f"{feature} against the rule, explore half: {fits}; {active}. A rule chosen on this half is not tested by it."
    )


def _score(score: BlindScore) -> str:
    what = "found" if score.kind == "intruder" else "balanced accuracy"
    interval = f"[{score.interval.low:.2f}, {score.interval.high:.2f}]"
    return (
        f"{score.kind} {what} {score.accuracy:.2f} {interval} "
        f"(chance {score.chance:.2f}, {score.n} items, {score.n_groups} groups)"
    )


def _percent(value: float, interval: Interval | None) -> str:
    span = "" if interval is None else f" [{100 * interval.low:.0f}, {100 * interval.high:.0f}]"
    return f"{100 * value:.0f} %{span}"
