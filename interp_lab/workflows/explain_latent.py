"""explain_latent: evidence out, an explanation in, held-out contexts out, labels in, a score kept. Needs no torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from interp_lab.contracts.explain import (
    AskEvidence,
    Challenge,
    ExplainLatentResult,
    ExplanationRecord,
    FindBreaks,
    ImportExplanations,
    Label,
    Submit,
)
from interp_lab.settings import Settings
from interp_lab.workflows.explaining.challenge import check_answers, draw_questions, score_answers
from interp_lab.workflows.explaining.evidence import gather_evidence
from interp_lab.workflows.explaining.halves import open_explained
from interp_lab.workflows.explaining.importing import import_records
from interp_lab.workflows.explaining.ledger import digest_of, open_ledger
from interp_lab.workflows.explaining.records import make_record
from interp_lab.workflows.explaining.rules import find_breaks
from interp_lab.workflows.explaining.wording import (
    breaks_words,
    evidence_actions,
    evidence_words,
    label_warnings,
    label_words,
    submit_warnings,
    submit_words,
)

Publish = Callable[[ExplainLatentResult, Sequence[ExplanationRecord]], ExplainLatentResult]
"""(result, records) → the result with the records published as an artifact."""


def give_evidence(step: AskEvidence, settings: Settings) -> ExplainLatentResult:
    """Return examples of the explore half; errors as `open_explained` and `gather_evidence`."""
    explained = open_explained(step.latent, settings)
    evidence = gather_evidence(explained, step, settings)
    return ExplainLatentResult(
        summary=evidence_words(explained.subject.feature, evidence),
        agent_next_actions=evidence_actions(step, evidence),
        step="evidence",
        feature=explained.subject.feature,
        evidence=evidence,
    )


def submit(step: Submit, settings: Settings, publish: Publish) -> ExplainLatentResult:
    """Return a challenge for an explanation, which is kept as asserted; errors as `draw_questions`."""
    explained = open_explained(step.latent, settings)
    feature, names = explained.subject.feature, explained.identities
    record = make_record(feature, step.latent.unit, names, step.explanation, provenance="asserted", source="agent")
    with open_ledger(explained.digest, settings) as ledger:
        questions = draw_questions(explained, step.n_items, ledger.used)
        n_before = ledger.n_scored
        name = ledger.add(record, questions)
        attempt = len(ledger.tries)
    challenge = Challenge(
        id=name,
        attempt=attempt,
        detection=tuple(texts[0] for texts in questions.shown["detection"]),
        fuzzing=tuple(texts[0] for texts in questions.shown["fuzzing"]),
        intruder=questions.shown["intruder"],
    )
    result = ExplainLatentResult(
        summary=submit_words(challenge),
        warnings=submit_warnings(challenge, step.n_items, n_before),
        step="submit",
        feature=feature,
        challenge=challenge,
        record=record,
    )
    return publish(result, (record,))


def label(step: Label, settings: Settings, publish: Publish) -> ExplainLatentResult:
    """Return the score of a challenge, kept with its explanation.

    Interrupted before it was kept, the same call brings the score of the labels that were given first.

    Raises:
        UnknownChallenge, ChallengeSpent: There is none to be scored.
        InvalidRequest: The labels are not one for every item.
    """
    with open_ledger(digest_of(step.challenge), settings) as ledger:
        found = ledger.unpublished(step.challenge)
        if found.answer is None:
            check_answers(step, found.key)
            scores = score_answers(step, found.key)
            record = ExplanationRecord.model_validate(
                {**found.record, "scores": scores, "attempt": ledger.n_scored + 1}
            )
            # Spent first: a key that answered once must not answer again, whatever happens to the artifact.
            ledger.spend(step.challenge, record)
        else:
            record = ExplanationRecord.model_validate(found.answer)
        result = ExplainLatentResult(
            summary=label_words(record),
            warnings=label_warnings(record, resumed=found.answer is not None),
            step="label",
            feature=record.feature,
            record=record,
        )
        published = publish(result, (record,))
        ledger.settle(step.challenge)
        return published


def break_rule(step: FindBreaks, settings: Settings) -> ExplainLatentResult:
    """Return counter-examples to a rule; errors as `find_breaks`."""
    explained = open_explained(step.latent, settings)
    found = find_breaks(explained, step)
    feature = explained.subject.feature
    return ExplainLatentResult(summary=breaks_words(feature, found), step="breaks", feature=feature, breaks=found)


def import_explanations(step: ImportExplanations, settings: Settings, publish: Publish) -> ExplainLatentResult:
    """Return how many explanations were taken over; errors as `import_records`."""
    records, skipped = import_records(step, settings)
    result = ExplainLatentResult(
        summary=(
            f"Took over {len(records)} explanations from {step.path}, {skipped} entries left out. "
            "Imported, not measured here: submit one to grade it blind."
        ),
        step="import",
        n_imported=len(records),
        n_skipped=skipped,
    )
    return publish(result, records)
