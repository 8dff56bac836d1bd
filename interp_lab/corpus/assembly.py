"""From candidates to rows: no text twice, none with both labels, as many positives as negatives, of like length."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from interp_lab.contracts.build_prompts import Candidate, DroppedRow
from interp_lab.contracts.prompts import ScoredPrompt
from interp_lab.errors import OneSidedPrompts
from interp_lab.evidence.groups import folded, normalise

_SHOWN = 80


@dataclass(frozen=True)
class Assembly:
    """What goes into the set, and what does not."""

    kept: tuple[Candidate, ...]
    dropped: tuple[DroppedRow, ...]


def assemble(candidates: Sequence[Candidate], *, balance: bool) -> Assembly:
    """Return the rows of a set, in the order given.

    Raises:
        OneSidedPrompts: nothing is left of one label.
    """
    kept, dropped = _distinct(candidates)
    n_positive = sum(row.label == "positive" for row in kept)
    if not 0 < n_positive < len(kept):
        side = "negatives" if n_positive else "positives"
        raise OneSidedPrompts(f"There are no {side} among the {len(kept)} different texts given.")
    if balance:
        extra = _surplus(kept)
        dropped += [_dropped(row, "balance") for i, row in enumerate(kept) if i in extra]
        kept = [row for i, row in enumerate(kept) if i not in extra]
    return Assembly(tuple(kept), tuple(dropped))


def scored(rows: Sequence[Candidate]) -> tuple[ScoredPrompt, ...]:
    """Return the rows as scored prompts, 1 for a positive and 0 for a negative."""
    return tuple(
        ScoredPrompt(
            id=f"{row.label[:3]}-{i:04d}",
            text=row.text,
            score=1.0 if row.label == "positive" else 0.0,
            group=row.group,
            pair=row.pair,
            subtype=row.subtype,
            spans=row.spans,
            labels=row.labels,
        )
        for i, row in enumerate(rows)
    )


def unscored(prompts: Sequence[ScoredPrompt], threshold: float) -> list[Candidate]:
    """Return the rows that scored prompts would be made from: what `scored` takes."""
    return [
        Candidate(
            text=prompt.text,
            label="positive" if prompt.score >= threshold else "negative",
            group=prompt.group,
            pair=prompt.pair,
            subtype=prompt.subtype,
            spans=prompt.spans,
            labels=prompt.labels,
        )
        for prompt in prompts
    ]


def _distinct(candidates: Sequence[Candidate]) -> tuple[list[Candidate], list[DroppedRow]]:
    """Return each text once; a text with both labels says nothing, so no copy of it stays.

    On one side texts that differ in a number alone are copies; across sides the number may be the contrast.
    """
    labels: defaultdict[str, set[str]] = defaultdict(set)
    for row in candidates:
        labels[folded(row.text)].add(row.label)
    kept: dict[tuple[str, str], Candidate] = {}
    dropped: list[DroppedRow] = []
    for row in candidates:
        if len(labels[folded(row.text)]) > 1:
            dropped.append(_dropped(row, "label_conflict"))
        elif kept.setdefault((normalise(row.text), row.label), row) is not row:
            dropped.append(_dropped(row, "duplicate"))
    return list(kept.values()), dropped


def _surplus(rows: Sequence[Candidate]) -> frozenset[int]:
    """Return the rows of the larger side to leave out: those without a partner first, then whose length is least met.

    A row is met by the nearest length among the smaller side's rows that nobody was matched with yet.
    """
    sides = {label: [i for i, row in enumerate(rows) if row.label == label] for label in ("positive", "negative")}
    smaller, larger = sorted(sides.values(), key=len)
    pairs = {rows[i].pair for i in smaller} - {None}
    partners = [i for i in larger if rows[i].pair in pairs][: len(smaller)]
    free = sorted((i for i in larger if i not in set(partners)), key=lambda i: len(rows[i].text))
    alone = [i for i in smaller if rows[i].pair is None or rows[i].pair not in {rows[j].pair for j in partners}]
    for i in sorted(alone, key=lambda i: -len(rows[i].text))[: len(smaller) - len(partners)]:
        nearest = min(free, key=lambda j: (abs(len(rows[j].text) - len(rows[i].text)), j))
        free.remove(nearest)
    return frozenset(free[: len(larger) - len(smaller)])


def _dropped(row: Candidate, reason: str) -> DroppedRow:
    return DroppedRow.model_validate({"text": row.text[:_SHOWN], "side": row.label, "reason": reason})
