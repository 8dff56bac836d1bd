# pyright: standard
"""Every run as a path record, the JSON lines that other tools exchange; random sources say what they control."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from interp_lab.contracts.path_report import PathCard, PathEnd, PathReport
from interp_lab.corpus.prompt_set import PromptSet
from interp_lab.workflows.tracing.claims import record_line
from interp_lab.workflows.tracing.measure import Measured, Row


def record_lines(
    report: PathReport, measured: Measured, prompts: PromptSet, *, pairs: Sequence[tuple[int, int]], part: str
) -> Iterator[str]:
    """Yield one line per prompt, described path and strength, and one per random source of the same run."""
    for card, (source, column) in zip(report.paths, pairs, strict=True):
        for place, row in enumerate(measured.rows):
            if row.source == source or row.unit.key.startswith(f"{card.source.key} control "):
                for index, prompt in enumerate(measured.prompts):
                    yield record_line(
                        _record(report, card, measured, at=(index, place, column))
                        | {"prompt_id": prompts.ids()[prompt], "criterion_score": prompts.prompts[prompt].score}
                        | {"metadata": _metadata(card.source, card.target, row, part)}
                    )


def _record(report: PathReport, card: PathCard, measured: Measured, *, at: tuple[int, int, int]) -> dict[str, Any]:
    (index, place, column), source, target = at, card.source, card.target
    before, change = float(measured.base[index, column]), float(measured.total[index, place, column])
    found: dict[str, Any] = {
        "model": report.model.id,
        "criterion": report.criterion,
        "source_feature_id": source.key,
        "target_feature_id": target.key,
        "source_layer": _layer(source),
        "target_layer": _layer(target),
        "source_latent": None if source.unit is None else source.unit.index,
        "target_latent": None if target.unit is None else target.unit.index,
        "intervention": "source_sae_steer",
        "strength": measured.rows[place].scale,
        "pool": report.settings.pool,
        "baseline_target_activation": before,
        "patched_target_activation": before + change,
        "target_activation_delta": change,
        "passed_along_delta": float(measured.passed[index, place, column]),
    }
    if report.settings.target_tokens:
        score, shift = float(measured.base[index, -1]), float(measured.total[index, place, -1])
        found |= {"baseline_score": score, "patched_score": score + shift, "score_delta": shift}
    return found


def _layer(end: PathEnd) -> int | None:
    """Layers of records count hidden states: 0 is the embedding, n + 1 the output of block n."""
    point, _, layer = end.address.partition(".")
    if not layer.isdigit():
        return None
    return int(layer) + (0 if point == "resid_pre" else 1)


def _metadata(source: PathEnd, target: PathEnd, row: Row, part: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "part": part,
        "strength_unit": "multiple of the source's own value",
        "source_address": source.address,
        "target_address": target.address,
    }
    for side, end in (("source", source), ("target", target)):
        if end.unit is not None:
            found[f"{side}_unit"] = end.unit.model_dump(mode="json", exclude_none=True)
    if row.control is not None:
        found |= {
            "control_type": "random_source",
            "control_kind": row.control,
            "control_source_feature_id": row.unit.key,
        }
    return found
