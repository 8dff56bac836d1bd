"""Explanations as they are kept and found again: one line each, known by latent and words."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from interp_lab.contracts.base import Provenance
from interp_lab.contracts.explain import ExplanationRecord

_SHOWN = 200


def make_record(
    feature: str, unit: int, identities: tuple[str, ...], text: str, *, provenance: Provenance, source: str
) -> ExplanationRecord:
    """Return the record of an explanation that was not scored."""
    named = f"{identities[0]}\n{unit}\n{text}".encode("utf-8", "replace")
    return ExplanationRecord(
        id=hashlib.sha256(named).hexdigest()[:16],
        feature=feature,
        unit=unit,
        dictionaries=identities,
        text=text,
        provenance=provenance,
        source=source,
    )


def written(records: Sequence[ExplanationRecord]) -> str:
    """Return records as JSON Lines."""
    return "".join(record.model_dump_json(exclude_defaults=True) + "\n" for record in records)


def read_records(data: bytes) -> tuple[ExplanationRecord, ...]:
    """Return the records of a file that this lab wrote."""
    return tuple(
        ExplanationRecord.model_validate_json(line) for line in data.decode("utf-8").split("\n") if line.strip()
    )


def latest(records: Iterable[ExplanationRecord]) -> tuple[ExplanationRecord, ...]:
    """Return one record of each explanation, of those given newest first; a scored one before an unscored one."""
    kept: dict[str, ExplanationRecord] = {}
    for record in records:
        known = kept.get(record.id)
        if known is None or (record.scores and not known.scores):
            kept[record.id] = record
    return tuple(kept.values())


def about(records: Iterable[ExplanationRecord], unit: int, identities: Iterable[str]) -> tuple[ExplanationRecord, ...]:
    """Return the records of one latent, scored ones first, then by accuracy of detection."""
    names = set(identities)
    found = [record for record in latest(records) if record.unit == unit and names & set(record.dictionaries)]
    return tuple(sorted(found, key=lambda record: -_best(record)))


def _best(record: ExplanationRecord) -> float:
    return max((score.accuracy for score in record.scores if score.kind == "detection"), default=-1.0)


def in_words(record: ExplanationRecord) -> str:
    """Return an explanation with where it comes from and how its blind test went."""
    told = [
        f"{score.kind} {score.accuracy:.2f} [{score.interval.low:.2f}, {score.interval.high:.2f}], chance "
        f"{score.chance:.2f}, {score.n_groups} groups"
        for score in record.scores
    ]
    if record.attempt > 1:
        told.append(f"scored challenge {record.attempt} of this latent")
    told += [f"{record.source} reports {name} {value:.3g}" for name, value in list(record.imported_scores.items())[:2]]
    text = record.text if len(record.text) <= _SHOWN else record.text[: _SHOWN - 1] + "…"
    return f"“{text}” ({record.provenance}; {'; '.join(told) or 'not graded'})"
